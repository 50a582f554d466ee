//! Checks everything that a remote has, and uploads again what is damaged or missing.

use std::collections::HashSet;
use std::ops::Range;

use gix::ObjectId;
use serde::Serialize;

use super::download::{Part, Places, parts};
use super::error::{Error, Result};
use super::layout::{Attempt, LogEntry, PeopleEntry, Root};
use super::limits::{FILE_BYTES_MAX, PARALLEL, SWAP_TRIES};
use super::log::{decode, encode_part};
use super::logs::LogCache;
use super::push::{Sent, check_store};
use super::quarantine::Quarantine;
use super::swap::Swap;
use super::upload::Upload;
use super::{Progress, Remote, block_on};
use crate::id::{CommitId, Digest};
use crate::notes::travels;
use crate::store::Store;
use futures_util::{StreamExt, stream};

/// Something that is wrong with a remote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoteFinding {
    /// A key, a digest or a git id.
    pub object: String,
    /// What is wrong with it.
    pub detail: String,
}

/// What a check of a remote found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RemoteReport {
    /// Whether nothing is wrong, or nothing any more.
    pub ok: bool,
    /// Objects that were hashed, those of git included.
    pub objects: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What was found.
    pub findings: Vec<RemoteFinding>,
    /// Objects that were uploaded again.
    pub repaired: u64,
}

/// What of a remote is whole.
#[derive(Default)]
struct Whole {
    logs: Vec<LogEntry>,
    git: HashSet<ObjectId>,
    objects: HashSet<Digest>,
    people: Option<PeopleEntry>,
    /// Objects that a log places where other bytes are, or none.
    bad: Vec<Digest>,
    /// Whether a log could not be read, so that nobody knows what it placed.
    lost_log: bool,
    report: RemoteReport,
}

impl Whole {
    fn find(&mut self, object: impl ToString, detail: impl ToString) {
        let (object, detail) = (object.to_string(), detail.to_string());
        self.report.findings.push(RemoteFinding { object, detail });
    }
}

impl Remote {
    /// Reads everything that the remote has, and checks it; with `repair`, uploads from the store
    /// what is damaged or missing.
    ///
    /// # Errors
    /// What requests say; and [`Error::Damaged`] where the store has not got what is to be mended.
    pub fn audit(
        &self,
        store: &Store,
        repair: bool,
        progress: &dyn Progress,
    ) -> Result<RemoteReport> {
        let _writing = store.writing()?;
        block_on(self.audit_async(store, repair, progress))
    }

    async fn audit_async(
        &self,
        store: &Store,
        repair: bool,
        progress: &dyn Progress,
    ) -> Result<RemoteReport> {
        // Of logs that were put back: what was found, and how many they were.
        let (mut found, mut put_back) = (Vec::new(), 0);
        for _ in 0..SWAP_TRIES {
            let Some(read) = self.read_root().await? else {
                return Err(Error::Empty(self.address.clone()));
            };
            check_store(store, &read.root)?;
            let mut whole = self.look(store, &read.root, progress).await?;
            whole.report.ok = whole.report.findings.is_empty();
            if whole.report.ok && put_back > 0 {
                return Ok(RemoteReport { findings: found, repaired: put_back, ..whole.report });
            }
            if whole.report.ok || !repair {
                return Ok(whole.report);
            }
            let logs = if whole.lost_log { self.mend_logs(store, &read.root).await? } else { 0 };
            if logs > 0 {
                (found, put_back) = (whole.report.findings, put_back + logs);
                continue;
            }
            let (new, mended) = self.mend(store, &read.root, &whole, progress).await?;
            if let Swap::Done = self.swap_root(Some(&read), &new).await? {
                let repaired = put_back + mended;
                return Ok(RemoteReport { ok: true, repaired, ..whole.report });
            }
        }
        Err(Error::Busy(SWAP_TRIES))
    }

    async fn look(&self, store: &Store, root: &Root, progress: &dyn Progress) -> Result<Whole> {
        let (mut whole, mut places) = (Whole::default(), Places::default());
        let mut alone = Quarantine::alone(store)?;
        progress.begin("history", root.log.iter().map(|entry| entry.bytes).sum());
        for entry in &root.log {
            let mut heads = Vec::new();
            let mut ids = Vec::new();
            let taken = match self.read_log_there(entry).await {
                Ok(bytes) => decode(
                    &entry.key.to_string(),
                    &bytes,
                    &mut |head| {
                        heads.push(head);
                        Ok(())
                    },
                    &mut |object| {
                        ids.push(object.id);
                        alone.take(object)
                    },
                ),
                Err(error) => Err(error),
            };
            progress.advance(entry.bytes);
            match taken {
                Ok(_) => {
                    heads.into_iter().for_each(|head| places.add(head));
                    whole.git.extend(ids);
                    whole.logs.push(entry.clone());
                    whole.report.bytes += entry.bytes;
                }
                Err(Error::Damaged { object, what }) => {
                    whole.lost_log = true;
                    whole.find(object, what);
                }
                Err(error) => return Err(error),
            }
        }
        whole.report.objects = whole.git.len() as u64;
        if let Some(people) = &root.people {
            match self.read_people(people).await {
                Ok(Some(_)) => whole.people = Some(people.clone()),
                Ok(None) => whole.find(&people.key, "it is missing"),
                Err(Error::Damaged { object, what }) => whole.find(object, what),
                Err(error) => return Err(error),
            }
        }
        let mut roots = Vec::new();
        for (name, found) in &root.refs {
            let id = ObjectId::from_hex(found.id.as_bytes());
            roots.push((name.clone(), id.map_err(|e| Error::damaged(name, e))?));
        }
        let redactions = alone.redactions(&roots)?;
        for key in places.without(|object| redactions.is_void(object)) {
            if self.range(&key.to_string(), 0..1).await?.is_some() {
                let what = "rows in it were erased, and it is still there: run `gloss gc --remote`";
                whole.find(&key, what);
            }
        }
        self.look_at_rows(&places, &mut whole, progress).await?;
        let held = |object: &Digest| whole.objects.contains(object);
        whole.bad = places.objects().into_iter().filter(|object| !held(object)).collect();
        let (named, findings) = alone.look(&roots)?;
        for (object, detail) in findings {
            whole.find(object, detail);
        }
        for (object, by) in named.objects(&redactions) {
            if places.get(&object).is_none() {
                let by = by.first().map_or("a commit", String::as_str);
                whole.find(object, format!("it is in no log, and {by} names it"));
            }
        }
        Ok(whole)
    }

    /// Reads a log from where it is, not from the cache.
    async fn read_log_there(&self, entry: &LogEntry) -> Result<bytes::Bytes> {
        let key = entry.key.to_string();
        let Some((bytes, _)) = self.get(&key, entry.bytes).await? else {
            return Err(Error::damaged(key, "it is missing"));
        };
        if Digest::of(&bytes) != entry.digest {
            return Err(Error::damaged(key, "its bytes do not hash to what the root says"));
        }
        Ok(bytes)
    }

    /// Hashes every object at its place.
    async fn look_at_rows(
        &self,
        places: &Places,
        whole: &mut Whole,
        progress: &dyn Progress,
    ) -> Result<()> {
        let all: Vec<Part> = parts(places, &places.objects());
        progress.begin("rows", all.iter().map(Part::bytes).sum());
        let checks = all.iter().map(|part| async move { (part, self.hashes(part).await) });
        let mut checks = stream::iter(checks).buffer_unordered(PARALLEL);
        while let Some((part, hashes)) = checks.next().await {
            progress.advance(part.bytes());
            whole.report.objects += part.objects.len() as u64;
            match hashes {
                Ok(hashes) => {
                    whole.report.bytes += part.bytes();
                    for ((object, _), hash) in part.objects.iter().zip(hashes) {
                        if hash == *object {
                            whole.objects.insert(*object);
                        } else {
                            let what = format!("its bytes in {} do not hash to its name", part.key);
                            whole.find(object, what);
                        }
                    }
                }
                Err(Error::Damaged { object, what }) => whole.find(object, what),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The digests of the objects of a part, as they are there.
    async fn hashes(&self, part: &Part) -> Result<Vec<Digest>> {
        let key = part.key.to_string();
        let missing = || Error::damaged(&key, "it is missing");
        if part.bytes() <= FILE_BYTES_MAX {
            let bytes = self.range(&key, part.range.clone()).await?.ok_or_else(missing)?;
            let inner = |range: &Range<u64>| {
                (range.start - part.range.start) as usize..(range.end - part.range.start) as usize
            };
            return Ok(part.objects.iter().map(|(_, r)| Digest::of(&bytes[inner(r)])).collect());
        }
        let mut hasher = blake3::Hasher::new();
        for start in part.range.clone().step_by(FILE_BYTES_MAX as usize) {
            let range = start..part.range.end.min(start + FILE_BYTES_MAX);
            hasher.update(&self.range(&key, range).await?.ok_or_else(missing)?);
        }
        Ok(vec![Digest::from(hasher.finalize())])
    }

    /// Puts logs back that are kept here, byte for byte. Gives how many.
    async fn mend_logs(&self, store: &Store, root: &Root) -> Result<u64> {
        let (cache, mut mended) = (LogCache::new(store), 0);
        for entry in &root.log {
            if self.read_log_there(entry).await.is_ok() {
                continue;
            }
            if let Some(log) = cache.get(entry) {
                self.put(&entry.key, log).await?;
                mended += 1;
            }
        }
        Ok(mended)
    }

    /// Uploads what is not whole, and gives the root that names it.
    async fn mend(
        &self,
        store: &Store,
        root: &Root,
        whole: &Whole,
        progress: &dyn Progress,
    ) -> Result<(Root, u64)> {
        let (mut tips, mut notes) = (Vec::new(), Vec::new());
        for (name, found) in &root.refs {
            let id = ObjectId::from_hex(found.id.as_bytes());
            let id = id.map_err(|e| Error::damaged(name, e))?;
            if !store.history.has(&id) {
                let what = "it is not in this store, which so cannot mend the remote";
                return Err(Error::damaged(name, what));
            }
            if travels(name) { notes.push(id) } else { tips.push(id) }
        }
        let needed = store.history.lacking(&tips, &[])?;
        let noted = store.history.lacking(&notes, &[])?.objects;
        let git = needed.objects.into_iter().chain(noted);
        let git: Vec<ObjectId> = git.filter(|id| !whole.git.contains(id)).collect();
        let mut seen = whole.objects.clone();
        let mut objects = Vec::new();
        for commit in needed.commits {
            for object in store.objects_of(commit)? {
                if seen.insert(object) {
                    objects.push((object, store.objects().len(&object)?));
                }
            }
        }
        // Rows may be held that no ref reaches: those that were pushed alone.
        let mut held = whole.bad.clone();
        if whole.lost_log {
            for commit in store.history.known_commits()? {
                held.extend(store.objects_of(CommitId(commit))?);
            }
        }
        for object in held.into_iter().filter(|object| seen.insert(*object)) {
            if !store.objects().contains(&object) {
                let what = "it is not in this store, which so cannot mend the remote";
                return Err(Error::damaged(object, what));
            }
            objects.push((object, store.objects().len(&object)?));
        }
        let attempt = Attempt::random()?;
        let upload = Upload::new(root.epoch, &attempt, &objects, Vec::new());
        upload.run(self, store, None, progress).await?;
        let part = encode_part(&upload.head(), git.iter().map(|id| store.history.object(*id)))?;
        let mut own = Sent::new(root.epoch, attempt.clone(), part);
        let entry = self.send_own_log(&LogCache::new(store), &mut own).await?;
        let mut new = root.clone();
        new.attempt = attempt;
        new.log = whole.logs.clone();
        new.log.push(entry);
        // Where they are damaged the next push of somebody who has them brings them.
        new.people = whole.people.clone();
        Ok((new, (objects.len() + git.len()) as u64))
    }
}
