//! Push: what the remote lacks is uploaded, then the root is moved on top of what is there.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use gix::ObjectId;

use super::download::Places;
use super::error::{Error, Result};
use super::journal::Journal;
use super::layout::{Attempt, Key, LogEntry, REMOTE_FORMAT, RemoteRef, Root};
use super::limits::{RECENT_MAX, SWAP_TRIES};
use super::log::encode_part;
use super::logs::LogCache;
use super::moves::Local;
use super::swap::{Read, Swap};
use super::upload::Upload;
use super::{Progress, Remote, block_on};
use crate::history::{Identity, RefName};
use crate::id::Digest;
use crate::notes::travels;
use crate::redaction::REDACTIONS_REF;
use crate::store::Store;

/// What is to be pushed.
#[derive(Debug, Clone)]
pub struct PushRequest {
    /// The remote's name here, for what was fetched from it last.
    pub remote: String,
    /// Branches, each to the one of its name there.
    pub branches: Vec<RefName>,
    /// Branches that shall go there, where they are at what was fetched last.
    pub delete: Vec<RefName>,
    /// Also tags of commits that are pushed or there.
    pub tags: bool,
    /// Move branches that are at what was fetched last to commits that do not follow.
    pub force: bool,
    /// Also who the annotators are.
    pub people: bool,
    /// Say what would be done.
    pub dry_run: bool,
    /// Who pushes: for people who are refused later.
    pub who: Identity,
}

/// A ref that a push moves.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PushedRef {
    /// `refs/heads/main`.
    pub name: String,
    /// Where it was there.
    pub old: Option<String>,
    /// Where it is now; none: gone.
    pub new: Option<String>,
    /// Whether the old commits are not among the new ones.
    pub forced: bool,
}

/// What a push did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct PushReport {
    /// Refs that moved; those that were there already are not among them.
    pub refs: Vec<PushedRef>,
    /// Commits that were uploaded.
    pub commits: usize,
    /// Objects that were uploaded.
    pub objects: usize,
    /// Their bytes, and those of the history.
    pub bytes: u64,
    /// Where rows were erased: files with such rows that were removed there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erased: Option<usize>,
}

/// What is uploaded: files of objects, and the part of the log.
pub(super) struct Sent {
    epoch: u64,
    attempt: Attempt,
    part: Vec<u8>,
    /// What refs were to move to: the part has all that these reach, beside what was there.
    tips: BTreeSet<String>,
    /// Logs that were uploaded so far.
    logs: u32,
    report: PushReport,
}

impl Remote {
    /// Pushes.
    ///
    /// # Errors
    /// [`Error::Refused`] where a ref moved there: nothing is pushed then. [`Error::Unknown`] where
    /// no answer came. With any other error nothing was pushed.
    pub fn push(
        &self,
        store: &Store,
        request: &PushRequest,
        progress: &dyn Progress,
    ) -> Result<PushReport> {
        // What was erased elsewhere must not come back from here.
        store.follow_redactions(&request.who)?;
        // What is read to be uploaded stays.
        let _writing = store.writing()?;
        block_on(self.push_async(store, request, progress))
    }

    async fn push_async(
        &self,
        store: &Store,
        request: &PushRequest,
        progress: &dyn Progress,
    ) -> Result<PushReport> {
        // Refs here may move while this uploads: what is published is what was uploaded.
        let local = Local::read(store, request)?;
        let mut read = self.first_root().await?;
        let cache = LogCache::new(store);
        let mut sent: Option<Sent> = None;
        let mut fold = true;
        for _ in 0..SWAP_TRIES {
            if let Some(read) = &read {
                check_store(store, &read.root)?;
            }
            let root = read.as_ref().map(|read| &read.root);
            let moves = local.moves(store, root, request.force)?;
            if request.dry_run {
                return Ok(PushReport { refs: moves, ..PushReport::default() });
            }
            let there = root.and_then(|root| root.people.clone());
            let people = match request.people {
                true => self.send_people(store, root).await?,
                false => there.clone(),
            };
            if moves.is_empty() && people == there {
                return Ok(PushReport::default());
            }
            // Keys of an older epoch may be removed at any time.
            let epoch = root.map_or(0, |root| root.epoch);
            let fits = |sent: &Sent| sent.epoch == epoch && sent.has(&moves);
            let mut own = match sent.take().filter(fits) {
                Some(own) => own,
                None => self.send(store, root, &moves, &request.remote, progress).await?,
            };
            let entry = self.send_log(&cache, root, &mut own, fold, progress).await?;
            let new = Root { people, ..next_root(store, root, request, &moves, &own, entry) };
            match self.swap_root(read.as_ref(), &new).await? {
                Swap::Done => {
                    cache.keep_only(&new);
                    Journal::end(store.disk(), store.root(), &request.remote);
                    self.record(store, request, &moves);
                    let mut report = PushReport { refs: moves, ..own.report };
                    if report.refs.iter().any(|moved| moved.name == REDACTIONS_REF) {
                        // The push is done whatever becomes of this; the report says.
                        let gone = self.collect_async(store, false, progress).await;
                        report.erased = Some(gone.map_or(0, |gone| gone.keys.len()));
                    }
                    return Ok(report);
                }
                Swap::Moved(found) => {
                    read = found.map(|found| *found);
                    // Whoever came first may have put the same logs together.
                    fold = false;
                    sent = Some(own);
                }
            }
        }
        Err(Error::Busy(SWAP_TRIES))
    }

    /// Refuses a prefix without a root that holds what no push left there.
    async fn check_unused(&self) -> Result<()> {
        let found = self.list(1_000).await?;
        let probe = |key: &str| key.starts_with(super::probe::PREFIX);
        match found.into_iter().find(|key| key.parse::<Key>().is_err() && !probe(key)) {
            Some(key) => Err(Error::InUse(key)),
            None => Ok(()),
        }
    }

    /// Uploads the objects that are not there, and makes the part of the log.
    async fn send(
        &self,
        store: &Store,
        root: Option<&Root>,
        moves: &[PushedRef],
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Sent> {
        let parse = |id: &str| ObjectId::from_hex(id.as_bytes()).ok();
        // Notes name no objects of the store: they are a history of their own.
        let lacking = |notes: bool| {
            let of = |name: &str| travels(name) == notes;
            let tips = moves.iter().filter(|moved| of(&moved.name));
            let tips: Vec<ObjectId> =
                tips.filter_map(|moved| parse(moved.new.as_deref()?)).collect();
            let there = root.iter().flat_map(|root| &root.refs).filter(|(name, _)| of(name));
            let have = there.filter_map(|(_, found)| parse(&found.id));
            let have: Vec<ObjectId> = have.filter(|id| store.history.has(id)).collect();
            store.history.lacking(&tips, &have)
        };
        let (lacking, notes) = (lacking(false)?, lacking(true)?);
        let mut known = HashSet::new();
        for commit in &lacking.edge {
            known.extend(store.objects_of(*commit)?);
        }
        let mut objects = Vec::new();
        for commit in &lacking.commits {
            for object in store.objects_of(*commit)? {
                if known.insert(object) {
                    objects.push((object, store.objects().len(&object)?));
                }
            }
        }
        if moves.iter().any(|moved| moved.name == REDACTIONS_REF) {
            self.replacing(store, root, &mut objects, progress).await?;
        }
        let (epoch, attempt) = (root.map_or(0, |root| root.epoch), Attempt::random()?);
        let upload = self.send_rows(store, name, (epoch, &attempt), &objects, progress).await?;
        let history = lacking.objects.iter().chain(&notes.objects);
        let history = history.map(|id| store.history.object(*id));
        let part = encode_part(&upload.head(), history)?;
        let report = PushReport {
            refs: Vec::new(),
            commits: lacking.commits.len(),
            objects: objects.len(),
            erased: None,
            bytes: objects.iter().map(|(_, len)| len).sum::<u64>() + part.len() as u64,
        };
        let tips = moves.iter().filter_map(|moved| moved.new.clone()).collect();
        Ok(Sent { epoch, attempt, part, tips, logs: 0, report })
    }

    /// Adds what stands for erased objects, and what lies in one file with any of these there: that
    /// file has to go.
    async fn replacing(
        &self,
        store: &Store,
        root: Option<&Root>,
        objects: &mut Vec<(Digest, u64)>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let redactions = store.objects().redactions();
        let places = match root {
            None => Places::default(),
            Some(root) => {
                let places = self.places(&LogCache::new(store), root, progress).await?;
                places.ok_or_else(|| Error::damaged(&self.address, "a log of it is missing"))?
            }
        };
        let mut queued: HashSet<Digest> = objects.iter().map(|(object, _)| *object).collect();
        let going = places.files_of(|object| redactions.is_void(object));
        let beside = places.objects().into_iter().filter(|object| {
            !redactions.is_void(object)
                && places.get(object).is_some_and(|(key, _)| going.contains(key))
        });
        let lacking = redactions.objects().filter(|object| places.get(object).is_none());
        for object in beside.chain(lacking).filter(|object| queued.insert(*object)) {
            objects.push((object, store.objects().len(&object)?));
        }
        Ok(())
    }

    /// Uploads objects but for those of files that an earlier try left there.
    pub(super) async fn send_rows(
        &self,
        store: &Store,
        name: &str,
        (epoch, attempt): (u64, &Attempt),
        objects: &[(Digest, u64)],
        progress: &dyn Progress,
    ) -> Result<Upload> {
        let to = (self.address.clone(), epoch);
        let mut journal = Journal::open(store.disk(), store.root(), name, to);
        let there = journal.there(self).await?;
        let upload = Upload::new(epoch, attempt, objects, there);
        upload.run(self, store, Some(journal), progress).await?;
        Ok(upload)
    }

    /// The root that a push begins with; refuses a prefix that something else uses.
    pub(super) async fn first_root(&self) -> Result<Option<Read>> {
        let read = self.read_root().await?;
        if read.is_none() {
            self.check_unused().await?;
        }
        Ok(read)
    }

    /// Uploads the log of its own part alone.
    pub(super) async fn send_own_log(
        &self,
        cache: &LogCache<'_>,
        own: &mut Sent,
    ) -> Result<LogEntry> {
        Ok(self.send_log(cache, None, own, false, &super::Silent).await?.entry)
    }

    /// Uploads the log, with some of those before it in it.
    pub(super) async fn send_log(
        &self,
        cache: &LogCache<'_>,
        root: Option<&Root>,
        own: &mut Sent,
        fold: bool,
        progress: &dyn Progress,
    ) -> Result<Folded> {
        let log = root.map_or(&[][..], |root| &root.log);
        let take = if fold { Self::folds(cache, log, own.part.len() as u64) } else { 0 };
        let folded = &log[log.len() - take..];
        let read = self.read_logs(cache, folded, progress).await?;
        // One that went meanwhile: the root has moved, so this try will not be in.
        let whole = read.iter().all(Option::is_some);
        let folded = if whole { folded } else { &[] };
        let mut bytes: Vec<u8> = Vec::new();
        if whole {
            read.iter().flatten().for_each(|log| bytes.extend_from_slice(log));
        }
        bytes.extend_from_slice(&own.part);
        let entry = LogEntry {
            key: Key::log(own.epoch, &own.attempt, own.logs),
            digest: Digest::of(&bytes),
            bytes: bytes.len() as u64,
            pushes: folded.iter().fold(1, |sum, entry| sum.saturating_add(entry.pushes)),
        };
        own.logs += 1;
        self.put(&entry.key, Bytes::from(bytes.clone())).await?;
        cache.put(&entry.digest, &bytes);
        Ok(Folded { entry, take: folded.len() })
    }

    /// Notes where the remote's branches are. The push is done: what fails here is fetched later.
    fn record(&self, store: &Store, request: &PushRequest, moves: &[PushedRef]) {
        for moved in moves {
            let Some(branch) = moved.name.strip_prefix("refs/heads/") else { continue };
            let name = format!("refs/remotes/{}/{branch}", request.remote);
            let new = moved.new.as_deref();
            let new = new.and_then(|new| ObjectId::from_hex(new.as_bytes()).ok());
            let _ = store.track(&name, new, &request.who, "push");
        }
    }
}

impl Sent {
    /// A part whose files are uploaded.
    pub(super) fn new(epoch: u64, attempt: Attempt, part: Vec<u8>) -> Self {
        let tips = BTreeSet::new();
        Self { epoch, attempt, part, tips, logs: 0, report: PushReport::default() }
    }

    fn has(&self, moves: &[PushedRef]) -> bool {
        moves.iter().filter_map(|moved| moved.new.as_ref()).all(|new| self.tips.contains(new))
    }
}

/// A log of its own part and of the last logs of the root.
pub(super) struct Folded {
    entry: LogEntry,
    take: usize,
}

/// Refuses a remote that is of another store.
pub(super) fn check_store(store: &Store, root: &Root) -> Result<()> {
    let ours = &store.facts().store_id;
    if root.store_id == *ours {
        return Ok(());
    }
    Err(Error::OtherStore { ours: ours.clone(), theirs: root.store_id.clone() })
}

pub(super) fn next_root(
    store: &Store,
    root: Option<&Root>,
    request: &PushRequest,
    moves: &[PushedRef],
    own: &Sent,
    folded: Folded,
) -> Root {
    let first = request.branches.first().map_or("main", RefName::as_str);
    let mut new = root.cloned().unwrap_or_else(|| Root {
        format: REMOTE_FORMAT,
        needs: Vec::new(),
        store_id: store.facts().store_id.clone(),
        epoch: 0,
        attempt: own.attempt.clone(),
        recent: Vec::new(),
        head: first.to_owned(),
        refs: BTreeMap::new(),
        log: Vec::new(),
        people: None,
    });
    // The root's own name, too: with it a root says whose it is.
    new.attempt = own.attempt.clone();
    new.recent.push(own.attempt.clone());
    new.recent.drain(..new.recent.len().saturating_sub(RECENT_MAX));
    for moved in moves {
        let (by, at) = (request.who.name.clone(), request.who.seconds);
        match &moved.new {
            Some(id) => {
                new.refs.insert(moved.name.clone(), RemoteRef { id: id.clone(), by, at });
            }
            None => drop(new.refs.remove(&moved.name)),
        }
    }
    new.log.truncate(new.log.len() - folded.take);
    new.log.push(folded.entry);
    new
}
