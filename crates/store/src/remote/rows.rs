//! Rows without their history, for teams that keep that on a git host.

use std::collections::BTreeSet;

use super::config::RemoteConfig;
use super::download::Places;
use super::error::{Error, Result};
use super::journal::Journal;
use super::layout::{Attempt, Root};
use super::limits::SWAP_TRIES;
use super::log::{decode, encode_part};
use super::logs::LogCache;
use super::push::{PushReport, PushRequest, Sent, check_store, next_root};
use super::swap::Swap;
use super::{Progress, Remote, block_on};
use crate::id::Digest;
use crate::store::Store;

/// How often a file is looked for anew that went elsewhere.
const TRIES: u32 = 16;

impl Remote {
    /// Uploads the rows of everything that the branches reach and that no log names, and moves no
    /// ref.
    ///
    /// # Errors
    /// As [`Remote::push`], but none is refused.
    pub fn push_rows(
        &self,
        store: &Store,
        request: &PushRequest,
        progress: &dyn Progress,
    ) -> Result<PushReport> {
        if !store.erasures().is_empty() {
            let what = "rows were erased here, of which a push of rows alone does not tell: push \
                        branches as well";
            return Err(crate::Error::Stage(what.to_owned()).into());
        }
        let _writing = store.writing()?;
        block_on(self.push_rows_async(store, request, progress))
    }

    async fn push_rows_async(
        &self,
        store: &Store,
        request: &PushRequest,
        progress: &dyn Progress,
    ) -> Result<PushReport> {
        let mut read = self.first_root().await?;
        let cache = LogCache::new(store);
        for _ in 0..SWAP_TRIES {
            let root = read.as_ref().map(|read| &read.root);
            let mut places = Places::default();
            if let Some(root) = root {
                check_store(store, root)?;
                let Some(found) = self.places(&cache, root, progress).await? else {
                    // A log went. Where the root has not moved that is no race.
                    let now = self.read_root().await?;
                    if now.as_ref().is_some_and(|now| now.root.attempt == root.attempt) {
                        let what = "a log that its root names is missing";
                        return Err(Error::damaged(&self.address, what));
                    }
                    read = now;
                    continue;
                };
                places = found;
            }
            let (commits, objects) = lacking(store, request, &places)?;
            if objects.is_empty() || request.dry_run {
                let objects = objects.len();
                return Ok(PushReport { commits, objects, ..Default::default() });
            }
            let (epoch, attempt) = (root.map_or(0, |root| root.epoch), Attempt::random()?);
            let by = (epoch, &attempt);
            let upload = self.send_rows(store, &request.remote, by, &objects, progress).await?;
            let part = encode_part(&upload.head(), std::iter::empty())?;
            let bytes = objects.iter().map(|object| object.1).sum::<u64>() + part.len() as u64;
            let mut own = Sent::new(epoch, attempt, part);
            let entry = self.send_log(&cache, root, &mut own, true, progress).await?;
            let new = next_root(store, root, request, &[], &own, entry);
            match self.swap_root(read.as_ref(), &new).await? {
                Swap::Done => {
                    cache.keep_only(&new);
                    Journal::end(store.disk(), store.root(), &request.remote);
                    let objects = objects.len();
                    return Ok(PushReport { commits, objects, bytes, ..Default::default() });
                }
                Swap::Moved(found) => read = found.map(|found| *found),
            }
        }
        Err(Error::Busy(SWAP_TRIES))
    }

    /// Fetches the rows of every commit that is here and whose rows are not. Gives how many objects
    /// came, and their bytes. A clone of the history is a whole one from then on.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the remote has not got an object, or another one in its place.
    pub fn fetch_rows(
        &self,
        store: &Store,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<(usize, u64)> {
        let _writing = store.writing()?;
        let elsewhere = store.objects_elsewhere()?;
        let wanted: Vec<Digest> = elsewhere.keys().copied().collect();
        let cache = LogCache::new(store);
        let places = block_on(async {
            let id = &store.facts().store_id;
            let mut places = self.places_now(&cache, id, progress).await?;
            for _ in 0..TRIES {
                for (object, stated) in &elsewhere {
                    if places.get(object).is_none() {
                        return Err(Error::damaged(object, "it is neither here nor at the remote"));
                    }
                    if stated.is_some_and(|bytes| bytes != places.bytes(object)) {
                        let what = "it has another length there than commits say";
                        return Err(Error::damaged(object, what));
                    }
                }
                if self.download(store.objects(), &places, &wanted, progress).await? {
                    return Ok(places);
                }
                places = self.places_now(&cache, id, progress).await?;
            }
            Err(Error::damaged(&self.address, "a file that its log names is missing"))
        })?;
        // What is here already may be so by a process that died before that was to last.
        store.objects().sync_names()?;
        RemoteConfig::change(store, |config| {
            // With the lock held no fetch adds a commit whose rows stay.
            let whole = store.objects_elsewhere()?.is_empty();
            if let Some(entry) = config.remotes.get_mut(name).filter(|_| whole) {
                entry.rows_stay = false;
            }
            Ok(())
        })?;
        Ok((wanted.len(), wanted.iter().map(|object| places.bytes(object)).sum()))
    }

    /// Where everything is that a remote of a store has, as its root names it now.
    pub(super) async fn places_now(
        &self,
        cache: &LogCache<'_>,
        store_id: &str,
        progress: &dyn Progress,
    ) -> Result<Places> {
        let mut before: Option<Attempt> = None;
        loop {
            let Some(read) = self.read_root().await? else {
                return Err(Error::Empty(self.address.clone()));
            };
            if read.root.store_id != store_id {
                let (ours, theirs) = (store_id.to_owned(), read.root.store_id);
                return Err(Error::OtherStore { ours, theirs });
            }
            if let Some(places) = self.places(cache, &read.root, progress).await? {
                return Ok(places);
            }
            // A log went. Where the root has not moved that is no race.
            if before.as_ref() == Some(&read.root.attempt) {
                let what = "a log that its root names is missing";
                return Err(Error::damaged(&self.address, what));
            }
            before = Some(read.root.attempt);
        }
    }

    /// Where everything is that the logs of a root name; `None` where a log went meanwhile.
    pub(super) async fn places(
        &self,
        cache: &LogCache<'_>,
        root: &Root,
        progress: &dyn Progress,
    ) -> Result<Option<Places>> {
        let mut places = Places::default();
        for (entry, log) in root.log.iter().zip(self.read_logs(cache, &root.log, progress).await?) {
            let Some(log) = log else { return Ok(None) };
            let mut head = |head| {
                places.add(head);
                Ok(())
            };
            decode(&entry.key.to_string(), &log, &mut head, &mut |_| Ok(()))?;
        }
        Ok(Some(places))
    }
}

/// The objects of all that the branches reach that have no place, with their lengths; and of how
/// many commits they are.
fn lacking(
    store: &Store,
    request: &PushRequest,
    places: &Places,
) -> Result<(usize, Vec<(Digest, u64)>)> {
    let mut tips = Vec::new();
    for branch in &request.branches {
        let tip = store.history.ref_target(&format!("refs/heads/{branch}"))?;
        tips.push(tip.ok_or_else(|| crate::Error::NoCommit(branch.to_string()))?);
    }
    let (mut seen, mut objects, mut commits) = (BTreeSet::new(), Vec::new(), 0);
    for commit in store.history.lacking(&tips, &[])?.commits {
        let before = objects.len();
        for object in store.objects_of(commit)? {
            if seen.insert(object) && places.get(&object).is_none() {
                objects.push((object, store.objects().len(&object)?));
            }
        }
        commits += usize::from(objects.len() > before);
    }
    Ok((commits, objects))
}
