//! Removes from a remote what its root does not reach: what pushes that did not end left, and logs
//! that were put together.
//!
//! Safe beside pushes without a lock or a clock: the epoch is counted up first, and only keys of
//! earlier epochs go.

use std::collections::HashSet;

use serde::Serialize;

use super::download::Places;
use super::error::{Error, Result};
use super::layout::{Attempt, Key, Root};
use super::limits::SWAP_TRIES;
use super::log::decode;
use super::logs::LogCache;
use super::push::check_store;
use super::swap::Swap;
use super::{Progress, Remote, block_on};
use crate::id::CommitId;
use crate::redaction::REDACTIONS_REF;
use crate::store::Store;

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Keys that the root does not reach.
    pub keys: Vec<String>,
    /// Whether they are gone.
    pub removed: bool,
}

/// Keys that one list gives at most.
const KEYS_MAX: usize = 10_000_000;

impl Remote {
    /// Removes every key of a push that the root does not reach.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a log cannot be read: nothing is removed then.
    pub fn collect(
        &self,
        store: &Store,
        dry_run: bool,
        progress: &dyn Progress,
    ) -> Result<Collected> {
        block_on(self.collect_async(store, dry_run, progress))
    }

    pub(super) async fn collect_async(
        &self,
        store: &Store,
        dry_run: bool,
        progress: &dyn Progress,
    ) -> Result<Collected> {
        for _ in 0..SWAP_TRIES {
            let Some(read) = self.read_root().await? else {
                return Err(Error::Empty(self.address.clone()));
            };
            check_store(store, &read.root)?;
            let reached = self.reached(store, &read.root, progress).await?;
            let mut root = read.root.clone();
            if !dry_run {
                root.attempt = Attempt::random()?;
                root.epoch += 1;
                if let Swap::Moved(_) = self.swap_root(Some(&read), &root).await? {
                    continue;
                }
            }
            let next = if dry_run { root.epoch + 1 } else { root.epoch };
            let mut found = Collected { keys: Vec::new(), removed: !dry_run };
            for text in self.list(KEYS_MAX).await? {
                // Whatever is not of a push is not ours to remove.
                let Ok(key) = text.parse::<Key>() else { continue };
                if key.epoch < next && !reached.contains(&key) {
                    if !dry_run {
                        self.remove(&text).await?;
                    }
                    found.keys.push(text);
                }
            }
            return Ok(found);
        }
        Err(Error::Busy(SWAP_TRIES))
    }

    async fn reached(
        &self,
        store: &Store,
        root: &Root,
        progress: &dyn Progress,
    ) -> Result<HashSet<Key>> {
        let mut reached: HashSet<Key> =
            root.people.iter().map(|people| people.key.clone()).collect();
        let logs = self.read_logs(&LogCache::new(store), &root.log, progress).await?;
        let (mut places, mut files) = (Places::default(), HashSet::new());
        for (entry, log) in root.log.iter().zip(logs) {
            let Some(log) = log else { return Err(Error::damaged(&entry.key, "it is missing")) };
            reached.insert(entry.key.clone());
            let mut head = |head: super::log::PartHead| {
                files.extend(head.files.iter().map(|file| file.key.clone()));
                places.add(head);
                Ok(())
            };
            decode(&entry.key.to_string(), &log, &mut head, &mut |_| Ok(()))?;
        }
        // Where everything that was erased there is known here, files that hold nothing else go.
        let theirs = root.refs.get(REDACTIONS_REF);
        let known = theirs.and_then(|found| gix::ObjectId::from_hex(found.id.as_bytes()).ok());
        if known.is_some_and(|tip| store.has_notes(REDACTIONS_REF, CommitId(tip))) {
            let redactions = store.objects().redactions();
            drop(places.without(|object| redactions.is_void(object)));
            files = places.files();
        }
        reached.extend(files);
        Ok(reached)
    }
}
