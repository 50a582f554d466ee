//! Checkpoints: segments of a table written anew, so that reading stays cheap however many commits
//! there are.
//!
//! Every commit adds a segment and leaves dead rows behind. A *rewrite* puts the live rows of some
//! segments into a new one; the next commit's tree names that instead. A large segment is written
//! anew once half of it is dead. Small ones are folded once there are [`SEGMENTS_SMALL_MAX`], the
//! smallest first and none that is much larger than those before it: so each row is rewritten a
//! number of times that is the logarithm of the number of commits.
//!
//! # Guarantees
//! - No row changes, and none its origin: `_origin` is written out.
//! - A rewrite is prepared outside the lock that commits are published under. It fits any state
//!   that lists the segments and in which at least the rows are dead that were dead then; what died
//!   since is looked up by key.
//!
//! # Limitations
//! - Work is lost where two processes prepare the same rewrite; gc collects what nothing names.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::canonical::Rows;
use crate::change::Segments;
use crate::error::{Error, Result};
use crate::id::{CommitId, Digest};
use crate::limits::{REMOVALS_UNFOLDED_MAX, SEGMENT_ROWS_MAX, SEGMENTS_SMALL_MAX, WORN_ROWS_MIN};
use crate::objects::Objects;
use crate::removal::Removal;
use crate::schema::{TABLES, Table};
use crate::segment::{SegmentKind, SegmentReader, SegmentRef};
use crate::snapshot::{TableSnapshot, TableState, short};
use crate::store::Store;

/// Segments below this many live rows are small.
const SMALL_ROWS: usize = SEGMENT_ROWS_MAX / 2;

/// Which segments are written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What has become due: at most one new segment a table.
    Due,
    /// Every segment that is small or has a dead row.
    All,
}

/// What a compaction of one table writes anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compaction {
    /// The table.
    pub table: &'static str,
    /// Its segments before.
    pub segments: usize,
    /// How many of them are written anew.
    pub rewritten: usize,
    /// Their live rows.
    pub rows: u64,
    /// Their dead rows, which go.
    pub dead: u64,
}

/// Segments of one table and the one that takes their place.
#[derive(Debug)]
pub(crate) struct Rewrite {
    pub(crate) table: &'static Table,
    /// The segments, each with the rows that were dead in it.
    gone: BTreeMap<Digest, Vec<u32>>,
    /// What holds their live rows; nothing where none was live.
    made: Vec<SegmentRef>,
}

/// A segment as the choice sees it.
#[derive(Debug, Clone, Copy)]
struct Part {
    segment: usize,
    live: usize,
    dead: usize,
}

impl Store {
    /// What a compaction of everything would do at a commit, by table.
    pub fn plan_compaction(&self, head: CommitId) -> Result<Vec<Compaction>> {
        let mut plan = Vec::new();
        for table in TABLES {
            let state = self.table_state(head, table)?;
            let dead = state.dead(self.objects())?;
            let parts: Vec<Part> = groups(&state, &dead, Extent::All).concat();
            if !parts.is_empty() {
                let sum = |of: fn(&Part) -> usize| parts.iter().map(|part| of(part) as u64).sum();
                plan.push(Compaction {
                    table: table.name,
                    segments: state.segments.len(),
                    rewritten: parts.len(),
                    rows: sum(|part| part.live),
                    dead: sum(|part| part.dead),
                });
            }
        }
        Ok(plan)
    }

    /// Writes segments of a commit's tables anew. Nothing names the new ones yet.
    pub(crate) fn rewrites(&self, head: Option<CommitId>, extent: Extent) -> Result<Vec<Rewrite>> {
        let Some(head) = head else { return Ok(Vec::new()) };
        let mut made = Vec::new();
        for table in TABLES {
            let state = self.table_state(head, table)?;
            if extent == Extent::Due && !may_be_due(&state) {
                continue;
            }
            let dead = state.dead(self.objects())?;
            for group in groups(&state, &dead, extent) {
                made.push(self.rewrite(table, &state, &dead, &group)?);
            }
        }
        Ok(made)
    }

    fn rewrite(
        &self,
        table: &'static Table,
        state: &TableState,
        dead: &Removal,
        group: &[Part],
    ) -> Result<Rewrite> {
        let lines = group.iter().map(|part| state.segments[part.segment].clone());
        let part = TableState { segments: lines.collect(), removals: state.removals.clone() };
        let gone = part.segments.iter().map(|line| {
            let dead = dead.rows.get(&line.segment).cloned();
            (line.segment, dead.unwrap_or_default())
        });
        let gone = gone.collect();
        let mut made =
            Segments::new(self.disk(), self.objects(), &self.index_dir(), table, SegmentKind::Rows);
        for batch in self.table(table, part)?.scan()? {
            made.push(&batch?)?;
        }
        Ok(Rewrite { table, gone, made: made.finish()? })
    }
}

/// Whether segments may be due, told without reading which rows are dead.
fn may_be_due(state: &TableState) -> bool {
    let rows = |line: &SegmentRef| line.rows as usize;
    let small = state.segments.iter().filter(|line| rows(line) < SMALL_ROWS).count();
    let dead: u64 = state.removals.iter().map(|line| line.count).fold(0, u64::saturating_add);
    let worn = |line: &SegmentRef| rows(line) >= WORN_ROWS_MIN && dead * 2 >= u64::from(line.rows);
    small >= SEGMENTS_SMALL_MAX || dead > 0 && state.segments.iter().any(worn)
}

/// Chooses what is written anew: each group becomes one segment.
fn groups(state: &TableState, dead: &Removal, extent: Extent) -> Vec<Vec<Part>> {
    let parts = state.segments.iter().enumerate().map(|(segment, line)| {
        let dead = dead.rows.get(&line.segment).map_or(0, Vec::len);
        Part { segment, live: (line.rows as usize).saturating_sub(dead), dead }
    });
    let mut parts: Vec<Part> = parts.collect();
    parts.sort_by_key(|part| part.live);
    match extent {
        Extent::Due => due(&parts).into_iter().collect(),
        // What holds no live row goes with the next fold of removals.
        Extent::All => {
            let mut groups = all(parts);
            groups.retain(|group| group.iter().any(|part| part.live > 0));
            groups
        }
    }
}

/// The segment that is most worn, or else small ones where they are many.
fn due(parts: &[Part]) -> Option<Vec<Part>> {
    let worn = |part: &&Part| part.live + part.dead >= WORN_ROWS_MIN && part.dead >= part.live;
    if let Some(part) = parts.iter().filter(worn).max_by_key(|part| part.dead) {
        return Some(vec![*part]);
    }
    let small = &parts[..parts.partition_point(|part| part.live < SMALL_ROWS)];
    if small.len() < SEGMENTS_SMALL_MAX {
        return None;
    }
    // One more for the segment itself: many in which no row is live are worth a fold too.
    let sizes: Vec<u64> = small.iter().map(|part| part.live as u64 + 1).collect();
    Some(small[..geometric(&sizes, SEGMENT_ROWS_MAX as u64)].to_vec())
}

/// How many of the sizes, which rise, are folded: none that is more than twice as large as those
/// before it together, and no more than `most` in sum; but two at least.
pub(crate) fn geometric(sizes: &[u64], most: u64) -> usize {
    let mut sum = 0_u64;
    let fits = |(at, size): &(usize, &u64)| {
        let near = *at < 2 || **size <= sum.saturating_mul(2);
        sum = sum.saturating_add(**size);
        near && sum <= most
    };
    sizes.iter().enumerate().take_while(fits).count()
}

/// All segments that are small or have dead rows, the smallest together.
fn all(parts: Vec<Part>) -> Vec<Vec<Part>> {
    let mut groups: Vec<Vec<Part>> = Vec::new();
    let mut rows = 0;
    for part in parts.into_iter().filter(|part| part.dead > 0 || part.live < SMALL_ROWS) {
        rows += part.live;
        match groups.last_mut().filter(|_| rows <= SEGMENT_ROWS_MAX) {
            Some(group) => group.push(part),
            None => {
                rows = part.live;
                groups.push(vec![part]);
            }
        }
    }
    // One that would come out as it is stays.
    groups.retain(|group| group.len() > 1 || group[0].dead > 0);
    groups
}

impl Rewrite {
    /// Puts the new segment into a state in the place of the old ones. Returns whether it fits:
    /// another commit may have written them anew, or the branch was put back.
    pub(crate) fn apply(&self, store: &Store, state: &mut TableState) -> Result<bool> {
        let mut dead = state.dead(store.objects())?;
        let made = TableState { segments: self.made.clone(), removals: Vec::new() };
        let made = store.table(self.table, made)?;
        for (segment, then) in &self.gone {
            let Some(line) = state.segments.iter().find(|line| line.segment == *segment) else {
                return Ok(false);
            };
            let now = dead.rows.remove(segment).unwrap_or_default();
            let since: Vec<u32> =
                now.iter().filter(|row| then.binary_search(row).is_err()).copied().collect();
            if now.len() != then.len() + since.len() {
                return Ok(false);
            }
            for row in self.moved(store, line, &since, &made)? {
                dead.push(made.segment(0), row);
            }
        }
        dead.sort();
        state.segments.retain(|line| !self.gone.contains_key(&line.segment));
        state.segments.extend(self.made.iter().cloned());
        state.settle(dead, store.objects())?;
        Ok(true)
    }

    /// Whether a state has the new segment.
    pub(crate) fn stands_in(&self, state: &TableState) -> bool {
        let listed = |made: &SegmentRef| state.segments.iter().any(|l| l.segment == made.segment);
        self.made.iter().any(listed)
    }

    /// Where rows of an old segment stand in the new one.
    fn moved(
        &self,
        store: &Store,
        line: &SegmentRef,
        numbers: &[u32],
        made: &TableSnapshot,
    ) -> Result<Vec<u32>> {
        let mut moved = Vec::with_capacity(numbers.len());
        if numbers.is_empty() {
            return Ok(moved);
        }
        let reader = SegmentReader::open(store.objects(), self.table, SegmentKind::Rows, line)?;
        let mut scratch = Vec::new();
        for batch in reader.rows(numbers)? {
            let batch = batch?;
            let rows = Rows::new(self.table, &batch)?;
            let places = made.locate((0..rows.len()).map(|row| rows.key(row)))?;
            for (row, place) in places.into_iter().enumerate() {
                // A single row is checked against its digest, as every read of one is.
                let digest = short(&rows.digest(row, &mut scratch));
                match place.filter(|place| place.digest == digest) {
                    Some(place) => moved.push(place.row),
                    None => {
                        let what = "a row of it is not among those that were written anew";
                        return Err(Error::damaged(line.segment, what));
                    }
                }
            }
        }
        if moved.len() != numbers.len() {
            return Err(Error::damaged(line.segment, "rows are missing from it"));
        }
        Ok(moved)
    }
}

impl TableState {
    /// Folds the removal objects into one where there are too many.
    pub(crate) fn tidy(&mut self, objects: &Objects) -> Result<()> {
        if self.removals.len() <= REMOVALS_UNFOLDED_MAX {
            return Ok(());
        }
        let dead = self.dead(objects)?;
        self.settle(dead, objects)
    }

    /// Which rows are dead.
    pub(crate) fn dead(&self, objects: &Objects) -> Result<Removal> {
        let mut all = Removal::default();
        for line in &self.removals {
            all.extend(Removal::read(objects, line)?);
        }
        all.sort();
        Ok(all)
    }

    /// Takes these rows for the dead ones, as one removal object, and leaves out segments that are
    /// wholly dead.
    pub(crate) fn settle(&mut self, mut dead: Removal, objects: &Objects) -> Result<()> {
        self.segments.retain(|line| {
            let gone = dead.rows.get(&line.segment).map_or(0, Vec::len);
            let wholly = gone == line.rows as usize;
            if wholly {
                dead.rows.remove(&line.segment);
            }
            !wholly
        });
        self.removals = dead.write(objects)?.into_iter().collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::only_old;
    use crate::delta::DeltaBatch;
    use crate::fs::Disk;
    use crate::schema::{ITEMS, ItemRow, ItemsBuilder};

    /// A state of items: these added, those removed.
    fn stepped(store: &Store, state: &mut TableState, new: &[&str], gone: &[&str]) {
        let batch = |items: &[&str]| {
            let mut builder = ItemsBuilder::default();
            for item in items {
                builder.push(&ItemRow { item_id: item, ..ItemRow::default() });
            }
            builder.finish()
        };
        for (new, old) in [(batch(new), batch(&[])), (batch(&[]), batch(gone))] {
            let base = store.table(&ITEMS, state.clone()).unwrap();
            let index_dir = store.index_dir();
            let mut writer =
                crate::change::ChangeWriter::new(&base, store.disk(), store.objects(), &index_dir);
            let removed = only_old(&ITEMS, Box::new(std::iter::once(Ok(old))));
            let added = std::iter::once(Ok(DeltaBatch::added(&ITEMS, new)));
            for delta in added.chain(removed) {
                writer.push(&delta.unwrap(), &mut Default::default()).unwrap();
            }
            let (change, conflicts) = writer.finish().unwrap();
            assert_eq!(conflicts, []);
            state.add(&change);
        }
    }

    fn listed(store: &Store, state: &TableState) -> Vec<String> {
        let mut found = Vec::new();
        for batch in store.table(&ITEMS, state.clone()).unwrap().scan().unwrap() {
            let batch = batch.unwrap();
            let rows = Rows::new(&ITEMS, &batch).unwrap();
            found.extend((0..rows.len()).map(|row| rows.key(row).0.to_owned()));
        }
        found
    }

    #[test]
    fn a_rewrite_fits_what_came_after_it_was_prepared_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::init(&Disk::default(), dir.path()).unwrap();
        let mut state = TableState::default();
        stepped(&store, &mut state, &["a", "b", "c"], &[]);
        let first = state.clone();
        stepped(&store, &mut state, &["d", "e", "f"], &["b", "d"]);
        let dead = state.dead(store.objects()).unwrap();
        let [group] = &groups(&state, &dead, Extent::All)[..] else { panic!("one group") };
        let rewrite = store.rewrite(&ITEMS, &state, &dead, group).unwrap();

        // Another commit came first: it removed rows of old segments, added one, brought one back.
        let mut later = state.clone();
        stepped(&store, &mut later, &["b", "g"], &["a", "f"]);
        let segments = later.segments.len();
        assert!(rewrite.apply(&store, &mut later).unwrap());
        assert_eq!(listed(&store, &later), ["b", "c", "e", "g"]);
        assert_eq!(later.segments.len(), segments - 1);
        assert_eq!(later.removals.iter().map(|line| line.count).sum::<u64>(), 2);

        // The segments are gone, or rows are live again that were dead: it does not fit.
        assert!(!rewrite.apply(&store, &mut later).unwrap());
        let mut back = first;
        assert!(!rewrite.apply(&store, &mut back).unwrap());
        back.segments = state.segments.clone();
        assert!(!rewrite.apply(&store, &mut back).unwrap());
        assert_eq!(listed(&store, &back), ["a", "b", "c", "d", "e", "f"]);
    }

    #[test]
    fn equal_sizes_fold_and_a_much_larger_one_waits() {
        assert_eq!(geometric(&[10; 64], 1_000_000), 64);
        // 63 commits of ten rows are 630; 1,260 joins them, 1,261 does not.
        let mut sizes = vec![10; 63];
        sizes.push(1_260);
        assert_eq!(geometric(&sizes, 1_000_000), 64);
        sizes[63] = 1_261;
        assert_eq!(geometric(&sizes, 1_000_000), 63);
        assert_eq!(geometric(&[4, 9, 1], 13), 2);
    }

    #[test]
    fn a_row_is_rewritten_as_often_as_the_logarithm_says() {
        let mut sizes: Vec<u64> = Vec::new();
        let (mut most, mut rewritten) = (0, 0);
        for _ in 0..10_000 {
            sizes.push(10);
            sizes.sort_unstable();
            most = most.max(sizes.len());
            if sizes.len() >= SEGMENTS_SMALL_MAX {
                let sum = sizes.drain(..geometric(&sizes.clone(), u64::MAX)).sum();
                rewritten += sum;
                sizes.push(sum);
            }
        }
        assert_eq!(sizes.iter().sum::<u64>(), 100_000);
        assert_eq!(most, SEGMENTS_SMALL_MAX);
        // log2(100,000 / 640) is 7.3; one more, since folds are not of equal size.
        assert!(rewritten < 9 * 100_000, "{rewritten}");
    }
}
