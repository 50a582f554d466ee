//! What somebody or something touched: in which commits, which rows, and what holds them still.
//!
//! # Guarantees
//! - Commits are told apart by their counts (`meta`) or key indices; rows are read only of commits
//!   that match, and counts of live rows are exact.
//! - What is held in memory follows the rows that match, and never more than a part of the rows of
//!   the largest snapshot that is asked.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use glossator_store::canonical::Rows;
use glossator_store::change::{ChangeRecord, Meta, OTHER, SourceFile, read_change};
use glossator_store::delta::{Counts, DeltaBatch};
use glossator_store::limits::LOOK_UP_ROWS;
use glossator_store::merging::MergeKind;
use glossator_store::origins::Origins;
use glossator_store::schema::{ANNOTATIONS, ColumnView, Columns};
use glossator_store::snapshot::{Located, TableSnapshot, short};
use glossator_store::{CommitId, Digest, Result, Snapshot, Store};

/// Rows that are looked up together.
const CHUNK_ROWS: usize = 16_384;
/// Rows that are read together to be told apart by their origins.
const FETCH_ROWS: usize = 1_024;
/// Snapshots that stay open from chunk to chunk.
const SNAPSHOTS_OPEN_MAX: usize = 16;

/// Whether an id is one of somebody's names.
pub type IsPerson<'a> = &'a dyn Fn(&str) -> bool;

/// What is recalled.
#[derive(Clone, Copy)]
pub enum Suspect<'a> {
    /// What an annotator decided, by any of their names.
    Annotator(IsPerson<'a>),
    /// An item.
    Item(&'a str),
    /// What was decided under a version of a policy.
    Policy(&'a str),
    /// What a commit made.
    Commit(CommitId),
    /// What came from a file, by its name or digest, or from a namespace of ids.
    Source(&'a str),
}

impl fmt::Debug for Suspect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Annotator(_) => f.write_str("Annotator"),
            Self::Item(item) => write!(f, "Item({item:?})"),
            Self::Policy(policy) => write!(f, "Policy({policy:?})"),
            Self::Commit(commit) => write!(f, "Commit({commit})"),
            Self::Source(source) => write!(f, "Source({source:?})"),
        }
    }
}

/// A commit that made rows of what is recalled.
#[derive(Debug, Clone)]
pub struct Touch {
    /// The commit.
    pub commit: CommitId,
    /// Rows that it added or changed.
    pub rows: u64,
    /// The files that it imported; of a recall by file, those that match.
    pub files: Vec<SourceFile>,
    /// The segments that hold the rows.
    segments: Vec<Digest>,
    /// Whether it took its rows from a commit elsewhere: their origins are of that one.
    picked: bool,
}

/// The commits that touched what is recalled, the oldest first, among those that `tips` reach.
///
/// # Errors
/// Where a commit cannot be read. Where the counts of one were erased, its change is read instead.
pub fn touches(
    store: &Store,
    origins: &Origins,
    tips: &[CommitId],
    suspect: Suspect<'_>,
) -> Result<Vec<Touch>> {
    let mut found = Vec::new();
    for commit in origins.order(tips) {
        let other = matches!(suspect, Suspect::Commit(wanted) if wanted != commit);
        if !other {
            found.extend(touch(store, commit, suspect)?);
        }
    }
    Ok(found)
}

fn touch(store: &Store, commit: CommitId, suspect: Suspect<'_>) -> Result<Option<Touch>> {
    let record = store.change(commit)?;
    let Some(change) = record.tables.get(ANNOTATIONS.name) else { return Ok(None) };
    let mut picked = false;
    let (counted, files) = match suspect {
        Suspect::Item(item) => {
            let deltas = store.change_of_item(&ANNOTATIONS, change, item, None)?;
            (Some(deltas.iter().map(|delta| delta.changes.len() as u64).sum()), Vec::new())
        }
        _ => match store.meta(&record) {
            Ok(meta) => {
                let kind = meta.merge.as_ref().map(|merge| merge.kind);
                picked = kind == Some(MergeKind::CherryPick);
                counted(&meta, &record, suspect, change.counts)
            }
            // The names were erased: the rows tell.
            Err(_) => (None, Vec::new()),
        },
    };
    let always = matches!(suspect, Suspect::Commit(_));
    if counted == Some(0) && !always {
        return Ok(None);
    }
    // What a merge took from the other side is told by the commit that made it.
    let merged = store.history.commit(commit)?.parents.len() > 1;
    let rows = match counted.filter(|_| !merged) {
        Some(rows) => rows,
        None => rows_of(store, commit, suspect)?.try_fold(0, count)?,
    };
    let segments = change.added.iter().map(|line| line.segment).collect();
    Ok((rows > 0 || always).then_some(Touch { commit, rows, files, segments, picked }))
}

fn count(sum: u64, batch: Result<RecordBatch>) -> Result<u64> {
    Ok(sum + batch?.num_rows() as u64)
}

/// What the counts of a commit say of a suspect, and its files: how many rows it made, nothing
/// where that takes the rows themselves.
fn counted(
    meta: &Meta,
    record: &ChangeRecord,
    suspect: Suspect<'_>,
    all: Counts,
) -> (Option<u64>, Vec<SourceFile>) {
    let made = |counts: &Counts| counts.added + counts.changed;
    // Beyond very many names none is counted by itself.
    let each = |names: &BTreeMap<String, Counts>, is: IsPerson<'_>| {
        let fits = names.iter().filter(|(name, _)| is(name));
        (!names.contains_key(OTHER)).then(|| fits.map(|(_, counts)| made(counts)).sum())
    };
    match suspect {
        Suspect::Annotator(is) => (each(&meta.annotators, is), meta.sources.clone()),
        Suspect::Policy(policy) => {
            let known = if meta.policies.is_empty() { &record.policies } else { &meta.policies };
            (each(known, &|name| name == policy), meta.sources.clone())
        }
        Suspect::Source(name) => {
            let mut files = meta.sources.clone();
            files.retain(|file| {
                file.name == name || file.source == name || file.digest.to_string() == name
            });
            let rows = match files.len() {
                0 => Some(0),
                some if some == meta.sources.len() => Some(made(&all)),
                _ => None,
            };
            (rows, files)
        }
        Suspect::Item(_) | Suspect::Commit(_) => (Some(made(&all)), meta.sources.clone()),
    }
}

/// Whether rows are of a suspect; of a commit and a file, the origin of the rows tells the rest.
struct Fits<'s, 'a> {
    suspect: Suspect<'s>,
    column: Option<ColumnView<'a>>,
    sources: Vec<String>,
}

impl<'s, 'a> Fits<'s, 'a> {
    fn new(suspect: Suspect<'s>, batch: &'a RecordBatch, sources: &[String]) -> Self {
        let name = match suspect {
            Suspect::Annotator(_) => "annotator_id",
            Suspect::Policy(_) => "policy",
            Suspect::Item(_) => "item_id",
            Suspect::Source(_) | Suspect::Commit(_) => "source",
        };
        let column = ANNOTATIONS.column(name).and_then(|at| ColumnView::new(batch.column(at)));
        Self { suspect, column, sources: sources.to_vec() }
    }

    fn row(&self, row: usize) -> bool {
        let text = self.column.as_ref().and_then(|column| column.text(row));
        match self.suspect {
            Suspect::Annotator(is) => text.is_some_and(is),
            Suspect::Policy(wanted) | Suspect::Item(wanted) => text == Some(wanted),
            Suspect::Source(_) => {
                text.is_some_and(|text| self.sources.iter().any(|source| source == text))
            }
            Suspect::Commit(_) => true,
        }
    }
}

/// The namespaces that a commit's files of a recall by file were given.
fn namespaces(store: &Store, commit: CommitId, suspect: Suspect<'_>) -> Result<Vec<String>> {
    let Suspect::Source(name) = suspect else { return Ok(Vec::new()) };
    let record = store.change(commit)?;
    let Ok(meta) = store.meta(&record) else { return Ok(vec![name.to_owned()]) };
    let (_, files) = counted(&meta, &record, suspect, Counts::default());
    Ok(files.into_iter().map(|file| file.source).collect())
}

/// The rows that a commit made of what is recalled: the columns of annotations as they were made,
/// and `_origin`.
///
/// # Errors
/// Where the change cannot be read.
pub fn rows_of<'a>(
    store: &'a Store,
    commit: CommitId,
    suspect: Suspect<'a>,
) -> Result<Box<dyn Iterator<Item = Result<RecordBatch>> + 'a>> {
    let record = store.change(commit)?;
    let Some(change) = record.tables.get(ANNOTATIONS.name) else {
        return Ok(Box::new(std::iter::empty()));
    };
    let sources = namespaces(store, commit, suspect)?;
    let merged = store.history.commit(commit)?.parents.len() > 1;
    let segments: HashSet<String> =
        change.added.iter().map(|line| line.segment.to_string()).collect();
    let own: Vec<usize> = (0..=ANNOTATIONS.columns.len()).collect();
    let fitting = move |delta: Result<DeltaBatch>| -> Result<RecordBatch> {
        let delta = delta?;
        // Rows of a batch that no change is of are none of this commit's.
        let origins = ColumnView::new(delta.new.column(ANNOTATIONS.columns.len()));
        let origin = |row: u32| origins.as_ref().and_then(|view| view.text(row as usize));
        let is_own = |row: &u32| !merged || origin(*row).is_none_or(|one| segments.contains(one));
        let made = delta.changes.iter().filter_map(|change| change.new).filter(is_own);
        let made: UInt32Array = made.collect();
        let batch = take_record_batch(&delta.new.project(&own)?, &made)?;
        let fits = Fits::new(suspect, &batch, &sources);
        let mask: BooleanArray = (0..batch.num_rows()).map(|row| Some(fits.row(row))).collect();
        drop(fits);
        Ok(filter_record_batch(&batch, &mask)?)
    };
    if let Suspect::Item(item) = suspect {
        let deltas = store.change_of_item(&ANNOTATIONS, change, item, None)?;
        return Ok(Box::new(deltas.into_iter().map(move |delta| fitting(Ok(delta)))));
    }
    Ok(Box::new(read_change(store.objects(), &ANNOTATIONS, change)?.map(fitting)))
}

/// How many rows of what is recalled each of some commits holds live.
///
/// A row counts where it is as a commit that touched it made it, wherever that commit is: also
/// where it was picked. Of a commit and of a file it must be that very version: one that was
/// changed and changed back is of whoever changed it back.
///
/// # Errors
/// Where a snapshot or a change cannot be read.
pub fn live(
    store: &Store,
    touches: &[Touch],
    suspect: Suspect<'_>,
    commits: &BTreeSet<CommitId>,
) -> Result<HashMap<CommitId, u64>> {
    let touched: u64 = touches.iter().map(|touch| touch.rows).fold(0, u64::saturating_add);
    let picked = matches!(suspect, Suspect::Commit(_)) && touches.iter().any(|one| one.picked);
    let mut found = HashMap::new();
    let mut looked_up = Vec::new();
    for commit in commits {
        let rows = store.table_state(*commit, &ANNOTATIONS)?.rows();
        if let Suspect::Item(item) = suspect {
            let snapshot = store.snapshot(Some(*commit), &[])?;
            let live = snapshot.table(&ANNOTATIONS)?.locate_item(item)?.len() as u64;
            found.insert(*commit, live);
        } else if touched == 0 {
            found.insert(*commit, 0);
        } else if !picked && touched.saturating_mul(LOOK_UP_ROWS) >= rows {
            found.insert(*commit, scanned(store, *commit, touches, suspect)?);
        } else {
            found.insert(*commit, 0);
            looked_up.push(*commit);
        }
    }
    if looked_up.is_empty() {
        return Ok(found);
    }
    let by_origin = matches!(suspect, Suspect::Source(_) | Suspect::Commit(_));
    let mut lookup = Lookup::new(store, looked_up, by_origin);
    for touch in touches {
        for batch in rows_of(store, touch.commit, suspect)? {
            lookup.add(&batch?)?;
        }
    }
    lookup.ask()?;
    found.extend(lookup.commits.into_iter().zip(lookup.live));
    Ok(found)
}

/// Counts live rows by reading the columns that tell, which costs less where many rows match.
fn scanned(
    store: &Store,
    commit: CommitId,
    touches: &[Touch],
    suspect: Suspect<'_>,
) -> Result<u64> {
    let by_origin = matches!(suspect, Suspect::Source(_) | Suspect::Commit(_));
    let names = ["annotator_id", "policy", "source"];
    let columns = Columns::named(&ANNOTATIONS, &names).with_origin(&ANNOTATIONS);
    let mut of_segment: HashMap<String, Vec<String>> = HashMap::new();
    for touch in touches.iter().filter(|_| by_origin) {
        let sources: Vec<String> = touch.files.iter().map(|file| file.source.clone()).collect();
        let segments = touch.segments.iter().map(|segment| (segment.to_string(), sources.clone()));
        of_segment.extend(segments);
    }
    let snapshot = store.snapshot(Some(commit), &[])?;
    let mut live = 0;
    for batch in snapshot.table(&ANNOTATIONS)?.scan_columns(columns)? {
        let batch = batch?;
        let origin = ColumnView::new(batch.column(ANNOTATIONS.columns.len()));
        let mut fits = Fits::new(suspect, &batch, &[]);
        for row in 0..batch.num_rows() {
            if by_origin {
                let origin = origin.as_ref().and_then(|origin| origin.text(row));
                let Some(sources) = origin.and_then(|origin| of_segment.get(origin)) else {
                    continue;
                };
                if fits.sources != *sources {
                    fits.sources.clone_from(sources);
                }
            }
            live += u64::from(fits.row(row));
        }
    }
    Ok(live)
}

/// Rows that are looked up in some commits, a chunk at a time.
struct Lookup<'s> {
    store: &'s Store,
    commits: Vec<CommitId>,
    live: Vec<u64>,
    open: Vec<Option<Snapshot<'s>>>,
    /// Versions of rows that were counted: a merge tells of those of the other side again.
    seen: HashSet<([u8; 16], [u8; 16])>,
    chunk: Vec<Version>,
    /// Whether a row must be of the very segment that held the version first.
    by_origin: bool,
}

/// A version of a row, as it was made.
struct Version {
    item: String,
    key: String,
    digest: [u8; 16],
    origin: String,
}

impl<'s> Lookup<'s> {
    fn new(store: &'s Store, commits: Vec<CommitId>, by_origin: bool) -> Self {
        let none = || commits.iter().map(|_| None).collect();
        let (live, open) = (vec![0; commits.len()], none());
        Self { store, live, open, commits, seen: HashSet::new(), chunk: Vec::new(), by_origin }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let rows = Rows::new(&ANNOTATIONS, batch)?;
        let (items, keys) =
            (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
        let origins = batch.columns().get(ANNOTATIONS.columns.len());
        let origins = origins.and_then(|column| ColumnView::new(column));
        let mut scratch = Vec::new();
        for row in 0..rows.len() {
            let digest = short(&rows.digest(row, &mut scratch));
            let origin = origins.as_ref().filter(|_| self.by_origin).and_then(|o| o.text(row));
            let origin = origin.unwrap_or_default().to_owned();
            if self.seen.insert((digest, short(&Digest::of(origin.as_bytes())))) {
                let (item, key) = (items.value(row).to_owned(), keys.value(row).to_owned());
                self.chunk.push(Version { item, key, digest, origin });
            }
            if self.chunk.len() == CHUNK_ROWS {
                self.ask()?;
            }
        }
        Ok(())
    }

    /// Looks the rows of the chunk up.
    fn ask(&mut self) -> Result<()> {
        for (at, commit) in self.commits.iter().enumerate() {
            let snapshot = match self.open[at].take() {
                Some(snapshot) => snapshot,
                None => self.store.snapshot(Some(*commit), &[])?,
            };
            let table = snapshot.table(&ANNOTATIONS)?;
            let keys = self.chunk.iter().map(|one| (one.item.as_str(), one.key.as_str()));
            let located = table.locate(keys)?;
            let same = located.iter().zip(&self.chunk).filter_map(|(found, one)| {
                Some(((*found)?, one)).filter(|(found, one)| found.digest == one.digest)
            });
            self.live[at] += match self.by_origin {
                false => same.count() as u64,
                true => of_origin(table, &same.collect::<Vec<_>>())?,
            };
            if at < SNAPSHOTS_OPEN_MAX {
                self.open[at] = Some(snapshot);
            }
        }
        self.chunk.clear();
        Ok(())
    }
}

/// How many rows are still those that their segments first held.
fn of_origin(table: &TableSnapshot, rows: &[(Located, &Version)]) -> Result<u64> {
    let mut live = 0;
    for part in rows.chunks(FETCH_ROWS) {
        let located: Vec<Located> = part.iter().map(|(at, _)| *at).collect();
        let batch = table.fetch(&located)?;
        let origins = ColumnView::new(batch.column(ANNOTATIONS.columns.len()));
        let origin = |row: usize| origins.as_ref().and_then(|view| view.text(row));
        let same =
            part.iter().enumerate().filter(|(row, (_, one))| origin(*row) == Some(&one.origin));
        live += same.count() as u64;
    }
    Ok(live)
}

/// Counts the live rows of a commit by the segment that first held them.
///
/// # Errors
/// Where the snapshot cannot be read.
pub fn by_origin(store: &Store, commit: CommitId) -> Result<HashMap<(Digest, String), u64>> {
    let snapshot = store.snapshot(Some(commit), &[])?;
    let columns = Columns::named(&ANNOTATIONS, &["source"]).with_origin(&ANNOTATIONS);
    let source = ANNOTATIONS.column("source").unwrap_or_default();
    let mut counted: HashMap<(String, String), u64> = HashMap::new();
    for batch in snapshot.table(&ANNOTATIONS)?.scan_columns(columns)? {
        let batch = batch?;
        let origins = ColumnView::new(batch.column(ANNOTATIONS.columns.len()));
        let sources = ColumnView::new(batch.column(source));
        // Runs of equal values are common: one entry a run, not one a row.
        let (mut last, mut run) = (("", ""), 0);
        for row in 0..batch.num_rows() {
            let origin = origins.as_ref().and_then(|view| view.text(row)).unwrap_or_default();
            let source = sources.as_ref().and_then(|view| view.text(row)).unwrap_or_default();
            if (origin, source) != last {
                add(&mut counted, last, run);
                (last, run) = ((origin, source), 0);
            }
            run += 1;
        }
        add(&mut counted, last, run);
    }
    let parsed = counted
        .into_iter()
        .filter_map(|((origin, source), rows)| Some(((origin.parse().ok()?, source), rows)));
    Ok(parsed.collect())
}

fn add(counted: &mut HashMap<(String, String), u64>, (origin, source): (&str, &str), rows: u64) {
    if rows > 0 {
        *counted.entry((origin.to_owned(), source.to_owned())).or_default() += rows;
    }
}
