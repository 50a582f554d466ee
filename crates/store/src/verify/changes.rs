//! The fourth pass: every commit and staged layer against the state that it was made on.

use std::collections::BTreeMap;

use super::named::{Named, STAGE_FILE};
use super::{Tally, Verifier, VerifyProgress, rule};
use crate::canonical::{Key, Rows};
use crate::change::{ChangeRecord, Meta, TableChange, UNSTATED, read_change};
use crate::delta::{Counts, DeltaBatch, RowChange};
use crate::error::Result;
use crate::id::{CommitId, Digest};
use crate::removal::Removal;
use crate::schema::{ANNOTATIONS, Annotations, TABLES, Table};
use crate::segment::SegmentRef;
use crate::snapshot::{Located, TableSnapshot, TableState, short};
use crate::store::{CHANGE_FILE, Layer, Store, table_path};

/// A change of one table, with the state that it was made on.
struct Step<'a> {
    /// The file that records it.
    name: &'a str,
    table: &'static Table,
    base: &'a TableState,
    change: &'a TableChange,
}

impl Verifier<'_> {
    /// Checks every commit against its first parent.
    pub(super) fn check_commits(
        &mut self,
        named: &Named,
        progress: &mut dyn FnMut(VerifyProgress),
    ) -> Result<()> {
        let total = named.commits.len() as u64;
        for (at, commit) in named.commits.iter().enumerate() {
            progress(VerifyProgress { phase: "commits", done: at as u64, total });
            let name = format!("{commit}:{CHANGE_FILE}");
            if let Err(error) = self.check_commit(*commit, &name) {
                self.find_error(rule::BEFORE, &name, error)?;
            }
        }
        Ok(())
    }

    fn check_commit(&mut self, id: CommitId, name: &str) -> Result<()> {
        if self.is_bad(name) {
            return Ok(());
        }
        let store = self.store;
        let (commit, record) = (store.history.commit(id)?, store.change(id)?);
        let parent = commit.parents.first().copied();
        let mut recount = Some(Meta::default());
        let mut rewritten = Vec::new();
        for table in TABLES {
            let change = record.tables.get(table.name);
            match self.check_table(id, parent, table, change, &mut recount) {
                Ok(true) => rewritten.push(table.name),
                Ok(false) => {}
                Err(error) => {
                    recount = None;
                    self.find_error(rule::BEFORE, name, error)?;
                }
            }
        }
        self.check_record(name, &record, recount);
        let counts = record.counts(ANNOTATIONS.name);
        let wanted = format!("+{} ~{} -{}", counts.added, counts.changed, counts.removed);
        if commit.trailer("Gloss-Change") != Some(&wanted) {
            let what = format!("its message has no trailer `Gloss-Change: {wanted}`");
            self.find(rule::TRAILERS, id, what, Vec::new());
        }
        self.check_trailer(&commit, &rewritten);
        let snapshot = store.snapshot(Some(id), &[])?;
        self.check_copies(name, &snapshot, &record.tables)?;
        self.check_statuses(name, &snapshot, &record.tables)
    }

    /// Returns whether segments of the table were written anew.
    fn check_table(
        &mut self,
        id: CommitId,
        parent: Option<CommitId>,
        table: &'static Table,
        change: Option<&TableChange>,
        recount: &mut Option<Meta>,
    ) -> Result<bool> {
        let path = |commit: CommitId| format!("{commit}:{}", table_path(table));
        if self.is_bad(path(id)) {
            *recount = None;
            return Ok(false);
        }
        let after = self.store.table_state(id, table)?;
        let mut expected = match parent {
            Some(parent) if self.is_bad(path(parent)) => {
                *recount = None;
                return Ok(false);
            }
            Some(parent) => self.store.table_state(parent, table)?,
            None => TableState::default(),
        };
        if change.is_some() || expected != after {
            self.check_dead_rows(&path(id), &after)?;
        }
        if let Some(change) = change {
            let name = &format!("{id}:{CHANGE_FILE}");
            self.check_change(&Step { name, table, base: &expected, change }, recount)?;
            expected.add(change);
        }
        self.check_state(&path(id), table, &expected, &after)
    }

    /// Checks the layers of the stage, each on the ones before.
    pub(super) fn check_stage(&mut self, named: &Named) -> Result<()> {
        let Some(stage) = &named.stage else { return Ok(()) };
        match self.check_layers(stage.base, &stage.layers) {
            Err(error) => self.find_error(rule::STAGE, STAGE_FILE, error),
            Ok(()) => Ok(()),
        }
    }

    fn check_layers(&mut self, base: Option<CommitId>, layers: &[Layer]) -> Result<()> {
        if self.is_bad(STAGE_FILE) {
            return Ok(());
        }
        for (at, layer) in layers.iter().enumerate() {
            let before = self.store.snapshot(base, &layers[..at])?;
            let after = self.store.snapshot(base, &layers[..=at])?;
            let mut recount = Some(Meta::default());
            for table in TABLES {
                let Some(change) = layer.tables.get(table.name) else { continue };
                self.check_dead_rows(STAGE_FILE, after.state(table))?;
                let step = Step { name: STAGE_FILE, table, base: before.state(table), change };
                self.check_change(&step, &mut recount)?;
            }
            self.check_meta(STAGE_FILE, &layer.meta, recount);
            self.check_copies(STAGE_FILE, &after, &layer.tables)?;
            self.check_statuses(STAGE_FILE, &after, &layer.tables)?;
        }
        Ok(())
    }

    /// Removals of a state name rows that it has, each once.
    fn check_dead_rows(&mut self, path: &str, state: &TableState) -> Result<()> {
        if state.removals.iter().any(|line| self.is_bad(line.removed)) {
            return Ok(());
        }
        let rows: BTreeMap<Digest, u32> =
            state.segments.iter().map(|line| (line.segment, line.rows)).collect();
        let mut dead: BTreeMap<Digest, Vec<u32>> = BTreeMap::new();
        let mut wrong = Tally::default();
        for line in &state.removals {
            for (segment, numbers) in Removal::read(self.store.objects(), line)?.rows {
                let last = numbers.last().copied().unwrap_or_default();
                match rows.get(&segment) {
                    None => wrong.note(|| format!("a removal in {segment}, which it has not")),
                    Some(rows) if last >= *rows => {
                        wrong.note(|| format!("row {last} of {segment} is removed and not there"));
                    }
                    Some(_) => dead.entry(segment).or_default().extend(numbers),
                }
            }
        }
        for (segment, mut numbers) in dead {
            numbers.sort_unstable();
            if let Some(pair) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
                wrong.note(|| format!("row {} of {segment} is removed twice", pair[0]));
            }
        }
        if let Some(detail) = wrong.detail() {
            self.find(rule::DEAD_ROWS, path, detail, Vec::new());
        }
        Ok(())
    }

    fn check_change(&mut self, step: &Step<'_>, recount: &mut Option<Meta>) -> Result<()> {
        if let Some(what) = count_fault(step) {
            self.find(rule::COUNTS, step.name, format!("{}: {what}", step.table.name), Vec::new());
            *recount = None;
            return Ok(());
        }
        let change = step.change;
        let lines = change.added.iter().chain(&change.before).chain(&step.base.segments);
        let removals = step.base.removals.iter().chain(&change.removed);
        let unread = lines.into_iter().any(|line| self.is_bad(line.segment))
            || removals.into_iter().any(|line| self.is_bad(line.removed));
        if unread {
            *recount = None;
            return Ok(());
        }
        let mut replay = Replay::default();
        replay.run(self.store, step, recount)?;
        let named = match &change.removed {
            Some(line) => Removal::read(self.store.objects(), line)?,
            None => Removal::default(),
        };
        replay.removal.sort();
        // What was erased is counted, and was removed, and does not say so any more.
        let objects = self.store.objects();
        let lines = || change.added.iter().chain(&change.before).chain(&step.base.segments);
        let redacted = lines().any(|line| objects.redacted(&line.segment).is_some());
        if redacted {
            *recount = None;
        }
        let all_named = replay.removal.rows.iter().all(|(segment, rows)| {
            let named = named.rows.get(segment);
            named.is_some_and(|named| rows.iter().all(|row| named.binary_search(row).is_ok()))
        });
        let agree = if redacted { all_named } else { named == replay.removal };
        if !agree {
            replay.before.note(|| "the removed rows are not those of the old values".to_owned());
        }
        let counts_differ = replay.counts != change.counts && !redacted;
        if counts_differ && replay.keys.first.is_none() {
            let what = format!("{:?} where its rows give {:?}", change.counts, replay.counts);
            self.find(rule::COUNTS, step.name, format!("{}: {what}", step.table.name), Vec::new());
        }
        for (rule, tally) in [(rule::KEYS, replay.keys), (rule::BEFORE, replay.before)] {
            if let Some(detail) = tally.detail() {
                self.find(rule, step.name, format!("{}: {detail}", step.table.name), Vec::new());
            }
        }
        Ok(())
    }

    /// Checks the parts of `change.json` that are of no single table.
    fn check_record(&mut self, name: &str, record: &ChangeRecord, recount: Option<Meta>) {
        let own = Meta { policies: record.policies.clone(), ..Meta::default() };
        if own.public_policies() != record.policies {
            let what = "it counts policies whose names are not of the form of policies";
            return self.find(rule::POLICY_NAMES, name, what, Vec::new());
        }
        let Some(digest) = record.meta.filter(|digest| !self.is_bad(digest)) else { return };
        match self.store.meta(record) {
            Err(error) => {
                self.find(rule::META, digest, super::explain(&error), vec![name.to_owned()]);
            }
            Ok(meta) if meta.public_policies() != record.policies => {
                let what = format!("its counts by policy are not those of {digest}");
                self.find(rule::META, name, what, Vec::new());
            }
            // Names that were erased are counted together.
            Ok(meta) => {
                let whole = self.store.objects().redacted(&digest).is_none();
                self.check_meta(name, &meta, recount.filter(|_| whole));
            }
        }
    }

    fn check_meta(&mut self, name: &str, meta: &Meta, recount: Option<Meta>) {
        let Some(recount) = recount else { return };
        let parts = [
            ("annotator", &meta.annotators, &recount.annotators),
            ("label", &meta.labels, &recount.labels),
            ("policy", &meta.policies, &recount.policies),
        ];
        for (what, stated, counted) in parts {
            if stated != counted {
                let what = format!("the counts by {what} are not those of its rows");
                self.find(rule::META, name, what, Vec::new());
            }
        }
    }
}

/// What the numbers of a change say against each other, in words.
fn count_fault(step: &Step<'_>) -> Option<String> {
    let TableChange { added, before, removed, counts, rows } = step.change;
    let sum = |lines: &[SegmentRef]| lines.iter().map(|line| u64::from(line.rows)).sum::<u64>();
    let pair = |a: u64, b: u64| a.checked_add(b).ok_or("the counts overflow");
    let check = || -> Result<(), &'static str> {
        if sum(added) != pair(counts.added, counts.changed)? {
            return Err("its new rows are not as many as it counts");
        }
        let old = pair(counts.changed, counts.removed)?;
        if sum(before) != old || removed.as_ref().map_or(0, |line| line.count) != old {
            return Err("its old rows are not as many as it counts");
        }
        let dead = step.base.removals.iter().try_fold(0, |sum, line| pair(sum, line.count))?;
        let live = sum(&step.base.segments).checked_sub(dead).ok_or("more rows died than were")?;
        let expected = pair(live, counts.added)?.checked_sub(counts.removed);
        if expected != Some(*rows) {
            return Err("its total is not its parent's with what it adds and removes");
        }
        Ok(())
    };
    check().err().map(str::to_owned)
}

/// A change looked up, row by row, in the state that it was made on.
#[derive(Default)]
struct Replay {
    counts: Counts,
    removal: Removal,
    last: Option<(String, String)>,
    keys: Tally,
    before: Tally,
}

impl Replay {
    fn run(&mut self, store: &Store, step: &Step<'_>, recount: &mut Option<Meta>) -> Result<()> {
        let base = store.table(step.table, step.base.clone())?;
        for delta in read_change(store.objects(), step.table, step.change)? {
            let delta = delta?;
            let (old, new) = (delta.old_rows()?, delta.new_rows()?);
            let key = |change: &RowChange| DeltaBatch::key(&old, &new, *change);
            let keys: Vec<_> = delta.changes.iter().map(key).collect();
            let located = base.locate(keys.iter().copied())?;
            let mut scratch = Vec::new();
            for ((change, key), at) in delta.changes.iter().zip(&keys).zip(located) {
                self.counts.count(change.old.is_some(), change.new.is_some());
                if self.last.as_ref().is_some_and(|last| (&*last.0, &*last.1) >= *key) {
                    self.keys.note(|| format!("{key:?} is written twice"));
                }
                self.last = Some((key.0.to_owned(), key.1.to_owned()));
                let mut digest = |rows: &Rows<'_>, row: Option<u32>| {
                    row.map(|row| short(&rows.digest(row as usize, &mut scratch)))
                };
                let was = digest(&old, change.old);
                if was.is_some() && was == digest(&new, change.new) {
                    self.before.note(|| format!("{key:?} is changed into what it was"));
                }
                self.look_up(&base, key, was, at);
            }
            if let Some(meta) = recount.as_mut().filter(|_| step.table == &ANNOTATIONS) {
                count_names(&delta, meta)?;
            }
        }
        Ok(())
    }

    fn look_up(
        &mut self,
        base: &TableSnapshot,
        key: &Key<'_>,
        was: Option<[u8; 16]>,
        at: Option<Located>,
    ) {
        match (was, at) {
            (None, Some(_)) => self.keys.note(|| format!("{key:?} is added and was live already")),
            (Some(_), None) => self.before.note(|| format!("{key:?} has an old value and was not")),
            (Some(was), Some(at)) => {
                if was != at.digest {
                    self.before.note(|| format!("the old value of {key:?} is not what it was"));
                }
                self.removal.push(base.segment(at.segment), at.row);
            }
            (None, None) => {}
        }
    }
}

/// Counts annotations by person, label and policy, as a change's writer does.
fn count_names(delta: &DeltaBatch, meta: &mut Meta) -> Result<()> {
    let own: Vec<usize> = (0..ANNOTATIONS.columns.len()).collect();
    let (old, new) = (delta.old.project(&own)?, delta.new.project(&own)?);
    let (old, new) = (Annotations::new(&old), Annotations::new(&new));
    for change in &delta.changes {
        let (was, is) = (change.old.is_some(), change.new.is_some());
        let (rows, row) = match (change.new, change.old) {
            (Some(row), _) => (&new, row as usize),
            (None, Some(row)) => (&old, row as usize),
            (None, None) => continue,
        };
        let mut one = Counts::default();
        one.count(was, is);
        Meta::count(&mut meta.annotators, rows.annotator_id(row), one);
        Meta::count(&mut meta.policies, rows.policy(row).unwrap_or(UNSTATED), one);
        if let Some(label) = rows.label(row) {
            Meta::count(&mut meta.labels, label, one);
        }
    }
    Ok(())
}
