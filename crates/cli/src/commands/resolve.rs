//! `gloss resolve`

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use glossator_lineage::merge::{Conflict, Rule, merge_files};
use glossator_store::merging::Take;
use serde::Deserialize;

use super::merge::RuleArg;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::merging::{Decider, POLICIES, author_of, each_conflict, sides, under_way};
use crate::render::{number, plain};

/// Decide conflicts of the merge that is under way
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss resolve img_01.jpg --take ours\n  \
    gloss resolve --rule newest --kind changed-twice\n  gloss resolve --file decided.jsonl\n\n\
    A line of the file names a conflict as `gloss conflicts --json` prints it, and says which side \
    it is decided for: {\"item_id\":\"a.jpg\",\"annotation_id\":\"7/1/box\",\"take\":\"ours\"}. \
    What was decided can be decided again, until the merge is continued.")]
pub(crate) struct ResolveArgs {
    /// Only conflicts of this item
    item: Option<String>,
    /// Only the conflict of this annotation of it
    annotation: Option<String>,
    /// The side that they are decided for
    #[arg(long, value_name = "SIDE", required_unless_present_any = ["rule", "file"])]
    take: Option<TakeArg>,
    /// Decide by a rule; what it says nothing about stays open
    #[arg(long, value_name = "RULE", conflicts_with = "take")]
    rule: Option<RuleArg>,
    /// Decide by the lines of a file
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["take", "rule", "item", "kind", "field"]
    )]
    file: Option<PathBuf>,
    /// Only conflicts of this kind, as `gloss conflicts` names it
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only conflicts of answers to this question
    #[arg(long, value_name = "FIELD")]
    field: Option<String>,
}

/// A side as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TakeArg {
    /// Our row
    Ours,
    /// Their row
    Theirs,
    /// Both answers, or the row that one side removed
    Both,
}

impl From<TakeArg> for Take {
    fn from(take: TakeArg) -> Self {
        match take {
            TakeArg::Ours => Self::Ours,
            TakeArg::Theirs => Self::Theirs,
            TakeArg::Both => Self::Both,
        }
    }
}

/// A line of a file of decisions. Other members are those of a conflict.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    table: Option<String>,
    item_id: String,
    #[serde(default)]
    annotation_id: Option<String>,
    take: TakeArg,
}

/// What decides, and which conflicts.
enum How {
    Take(Take),
    Rule(Rule),
    Lines(Lines),
}

/// By table, item and key: the side, and the line that says so.
type Lines = HashMap<(String, String, String), (Take, usize)>;

pub(crate) fn run(context: &mut Context, args: &ResolveArgs) -> Result<u8> {
    let store = context.store()?;
    let (_lock, mut merging) = under_way(&store)?;
    let mut how = match (args.take, args.rule, &args.file) {
        (Some(take), ..) => How::Take(take.into()),
        (_, Some(rule), _) => How::Rule(rule.into()),
        (_, _, Some(file)) => How::Lines(lines(context, file)?),
        _ => return Err(CliError::input("say how: `--take`, `--rule` or `--file`")),
    };
    let kinds = glossator_lineage::merge::ConflictKind::ALL.map(|kind| kind.word());
    if let Some(kind) = args.kind.as_deref().filter(|kind| !kinds.contains(kind)) {
        let message = format!("`{kind}` is no kind of conflict: {}", kinds.join(", "));
        return Err(CliError::input(message));
    }
    let (author, _) = context.identities(&store)?;
    let mut decider = Decider::new(&merging.decisions, &[], &author.name);
    let (mut decided, mut open, mut impossible) = (0_u64, 0_u64, None);
    let (id, _) = author_of(&store, &author)?;
    each_conflict(&store, &merging, &id, &mut |conflict| {
        let take = if asked(args, conflict) { choose(&mut how, conflict) } else { None };
        let known = decider.known(conflict).cloned();
        match take.filter(|(take, _)| conflict.can_take(*take)) {
            Some((take, rule)) => {
                decided += 1;
                let decision = decider.decision(conflict, take, rule);
                decider.note(decision);
            }
            None => {
                if take.is_some() && impossible.is_none() {
                    impossible = Some(format!("{} {}", conflict.key.0, conflict.key.1));
                }
                match known {
                    Some(known) => decider.note(known),
                    None => open += 1,
                }
            }
        }
        Ok(Some(Take::Ours))
    })?;
    merge_files(&store, sides(&merging), &mut |conflict| {
        let asked = args.field.is_none()
            && args.item.as_deref().is_none_or(|item| item == conflict.path)
            && args.annotation.is_none()
            && args.kind.as_deref().is_none_or(|kind| kind == "policy");
        let key = (POLICIES.to_owned(), conflict.path.to_owned(), String::new());
        let take = match &mut how {
            _ if !asked => None,
            How::Take(take) => Some((*take, None)),
            How::Rule(Rule::Ours) => Some((Take::Ours, Some("ours"))),
            How::Rule(Rule::Theirs) => Some((Take::Theirs, Some("theirs"))),
            How::Rule(_) => None,
            How::Lines(lines) => lines.remove(&key).map(|(take, _)| (take, None)),
        };
        match take {
            Some((Take::Both, _)) => impossible = Some(conflict.path.to_owned()),
            Some((take, rule)) => {
                decided += 1;
                let decision = decider.file_decision(conflict.path, take, rule);
                decider.note(decision);
            }
            None => match decider.known_file(conflict.path).cloned() {
                Some(known) => decider.note(known),
                None => open += 1,
            },
        }
        None
    })?;
    if let Some(conflict) = impossible {
        return Err(CliError::input(format!("`{conflict}` is one row: both cannot stay"))
            .hint("take `ours` or `theirs`"));
    }
    if let How::Lines(left) = &how
        && let Some(((_, item, key), (_, line))) = left.iter().min_by_key(|(_, (_, line))| *line)
    {
        let file = args.file.as_deref().map(|file| file.display().to_string()).unwrap_or_default();
        let message = format!("`{file}` line {line}: `{item}` `{key}` is in no conflict");
        return Err(CliError::input(message)
            .hint("`gloss conflicts --all` lists them; nothing was decided"));
    }
    if decided == 0 && args.rule.is_none() {
        return Err(
            CliError::input("there is no such conflict").hint("`gloss conflicts --all` lists them")
        );
    }
    merging.decisions = decider.made;
    store.write_merging(&merging)?;
    if context.json {
        context.json_line(&serde_json::json!({ "decided": decided, "open": open }))?;
        return Ok(0);
    }
    writeln!(context.out(), "decided {}, {} open", number(decided), number(open))?;
    if open == 0 {
        writeln!(context.out(), "commit the merge with `gloss merge --continue`")?;
    }
    Ok(0)
}

fn asked(args: &ResolveArgs, conflict: &Conflict<'_>) -> bool {
    let field = || {
        let row = conflict.ours.or(conflict.theirs)?;
        row.text(conflict.table, "field")
    };
    args.item.as_deref().is_none_or(|item| item == conflict.key.0)
        && args.annotation.as_deref().is_none_or(|key| key == conflict.key.1)
        && args.kind.as_deref().is_none_or(|kind| kind == conflict.kind.word())
        && args.field.as_deref().is_none_or(|wanted| field().as_deref() == Some(wanted))
}

fn choose(how: &mut How, conflict: &Conflict<'_>) -> Option<(Take, Option<&'static str>)> {
    match how {
        How::Take(take) => Some((*take, None)),
        How::Rule(rule) => rule.decide(conflict).map(|take| (take, Some(rule.word()))),
        How::Lines(lines) => {
            let (item, key) = conflict.key;
            let key = (conflict.table.name.to_owned(), item.to_owned(), key.to_owned());
            lines.remove(&key).map(|(take, _)| (take, None))
        }
    }
}

fn lines(context: &Context, file: &std::path::Path) -> Result<Lines> {
    let path = context.path(file);
    let name = plain(&file.display().to_string()).into_owned();
    let text = glossator_store::fs::Disk::default().read(&path)?;
    let text =
        String::from_utf8(text).map_err(|_| CliError::input(format!("`{name}` is not UTF-8")))?;
    let mut found = HashMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let bad = |what: String| {
            CliError::input(format!("`{name}` line {}: {what}", at + 1))
                .hint("`gloss resolve --help` shows a line")
        };
        let line: Line = serde_json::from_str(line).map_err(|e| bad(e.to_string()))?;
        let table = line.table.unwrap_or_else(|| "annotations".to_owned());
        let key = (table, line.item_id, line.annotation_id.unwrap_or_default());
        if found.insert(key, (line.take.into(), at + 1)).is_some() {
            return Err(bad("the conflict stands twice in the file".to_owned()));
        }
    }
    Ok(found)
}
