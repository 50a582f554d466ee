//! `gloss trace`

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use clap::Args;
use glossator_formats::View;
use glossator_lineage::recall::{Suspect, Touch, by_origin, live};
use glossator_lineage::records::{Noted, records};
use glossator_lineage::{Blamer, history};
use glossator_store::schema::{ANNOTATIONS, Annotations};
use glossator_store::{CommitId, Store};
use serde::Serialize;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::policies::AsOf;
use crate::render::{lines, number, plain, row, table};
use crate::uses::Holders;
use crate::view::SnapshotView;

/// Follow labels from the files that they came from to the runs that they trained, or back
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss trace img_01.jpg\n  gloss trace batch-12.json\n  \
    gloss trace run:baseline\n  gloss trace batch-12.json run:baseline\n\n\
    A thing is a file, an item, a commit or a branch, a run or an export, by its name; where \
    several have it, say which: file:, item:, commit:, run:, export:, pin:.\n\
    From an item: the files and commits behind its live annotations, reviews, the final answer, \
    and what was made of them. From a file or a commit: what holds its rows. From a run: the files \
    behind its rows. With TO, whether anything of the first is in the second: exits 1 if not.")]
pub(crate) struct TraceArgs {
    /// From here
    from: String,
    /// To here
    to: Option<String>,
}

/// What is traced.
#[derive(Debug)]
enum Thing {
    File(String),
    Item(String),
    Commit(CommitId, String),
    Record(Box<Noted>),
}

/// A step of a way, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Step {
    /// `file`, `import`, `annotation`, `review`, `answer`, `branch`, `tag`, `pin`, `export`, `run`.
    stage: &'static str,
    name: String,
    commit: Option<CommitId>,
    /// Annotations that are meant, where they were counted.
    rows: Option<u64>,
    detail: Option<String>,
}

impl Step {
    fn new(stage: &'static str, name: impl Into<String>) -> Self {
        Self { stage, name: name.into(), commit: None, rows: None, detail: None }
    }
}

pub(crate) fn run(context: &mut Context, args: &TraceArgs) -> Result<u8> {
    let store = context.store()?;
    let from = find(&store, &args.from)?;
    let steps = match &args.to {
        Some(to) => between(&store, &from, &find(&store, to)?)?,
        None => match &from {
            Thing::Item(item) => of_item(&store, item)?,
            Thing::Record(noted) => behind(&store, noted)?,
            Thing::File(_) | Thing::Commit(..) => ahead(&store, &from)?,
        },
    };
    if args.to.is_some() && steps.is_empty() {
        return Err(CliError::check(format!("nothing of `{}` is in that", args.from))
            .hint(format!("`gloss trace {}` tells where it is", args.from)));
    }
    if context.json {
        steps.iter().try_for_each(|step| context.json_line(step))?;
        return Ok(0);
    }
    let mut shown = table(&["stage", "name", "commit", "rows", "detail"]);
    for step in &steps {
        let rows = step.rows.map_or("-".to_owned(), number);
        let commit = step.commit.map_or("-".to_owned(), |commit| commit.short());
        let detail = step.detail.as_deref().unwrap_or("-");
        shown.add_row([step.stage, &step.name, &commit, &rows, detail].map(plain));
    }
    writeln!(context.out(), "{}", lines(&shown))?;
    Ok(0)
}

/// What a name means: what a prefix says, else the first of run, item, file and revision.
fn find(store: &Store, text: &str) -> Result<Thing> {
    let (kind, name) = match text.split_once(':') {
        Some((kind, name))
            if ["file", "item", "commit", "run", "export", "pin"].contains(&kind) =>
        {
            (Some(kind), name)
        }
        _ => (None, text),
    };
    let may = |wanted: &[&str]| kind.is_none_or(|kind| wanted.contains(&kind));
    if may(&["run", "export", "pin"]) {
        let (found, _) = records(store, None)?;
        let fits = |noted: &&Noted| {
            let record = &noted.record;
            let named = record.name.as_deref() == Some(name) || record.id == name;
            let output = record.output.to_string() == name;
            (named || output) && kind.is_none_or(|kind| kind == record.made.word())
        };
        // The newest of one name: runs are repeated.
        if let Some(noted) = found.iter().rev().find(fits) {
            return Ok(Thing::Record(Box::new(noted.clone())));
        }
    }
    let head = store.history.head()?.commit;
    if may(&["item"])
        && let Some(head) = head
        && history(store, head, &ANNOTATIONS, name, None)?.next().transpose()?.is_some()
    {
        return Ok(Thing::Item(name.to_owned()));
    }
    if may(&["file"]) && !Holders::new(store)?.touches(Suspect::Source(name))?.is_empty() {
        return Ok(Thing::File(name.to_owned()));
    }
    if may(&["commit"])
        && let Ok(commit) = store.history.resolve(name)
    {
        return Ok(Thing::Commit(commit, name.to_owned()));
    }
    let made = CliError::input(format!("there is no `{name}` to trace"));
    Err(match kind {
        Some("item") if head.is_some() => {
            crate::nearest::no_item(&store.snapshot(head, &[])?, name)?
        }
        _ => made
            .hint("`gloss items`, `gloss log` and `gloss runs --all` list what there is")
            .hint("files are those that commits name: `gloss show COMMIT`"),
    })
}

/// How a thing is recalled; a record stands for the commit that it used.
fn suspect(thing: &Thing) -> Suspect<'_> {
    match thing {
        Thing::File(name) => Suspect::Source(name),
        Thing::Item(item) => Suspect::Item(item),
        Thing::Commit(commit, _) => Suspect::Commit(*commit),
        Thing::Record(noted) => Suspect::Commit(noted.commit),
    }
}

/// The commits that brought rows, with their files.
fn imports(store: &Store, touched: &[Touch]) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut files = BTreeSet::new();
    for touch in touched {
        for file in &touch.files {
            if files.insert((file.name.clone(), file.digest)) {
                let detail = format!("{} {}", file.format, file.digest);
                steps.push(Step { detail: Some(detail), ..Step::new("file", file.name.as_str()) });
            }
        }
    }
    for touch in touched {
        let about = store.history.commit(touch.commit)?;
        let time = row::seconds(about.author.seconds, about.author.offset);
        let stage = if touch.files.is_empty() { "commit" } else { "import" };
        steps.push(Step {
            commit: Some(touch.commit),
            rows: Some(touch.rows),
            detail: Some(time),
            ..Step::new(stage, about.title())
        });
    }
    Ok(steps)
}

/// What holds the rows of a file or a commit.
fn ahead(store: &Store, thing: &Thing) -> Result<Vec<Step>> {
    let holders = Holders::new(store)?;
    let touched = holders.touches(suspect(thing))?;
    let mut steps = imports(store, &touched)?;
    steps.extend(held(&holders, suspect(thing), &touched)?);
    Ok(steps)
}

fn held(holders: &Holders<'_>, suspect: Suspect<'_>, touched: &[Touch]) -> Result<Vec<Step>> {
    let uses = holders.of(suspect, touched)?;
    let step = |one: crate::uses::Use| Step {
        commit: Some(one.commit),
        rows: Some(one.rows),
        detail: one.view.map(|view| if one.at_most { format!("{view}, at most") } else { view }),
        ..Step::new(one.what, one.name)
    };
    Ok(uses.into_iter().filter(|one| one.rows > 0).map(step).collect())
}

/// The whole way of an item: files, imports, annotations, reviews, the answer, what was made of it.
fn of_item(store: &Store, item: &str) -> Result<Vec<Step>> {
    let head = crate::context::head(store)?;
    let snapshot = store.snapshot(Some(head), &[])?;
    let filters = Filters { item: vec![item.to_owned()], ..Filters::default() };
    let mapping = AsOf::default().mapping(&snapshot)?;
    let mut blamer = Blamer::new(store, head)?;
    let mut annotations = Vec::new();
    let mut made: BTreeMap<CommitId, u64> = BTreeMap::new();
    for batch in filters.read_with_origin(&snapshot, &ANNOTATIONS, &mapping)? {
        let batch = batch?;
        let blames = blamer.rows(&ANNOTATIONS, &batch)?;
        let own = batch.project(&(0..ANNOTATIONS.columns.len()).collect::<Vec<_>>())?;
        for (one, blame) in Annotations::new(&own).iter().zip(blames) {
            *made.entry(blame.made_in.unwrap_or(blame.commit)).or_default() += 1;
            annotations.push(Step {
                commit: Some(blame.commit),
                detail: Some(format!(
                    "{} by {}, {}",
                    row::value(&one),
                    one.annotator_id,
                    one.status
                )),
                ..Step::new("annotation", one.annotation_id)
            });
        }
    }
    let holders = Holders::new(store)?;
    let mut touched = holders.touches(Suspect::Item(item))?;
    // Of all commits that ever touched it those whose rows are there still, with their files.
    touched.retain(|touch| made.contains_key(&touch.commit));
    for touch in &mut touched {
        touch.rows = made.get(&touch.commit).copied().unwrap_or_default();
        let meta = store.meta(&store.change(touch.commit)?).unwrap_or_default();
        touch.files = meta.sources;
    }
    let mut steps = imports(store, &touched)?;
    steps.extend(annotations);
    let told = glossator_lineage::life::life(store, head, item)?;
    let decisions = ["accepted", "rejected", "fixed", "adjudicated"];
    for deed in told.deeds.iter().filter(|deed| decisions.contains(&deed.what.as_str())) {
        let of = deed.annotation.as_ref().or(deed.submission.as_ref()).cloned().unwrap_or_default();
        let by = deed.by.as_deref().unwrap_or("-");
        steps.push(Step {
            commit: Some(deed.commit),
            detail: Some(format!("{} by {by}", deed.what)),
            ..Step::new("review", of)
        });
    }
    steps.extend(answers(&snapshot, &filters, &mapping, head)?);
    steps.extend(held(&holders, Suspect::Item(item), &touched)?);
    Ok(steps)
}

/// The final answers, as `--view labels` gives them.
fn answers(
    snapshot: &glossator_store::Snapshot<'_>,
    filters: &Filters,
    mapping: &glossator_lineage::policy::Mapping,
    head: CommitId,
) -> Result<Vec<Step>> {
    let view = SnapshotView {
        snapshot,
        filters,
        mapping,
        people: None,
        seen_by: None,
        labels: Some(glossator_quality::Method::default()),
        left_out: Default::default(),
    };
    let mut steps = Vec::new();
    for batch in view.rows(&ANNOTATIONS)? {
        let batch = batch?;
        for one in Annotations::new(&batch).iter() {
            steps.push(Step {
                commit: Some(head),
                detail: Some(row::value(&one)),
                ..Step::new("answer", one.field)
            });
        }
    }
    Ok(steps)
}

/// The files and commits behind what a pin, an export or a run used.
fn behind(store: &Store, noted: &Noted) -> Result<Vec<Step>> {
    let origins = store.origins(&[noted.commit])?;
    let mut of_commit: BTreeMap<Option<CommitId>, u64> = BTreeMap::new();
    let mut of_file: BTreeMap<(String, String), u64> = BTreeMap::new();
    for ((segment, source), rows) in by_origin(store, noted.commit)? {
        let commit = origins.of(&segment).first().copied();
        *of_commit.entry(commit).or_default() += rows;
        let Some(commit) = commit else { continue };
        let meta = store.meta(&store.change(commit)?).unwrap_or_default();
        for file in meta.sources.iter().filter(|file| file.source == source) {
            *of_file.entry((file.name.clone(), file.digest.to_string())).or_default() += rows;
        }
    }
    let mut steps = Vec::new();
    for ((name, digest), rows) in of_file {
        steps.push(Step { rows: Some(rows), detail: Some(digest), ..Step::new("file", name) });
    }
    for commit in origins.order(&[noted.commit]) {
        let Some(rows) = of_commit.get(&Some(commit)) else { continue };
        let about = store.history.commit(commit)?;
        let time = row::seconds(about.author.seconds, about.author.offset);
        let step =
            Step { commit: Some(commit), rows: Some(*rows), ..Step::new("import", about.title()) };
        steps.push(Step { detail: Some(time), ..step });
    }
    if let Some(rows) = of_commit.get(&None) {
        let step = Step::new("import", "commits that are not in this history");
        steps.push(Step { rows: Some(*rows), ..step });
    }
    let (found, _) = records(store, Some(noted.commit))?;
    for one in found {
        let same = one.record.output == noted.record.output && one.record.id != noted.record.id;
        if same {
            steps.push(Step {
                commit: Some(one.commit),
                ..Step::new(one.record.made.word(), one.title())
            });
        }
    }
    let record = &noted.record;
    steps.push(Step {
        commit: Some(noted.commit),
        rows: Some(store.table_state(noted.commit, &ANNOTATIONS)?.rows()),
        detail: Some(format!("{} {} {}", record.view, record.writer, record.at)),
        ..Step::new(record.made.word(), noted.title())
    });
    Ok(steps)
}

/// The way from one thing to another: none where nothing of the first is in the second.
fn between(store: &Store, from: &Thing, to: &Thing) -> Result<Vec<Step>> {
    let (commit, step) = match to {
        Thing::Record(noted) => {
            let record = &noted.record;
            let most = if record.filtered || record.view == "labels" { ", at most" } else { "" };
            let detail = Some(format!("{} {}{most}", record.view, record.writer));
            (noted.commit, Step { detail, ..Step::new(record.made.word(), noted.title()) })
        }
        Thing::Commit(commit, name) => (*commit, Step::new("commit", name.clone())),
        Thing::File(_) | Thing::Item(_) => {
            return Err(CliError::input(
                "labels are traced to a commit, a branch, a pin, an export or a run",
            )
            .hint("give the file or the item first: `gloss trace FILE RUN`"));
        }
    };
    if let Thing::Record(noted) = from {
        return Err(CliError::input(format!(
            "nothing comes from `{}` in this store",
            noted.title()
        ))
        .hint("give it second: `gloss trace FILE RUN`"));
    }
    let origins = store.origins(&[commit])?;
    let touched = glossator_lineage::recall::touches(store, &origins, &[commit], suspect(from))?;
    let counted = live(store, &touched, suspect(from), &BTreeSet::from([commit]))?;
    let rows = counted.get(&commit).copied().unwrap_or_default();
    if rows == 0 {
        return Ok(Vec::new());
    }
    let mut steps = imports(store, &touched)?;
    steps.push(Step { commit: Some(commit), rows: Some(rows), ..step });
    Ok(steps)
}
