//! Every mutation: changes are staged as immutable objects, then one ref is moved.
//!
//! # Guarantees
//! - A commit that was acknowledged is durable and in the history exactly once.
//! - Two that race: the loser's changes are looked up again on the new head. Disjoint ones apply,
//!   equal ones drop out, any other refuses the commit with the rows.
//! - What has become due to be written anew is prepared before the first try, outside the lock, and
//!   enters the tree of the commit if it still fits there.

use crate::change::{ChangeRecord, ChangeWriter, Fold, Meta, compare, read_change};
use crate::compaction::{Extent, Rewrite};
use crate::delta::{Counts, DeltaBatch, DeltaStream};
use crate::error::{Error, Result, RowConflict};
use crate::history::{
    Annotation, Expected, History, Identity, NewCommit, PublishLock, RefMove, RefName,
};
use crate::id::CommitId;
use crate::limits::FOLD_ROWS_MAX;
use crate::reviews;
use crate::schema::{ANNOTATIONS, REVIEWS, TABLES, Table};
use crate::signing::Signer;
use crate::snapshot::TableSnapshot;
use crate::store::{CHANGE_FILE, FACTS_FILE, Layer, Snapshot, Store, render_facts, table_path};
use crate::verify::copies_fault;

/// The trailer that names the tables of which segments were written anew.
pub(crate) const CHECKPOINT_TRAILER: &str = "Gloss-Checkpoint";

/// How often a commit that is signed is made again because somebody else was faster.
const SIGNED_TRIES: u32 = 16;

/// Changes that are being made against a snapshot.
#[derive(Debug)]
#[must_use]
pub struct Transaction<'s> {
    snapshot: &'s Snapshot<'s>,
    layer: Layer,
    conflicts: Vec<RowConflict>,
}

impl<'s> Transaction<'s> {
    /// Starts with no change.
    pub fn new(snapshot: &'s Snapshot<'s>) -> Self {
        Self { snapshot, layer: Layer::default(), conflicts: Vec::new() }
    }

    /// As [`apply`](Self::apply), of row versions that other segments held first: they keep their
    /// origins.
    pub fn apply_with_origins(
        &mut self,
        table: &'static Table,
        deltas: DeltaStream<'_>,
    ) -> Result<Counts> {
        let mut writer = self.writer(self.snapshot.table(table)?);
        writer.keep_origins();
        for delta in deltas {
            self.push(&mut writer, &delta?)?;
        }
        self.end(table, writer)
    }

    /// Applies row changes of one table, sorted by key. A table may be given once.
    pub fn apply(&mut self, table: &'static Table, deltas: DeltaStream<'_>) -> Result<Counts> {
        let mut writer = self.writer(self.snapshot.table(table)?);
        for delta in deltas {
            self.push(&mut writer, &delta?)?;
        }
        self.end(table, writer)
    }

    /// Starts the change of a table of the snapshot.
    pub(crate) fn writer(&self, base: &'s TableSnapshot) -> ChangeWriter<'s> {
        let store = self.snapshot.store();
        ChangeWriter::new(base, store.disk(), store.objects(), &store.index_dir())
    }

    /// Applies row changes, sorted by key over all calls.
    pub(crate) fn push(&mut self, writer: &mut ChangeWriter<'_>, delta: &DeltaBatch) -> Result<()> {
        writer.push(delta, &mut self.layer.meta)
    }

    /// Ends the change of a table.
    pub(crate) fn end(
        &mut self,
        table: &'static Table,
        writer: ChangeWriter<'_>,
    ) -> Result<Counts> {
        let (change, conflicts) = writer.finish()?;
        self.conflicts.extend(conflicts);
        let counts = change.counts;
        let twice =
            !counts.is_empty() && self.layer.tables.insert(table.name.to_owned(), change).is_some();
        if twice {
            let what = "a second change in one transaction would replace the first".to_owned();
            return Err(Error::BadRows { table: table.name, what });
        }
        Ok(counts)
    }

    /// The changes, durable as objects but named by nothing yet; or the rows in conflict. Rows have
    /// the statuses that reviews give them.
    pub fn finish(self) -> Result<Layer> {
        let snapshot = self.snapshot;
        let layer = self.applied()?;
        let reviewed =
            snapshot.state(&REVIEWS).rows() > 0 || layer.tables.contains_key(REVIEWS.name);
        if !reviewed || layer.is_empty() {
            return Ok(layer);
        }
        let stale = reviews::follow(&snapshot.above(std::slice::from_ref(&layer))?, &layer)?;
        if stale.is_empty() { Ok(layer) } else { snapshot.one_layer(&[layer, stale]) }
    }

    fn applied(self) -> Result<Layer> {
        if self.conflicts.is_empty() {
            return Ok(self.layer);
        }
        Err(Error::Conflict { conflicts: self.conflicts, head: self.snapshot.commit })
    }
}

impl<'s> Snapshot<'s> {
    /// The tables with further layers on top.
    pub fn above(&self, layers: &[Layer]) -> Result<Snapshot<'s>> {
        let all: Vec<Layer> = self.layers.iter().chain(layers).cloned().collect();
        self.store().snapshot(self.commit, &all)
    }

    /// Makes layers on this snapshot into one. What a single one of them did to a table stays.
    pub(crate) fn one_layer(&self, layers: &[Layer]) -> Result<Layer> {
        let mut transaction = Transaction::new(self);
        for table in TABLES {
            let of_table = |layer: &&Layer| layer.tables.contains_key(table.name);
            match layers.iter().filter(of_table).collect::<Vec<_>>()[..] {
                [] => {}
                [only] => {
                    let change = only.tables[table.name].clone();
                    transaction.layer.tables.insert(table.name.to_owned(), change);
                    if table == &ANNOTATIONS {
                        transaction.layer.meta = only.meta.clone();
                    }
                }
                _ => drop(transaction.apply(table, self.net_of_layers(layers, table)?)?),
            }
        }
        let mut layer = transaction.applied()?;
        layer.meta.sources = layers.iter().flat_map(|l| l.meta.sources.clone()).collect();
        Ok(layer)
    }

    /// The net change of layers on one table.
    pub fn net_of_layers(
        &self,
        layers: &[Layer],
        table: &'static Table,
    ) -> Result<DeltaStream<'static>> {
        let objects = self.store().objects();
        let changes: Vec<_> = layers.iter().filter_map(|l| l.tables.get(table.name)).collect();
        if let [change] = changes[..] {
            return read_change(objects, table, change);
        }
        let touched = changes.iter().map(|c| c.counts.total()).fold(0, u64::saturating_add);
        if touched > FOLD_ROWS_MAX {
            // More rows than memory should hold: snapshots compared, batch by batch.
            let above = self.above(layers)?;
            return compare(table, self.table(table)?.scan()?, above.table(table)?.scan()?);
        }
        let mut fold = Fold::new(table);
        for change in changes {
            fold.push(objects, change, false)?;
        }
        fold.finish()
    }
}

/// A check of what is about to be published; it may refuse.
pub type Guard<'g> = &'g dyn Fn(&Store, &Moving<'_>) -> Result<()>;

/// What a guard is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Moving<'m> {
    /// The ref that is to move, `refs/heads/main`.
    pub name: &'m str,
    /// Where it is.
    pub head: Option<CommitId>,
    /// The commit that it is to move to.
    pub commit: CommitId,
    /// What the commit does, against where it is.
    pub record: &'m ChangeRecord,
}

/// What a commit says besides its changes.
#[derive(Clone)]
pub struct CommitOptions<'o> {
    /// The branch that is moved; none: the one that `HEAD` names now.
    pub branch: Option<RefName>,
    /// The message without trailers.
    pub message: &'o str,
    /// Who made the change.
    pub author: Identity,
    /// Who records it.
    pub committer: Identity,
    /// The commit of the code around the store.
    pub code_commit: Option<String>,
    /// The reflog's word for what happens: `commit`, `import`, `revert`.
    pub action: &'o str,
    /// The id of the stage that is committed.
    pub stage: Option<&'o str>,
    /// Who signs it.
    pub signer: Option<Signer>,
    /// Checks that run right before the ref moves.
    pub guards: &'o [Guard<'o>],
}

impl std::fmt::Debug for CommitOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommitOptions").field("message", &self.message).finish_non_exhaustive()
    }
}

impl Store {
    /// The branch that commits go to.
    pub fn branch(&self) -> Result<RefName> {
        self.history.head()?.branch.ok_or_else(|| {
            Error::Stage("HEAD is on no branch, so a commit would be lost".to_owned())
        })
    }

    /// Commits layers that were made on `base`, to the branch that `HEAD` names. `None` where they
    /// change nothing (any more).
    pub fn commit(
        &self,
        base: Option<CommitId>,
        layers: &[Layer],
        options: &CommitOptions<'_>,
    ) -> Result<Option<CommitId>> {
        let _writing = self.writing()?;
        let (name, head) = self.target(options)?;
        let single = layers.len() == 1 && head == base;
        let made = if single { layers[0].clone() } else { self.rebase(base, layers, head)? };
        if made.is_empty() {
            // All of it is there, by a process that may have died before that was to last: whoever
            // takes the lock makes it last.
            drop(self.history.lock(&self.lock_path())?);
            return Ok(None);
        }
        let rewrites = match self.rewrites(head, Extent::Due) {
            // The commit does without; `verify` and whoever reads these rows will say so.
            Err(Error::Damaged { .. }) => Vec::new(),
            done => done?,
        };
        let done = self.race(&name, (head, made), &rewrites, options, &|head| {
            let made = self.rebase(base, layers, head)?;
            Ok((!made.is_empty()).then_some(made))
        })?;
        self.fold_packs();
        Ok(done)
    }

    /// Publishes what was made on a head. Who loses makes it again on the new head; none where
    /// nothing is left to do.
    fn race(
        &self,
        name: &str,
        (mut head, mut made): (Option<CommitId>, Layer),
        rewrites: &[Rewrite],
        options: &CommitOptions<'_>,
        again: &dyn Fn(Option<CommitId>) -> Result<Option<Layer>>,
    ) -> Result<Option<CommitId>> {
        let mut lock = None;
        for tries in 1.. {
            let of_made = Made::of(&made);
            match self.publish(name, head, &of_made, rewrites, options, lock.as_mut()) {
                Err(Error::RefMoved { .. }) if lock.is_none() && tries < SIGNED_TRIES => {}
                done => return done,
            }
            // With the lock held the next try cannot lose. But who signs may be asked for a
            // passphrase, for which nobody else should wait.
            if options.signer.is_none() {
                lock = Some(self.history.lock(&self.lock_path())?);
            }
            head = self.history.ref_target(name)?.map(CommitId);
            match again(head)? {
                Some(layer) => made = layer,
                None => break,
            }
        }
        Ok(None)
    }

    /// Commits a layer that was made on `head`, with further files of the tree, as a merge of
    /// another commit or not. It is not made again on another head: what a merge means, or which
    /// files fit, was decided on this one.
    ///
    /// # Errors
    /// [`Error::RefMoved`] where the branch is elsewhere; nothing is changed then.
    pub fn commit_on(
        &self,
        head: Option<CommitId>,
        made: &Made<'_>,
        options: &CommitOptions<'_>,
    ) -> Result<Option<CommitId>> {
        let _writing = self.writing()?;
        let (name, _) = self.target(options)?;
        let done = self.publish(&name, head, made, &[], options, None)?;
        self.fold_packs();
        Ok(done)
    }

    /// Moves a branch forward to a commit that has all of its history.
    ///
    /// # Errors
    /// [`Error::RefMoved`] where the branch is not at `old`.
    pub fn fast_forward(
        &self,
        branch: &RefName,
        old: Option<CommitId>,
        new: CommitId,
        who: &Identity,
        why: &str,
    ) -> Result<()> {
        let _writing = self.writing()?;
        self.check_objects(new)?;
        let mut lock = self.history.lock(&self.lock_path())?;
        let name = &format!("refs/heads/{branch}");
        let expected = Expected::commit(old);
        self.history.move_ref(&mut lock, &RefMove { name, expected, new: Some(new.0), who, why })
    }

    /// Writes every small or worn segment anew, as a commit on the branch that `HEAD` names that
    /// changes no row. `None` where there is nothing to gain.
    pub fn compact(&self, options: &CommitOptions<'_>) -> Result<Option<CommitId>> {
        let _writing = self.writing()?;
        let (name, head) = self.target(options)?;
        let rewrites = self.rewrites(head, Extent::All)?;
        let nothing = Layer::default();
        let again = |_: Option<CommitId>| Ok(Some(Layer::default()));
        let done = self.race(&name, (head, nothing), &rewrites, options, &again)?;
        self.fold_packs();
        Ok(done)
    }

    /// The ref that a commit goes to, and where it is; refuses what this version must not write.
    fn target(&self, options: &CommitOptions<'_>) -> Result<(String, Option<CommitId>)> {
        let branch = match &options.branch {
            Some(branch) => branch.clone(),
            None => self.branch()?,
        };
        let name = format!("refs/heads/{branch}");
        self.facts().check_write()?;
        let head = self.history.ref_target(&name)?.map(CommitId);
        if let Some(head) = head {
            self.facts_at(head)?.check_write()?;
        }
        Ok((name, head))
    }

    /// Folds packs where they are many. The commit is made: what fails here is left for the next.
    pub(crate) fn fold_packs(&self) {
        let due = self.history.packs_are_due().unwrap_or(false);
        if let Some(lock) = due.then(|| self.history.lock(&self.lock_path()).ok()).flatten() {
            let _ = self.history.fold_packs(&lock);
        }
    }

    /// Makes layers anew as one, on another head than they were made on.
    pub fn rebase(
        &self,
        base: Option<CommitId>,
        layers: &[Layer],
        head: Option<CommitId>,
    ) -> Result<Layer> {
        let (target, base) = (self.snapshot(head, &[])?, self.snapshot(base, &[])?);
        let mut transaction = Transaction::new(&target);
        for table in TABLES {
            transaction.apply(table, base.net_of_layers(layers, table)?)?;
        }
        let mut layer = transaction.finish()?;
        for source in layers.iter().flat_map(|layer| &layer.meta.sources) {
            layer.meta.sources.push(source.clone());
        }
        Ok(layer)
    }

    /// Makes a commit and moves the ref to it. `None` where it would change nothing.
    fn publish(
        &self,
        name: &str,
        head: Option<CommitId>,
        made: &Made<'_>,
        rewrites: &[Rewrite],
        options: &CommitOptions<'_>,
        lock: Option<&mut PublishLock>,
    ) -> Result<Option<CommitId>> {
        let layer = made.layer;
        self.check_copies(head, layer)?;
        let record = ChangeRecord {
            tables: layer.tables.clone(),
            policies: layer.meta.public_policies(),
            meta: Some(self.put_meta(&layer.meta)?),
            stage: options.stage.map(str::to_owned),
        };
        let tree = self.tree_files(head, &record, rewrites)?;
        let changed = !record.is_empty() || !tree.rewritten.is_empty();
        if !changed && made.files.is_empty() && made.merged.is_none() {
            return Ok(None);
        }
        let parents: Vec<CommitId> = head.into_iter().chain(made.merged).collect();
        let files = tree.files.into_iter().chain(made.files.iter().cloned()).collect();
        let commit = self.history.write_commit(&NewCommit {
            parents: &parents,
            files,
            author: options.author.clone(),
            committer: options.committer.clone(),
            message: message(options, &record, &tree.rewritten),
            signer: options.signer.as_ref(),
        })?;
        let title = options.message.lines().next().unwrap_or_default();
        let why = format!("{}: {title}", options.action);
        let change = RefMove {
            name,
            expected: Expected::commit(head),
            new: Some(commit.0),
            who: &options.committer,
            why: &why,
        };
        let mut own;
        let lock = match lock {
            Some(lock) => lock,
            None => {
                own = self.history.lock(&self.lock_path())?;
                &mut own
            }
        };
        for guard in options.guards {
            guard(self, &Moving { name, head, commit, record: &record })?;
        }
        self.history.move_ref(lock, &change)?;
        Ok(Some(commit))
    }

    /// Refuses annotations that say otherwise than their submissions who decided, under which
    /// policy, and whether it is gold.
    fn check_copies(&self, head: Option<CommitId>, layer: &Layer) -> Result<()> {
        let after = self.snapshot(head, std::slice::from_ref(layer))?;
        match copies_fault(&after, &layer.tables)? {
            Some(what) => Err(Error::BadRows { table: ANNOTATIONS.name, what }),
            None => Ok(()),
        }
    }

    fn put_meta(&self, meta: &Meta) -> Result<crate::Digest> {
        self.objects().put(&meta.encode()?)
    }

    /// The files of the tree that a commit touches.
    fn tree_files(
        &self,
        head: Option<CommitId>,
        record: &ChangeRecord,
        rewrites: &[Rewrite],
    ) -> Result<TreeFiles> {
        let (mut files, mut rewritten) = (Vec::new(), Vec::new());
        if head.is_none() {
            files.push((FACTS_FILE.to_owned(), Some(render_facts(self.facts())?.into_bytes())));
        }
        for table in TABLES {
            let change = record.tables.get(table.name);
            let mut state = match head {
                Some(head) => self.table_state(head, table)?,
                None => Default::default(),
            };
            if let Some(change) = change {
                state.add(change);
            }
            let mut moved = false;
            for rewrite in rewrites.iter().filter(|rewrite| rewrite.table == table) {
                moved |= rewrite.apply(self, &mut state)?;
            }
            if !moved && change.is_none() {
                continue;
            }
            state.tidy(self.objects())?;
            // One whose rows have all died since is left out, and then nothing was written anew.
            let mut made = rewrites.iter().filter(|rewrite| rewrite.table == table);
            if moved && made.any(|rewrite| rewrite.stands_in(&state)) {
                rewritten.push(table.name);
            }
            files.push((table_path(table), Some(state.render()?)));
        }
        let mut json =
            serde_json::to_vec_pretty(record).map_err(|e| Error::damaged(CHANGE_FILE, e))?;
        json.push(b'\n');
        files.push((CHANGE_FILE.to_owned(), Some(json)));
        Ok(TreeFiles { files, rewritten })
    }

    /// Makes a branch or, with `message`, an annotated tag.
    pub fn make_ref(
        &self,
        tag: bool,
        name: &RefName,
        target: CommitId,
        who: &Identity,
        annotation: Option<Annotation<'_>>,
    ) -> Result<()> {
        let full = format!("refs/{}/{name}", if tag { "tags" } else { "heads" });
        // From here on gc cannot take what the commit needs; before, it may have.
        let _writing = self.writing()?;
        // Looked for anew: packs that were opened before may have gone since.
        if !History::open(self.disk(), self.history.dir())?.contains(target) {
            return Err(Error::NoCommit(target.to_string()));
        }
        self.check_objects(target)?;
        if self.history.ref_target(&full)?.is_some() {
            return Err(Error::RefExists(name.to_string()));
        }
        let new = match annotation {
            Some(annotation) => self.history.write_tag(name, target, who, annotation)?,
            None => target.0,
        };
        let mut lock = self.history.lock(&self.lock_path())?;
        let why = format!("{}: created at {}", if tag { "tag" } else { "branch" }, target.short());
        let change =
            RefMove { name: &full, expected: Expected::Absent, new: Some(new), who, why: &why };
        self.history.move_ref(&mut lock, &change)
    }

    /// Refuses a commit whose objects are gone: nothing named it, and gc came by.
    fn check_objects(&self, commit: CommitId) -> Result<()> {
        for table in TABLES {
            let state = self.table_state(commit, table)?;
            let segments = state.segments.iter().map(|line| line.segment);
            let removals = state.removals.iter().map(|line| line.removed);
            for object in segments.chain(removals) {
                if !self.objects().may_be_elsewhere() && !self.objects().contains(&object) {
                    let what = format!("it is missing, and commit {commit} needs it");
                    return Err(Error::damaged(object, what));
                }
            }
        }
        Ok(())
    }

    /// Deletes a branch or tag that is what the caller saw.
    pub fn delete_ref(&self, tag: bool, name: &RefName, who: &Identity) -> Result<()> {
        let full = format!("refs/{}/{name}", if tag { "tags" } else { "heads" });
        let Some(found) = self.history.ref_target(&full)? else {
            return Err(Error::NoCommit(name.to_string()));
        };
        let mut lock = self.history.lock(&self.lock_path())?;
        let change =
            RefMove { name: &full, expected: Expected::Is(found), new: None, who, why: "" };
        self.history.move_ref(&mut lock, &change)
    }

    /// Points `HEAD` at a branch.
    pub fn switch(&self, branch: &RefName, who: &Identity) -> Result<()> {
        let mut lock = self.history.lock(&self.lock_path())?;
        self.history.switch(&mut lock, branch, who)
    }
}

/// What a commit is made of.
#[derive(Debug, Clone, Copy)]
pub struct Made<'m> {
    /// The changes of tables.
    pub layer: &'m Layer,
    /// Files of the tree besides those of tables; `None` removes one.
    pub files: &'m [(String, Option<Vec<u8>>)],
    /// The second parent, where it is a merge.
    pub merged: Option<CommitId>,
}

impl<'m> Made<'m> {
    /// Changes of tables alone.
    pub fn of(layer: &'m Layer) -> Self {
        Self { layer, files: &[], merged: None }
    }
}

/// What a commit's tree has that its parent's has not.
struct TreeFiles {
    files: Vec<(String, Option<Vec<u8>>)>,
    /// Tables of which segments were written anew.
    rewritten: Vec<&'static str>,
}

/// The message with its trailers.
fn message(options: &CommitOptions<'_>, record: &ChangeRecord, rewritten: &[&str]) -> String {
    let counts = record.counts(ANNOTATIONS.name);
    let mut message = format!(
        "{}\n\nGloss-Change: +{} ~{} -{}\n",
        options.message.trim_end(),
        counts.added,
        counts.changed,
        counts.removed
    );
    if !rewritten.is_empty() {
        message.push_str(&format!("{CHECKPOINT_TRAILER}: {}\n", rewritten.join(", ")));
    }
    if let Some(code) = &options.code_commit {
        message.push_str(&format!("Code-Commit: {code}\n"));
    }
    message
}
