//! Which rows are to go, and which objects hold them.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{Array, BooleanArray, RecordBatch};

use super::Scope;
use crate::change::Meta;
use crate::error::{Error, Result};
use crate::id::{CommitId, Digest};
use crate::key_index::{KeyHasher, Needle};
use crate::objects::Objects;
use crate::removal::Removal;
use crate::schema::{ANNOTATIONS, ANNOTATORS, ColumnView, Columns, REVIEWS, SUBMISSIONS, Table};
use crate::segment::{SegmentKind, SegmentReader, SegmentRef};
use crate::store::Store;
use crate::verify::{FindingKind, Named, SegmentUse, Verifier};

/// What is to be erased. A row goes with all its versions where any version of it is meant.
pub enum Erase<'a> {
    /// These items, with everything that is said of them.
    Items(Vec<String>),
    /// What these annotators decided and reviewed, and reviews of that.
    Annotators(Vec<String>),
    /// Annotations that this says, batch by batch, and reviews of them.
    Rows(&'a dyn Fn(&RecordBatch) -> BooleanArray),
}

impl std::fmt::Debug for Erase<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Who and what goes has no place in logs.
        f.debug_tuple("Erase").field(&self.scope()).finish()
    }
}

impl Erase<'_> {
    /// What is meant by it.
    pub(super) fn scope(&self) -> Scope {
        match self {
            Self::Items(_) => Scope::Items,
            Self::Annotators(_) => Scope::Annotators,
            Self::Rows(_) => Scope::Rows,
        }
    }

    fn annotators(&self) -> &[String] {
        if let Self::Annotators(names) = self { names } else { &[] }
    }
}

/// Keys that go.
#[derive(Debug, Default)]
struct Doomed {
    items: HashSet<u64>,
    keys: HashSet<(&'static str, Needle)>,
}

/// What a redaction would do.
#[derive(Debug)]
pub struct Plan {
    doomed: Doomed,
    /// Hashes of the items of which anything goes.
    touched: HashSet<u64>,
    /// Annotators whose names leave the counts.
    pub(super) names: HashSet<String>,
    /// Segments that hold such rows, and which.
    pub(super) segments: Vec<(SegmentUse, Vec<u32>)>,
    /// Counts and decisions that name them.
    pub(super) metas: Vec<Digest>,
    /// Keys that go, by table.
    pub rows: BTreeMap<&'static str, u64>,
    /// A commit that notes can stand on.
    pub(super) on: Option<CommitId>,
}

impl Plan {
    /// Whether no object holds such a row.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.metas.is_empty()
    }

    /// How many objects are written anew.
    pub fn objects(&self) -> usize {
        self.segments.len() + self.metas.len()
    }

    /// Whether anything of an item goes.
    pub fn touches(&self, item: &str) -> bool {
        self.touched.contains(&KeyHasher::default().item(item))
    }

    /// Counts without the names that go; `None` where they name nothing of it.
    pub(super) fn without(&self, mut meta: Meta) -> Option<Meta> {
        let before = meta.clone();
        for name in &self.names {
            if let Some(counts) = meta.annotators.remove(name) {
                Meta::count(&mut meta.annotators, super::REDACTED, counts);
            }
        }
        let mut hasher = KeyHasher::default();
        if let Some(merge) = &mut meta.merge {
            merge.decisions.retain(|decision| {
                let needle = hasher.needle((&decision.item, &decision.key));
                !self.doomed.has(ANNOTATIONS.name, &needle)
            });
        }
        (meta != before).then_some(meta)
    }
}

impl Doomed {
    fn has(&self, table: &'static str, needle: &Needle) -> bool {
        let of_item = table != ANNOTATORS.name && self.items.contains(&needle.item);
        of_item || self.keys.contains(&(table, *needle))
    }
}

/// Whether a table's rows are of items.
fn is_of_items(table: &Table) -> bool {
    table.columns[0].name == "item_id"
}

impl Store {
    /// Looks for everything that names the rows: a scan of the keys of every segment.
    pub(super) fn plan_redaction(&self, erase: &Erase<'_>) -> Result<Plan> {
        let named = self.named_whole()?;
        let doomed = self.doomed(&named, erase, Doomed::default())?;
        self.plan_for(&named, doomed, erase.annotators().iter().cloned().collect())
    }

    /// The keys that are meant, and those before.
    fn doomed(&self, named: &Named, erase: &Erase<'_>, doomed: Doomed) -> Result<Doomed> {
        let mut finder = Finder { objects: self.objects(), doomed, erase };
        let mut hasher = KeyHasher::default();
        if let Erase::Items(items) = erase {
            finder.doomed.items.extend(items.iter().map(|item| hasher.item(item)));
        }
        for annotator in erase.annotators() {
            let needle = hasher.needle((annotator, ""));
            finder.doomed.keys.insert((ANNOTATORS.name, needle));
        }
        // Reviews last: they follow what they are of.
        for table in [&ANNOTATIONS, &SUBMISSIONS, &REVIEWS] {
            for used in uses(named, table, false) {
                finder.choose(table, used)?;
            }
        }
        Ok(finder.doomed)
    }

    /// Looks for what was erased in another copy, in what this one has of its own, and for rows
    /// that were erased and stand in what two copies made apart.
    pub(super) fn plan_following(&self) -> Result<Plan> {
        let named = self.named_whole()?;
        // As they were: what stands for them does not say what was erased.
        let whole = Objects::new(self.disk().clone(), self.objects().root().to_owned());
        let (mut doomed, redactions) = (Doomed::default(), self.objects().redactions());
        for (scope, line) in redactions.erasures() {
            let erased = Removal::read(self.objects(), line)?.rows;
            for used in named.segments.keys() {
                let old = &used.line.segment;
                let (Some(rows), Some(table)) = (erased.get(old), Table::by_name(used.table))
                else {
                    continue;
                };
                let versions = redactions.versions(old).iter().map(|made| (made.new, made.bytes));
                for (segment, bytes) in versions.chain([(*old, used.line.bytes)]) {
                    if whole.contains(&segment) {
                        let line = SegmentRef { segment, bytes, ..used.line.clone() };
                        let used = SegmentUse { line, ..used.clone() };
                        for batch in open(&whole, table, &used)?.rows(rows)? {
                            note_erased(table, &batch?, *scope, &mut doomed)?;
                        }
                    }
                }
            }
        }
        self.plan_for(&named, doomed, HashSet::new())
    }

    fn plan_for(&self, named: &Named, doomed: Doomed, names: HashSet<String>) -> Result<Plan> {
        let (segments, metas, rows) = Default::default();
        let on = match self.history.head()?.commit {
            Some(head) => Some(head),
            None => named.commits.first().copied(),
        };
        let of_items = doomed.keys.iter().filter(|(table, _)| *table != ANNOTATORS.name);
        let touched = of_items.map(|(_, needle)| needle.item).chain(doomed.items.iter().copied());
        let touched = touched.collect();
        let mut plan = Plan { doomed, touched, names, segments, metas, rows, on };
        self.find_holders(named, &mut plan)?;
        for meta in named.metas.keys() {
            let bytes = self.objects().read(meta)?;
            let decoded = Meta::decode(&bytes).map_err(|what| Error::damaged(meta, what))?;
            if plan.without(decoded).is_some() {
                plan.metas.push(*meta);
            }
        }
        plan.metas.sort_unstable();
        Ok(plan)
    }

    /// What refs and reflogs name, where all of it is here and whole.
    fn named_whole(&self) -> Result<Named> {
        let mut verifier = Verifier::new(self);
        let named = verifier.gather()?;
        let doubt = verifier.findings().iter().find(|finding| {
            use FindingKind::{Damaged, Malformed, Missing};
            matches!(finding.kind, Damaged | Malformed | Missing)
        });
        if let Some(finding) = doubt {
            let what = format!("{}; nothing was redacted", finding.detail);
            return Err(Error::damaged(&finding.object, what));
        }
        Ok(named)
    }

    /// Finds the segments that hold keys that go.
    fn find_holders(&self, named: &Named, plan: &mut Plan) -> Result<()> {
        let mut counted: HashSet<(&'static str, Needle)> = HashSet::new();
        let mut all: Vec<&SegmentUse> = named.segments.keys().collect();
        all.sort_by_key(|used| (used.line.segment, used.before));
        for used in all {
            let Some(table) = Table::by_name(used.table) else { continue };
            if !is_of_items(table) && table != &ANNOTATORS {
                continue;
            }
            let (mut rows, mut start, mut hasher) = (Vec::new(), 0, KeyHasher::default());
            for batch in open(self.objects(), table, used)?.scan_columns(Columns::KEY)? {
                let batch = batch?;
                let (item, key) = keys(table, &batch)?;
                for row in 0..batch.num_rows() {
                    let second = key.as_ref().and_then(|key| key.text(row)).unwrap_or_default();
                    let needle = hasher.needle((item.text(row).unwrap_or_default(), second));
                    // A row that is empty has no key, and is nobody's.
                    let there = item.text(row).is_some_and(|item| !item.is_empty());
                    if there && plan.doomed.has(table.name, &needle) {
                        rows.push(start + row as u32);
                        counted.insert((table.name, needle));
                    }
                }
                start += batch.num_rows() as u32;
            }
            if !rows.is_empty() {
                plan.segments.push((used.clone(), rows));
            }
        }
        for (table, _) in counted {
            *plan.rows.entry(table).or_default() += 1;
        }
        Ok(())
    }
}

/// Notes what rows that were erased in another copy say of rows here.
///
/// Of an annotator's erasure the same rows alone: a row goes with all its versions, of which others
/// may have made some, whose other rows nobody meant.
fn note_erased(
    table: &'static Table,
    batch: &RecordBatch,
    scope: Scope,
    doomed: &mut Doomed,
) -> Result<()> {
    let (item, key) = keys(table, batch)?;
    let mut hasher = KeyHasher::default();
    for row in 0..batch.num_rows() {
        let first = item.text(row).unwrap_or_default();
        if first.is_empty() {
            continue;
        }
        let second = key.as_ref().and_then(|key| key.text(row)).unwrap_or_default();
        doomed.keys.insert((table.name, hasher.needle((first, second))));
        if scope == Scope::Items && is_of_items(table) {
            doomed.items.insert(hasher.item(first));
        }
    }
    Ok(())
}

/// The segments of a table that hold whole rows, or old values.
fn uses<'n>(
    named: &'n Named,
    table: &'static Table,
    before: bool,
) -> impl Iterator<Item = &'n SegmentUse> {
    named.segments.keys().filter(move |used| used.table == table.name && used.before == before)
}

fn open(objects: &Objects, table: &'static Table, used: &SegmentUse) -> Result<SegmentReader> {
    let kind = if used.before { SegmentKind::Before } else { SegmentKind::Rows };
    SegmentReader::open(objects, table, kind, &used.line)
}

/// The columns of the key.
fn keys<'b>(
    table: &Table,
    batch: &'b RecordBatch,
) -> Result<(ColumnView<'b>, Option<ColumnView<'b>>)> {
    let view = |at: usize| {
        ColumnView::new(batch.column(at))
            .ok_or_else(|| Error::damaged(table.name, "its key is no text"))
    };
    let second = (table.key_len > 1).then(|| view(1)).transpose()?;
    Ok((view(0)?, second))
}

/// Finds the keys that go.
struct Finder<'a> {
    objects: &'a Objects,
    doomed: Doomed,
    erase: &'a Erase<'a>,
}

impl Finder<'_> {
    /// Adds the rows of one segment that are meant, whatever item they are of.
    fn choose(&mut self, table: &'static Table, used: &SegmentUse) -> Result<()> {
        // Where items alone go, their rows say so; reviews follow what is found.
        if self.erase.scope() == Scope::Items {
            return Ok(());
        }
        let mut hasher = KeyHasher::default();
        let who = if table == &REVIEWS { "reviewer_id" } else { "annotator_id" };
        let names = [who, "annotation_id", "submission_id"];
        let at = |name: &str| table.column(name);
        let filter = match self.erase {
            Erase::Rows(filter) if table == &ANNOTATIONS => Some(filter),
            _ => None,
        };
        let columns = if filter.is_some() { Columns::ALL } else { Columns::named(table, &names) };
        for batch in open(self.objects, table, used)?.scan_columns(columns)? {
            let batch = batch?;
            let (item, key) = keys(table, &batch)?;
            let view = |name: &str| at(name).and_then(|at| ColumnView::new(batch.column(at)));
            let (people, mask) = (view(who), filter.map(|filter| filter(&batch)));
            let parts = match table == &REVIEWS {
                true => vec![(&ANNOTATIONS, view(names[1])), (&SUBMISSIONS, view(names[2]))],
                false => Vec::new(),
            };
            for row in 0..batch.num_rows() {
                let id = item.text(row).unwrap_or_default();
                let name = people.as_ref().and_then(|people| people.text(row));
                let mut meant =
                    name.is_some_and(|n| self.erase.annotators().iter().any(|a| a == n));
                meant |= mask.as_ref().is_some_and(|mask| mask.is_valid(row) && mask.value(row));
                for (of, ids) in &parts {
                    let key = ids.as_ref().and_then(|ids| ids.text(row));
                    let mut gone = |key| self.doomed.has(of.name, &hasher.needle((id, key)));
                    meant |= key.is_some_and(&mut gone);
                }
                if meant && !id.is_empty() {
                    let key = key.as_ref().and_then(|key| key.text(row)).unwrap_or_default();
                    self.doomed.keys.insert((table.name, hasher.needle((id, key))));
                }
            }
        }
        Ok(())
    }
}
