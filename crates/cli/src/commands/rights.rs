//! `gloss rights`

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use glossator_lineage::rights::Rights;
use glossator_store::fs::Disk;
use glossator_store::history::RefName;
use glossator_store::intake::{Intake, IntakeOptions};
use glossator_store::schema::{ANNOTATIONS, Annotations, ITEMS, ItemRow, Items, ItemsBuilder};
use glossator_store::transaction::Made;
use glossator_store::{Layer, Snapshot, Stage};

use crate::context::{Context, head, resolve};
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::render::{lines, number, plain, table};
use crate::rights::{UseArgs, against, path, records, torn_groups};

/// The exit code where rights forbid something.
const FAILED: u8 = 1;

/// What may be done with items: licences, consent, purposes, legal holds
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss rights add clinic-a rights.toml\n  \
    gloss rights assign clinic-a --source label-studio:7\n  \
    gloss rights check --purpose training --region EU\n\n\
    A record is rights/ID.toml in the tree of a commit; items name it. It must name nobody: what \
    is in git cannot be erased. `gloss export` refuses what records forbid.")]
pub(crate) struct RightsArgs {
    #[command(subcommand)]
    command: RightsCommand,
}

#[derive(Debug, Subcommand)]
enum RightsCommand {
    /// Add a record, or replace it
    #[command(after_help = "Example: gloss rights add clinic-a rights.toml\n\n\
        Members, all optional: licence, legal_basis (consent, contract, legal-obligation, \
        vital-interests, public-task, legitimate-interests), consent, withdrawn = 2026-05-01, \
        ethics, purposes = [\"training\"], residency = [\"EU\"], retain_until = 2030-12-31, \
        legal_hold = true, export = false.")]
    Add {
        /// Its id
        id: String,
        /// What it says, as TOML
        file: PathBuf,
    },
    /// List records and how many items each covers
    #[command(after_help = "Example: gloss rights list --at v1")]
    List {
        /// At this commit
        #[arg(long, value_name = "REV")]
        at: Option<String>,
    },
    /// Say which record covers items
    #[command(after_help = "Examples:\n  gloss rights assign clinic-a --item img_01.jpg\n  \
        gloss rights assign clinic-a --source label-studio:7\n  gloss rights assign open --all")]
    Assign {
        /// The record
        id: String,
        /// This item
        #[arg(long, value_name = "ID")]
        item: Vec<String>,
        /// Items of this source
        #[arg(long, value_name = "NAME")]
        source: Vec<String>,
        /// Items of this group: patient, video, conversation
        #[arg(long, value_name = "ID")]
        group: Vec<String>,
        /// Every item that names no record
        #[arg(long)]
        all: bool,
    },
    /// Say which items may not be used, and which groups are in several splits
    #[command(after_help = "Example: gloss rights check v1 --purpose training --region EU\n\n\
        Exits with 1 where there are any.")]
    Check {
        /// At this commit
        #[arg(value_name = "REV")]
        revision: Option<String>,
        #[command(flatten)]
        wanted: UseArgs,
    },
}

pub(crate) fn run(context: &mut Context, args: &RightsArgs) -> Result<u8> {
    match &args.command {
        RightsCommand::Add { id, file } => add(context, id, file),
        RightsCommand::List { at } => list(context, at.as_deref()),
        RightsCommand::Assign { id, item, source, group, all } => {
            let chosen = Chosen { items: item, sources: source, groups: group, all: *all };
            assign(context, id, &chosen)
        }
        RightsCommand::Check { revision, wanted } => check(context, revision.as_deref(), wanted),
    }
}

fn add(context: &mut Context, id: &str, file: &std::path::Path) -> Result<u8> {
    let id: RefName = id.parse()?;
    let name = plain(&file.display().to_string()).into_owned();
    let file = context.path(file);
    if !file.is_file() {
        return Err(CliError::input(format!("there is no file `{name}`")).hint("check the path"));
    }
    let bytes = Disk::default().read(&file)?;
    let text =
        String::from_utf8(bytes).map_err(|_| CliError::input(format!("`{name}` is not UTF-8")))?;
    Rights::parse(&text).map_err(|what| {
        CliError::input(format!("`{name}`: {what}")).hint("see `gloss rights add --help`")
    })?;
    let store = context.store()?;
    let message = format!("Rights {id}");
    let options = context.commit_options(&store, None, &message, "rights")?;
    let files = [(path(id.as_str()), Some(text.into_bytes()))];
    let layer = Layer::default();
    let made = Made { files: &files, ..Made::of(&layer) };
    let made = store.commit_on(store.history.head()?.commit, &made, &options)?;
    if context.json {
        context.json_line(&serde_json::json!({ "rights": id.as_str(), "commit": made }))?;
    } else {
        let short = made.map(|commit| commit.short()).unwrap_or_default();
        writeln!(context.out(), "{id} at {short}")?;
    }
    Ok(0)
}

fn list(context: &mut Context, at: Option<&str>) -> Result<u8> {
    let store = context.store()?;
    let commit = resolve(&store, at)?;
    let snapshot = store.snapshot(Some(commit), &[])?;
    let records = records(&store, commit)?;
    let mut covered = std::collections::BTreeMap::<String, u64>::new();
    let (mut bare, filters) = (0_u64, Filters::default());
    for batch in filters.rows(&snapshot, &ITEMS)? {
        let batch = batch?;
        for item in Items::new(&batch).iter() {
            match item.rights {
                Some(rights) => *covered.entry(rights.to_owned()).or_default() += 1,
                None => bare += 1,
            }
        }
    }
    let all = Chosen { items: &[], sources: &[], groups: &[], all: true };
    each_bare(&snapshot, &all, &mut |found| {
        bare += found.len() as u64;
        Ok(())
    })?;
    for id in records.keys() {
        covered.entry(id.clone()).or_default();
    }
    let mut shown = table(&["rights", "items", "licence", "legal basis", "hold"]);
    for (id, items) in &covered {
        let record = records.get(id);
        if context.json {
            context.json_line(&serde_json::json!({
                "rights": id, "items": items, "record": record,
            }))?;
            continue;
        }
        let text = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
        let basis = record.and_then(|record| record.legal_basis);
        let basis = basis.and_then(|basis| serde_json::to_value(basis).ok());
        shown.add_row([
            plain(id).into_owned(),
            number(*items),
            text(record.and_then(|record| record.licence.clone())),
            text(basis.and_then(|basis| basis.as_str().map(str::to_owned))),
            match record {
                None => "no such record".to_owned(),
                Some(record) if record.legal_hold => "held".to_owned(),
                Some(_) => String::new(),
            },
        ]);
    }
    if !context.json {
        writeln!(context.out(), "{}", lines(&shown))?;
        writeln!(context.out(), "{} item(s) name no record", number(bare))?;
    }
    Ok(0)
}

/// Which items are meant.
struct Chosen<'a> {
    items: &'a [String],
    sources: &'a [String],
    groups: &'a [String],
    all: bool,
}

impl Chosen<'_> {
    fn has(&self, item: &ItemRow<'_>) -> bool {
        let among = |list: &[String], text: Option<&str>| {
            text.is_some_and(|text| list.iter().any(|one| one == text))
        };
        among(self.items, Some(item.item_id))
            || among(self.sources, item.source)
            || among(self.groups, item.group_id)
            || (self.all && item.rights.is_none())
    }

    fn is_empty(&self) -> bool {
        !self.all && self.items.is_empty() && self.sources.is_empty() && self.groups.is_empty()
    }
}

fn assign(context: &mut Context, id: &str, chosen: &Chosen<'_>) -> Result<u8> {
    let store = context.store()?;
    let base = head(&store)?;
    if !records(&store, base)?.contains_key(id) {
        return Err(CliError::input(format!("there is no record `{id}`"))
            .hint(format!("add it first: `gloss rights add {id} FILE`")));
    }
    if chosen.is_empty() {
        return Err(CliError::input("nothing says which items it covers")
            .hint("give `--item`, `--source`, `--group` or `--all`"));
    }
    let _writing = store.writing()?;
    let snapshot = store.snapshot(Some(base), &[])?;
    let filters = Filters::default();
    let mut intake = Intake::new(&snapshot, IntakeOptions::default());
    let mut count = 0_u64;
    for batch in filters.rows(&snapshot, &ITEMS)? {
        let batch = batch?;
        let mut builder = ItemsBuilder::default();
        for mut item in Items::new(&batch).iter() {
            if chosen.has(&item) && item.rights != Some(id) {
                item.rights = Some(id);
                builder.push(&item);
                count += 1;
            }
        }
        intake.rows(&ITEMS, builder.finish())?;
    }
    each_bare(&snapshot, chosen, &mut |bare| {
        let mut builder = ItemsBuilder::default();
        for (item, source) in bare {
            let (source, rights) = (Some(source.as_str()), Some(id));
            builder.push(&ItemRow { item_id: item, source, rights, ..ItemRow::default() });
            count += 1;
        }
        Ok(intake.rows(&ITEMS, builder.finish())?)
    })?;
    let layers = intake.finish()?.layers;
    let made = match layers.is_empty() {
        true => None,
        false => {
            let stage = Stage::new(Some(base), layers)?;
            let message = format!("Items under the rights {id}");
            context.commit(&store, store.branch()?, &stage, &message, "rights")?
        }
    };
    if context.json {
        let line = serde_json::json!({ "rights": id, "items": count, "commit": made });
        context.json_line(&line)?;
        return Ok(0);
    }
    match made {
        Some(commit) => {
            let short = commit.short();
            writeln!(context.out(), "{} item(s) under {id}; committed {short}", number(count))?;
        }
        None => writeln!(context.out(), "no item is to be put under {id}")?,
    }
    Ok(0)
}

/// What is given items and their sources.
type EachBare<'a> = &'a mut dyn FnMut(&[(String, String)]) -> Result<()>;

/// Items of annotations that are chosen and have no row of their own, each with its source, some at
/// a time.
fn each_bare(snapshot: &Snapshot<'_>, chosen: &Chosen<'_>, each: EachBare<'_>) -> Result<()> {
    let (filters, mut last) = (Filters::default(), None::<String>);
    for batch in filters.rows(snapshot, &ANNOTATIONS)? {
        let batch = batch?;
        let mut found: Vec<(String, String)> = Vec::new();
        for row in Annotations::new(&batch).iter() {
            // The items of a batch may go on in the next one.
            if last.as_deref() != Some(row.item_id) {
                found.push((row.item_id.to_owned(), row.source.to_owned()));
                last = Some(row.item_id.to_owned());
            }
        }
        found.retain(|(item, source)| {
            let source = Some(source.as_str());
            chosen.has(&ItemRow { item_id: item, source, ..ItemRow::default() })
        });
        let ids: Vec<&str> = found.iter().map(|(item, _)| item.as_str()).collect();
        let mut known = snapshot.table(&ITEMS)?.locate_items(&ids)?.into_iter();
        found.retain(|_| known.next().is_some_and(|rows| rows.is_empty()));
        each(&found)?;
    }
    Ok(())
}

fn check(context: &mut Context, revision: Option<&str>, wanted: &UseArgs) -> Result<u8> {
    let store = context.store()?;
    let commit = resolve(&store, revision)?;
    let snapshot = store.snapshot(Some(commit), &[])?;
    let found = against(&snapshot, &Filters::default(), &wanted.today())?;
    let torn = torn_groups(&snapshot)?;
    let passed = found.is_empty() && torn.is_empty();
    let code = if passed { 0 } else { FAILED };
    if context.json {
        let found: Vec<_> = found
            .iter()
            .map(|((why, rights), (items, item))| {
                serde_json::json!({
                    "why": why, "rights": rights, "items": items, "such_as": item,
                })
            })
            .collect();
        let torn: Vec<_> = torn
            .iter()
            .map(|(group, splits)| serde_json::json!({ "group_id": group, "splits": splits }))
            .collect();
        context.json_line(&serde_json::json!({
            "commit": commit, "passed": passed, "hindrances": found, "torn_groups": torn,
        }))?;
        return Ok(code);
    }
    let out = context.out();
    for ((why, rights), (count, item)) in &found {
        let (rights, item, count) = (plain(rights), plain(item), number(*count));
        writeln!(out, "{rights}: {count} item(s), such as `{item}`, {}", why.text())?;
    }
    for (group, splits) in &torn {
        let splits: Vec<&str> = splits.iter().map(String::as_str).collect();
        let (group, splits) = (plain(group), splits.join(", "));
        writeln!(out, "group `{group}` is in several splits: {}", plain(&splits))?;
    }
    if passed {
        writeln!(out, "nothing stands against it")?;
    }
    Ok(code)
}
