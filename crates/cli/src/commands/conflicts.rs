//! `gloss conflicts`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_lineage::merge::merge_files;
use glossator_lineage::policy::{Change, Policy};
use serde_json::Value;

use crate::context::Context;
use crate::error::Result;
use crate::merging::review::Review;
use crate::merging::{Decider, POLICIES, each_conflict, sides, under_way};
use crate::render::conflict::{short, write_json};
use crate::render::{number, plain};

/// List the conflicts of the merge that is under way
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gloss conflicts\n  gloss conflicts --json > conflicts.jsonl\n  \
    gloss conflicts --export review.json\n\n\
    The tasks have the rows of each side as a prediction, `ours` and `theirs`; `gloss_conflicts` \
    in their data names the annotations, by which `gloss resolve` decides."
)]
pub(crate) struct ConflictsArgs {
    /// Decided ones too
    #[arg(long)]
    all: bool,
    /// Also write the open ones as tasks for Label Studio, with both sides as predictions
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
}

pub(crate) fn run(context: &mut Context, args: &ConflictsArgs) -> Result<u8> {
    let store = context.store()?;
    let (_lock, merging) = under_way(&store)?;
    let decider = Decider::new(&merging.decisions, &[], "");
    let (mut open, mut decided) = (0_u64, 0_u64);
    let mut failed = None;
    let mut review = Review::default();
    each_conflict(&store, &merging, "", &mut |conflict| {
        let known = decider.known(conflict).map(|decision| decision.take);
        match known {
            Some(_) => decided += 1,
            None => open += 1,
        }
        if known.is_none() && args.export.is_some() {
            review.add(conflict)?;
        }
        if failed.is_none() && (known.is_none() || args.all) {
            let word = known.map(glossator_store::merging::Take::word);
            let written = match (context.json, word) {
                (true, word) => write_json(context.out(), conflict, word),
                (false, Some(word)) => {
                    writeln!(context.out(), "{}  [{word}]", short(conflict)).map_err(Into::into)
                }
                (false, None) => writeln!(context.out(), "{}", short(conflict)).map_err(Into::into),
            };
            failed = written.err();
        }
        Ok(known)
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if let Some(path) = &args.export {
        let ours = store.snapshot(Some(merging.ours), &[])?;
        let items = review.write(&ours, &context.path(path))?;
        let path = path.display();
        context.note(&format!("wrote {} item(s) as tasks to {path}", number(items)))?;
    }
    let mut files = Vec::new();
    merge_files(&store, sides(&merging), &mut |conflict| {
        let known = decider.known_file(conflict.path).map(|decision| decision.take);
        match known {
            Some(_) => decided += 1,
            None => open += 1,
        }
        if known.is_none() || args.all {
            let text = |file: Option<&[u8]>| {
                let text = String::from_utf8_lossy(file?);
                let changes = changes(conflict.base, &text);
                Some(serde_json::json!({"text": text, "changes": changes}))
            };
            files.push(serde_json::json!({
                "kind": "policy", "table": POLICIES, "item_id": conflict.path,
                "annotation_id": null, "base": text(conflict.base), "ours": text(conflict.ours),
                "theirs": text(conflict.theirs), "decided": known,
            }));
        }
        known
    })?;
    for file in files {
        if context.json {
            context.json_line(&file)?;
            continue;
        }
        let path = file["item_id"].as_str().unwrap_or_default().to_owned();
        let word = file["decided"].as_str().map(|word| format!("  [{word}]"));
        writeln!(context.out(), "policy  {path}  both changed it{}", word.unwrap_or_default())?;
        for side in ["ours", "theirs"] {
            for change in file[side]["changes"].as_array().into_iter().flatten() {
                writeln!(context.out(), "  {side}: {}", told(change))?;
            }
        }
    }
    if !context.json {
        let (open, decided) = (number(open), number(decided));
        writeln!(context.out(), "{open} open, {decided} decided")?;
    }
    Ok(0)
}

/// What a side's policy changed since both parted; nothing where it is no policy that reads.
fn changes(base: Option<&[u8]>, text: &str) -> Vec<Change> {
    let base = base.and_then(|base| Policy::parse(&String::from_utf8_lossy(base)).ok());
    let known = base.map(|base| base.changes).unwrap_or_default();
    let now = Policy::parse(text).map(|policy| policy.changes).unwrap_or_default();
    now.into_iter().filter(|change| !known.contains(change)).collect()
}

/// A change in a line: `1.1 rename label: car → automobile`.
fn told(change: &Value) -> String {
    let word = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
    let labels = |name: &str| -> String {
        let all = change[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        all.collect::<Vec<_>>().join(", ")
    };
    let ends = format!("{} → {}", labels("from"), labels("to"));
    let text = format!("{} {} {}: {ends}", word("version"), word("op"), word("field"));
    plain(&text).into_owned()
}
