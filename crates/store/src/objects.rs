//! Content-addressed objects: immutable files named by the BLAKE3 of their bytes.
//!
//! # Guarantees
//! - An object has its name only when its bytes are whole and durable.
//! - [`Objects::read`] gives bytes that hash to the name, or [`Error::Damaged`].

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::{Error, IoContext, Result};
use crate::fs::{Disk, TempFile};
use crate::id::Digest;
use crate::redaction::{Redactions, Replacement};

/// Who has the objects that are not here, where a clone left some behind.
pub(crate) trait Lender: fmt::Debug + Send + Sync {
    /// Stores the object.
    ///
    /// # Errors
    /// [`Error::NotLent`] where it cannot be had now.
    fn lend(&self, objects: &Objects, wanted: &Digest) -> Result<()>;
}

/// The directory `.gloss/objects`.
#[derive(Debug, Clone)]
pub struct Objects {
    pub(crate) disk: Disk,
    root: PathBuf,
    lender: Option<Arc<dyn Lender>>,
    /// Shared by all copies: what was redacted since is known to each.
    redactions: Arc<RwLock<Arc<Redactions>>>,
}

impl Objects {
    /// Uses a directory, made when first written to.
    pub fn new(disk: Disk, root: PathBuf) -> Self {
        Self { disk, root, lender: None, redactions: Arc::default() }
    }

    /// Asks for what is not here from now on.
    pub(crate) fn lent_by(mut self, lender: Option<Arc<dyn Lender>>) -> Self {
        self.lender = lender;
        self
    }

    /// Reads what stands for objects with erased rows from now on.
    pub(crate) fn redact(&self, redactions: Redactions) {
        let mut known = self.redactions.write().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::new(redactions);
    }

    /// Which objects stand for which.
    pub(crate) fn redactions(&self) -> Arc<Redactions> {
        self.redactions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What stands for an object; `None` where it stands for itself.
    pub(crate) fn redacted(&self, digest: &Digest) -> Option<Replacement> {
        self.redactions().of(digest).cloned()
    }

    /// The object that is stored: the one that is named, or what stands for it.
    pub(crate) fn stored(&self, digest: &Digest) -> Digest {
        self.redacted(digest).map_or(*digest, |replacement| replacement.new)
    }

    /// The rows of a segment that were erased, rising.
    ///
    /// # Errors
    /// Where the object that says so is missing or damaged.
    pub(crate) fn erased_rows(&self, segment: &Digest) -> Result<Arc<Vec<u32>>> {
        self.redactions().rows(self, segment)
    }

    /// Whether objects that are named may be elsewhere.
    pub(crate) fn may_be_elsewhere(&self) -> bool {
        self.lender.is_some()
    }

    /// Reads a file of an object; where there is none, once it was lent.
    fn here_or_lent<T>(&self, digest: &Digest, read: impl Fn(&Path) -> Result<T>) -> Result<T> {
        let (digest, path) = (&self.stored(digest), self.path(digest));
        let absent = |error: &Error| match error {
            Error::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        };
        match (read(&path), &self.lender) {
            (Err(error), Some(lender)) if absent(&error) => {
                lender.lend(self, digest)?;
                read(&path)
            }
            (Err(error), None) if absent(&error) => Err(Error::damaged(digest, "it is missing")),
            (done, _) => done,
        }
    }

    /// The place of an object, or of what stands for it: `objects/<2 hex>/<64 hex>`.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.place(&self.stored(digest))
    }

    /// The place of the bytes that have this digest.
    pub(crate) fn place(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join(&name[..2]).join(name)
    }

    /// Whether the object has a file.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Stores bytes.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).at("write", &self.root)?;
        Ok(writer.finish()?.0)
    }

    /// Starts an object whose bytes come as a stream.
    pub fn writer(&self) -> Result<ObjectWriter> {
        let temp = self.disk.temp(&self.root)?;
        let hasher = blake3::Hasher::new();
        Ok(ObjectWriter { objects: self.clone(), temp, hasher, len: 0 })
    }

    /// The length of an object's file.
    pub(crate) fn len(&self, digest: &Digest) -> Result<u64> {
        let file = self.open(digest)?;
        Ok(file.metadata().at("read", self.path(digest))?.len())
    }

    /// Starts to store many objects, whose names are made durable together.
    pub(crate) fn batch(&self) -> ObjectBatch {
        ObjectBatch { objects: self.clone(), waiting: Vec::new(), dirs: BTreeSet::new() }
    }

    /// Opens an object without checking it.
    pub fn open(&self, digest: &Digest) -> Result<File> {
        self.here_or_lent(digest, |path| self.disk.open(path))
    }

    /// Reads a whole object and checks it against its name.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let bytes = self.here_or_lent(digest, |path| self.disk.read(path))?;
        if Digest::of(&bytes) != self.stored(digest) {
            return Err(Error::damaged(digest, "its bytes do not hash to its name"));
        }
        Ok(bytes)
    }

    /// Hashes a whole object as a stream; `Ok` gives its length.
    pub fn check(&self, digest: &Digest) -> Result<u64> {
        let mut hasher = blake3::Hasher::new();
        let mut file = self.open(digest)?;
        let len = io::copy(&mut file, &mut hasher).at("read", self.path(digest))?;
        if Digest::from(hasher.finalize()) != self.stored(digest) {
            return Err(Error::damaged(digest, "its bytes do not hash to its name"));
        }
        Ok(len)
    }

    /// Makes the names of all objects durable: of those too that a dead process gave.
    pub(crate) fn sync_names(&self) -> Result<()> {
        let shards = self.disk.list(&self.root)?.into_iter().filter(|shard| shard.is_dir);
        let shards: Vec<PathBuf> = shards.map(|shard| self.root.join(shard.name)).collect();
        self.disk.sync_dirs(shards.iter().map(PathBuf::as_path))
    }

    /// Lists what is in the directory: objects with their length, and files that are none.
    pub fn list(&self) -> Result<Listing> {
        let (mut objects, mut strangers): Listing = Default::default();
        for shard in self.disk.list(&self.root)? {
            let dir = self.root.join(&shard.name);
            if !shard.is_dir {
                strangers.push(dir);
                continue;
            }
            for entry in self.disk.list(&dir)? {
                match entry.name.parse::<Digest>() {
                    Ok(digest) if entry.name[..2] == shard.name && !entry.is_dir => {
                        objects.push((digest, entry.len));
                    }
                    _ => strangers.push(dir.join(entry.name)),
                }
            }
        }
        Ok((objects, strangers))
    }

    /// Removes an object: this one, whatever stands for it.
    pub fn remove(&self, digest: &Digest) -> Result<()> {
        self.disk.remove_file(&self.place(digest))
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// Objects with their lengths, and files that are none.
pub type Listing = (Vec<(Digest, u64)>, Vec<PathBuf>);

/// Objects that nothing names before they are all durable.
#[derive(Debug)]
#[must_use]
pub(crate) struct ObjectBatch {
    objects: Objects,
    /// Written, and neither synced nor named.
    waiting: Vec<(TempFile, PathBuf)>,
    dirs: BTreeSet<PathBuf>,
}

/// Files of a batch that are open at a time.
const WAITING_MAX: usize = 64;

impl ObjectBatch {
    /// Stores an object whose digest the caller has checked; it is there when the batch is
    /// finished.
    pub(crate) fn put(&mut self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let path = self.objects.place(digest);
        let mut temp = self.objects.disk.temp(&self.objects.root)?;
        temp.write_all(bytes).at("write", &path)?;
        self.dirs.extend(path.parent().map(Path::to_owned));
        self.waiting.push((temp, path));
        if self.waiting.len() < WAITING_MAX {
            return Ok(());
        }
        self.objects.disk.persist_all_unsynced(std::mem::take(&mut self.waiting))
    }

    /// Names all, and makes them durable.
    pub(crate) fn finish(self) -> Result<()> {
        self.objects.disk.persist_all_unsynced(self.waiting)?;
        self.objects.disk.sync_dirs(self.dirs.iter().map(PathBuf::as_path))
    }
}

/// An object that is being written; forgotten when dropped.
#[derive(Debug)]
#[must_use]
pub struct ObjectWriter {
    objects: Objects,
    temp: TempFile,
    hasher: blake3::Hasher,
    len: u64,
}

impl ObjectWriter {
    /// Gives the object its name and makes it durable. Returns its digest and length.
    pub fn finish(self) -> Result<(Digest, u64)> {
        let digest = Digest::from(self.hasher.finalize());
        // An equal object may be there already. It is replaced all the same: the bytes are equal,
        // and a file whose name was never synced becomes durable.
        self.temp.persist(&self.objects.place(&digest))?;
        Ok((digest, self.len))
    }
}

impl ObjectWriter {
    /// Gives the object its name if that is `expected`; forgets it otherwise.
    pub(crate) fn finish_as(self, expected: &Digest) -> Result<bool> {
        let is_it = Digest::from(self.hasher.finalize()) == *expected;
        if is_it {
            self.finish()?;
        }
        Ok(is_it)
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.temp.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.flush()
    }
}
