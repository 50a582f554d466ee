//! `gloss history`

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_lineage::history;
use glossator_lineage::life::{Life, life};
use glossator_lineage::policy::Mapping;
use glossator_lineage::records::{Noted, records};
use glossator_store::fs::output_file;
use glossator_store::schema::ANNOTATIONS;
use glossator_store::{CommitId, Store};

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::policies;
use crate::render::diff::{DiffPrinter, write_json};
use crate::render::html;
use crate::render::life::{Event, table_of};
use crate::render::{plain, row};

/// Show the life of an item, or of one annotation: who made it what it is, and what it was used for
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss history img_01.jpg\n  \
    gloss history img_01.jpg answer-7 --html life.html\n  gloss history img_01.jpg --rows\n\n\
    The oldest first: a commit stands behind those that it comes from. With an annotation, also \
    what it was made of: the prediction that was corrected. Pins, runs and recorded exports stand \
    behind the commit that they used.")]
pub(crate) struct HistoryArgs {
    /// The item
    item: String,
    /// Only this annotation of it
    annotation: Option<String>,
    /// Up to this commit
    #[arg(long, value_name = "REV")]
    at: Option<String>,
    /// Show each commit's changes cell by cell instead, the newest first
    #[arg(long, conflicts_with = "html")]
    rows: bool,
    /// Also write it as a page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(crate) fn run(context: &mut Context, args: &HistoryArgs) -> Result<u8> {
    let store = context.store()?;
    let tip = resolve(&store, args.at.as_deref())?;
    if args.rows {
        return cells(context, &store, tip, args);
    }
    let mut told = life(&store, tip, &args.item)?;
    if let Some(annotation) = &args.annotation {
        told.keep(annotation);
    }
    let wanted = args.annotation.as_deref();
    let about = |annotation: &Option<String>| annotation.as_deref() == wanted;
    if told.deeds.is_empty()
        || (wanted.is_some() && !told.deeds.iter().any(|d| about(&d.annotation)))
    {
        return Err(unknown(&store, tip, args)?);
    }
    let events = events(&store, tip, &told, args)?;
    if let Some(path) = &args.html {
        let path = context.path(path);
        let mut file = output_file(&path)?;
        let page = serde_json::json!({"life": {"item": args.item, "events": events}});
        html::write(&mut file, &format!("Life of {}", args.item), &page)?;
        file.persist()?;
    }
    if context.json {
        events.iter().try_for_each(|event| context.json_line(event))?;
    } else {
        writeln!(context.out(), "item {}", plain(&args.item))?;
        writeln!(context.out(), "{}", table_of(&events))?;
    }
    Ok(0)
}

/// Deeds, and what was made of the commits that hold the item, in their order.
fn events(store: &Store, tip: CommitId, told: &Life, args: &HistoryArgs) -> Result<Vec<Event>> {
    let mut commits = HashMap::new();
    for deed in &told.deeds {
        if let Entry::Vacant(entry) = commits.entry(deed.commit) {
            entry.insert(store.history.commit(deed.commit)?);
        }
    }
    let used = used(store, told, args)?;
    // What was made of a commit stands behind everything that it holds.
    let mut after: BTreeMap<Option<CommitId>, Vec<&(Noted, Option<CommitId>)>> = BTreeMap::new();
    used.iter().for_each(|one| after.entry(one.1).or_default().push(one));
    let policies = policies::all(store, tip)?;
    let mapping = Mapping::new(policies.into_values().collect(), None);
    let mut events = Vec::new();
    for (at, deed) in told.deeds.iter().enumerate() {
        if let Some(commit) = commits.get(&deed.commit) {
            events.push(Event::of_deed(told, deed, commit, &mapping));
        }
        let last = told.deeds.get(at + 1).is_none_or(|next| next.commit != deed.commit);
        for (noted, _) in after.get(&Some(deed.commit)).filter(|_| last).into_iter().flatten() {
            events.push(Event::of_record(noted));
        }
    }
    Ok(events)
}

/// Pins, exports and runs of commits that hold the item live, each with the last commit before it
/// that touched the item.
fn used(store: &Store, told: &Life, args: &HistoryArgs) -> Result<Vec<(Noted, Option<CommitId>)>> {
    let (found, _) = records(store, None)?;
    let mut used = Vec::new();
    if found.is_empty() {
        return Ok(used);
    }
    let tips: Vec<CommitId> =
        found.iter().map(|noted| noted.commit).collect::<HashSet<_>>().into_iter().collect();
    let origins = store.origins(&tips)?;
    // Commits that hold the same changes of the item hold the same rows of it.
    let mut known: HashMap<Vec<CommitId>, bool> = HashMap::new();
    let mut of_commit: HashMap<CommitId, (bool, Option<CommitId>)> = HashMap::new();
    for noted in found {
        if let Some((live, last)) = of_commit.get(&noted.commit) {
            used.extend(live.then(|| (noted, *last)));
            continue;
        }
        let reached = origins.reached(noted.commit);
        let mut touched = told.commits.clone();
        touched.retain(|commit| reached.contains(commit));
        let deeds = told.deeds.iter().rev().map(|deed| deed.commit);
        let last = deeds.into_iter().find(|commit| reached.contains(commit));
        let live = match known.get(&touched) {
            Some(live) => *live,
            None => {
                let snapshot = store.snapshot(Some(noted.commit), &[])?;
                let table = snapshot.table(&ANNOTATIONS)?;
                let live = match &args.annotation {
                    Some(annotation) => {
                        table.locate([(args.item.as_str(), annotation.as_str())])?[0].is_some()
                    }
                    None => !table.locate_item(&args.item)?.is_empty(),
                };
                known.insert(touched, live);
                live
            }
        };
        of_commit.insert(noted.commit, (live, last));
        used.extend(live.then_some((noted, last)));
    }
    Ok(used)
}

/// Nothing was ever done to what was asked for.
fn unknown(store: &Store, tip: CommitId, args: &HistoryArgs) -> Result<CliError> {
    let table = store.snapshot(Some(tip), &[])?;
    Ok(match &args.annotation {
        Some(annotation) => {
            let item = &args.item;
            CliError::input(format!("no commit touched annotation `{annotation}` of item `{item}`"))
                .hint(format!("`gloss history {item}` shows those it had"))
        }
        None => crate::nearest::no_item(&table, &args.item)?,
    })
}

/// What each commit did, cell by cell.
fn cells(context: &mut Context, store: &Store, tip: CommitId, args: &HistoryArgs) -> Result<u8> {
    let mut found = false;
    for event in history(store, tip, &ANNOTATIONS, &args.item, args.annotation.as_deref())? {
        let event = event?;
        let deltas = event.deltas;
        let about = store.history.commit(event.commit)?;
        let time = row::seconds(about.author.seconds, about.author.offset);
        if context.json {
            let mut lines = Vec::new();
            for delta in &deltas {
                write_json(&mut lines, delta)?;
            }
            let rows: Vec<Box<serde_json::value::RawValue>> =
                serde_json::Deserializer::from_slice(&lines)
                    .into_iter()
                    .collect::<Result<_, _>>()?;
            context.json_line(&serde_json::json!({
                "commit": event.commit,
                "author": {"name": about.author.name, "email": about.author.email},
                "time": time,
                "message": about.body(),
                "rows": rows,
            }))?;
        } else {
            if found {
                writeln!(context.out())?;
            }
            let (name, title) = (plain(&about.author.name), plain(about.title()));
            writeln!(context.out(), "{} {time} {name}: {title}", event.commit.short())?;
            let mut printer = DiffPrinter::default();
            for delta in &deltas {
                printer.write(context.out(), delta)?;
            }
        }
        found = true;
    }
    match found {
        true => Ok(0),
        false => Err(unknown(store, tip, args)?),
    }
}
