//! Fetch: logs, then the graph in quarantine, then the objects that it names, then the refs.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use gix::ObjectId;
use serde::{Deserialize, Serialize};

use super::config::RemoteConfig;
use super::download::Places;
use super::error::{Error, Result};
use super::layout::Root;
use super::limits::STAYS_BYTES_MIN;
use super::log::decode;
use super::logs::LogCache;
use super::people::NewPeople;
use super::push::check_store;
use super::quarantine::Quarantine;
use super::{Progress, Remote, block_on};
use crate::change::Meta;
use crate::fs::Disk;
use crate::history::Identity;
use crate::id::{CommitId, Digest};
use crate::notes::{TRAVELLING, travels};
use crate::objects::Objects;
use crate::redaction::{REDACTIONS_REF, Redactions, check_replaced};
use crate::schema::Table;
use crate::segment::SegmentKind;
use crate::store::Store;
use crate::temp_store::TempStore;
use crate::verify::Named;

/// How often a fetch begins again because the remote moved under it.
const TRIES: u32 = 16;

/// A ref that a fetch moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefChange {
    /// `refs/remotes/origin/main`.
    pub name: String,
    /// Where it was.
    pub old: Option<String>,
    /// Where it is.
    pub new: String,
}

/// What a fetch did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FetchReport {
    /// Refs that moved.
    pub refs: Vec<RefChange>,
    /// Tags that are here with another target: they were left alone.
    pub kept_tags: Vec<String>,
    /// Commits that came.
    pub commits: usize,
    /// Objects that came.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that stay there until they are read.
    pub left: usize,
}

/// How far fetches from a remote have come: a hint, never believed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Taken {
    pushes: u64,
}

impl Remote {
    /// Fetches all branches and tags. Branches become `refs/remotes/<name>/…`.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the remote gives what it should not; no ref moves then.
    pub fn fetch(
        &self,
        store: &Store,
        name: &str,
        who: &Identity,
        progress: &dyn Progress,
    ) -> Result<FetchReport> {
        let report = {
            let _writing = store.writing()?;
            store.read_redactions();
            block_on(self.fetch_async(store, name, who, progress))?
        };
        // Also where an earlier fetch did not come so far.
        store.follow_redactions(who)?;
        Ok(report)
    }

    pub(super) async fn fetch_async(
        &self,
        store: &Store,
        name: &str,
        who: &Identity,
        progress: &dyn Progress,
    ) -> Result<FetchReport> {
        let hint = store.root().join(format!("cache/remote/{name}.json"));
        let taken = store.disk().read_optional(&hint).ok().flatten();
        let taken: Taken =
            taken.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let mut from = taken.pushes;
        for _ in 0..TRIES {
            let Some(read) = self.read_root().await? else {
                return Err(Error::Empty(self.address.clone()));
            };
            check_store(store, &read.root)?;
            let fetched =
                Fetch { remote: self, store, name, who, progress }.run(&read.root, from).await;
            match fetched {
                Ok(Some(report)) => {
                    let taken = Taken { pushes: read.root.pushes() };
                    if let Ok(bytes) = serde_json::to_vec(&taken) {
                        let _ = store.disk().write_cache(&hint, &bytes);
                    }
                    return Ok(report);
                }
                // What an earlier fetch left may be gone: everything is read then.
                Err(Error::Damaged { .. }) if from > 0 => from = 0,
                Err(error) => return Err(error),
                Ok(None) => {
                    // A file went. Where the root has not moved that is no race.
                    let now = self.read_root().await?;
                    if now.is_some_and(|now| now.root.attempt == read.root.attempt) {
                        let what = "a file that its log names is missing";
                        return Err(Error::damaged(&self.address, what));
                    }
                }
            }
        }
        Err(Error::Busy(TRIES))
    }
}

/// Fetches what the snapshot of a commit needs, and nothing else of the rows.
///
/// # Errors
/// As [`Remote::fetch`]; [`Error::NoCommit`] where the remote has not got it.
pub fn fetch_commit(
    disk: &Disk,
    remote: &Remote,
    store_id: &str,
    commit: CommitId,
    progress: &dyn Progress,
) -> Result<TempStore> {
    let who = Identity { name: "gloss".to_owned(), email: String::new(), seconds: 0, offset: 0 };
    let fill = |store: &Store| {
        let fetch = Fetch { remote, store, name: "origin", who: &who, progress };
        block_on(fetch.one(commit))
    };
    TempStore::new(disk, store_id.to_owned(), fill)
}

struct Fetch<'a> {
    remote: &'a Remote,
    store: &'a Store,
    name: &'a str,
    who: &'a Identity,
    progress: &'a dyn Progress,
}

/// What the checked graph names.
struct Graph {
    commits: usize,
    /// Objects that are not here, with their lengths where the graph states them.
    lacking: Vec<Digest>,
}

impl Fetch<'_> {
    /// `None` where something is not there any more.
    async fn run(&self, root: &Root, from: u64) -> Result<Option<FetchReport>> {
        let entry = RemoteConfig::read(self.store)?.remotes.remove(self.name);
        let people = entry.as_ref().is_some_and(|entry| entry.with_people);
        let rows_stay = entry.is_some_and(|entry| entry.rows_stay);
        let people = match people {
            true => self.remote.new_people(self.store, root).await?,
            false => NewPeople::None,
        };
        if let NewPeople::Gone = people {
            return Ok(None);
        }
        let mut roots = Vec::new();
        for (name, found) in &root.refs {
            let id =
                ObjectId::from_hex(found.id.as_bytes()).map_err(|e| Error::damaged(name, e))?;
            roots.push((name.clone(), id));
        }
        let known = self.store.history.known_commits()?;
        let tags: Vec<ObjectId> =
            self.store.history.own_refs()?.into_iter().map(|(_, id)| id).collect();
        let noted = |name: &str, id| travels(name) && self.store.has_notes(name, CommitId(id));
        let mut report = FetchReport::default();
        let mut quarantine = None;
        let is_here =
            |name: &str, id: &ObjectId| known.contains(id) || tags.contains(id) || noted(name, *id);
        if !roots.iter().all(|(name, id)| is_here(name, id)) {
            let cache = LogCache::new(self.store);
            let mut places = Places::default();
            let mut inner = Quarantine::new(self.store)?;
            if !self.logs(root, from, &cache, &mut inner, &mut places).await? {
                return Ok(None);
            }
            let named = inner.check(&roots)?;
            let redactions = inner.redactions(&roots)?;
            let graph = self.lacking(&named, &redactions, &places)?;
            let comes = |object: &Digest| !rows_stay || places.bytes(object) <= STAYS_BYTES_MIN;
            let (wanted, left): (Vec<Digest>, Vec<_>) = graph.lacking.into_iter().partition(comes);
            let (store, wanted) = (self.store, &wanted);
            report.left = left.len();
            report.commits = graph.commits;
            report.objects = wanted.len();
            report.bytes = wanted.iter().map(|object| places.bytes(object)).sum();
            if !self.remote.download(store.objects(), &places, wanted, self.progress).await? {
                return Ok(None);
            }
            cache.keep_only(root);
            let erased = roots.iter().any(|(name, id)| {
                name == REDACTIONS_REF && !self.store.has_notes(name, CommitId(*id))
            });
            if erased {
                self.check_erased(&inner.look(&roots)?.0, redactions)?;
            }
            quarantine = Some(inner);
        }
        self.publish(&roots, quarantine, &mut report)?;
        // Last: nothing of a fetch that fails is seen.
        if let NewPeople::Some(people) = people {
            self.store.take_people(people)?;
        }
        Ok(Some(report))
    }

    /// Takes one commit, with the objects of its snapshot.
    async fn one(&self, commit: CommitId) -> Result<()> {
        for _ in 0..TRIES {
            let Some(read) = self.remote.read_root().await? else {
                return Err(Error::Empty(self.remote.address.clone()));
            };
            check_store(self.store, &read.root)?;
            let mut places = Places::default();
            let mut quarantine = Quarantine::new(self.store)?;
            let cache = LogCache::new(self.store);
            let mut whole = self.logs(&read.root, 0, &cache, &mut quarantine, &mut places).await?;
            let mut notes = None;
            if whole {
                if !quarantine.has(commit)? {
                    return Err(Error::NoCommit(commit.to_string()));
                }
                let mut roots = vec![("refs/heads/main".to_owned(), commit.0)];
                let erased = read.root.refs.get(REDACTIONS_REF);
                let erased = erased.and_then(|at| ObjectId::from_hex(at.id.as_bytes()).ok());
                roots.extend(erased.map(|tip| (REDACTIONS_REF.to_owned(), tip)));
                quarantine.check(&roots)?;
                let redactions = quarantine.redactions(&roots)?;
                let wanted = quarantine.snapshot_objects(commit, &redactions)?;
                notes = erased;
                if let Some(object) = wanted.iter().find(|object| places.get(object).is_none()) {
                    return Err(Error::damaged(object, "it is not there, and the commit needs it"));
                }
                whole = self
                    .remote
                    .download(self.store.objects(), &places, &wanted, self.progress)
                    .await?;
            }
            if whole {
                let mut lock = self.store.history.lock(&self.store.lock_path())?;
                self.store.history.adopt_packs(&lock, &quarantine.git_dir())?;
                let (name, new) = ("refs/heads/main", Some(commit.0));
                self.store.track_locked(&mut lock, name, new, self.who, "fetch")?;
                if notes.is_some() {
                    let name = REDACTIONS_REF;
                    self.store.track_locked(&mut lock, name, notes, self.who, "fetch")?;
                    self.store.read_redactions();
                }
                return Ok(());
            }
            let now = self.remote.read_root().await?;
            if now.is_some_and(|now| now.root.attempt == read.root.attempt) {
                let what = "a file that its log names is missing";
                return Err(Error::damaged(&self.remote.address, what));
            }
        }
        Err(Error::Busy(TRIES))
    }

    /// Reads the logs of pushes after the first so many.
    async fn logs(
        &self,
        root: &Root,
        from: u64,
        cache: &LogCache<'_>,
        quarantine: &mut Quarantine<'_>,
        places: &mut Places,
    ) -> Result<bool> {
        let mut end = 0u64;
        let after = |pushes: u64| {
            end = end.saturating_add(pushes);
            end > from
        };
        let entries: Vec<_> = {
            let mut after = after;
            root.log.iter().filter(|entry| after(entry.pushes)).cloned().collect()
        };
        for (entry, log) in
            entries.iter().zip(self.remote.read_logs(cache, &entries, self.progress).await?)
        {
            let Some(log) = log else { return Ok(false) };
            let name = entry.key.to_string();
            let mut head = |head| {
                places.add(head);
                Ok(())
            };
            let parts = decode(&name, &log, &mut head, &mut |object| quarantine.take(object))?;
            if parts != entry.pushes {
                let what = format!("it is of {parts} pushes, not of {}", entry.pushes);
                return Err(Error::damaged(name, what));
            }
        }
        Ok(true)
    }

    /// Checks that what stands for objects since rows of them were erased is what is left of them.
    fn check_erased(&self, named: &Named, redactions: Redactions) -> Result<()> {
        let own = self.store.objects();
        let objects = Objects::new(self.store.disk().clone(), own.root().to_owned());
        let wrong = |object: &Digest| {
            Err(Error::damaged(object, "it holds no rows, and another object stands for it"))
        };
        if let Some((line, _)) =
            named.removals.iter().find(|(line, _)| redactions.of(&line.removed).is_some())
        {
            return wrong(&line.removed);
        }
        objects.redact(redactions);
        for used in named.segments.keys() {
            let stands = objects.redacted(&used.line.segment);
            let (Some(stands), Some(table)) = (stands, Table::by_name(used.table)) else {
                continue;
            };
            // What stays at the remote is checked when all of it comes.
            if objects.place(&stands.new).is_file() {
                let kind = if used.before { SegmentKind::Before } else { SegmentKind::Rows };
                check_replaced(&objects, table, kind, &used.line)?;
            }
        }
        for meta in named.metas.keys().filter(|meta| objects.redacted(meta).is_some()) {
            let decoded = Meta::decode(&objects.read(meta)?);
            decoded.map_err(|what| Error::damaged(meta, what))?;
        }
        Ok(())
    }

    /// What is named and not here; each is somewhere, in the length that the graph states.
    fn lacking(&self, named: &Named, redactions: &Redactions, places: &Places) -> Result<Graph> {
        let mut lengths: HashMap<Digest, u64> =
            named.segments.keys().map(|used| (used.line.segment, used.line.bytes)).collect();
        lengths.extend(redactions.replaced().map(|replaced| (replaced.new, replaced.bytes)));
        let (mut lacking, mut there) = (Vec::new(), BTreeSet::new());
        let mut needed = named.objects(redactions);
        // What stands for objects of commits that are here already comes too.
        for object in redactions.objects() {
            needed.entry(object).or_insert_with(|| vec![REDACTIONS_REF.to_owned()]);
        }
        for (object, by) in needed {
            if self.store.objects().place(&object).is_file() {
                there.extend(self.store.objects().place(&object).parent().map(Path::to_owned));
                continue;
            }
            let by = by.first().map_or("a commit", String::as_str);
            let Some((key, range)) = places.get(&object) else {
                let what = format!("it is not there, and {by} names it");
                return Err(Error::damaged(object, what));
            };
            let bytes = range.end - range.start;
            if lengths.get(&object).is_some_and(|stated| *stated != bytes) {
                let what = format!("it has another length in {key} than {by} says");
                return Err(Error::damaged(object, what));
            }
            lacking.push(object);
        }
        // By a process that may have died before their names were to last.
        self.store.disk().sync_dirs(there.iter().map(PathBuf::as_path))?;
        lacking.sort_unstable();
        Ok(Graph { commits: named.commits.len(), lacking })
    }

    /// Makes what came visible: packs first, then refs.
    fn publish(
        &self,
        roots: &[(String, ObjectId)],
        quarantine: Option<Quarantine<'_>>,
        report: &mut FetchReport,
    ) -> Result<()> {
        let history = &self.store.history;
        let mut lock = history.lock(&self.store.lock_path())?;
        if let Some(quarantine) = &quarantine {
            history.adopt_packs(&lock, &quarantine.git_dir())?;
        }
        for (name, id) in roots {
            if let Some(notes) = TRAVELLING.into_iter().find(|notes| name == notes) {
                let name = name.clone();
                let merged = self.store.merge_notes(&mut lock, notes, CommitId(*id), self.who);
                if let Some((old, new)) = lasting(&name, merged)? {
                    let old = old.map(|old| old.to_string());
                    report.refs.push(RefChange { name, old, new: new.to_string() });
                }
                continue;
            }
            let (place, old) = match name.strip_prefix("refs/heads/") {
                Some(branch) => {
                    let place = format!("refs/remotes/{}/{branch}", self.name);
                    let old = history.ref_target(&place)?;
                    let new = Some(*id);
                    let moved = self.store.track_locked(&mut lock, &place, new, self.who, "fetch");
                    lasting(&place, moved)?;
                    (place, old)
                }
                None => {
                    let old = history.ref_target(name)?;
                    if old.is_some_and(|old| old != *id) {
                        report.kept_tags.push(name.clone());
                        continue;
                    }
                    self.store.track_locked(&mut lock, name, Some(*id), self.who, "fetch")?;
                    (name.clone(), old)
                }
            };
            if old != Some(*id) {
                let old = old.map(|old| old.to_string());
                report.refs.push(RefChange { name: place, old, new: id.to_string() });
            }
        }
        Ok(())
    }
}

/// What became of a ref that a fetch moved. Where it may not last no more refs move: the note of
/// this one stays for whoever comes next, and where it is lost it is fetched again. So it counts as
/// not done.
fn lasting<T>(place: &str, moved: crate::Result<T>) -> Result<T> {
    moved.map_err(|error| match error {
        crate::Error::Unsure { source, .. } => {
            crate::Error::Io { action: "sync", path: place.into(), source }.into()
        }
        error => error.into(),
    })
}
