//! `gloss blame`

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Write;

use arrow::array::RecordBatch;
use clap::Args;
use glossator_lineage::{Blame, Blamer, history};
use glossator_store::change::SourceFile;
use glossator_store::schema::{ANNOTATIONS, AnnotationRow, Annotations, REVIEWS, Reviews};
use glossator_store::segment::sort_by_key;
use glossator_store::{CommitId, Digest, Snapshot, Store};
use serde::Serialize;

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::policies::AsOf;
use crate::render::{lines, plain, row, shortened, table};

/// Show which commit made each live annotation what it is, and who decided
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss blame img_01.jpg\n  \
    gloss blame --query label=car --query annotator=7 v1 --json\n\n\
    The commit is the one that brought the row as it is: compaction, merges and policies that \
    rename a label change nothing of it. Of a row that was cherry-picked, `made in` names the \
    commit that it was picked from.")]
pub(crate) struct BlameArgs {
    /// The item; with --query the commit
    #[arg(value_name = "ITEM", required_unless_present = "query")]
    item: Option<String>,
    /// At this commit
    #[arg(value_name = "REV", conflicts_with = "query")]
    revision: Option<String>,
    /// The rows instead of an item; may be given several times. Columns: item, label, annotator,
    /// policy, field, status, kind, origin, source
    #[arg(long, value_name = "COLUMN=VALUE")]
    query: Vec<String>,
    #[command(flatten)]
    as_of: AsOf,
}

/// What is told of a commit, read once.
#[derive(Debug)]
struct About {
    time: String,
    author: String,
    title: String,
    code_commit: Option<String>,
    sources: Vec<SourceFile>,
    /// Whether the names of files were erased.
    erased: bool,
}

/// A row's line of `--json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    item_id: &'a str,
    annotation_id: &'a str,
    commit: CommitId,
    made_in: Option<CommitId>,
    time: &'a str,
    author: &'a str,
    message: &'a str,
    code_commit: Option<&'a str>,
    annotator_id: &'a str,
    origin: &'a str,
    policy: Option<&'a str>,
    field: &'a str,
    kind: &'a str,
    label: Option<&'a str>,
    value: String,
    status: &'a str,
    source: &'a str,
    files: Vec<FileJson<'a>>,
    reviews: Vec<ReviewJson>,
}

#[derive(Debug, Serialize)]
struct FileJson<'a> {
    name: &'a str,
    digest: &'a Digest,
}

/// A review as it is told beside its row.
#[derive(Debug, Clone, Serialize)]
struct ReviewJson {
    #[serde(skip)]
    submission: Option<String>,
    #[serde(skip)]
    annotation: Option<String>,
    reviewer_id: String,
    decision: String,
    round: Option<i32>,
    at: Option<String>,
}

pub(crate) fn run(context: &mut Context, args: &BlameArgs) -> Result<u8> {
    let store = context.store()?;
    let mut filters = Filters::default();
    args.query.iter().try_for_each(|condition| filters.add(condition))?;
    let (item, revision) = match args.query.is_empty() {
        true => (args.item.as_deref(), args.revision.as_deref()),
        false => (None, args.item.as_deref()),
    };
    filters.item.extend(item.map(str::to_owned));
    let commit = resolve(&store, revision)?;
    let snapshot = store.snapshot(Some(commit), &[])?;
    let mapping = args.as_of.mapping(&snapshot)?;
    let mut blamer = Blamer::new(&store, commit)?;
    let mut commits = HashMap::new();
    let mut count = 0;
    for batch in filters.read_with_origin(&snapshot, &ANNOTATIONS, &mapping)? {
        let batch = batch?;
        if batch.num_rows() == 0 {
            continue;
        }
        let blames = blamer.rows(&ANNOTATIONS, &batch)?;
        for blame in &blames {
            for commit in [Some(blame.commit), blame.made_in].into_iter().flatten() {
                if let Entry::Vacant(entry) = commits.entry(commit) {
                    entry.insert(about(&store, commit)?);
                }
            }
        }
        let rows = batch.project(&(0..ANNOTATIONS.columns.len()).collect::<Vec<_>>())?;
        let reviews = reviews(&snapshot, &rows)?;
        write(context, &rows, &blames, &commits, &reviews, count == 0)?;
        count += rows.num_rows();
    }
    match (count, item) {
        (0, Some(item)) => Err(nothing(&snapshot, item)?),
        (0, None) => {
            context.note("no live annotation fits")?;
            Ok(0)
        }
        _ => Ok(0),
    }
}

/// Why an item has nothing to blame.
fn nothing(snapshot: &Snapshot<'_>, item: &str) -> Result<CliError> {
    let known = match snapshot.commit {
        Some(tip) => {
            history(snapshot.store(), tip, &ANNOTATIONS, item, None)?.next().transpose()?
        }
        None => None,
    };
    match known {
        None => crate::nearest::no_item(snapshot, item),
        Some(_) => Ok(CliError::input(format!("item `{item}` has no live annotation"))
            .hint(format!("`gloss history {item}` tells what became of those it had"))),
    }
}

fn about(store: &Store, commit: CommitId) -> Result<About> {
    let told = store.history.commit(commit)?;
    let meta = store.meta(&store.change(commit)?);
    Ok(About {
        time: row::seconds(told.author.seconds, told.author.offset),
        author: told.author.name.clone(),
        title: told.title().to_owned(),
        code_commit: told.trailer("Code-Commit").map(str::to_owned),
        erased: meta.is_err(),
        sources: meta.map(|meta| meta.sources).unwrap_or_default(),
    })
}

/// The reviews of the items of a batch, by item.
fn reviews(
    snapshot: &Snapshot<'_>,
    rows: &RecordBatch,
) -> Result<HashMap<String, Vec<ReviewJson>>> {
    let mut found: HashMap<String, Vec<ReviewJson>> = HashMap::new();
    let table = snapshot.table(&REVIEWS)?;
    if table.state.rows() == 0 {
        return Ok(found);
    }
    let rows = Annotations::new(rows);
    let mut items: Vec<&str> = (0..rows.len()).map(|row| rows.item_id(row)).collect();
    items.dedup();
    let located: Vec<_> = table.locate_items(&items)?.into_iter().flatten().collect();
    let batch = sort_by_key(&table.fetch(&located)?, REVIEWS.key_len)?;
    let batch = batch.project(&(0..REVIEWS.columns.len()).collect::<Vec<_>>())?;
    for review in Reviews::new(&batch).iter() {
        found.entry(review.item_id.to_owned()).or_default().push(ReviewJson {
            submission: review.submission_id.map(str::to_owned),
            annotation: review.annotation_id.map(str::to_owned),
            reviewer_id: review.reviewer_id.to_owned(),
            decision: review.decision.to_owned(),
            round: review.round,
            at: review.at.map(row::time),
        });
    }
    for of_item in found.values_mut() {
        of_item.sort_by(|a, b| (a.round, &a.at).cmp(&(b.round, &b.at)));
    }
    Ok(found)
}

/// Those of an item's reviews that are of one row.
fn of_row(all: &HashMap<String, Vec<ReviewJson>>, row: &AnnotationRow<'_>) -> Vec<ReviewJson> {
    let fits = |review: &&ReviewJson| match &review.annotation {
        Some(annotation) => annotation == row.annotation_id,
        None => row.submission_id.is_some() && review.submission.as_deref() == row.submission_id,
    };
    let of_item = all.get(row.item_id).map(Vec::as_slice).unwrap_or_default();
    of_item.iter().filter(fits).cloned().collect()
}

/// A table a batch: memory stays bounded, columns line up where people look.
fn write(
    context: &mut Context,
    rows: &RecordBatch,
    blames: &[Blame],
    commits: &HashMap<CommitId, About>,
    reviews: &HashMap<String, Vec<ReviewJson>>,
    first: bool,
) -> Result<()> {
    let header = [
        "commit",
        "time",
        "item",
        "annotation",
        "annotator",
        "origin",
        "policy",
        "value",
        "status",
        "reviews",
        "source",
        "code",
    ];
    let mut shown = if first { table(&header) } else { table(&[]) };
    for (row, blame) in Annotations::new(rows).iter().zip(blames) {
        let Some(about) = commits.get(&blame.commit) else { continue };
        // A row that was picked came from the files of the commit that made it.
        let made = blame.made_in.and_then(|made| commits.get(&made)).unwrap_or(about);
        let line = Line::new(&row, blame, (about, made), of_row(reviews, &row));
        if context.json {
            context.json_line(&line)?;
        } else {
            shown.add_row(line.cells(made.erased).map(|cell| plain(&cell).into_owned()));
        }
    }
    if !context.json {
        writeln!(context.out(), "{}", lines(&shown))?;
    }
    Ok(())
}

impl<'a> Line<'a> {
    fn new(
        row: &AnnotationRow<'a>,
        blame: &Blame,
        (about, made): (&'a About, &'a About),
        reviews: Vec<ReviewJson>,
    ) -> Self {
        let files = made.sources.iter().filter(|file| file.source == row.source);
        Self {
            item_id: row.item_id,
            annotation_id: row.annotation_id,
            commit: blame.commit,
            made_in: blame.made_in,
            time: &about.time,
            author: &about.author,
            message: &about.title,
            code_commit: about.code_commit.as_deref(),
            annotator_id: row.annotator_id,
            origin: row.origin,
            policy: row.policy,
            field: row.field,
            kind: row.kind,
            label: row.label,
            value: row::value(row),
            status: row.status,
            source: row.source,
            files: files.map(|file| FileJson { name: &file.name, digest: &file.digest }).collect(),
            reviews,
        }
    }

    /// The cells of the table for people.
    fn cells(&self, erased: bool) -> [String; 12] {
        let made_in = self.made_in.map(|made| format!(" (made in {})", made.short()));
        let reviews: Vec<String> =
            self.reviews.iter().map(|r| format!("{} by {}", r.decision, r.reviewer_id)).collect();
        let files: Vec<&str> = self.files.iter().map(|file| file.name).collect();
        let source = match (erased, &files[..]) {
            (true, _) => format!("{} (file names were erased)", self.source),
            (false, []) => self.source.to_owned(),
            (false, files) => format!("{} in {}", self.source, files.join(", ")),
        };
        let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        [
            format!("{}{}", self.commit.short(), made_in.unwrap_or_default()),
            self.time.to_owned(),
            self.item_id.to_owned(),
            self.annotation_id.to_owned(),
            self.annotator_id.to_owned(),
            self.origin.to_owned(),
            self.policy.unwrap_or("-").to_owned(),
            dash(self.value.clone()),
            self.status.to_owned(),
            dash(reviews.join(", ")),
            source,
            self.code_commit.map_or("-".to_owned(), |code| shortened(code, 10)),
        ]
    }
}
