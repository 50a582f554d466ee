//! Uploading objects: small ones together in files, large ones in parts.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Read;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::journal::Journal;
use super::layout::{Attempt, Key};
use super::limits::{FILE_BYTES_MAX, PARALLEL};
use super::log::{FileRef, PartHead, Placed};
use super::{Progress, Remote};
use crate::error::IoContext;
use crate::id::Digest;
use crate::store::Store;

/// A file of one object or of several, one after the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct File {
    pub(super) key: Key,
    pub(super) bytes: u64,
    pub(super) objects: Vec<(Digest, u64)>,
}

/// What a push uploads below its attempt.
#[derive(Debug)]
pub(super) struct Upload {
    files: Vec<File>,
    /// How many of them, from the first, are there already.
    there: usize,
}

impl Upload {
    /// Puts objects into files: those of at most a file's bytes together, in their order. Objects
    /// of files that are there already need none.
    pub(super) fn new(
        epoch: u64,
        attempt: &Attempt,
        objects: &[(Digest, u64)],
        mut files: Vec<File>,
    ) -> Self {
        let needed: HashSet<Digest> = objects.iter().map(|object| object.0).collect();
        files.retain(|file| file.objects.iter().any(|object| needed.contains(&object.0)));
        let there = files.len();
        let held: HashSet<Digest> =
            files.iter().flat_map(|file| &file.objects).map(|object| object.0).collect();
        let mut open: Option<usize> = None;
        for (object, bytes) in objects.iter().filter(|object| !held.contains(&object.0)) {
            if *bytes >= FILE_BYTES_MAX {
                let key = Key::object(epoch, attempt, object);
                files.push(File { key, bytes: *bytes, objects: vec![(*object, *bytes)] });
                continue;
            }
            let at = match open.filter(|at| files[*at].bytes + bytes <= FILE_BYTES_MAX) {
                Some(at) => at,
                None => {
                    let key = Key::rows(epoch, attempt, files.len());
                    files.push(File { key, bytes: 0, objects: Vec::new() });
                    files.len() - 1
                }
            };
            files[at].bytes += bytes;
            files[at].objects.push((*object, *bytes));
            open = Some(at);
        }
        Self { files, there }
    }

    /// Where everything will be.
    pub(super) fn head(&self) -> PartHead {
        let mut head = PartHead::default();
        for (file, of) in self.files.iter().enumerate() {
            let mut offset = 0;
            for (object, bytes) in &of.objects {
                head.objects.push(Placed { object: *object, file, offset, bytes: *bytes });
                offset += bytes;
            }
            head.files.push(FileRef { key: of.key.clone(), bytes: of.bytes });
        }
        head
    }

    /// Uploads what is not there, and notes each file. What is read is checked: damage must not
    /// spread.
    pub(super) async fn run(
        &self,
        remote: &Remote,
        store: &Store,
        journal: Option<Journal<'_>>,
        progress: &dyn Progress,
    ) -> Result<()> {
        // A single file is there, or is not.
        let journal = RefCell::new(journal.filter(|_| self.files.len() > 1));
        let whole = |file: &File| {
            if let Some(journal) = &mut *journal.borrow_mut() {
                journal.note(file);
            }
        };
        let (there, missing) = self.files.split_at(self.there);
        there.iter().for_each(whole);
        progress.begin("rows", missing.iter().map(|file| file.bytes).sum());
        let (large, small): (Vec<&File>, Vec<&File>) =
            missing.iter().partition(|file| file.bytes > FILE_BYTES_MAX);
        let puts = small.into_iter().map(|file| async move {
            let mut bytes = Vec::with_capacity(file.bytes as usize);
            for (object, len) in &file.objects {
                let read = store.objects().read(object)?;
                if read.len() as u64 != *len {
                    let what = "its length changed while it was read";
                    return Err(Error::from(crate::Error::damaged(object, what)));
                }
                bytes.extend_from_slice(&read);
            }
            remote.put(&file.key, Bytes::from(bytes)).await?;
            progress.advance(file.bytes);
            Ok::<_, Error>(file)
        });
        let mut puts = stream::iter(puts).buffer_unordered(PARALLEL);
        while let Some(file) = puts.try_next().await? {
            whole(file);
        }
        for file in large {
            self.in_parts(remote, store, file, progress).await?;
            whole(file);
        }
        Ok(())
    }

    async fn in_parts(
        &self,
        remote: &Remote,
        store: &Store,
        file: &File,
        progress: &dyn Progress,
    ) -> Result<()> {
        let digest = file.objects[0].0;
        let key = file.key.to_string();
        let failed = |e| Error::request("write", &key, e);
        remote.count();
        let mut upload = remote.store.put_multipart(&remote.path(&key)).await.map_err(failed)?;
        let sent = async {
            let mut source = store.objects().open(&digest)?;
            let mut hasher = blake3::Hasher::new();
            let mut left = file.bytes;
            let mut parts = Vec::new();
            while left > 0 {
                let mut part = vec![0; left.min(FILE_BYTES_MAX) as usize];
                source.read_exact(&mut part).at("read", store.objects().path(&digest))?;
                hasher.update(&part);
                left -= part.len() as u64;
                let len = part.len() as u64;
                remote.count();
                let sending = upload.put_part(PutPayload::from(part));
                parts.push(async move { sending.await.map(|()| len) });
                if parts.len() == PARALLEL || left == 0 {
                    let all = stream::iter(parts.drain(..)).buffer_unordered(PARALLEL);
                    let done: Vec<u64> = all.try_collect().await.map_err(failed)?;
                    done.into_iter().for_each(|bytes| progress.advance(bytes));
                }
            }
            if Digest::from(hasher.finalize()) != digest {
                let what = "its bytes do not hash to its name";
                return Err(Error::from(crate::Error::damaged(digest, what)));
            }
            Ok(())
        }
        .await;
        match sent {
            Ok(()) => {
                remote.count();
                upload.complete().await.map(drop).map_err(failed)
            }
            Err(error) => {
                // Best effort: what is left of it is named by nothing.
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }
}
