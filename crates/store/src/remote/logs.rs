//! Logs as they are read and kept: once read they lie in the cache, named by their digest.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::error::{Error, Result};
use super::layout::{LogEntry, Root};
use super::limits::{FOLD_BYTES_MAX, FOLD_LOGS, FOLD_READS_MAX, LOG_BYTES_MAX, PARALLEL};
use super::{Progress, Remote};
use crate::fs::Disk;
use crate::id::Digest;
use crate::store::Store;

/// The cache of logs that were read or written.
#[derive(Debug)]
pub(super) struct LogCache<'s> {
    disk: &'s Disk,
    dir: PathBuf,
}

impl<'s> LogCache<'s> {
    pub(super) fn new(store: &'s Store) -> Self {
        Self::at(store.disk(), store.root())
    }

    /// That of the store in a directory.
    pub(super) fn at(disk: &'s Disk, root: &Path) -> Self {
        Self { disk, dir: root.join("cache/remote") }
    }

    fn place(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{digest}.log"))
    }

    /// A log, where it is there and whole.
    pub(super) fn get(&self, entry: &LogEntry) -> Option<Bytes> {
        let bytes = self.disk.read_optional(&self.place(&entry.digest)).ok()??;
        (Digest::of(&bytes) == entry.digest).then(|| Bytes::from(bytes))
    }

    /// Keeps a log. Where that fails it is read again.
    pub(super) fn put(&self, digest: &Digest, bytes: &[u8]) {
        let _ = self.disk.write_cache(&self.place(digest), bytes);
    }

    /// Forgets logs that no root names any more.
    pub(super) fn keep_only(&self, root: &Root) {
        let names: Vec<String> =
            root.log.iter().map(|entry| format!("{}.log", entry.digest)).collect();
        for entry in self.disk.list(&self.dir).unwrap_or_default() {
            if entry.name.ends_with(".log") && !names.contains(&entry.name) {
                let _ = self.disk.remove_file(&self.dir.join(&entry.name));
            }
        }
    }
}

impl Remote {
    /// Reads logs, in their order; `None` for one that is not there any more.
    pub(super) async fn read_logs(
        &self,
        cache: &LogCache<'_>,
        entries: &[LogEntry],
        progress: &dyn Progress,
    ) -> Result<Vec<Option<Bytes>>> {
        progress.begin("history", entries.iter().map(|entry| entry.bytes).sum());
        let reads = entries.iter().map(|entry| async move {
            let read = self.read_log(cache, entry).await?;
            progress.advance(entry.bytes);
            Ok(read)
        });
        stream::iter(reads).buffered(PARALLEL).try_collect().await
    }

    async fn read_log(&self, cache: &LogCache<'_>, entry: &LogEntry) -> Result<Option<Bytes>> {
        if let Some(bytes) = cache.get(entry) {
            return Ok(Some(bytes));
        }
        if entry.bytes > LOG_BYTES_MAX {
            return Err(Error::damaged(&entry.key, format!("a log of {} bytes", entry.bytes)));
        }
        let key = entry.key.to_string();
        let Some((bytes, _)) = self.get(&key, entry.bytes).await? else { return Ok(None) };
        if bytes.len() as u64 != entry.bytes || Digest::of(&bytes) != entry.digest {
            return Err(Error::damaged(key, "its bytes do not hash to what the root says"));
        }
        cache.put(&entry.digest, &bytes);
        Ok(Some(bytes))
    }

    /// How many of the last logs a new one of one push and so many bytes takes in.
    ///
    /// A log of a level holds at least so many pushes; where the logs of a level and those below
    /// are enough for one of the next, they become one. So a root names a few logs of each level.
    pub(super) fn folds(cache: &LogCache<'_>, log: &[LogEntry], bytes: u64) -> usize {
        let (mut best, mut level) = (0, FOLD_LOGS);
        let (mut pushes, mut size, mut reads, mut taken) = (1u64, bytes, 0, 0);
        for entry in log.iter().rev() {
            while entry.pushes >= level {
                level = level.saturating_mul(FOLD_LOGS);
            }
            size = size.saturating_add(entry.bytes);
            reads += usize::from(cache.get(entry).is_none());
            if size > FOLD_BYTES_MAX || reads > FOLD_READS_MAX {
                break;
            }
            pushes = pushes.saturating_add(entry.pushes);
            taken += 1;
            if pushes >= level {
                best = taken;
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::layout::{Attempt, Key};

    #[test]
    fn logs_of_a_level_become_one_of_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::init(&Disk::default(), dir.path()).unwrap();
        let cache = LogCache::new(&store);
        let attempt = Attempt::random().unwrap();
        let mut log: Vec<LogEntry> = Vec::new();
        let (mut most, mut written) = (0, 0);
        for push in 0..1_000u32 {
            let digest = Digest::of(b"log");
            cache.put(&digest, b"log");
            let take = Remote::folds(&cache, &log, 3);
            let folded = log.split_off(log.len() - take);
            let pushes = 1 + folded.iter().map(|entry| entry.pushes).sum::<u64>();
            written += pushes;
            log.push(LogEntry { key: Key::log(0, &attempt, push), digest, bytes: 3, pushes });
            most = most.max(log.len());
        }
        assert_eq!(log.iter().map(|entry| entry.pushes).sum::<u64>(), 1_000);
        assert!(most <= 28 && log.len() <= 16, "{most} logs at most, {} in the end", log.len());
        // Each push is written again about once a level.
        assert!(written < 5_000, "{written}");
        // Logs that would have to be read are not many.
        let unread = Digest::of(b"elsewhere");
        log.iter_mut().for_each(|entry| entry.digest = unread);
        assert!(Remote::folds(&cache, &log, 3) <= FOLD_READS_MAX);
    }
}
