//! The only place that touches the disk.
//!
//! [`Fs`] is the trait of primitive calls, so that faults can be injected one call at a time;
//! [`Disk`] composes them into the few operations that the store is made of.
//!
//! # Guarantees
//! - [`Disk::write`] leaves the old file or the new one, never a part, and is durable when it
//!   returns.
//! - [`TempFile::persist`] syncs the file before it gets its name and the directory after.
//!
//! # Limitations
//! - Unix only: directory syncs and positioned reads are Unix calls.

mod real;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use real::RealFs;

use crate::error::{Error, IoContext, Result};

/// A file that is being written.
pub trait Output: Write + Send {
    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length of a file in bytes.
    pub len: u64,
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Lock {
    _file: File,
}

/// The primitive calls on a file system.
pub trait Fs: Send + Sync + fmt::Debug {
    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Opens a file for positioned reads.
    fn open(&self, path: &Path) -> io::Result<File>;
    /// Makes a file that must not exist.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn Output>>;
    /// Opens a file, made where missing, to write at its end.
    fn append(&self, path: &Path) -> io::Result<Box<dyn Output>>;
    /// Opens a file that exists, emptied, to write it in place: for notes in lock files only.
    fn overwrite(&self, path: &Path) -> io::Result<Box<dyn Output>>;
    /// Renames a file over another.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory: of caches only, so whoever tries faults need not see it.
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }
    /// Makes a directory and its parents.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes renames and removals inside a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes what was written to several files durable.
    fn sync_files(&self, files: &mut [&mut dyn Output]) -> io::Result<()> {
        files.iter_mut().try_for_each(|file| file.sync())
    }
    /// As [`sync_dir`](Self::sync_dir) of several directories.
    fn sync_dirs(&self, paths: &[&Path]) -> io::Result<()> {
        paths.iter().try_for_each(|path| self.sync_dir(path))
    }
    /// Lists a directory, sorted by name.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Waits for an advisory lock on a file, made where missing; shared or exclusive.
    fn lock(&self, path: &Path, shared: bool) -> io::Result<Lock>;
}

/// Work done so far, counted where it happens: what tests hold costs against, rather than time.
#[derive(Debug, Default)]
pub struct Work {
    /// Bytes written to files, caches included.
    pub bytes_written: AtomicU64,
    /// Bytes of segments read.
    pub segment_bytes_read: AtomicU64,
    /// Rows of segments handed out.
    pub rows_read: AtomicU64,
    /// Blocks of key indices read.
    pub index_blocks_read: AtomicU64,
}

impl Work {
    pub(crate) fn add(counter: &AtomicU64, amount: usize) {
        counter.fetch_add(amount as u64, Ordering::Relaxed);
    }

    /// The counts now, in the order of the fields.
    pub fn counts(&self) -> [u64; 4] {
        [&self.bytes_written, &self.segment_bytes_read, &self.rows_read, &self.index_blocks_read]
            .map(|counter| counter.load(Ordering::Relaxed))
    }
}

/// The store's operations on files, with paths in their errors.
#[derive(Debug, Clone)]
pub struct Disk {
    fs: Arc<dyn Fs>,
    /// Whether a segment's caches are written with it; else a look-up makes those that it needs.
    pub(crate) caches: bool,
    /// What was done through this disk and its clones.
    pub work: Arc<Work>,
}

impl Default for Disk {
    fn default() -> Self {
        Self::new(Arc::new(RealFs))
    }
}

/// What the name of a file begins with that is not whole yet.
pub const TEMP_PREFIX: &str = "tmp-";

impl Disk {
    /// Works on a file system.
    pub fn new(fs: Arc<dyn Fs>) -> Self {
        Self { fs, caches: true, work: Arc::default() }
    }

    /// The same without caches beside new segments: for rows that nobody will look up one by one.
    #[must_use]
    pub fn without_caches(self) -> Self {
        Self { caches: false, ..self }
    }

    /// Reads a whole file.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>> {
        self.fs.read(path).at("read", path)
    }

    /// Reads a whole file, or `None` where there is none.
    pub fn read_optional(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        match self.fs.read(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            done => done.map(Some).at("read", path),
        }
    }

    /// Reads the last byte of a file, or `None` where there is none.
    pub fn read_tail(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        use std::os::unix::fs::FileExt;
        let file = match self.fs.open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            done => done.at("open", path)?,
        };
        let len = file.metadata().at("read", path)?.len();
        let mut last = vec![0; usize::from(len > 0)];
        file.read_exact_at(&mut last, len.saturating_sub(1)).at("read", path)?;
        Ok(Some(last))
    }

    /// Opens a file for positioned reads.
    pub fn open(&self, path: &Path) -> Result<File> {
        self.fs.open(path).at("open", path)
    }

    /// Lists a directory; a missing one is empty.
    pub fn list(&self, path: &Path) -> Result<Vec<Entry>> {
        match self.fs.list(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            done => done.at("list", path),
        }
    }

    /// Makes a directory, its parents, and their names durable.
    pub fn create_dir_all(&self, path: &Path) -> Result<()> {
        let mut missing = Vec::new();
        let mut at = path;
        while !at.as_os_str().is_empty() && !at.is_dir() {
            missing.push(at);
            let Some(parent) = at.parent() else { break };
            at = parent;
        }
        self.fs.create_dir_all(path).at("make directory", path)?;
        for dir in missing {
            if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
                self.sync_dir(parent)?;
            }
        }
        Ok(())
    }

    /// Makes a directory, and its name durable where another process made it and died, too.
    pub(crate) fn create_dir_durable(&self, path: &Path) -> Result<()> {
        self.create_dir_all(path)?;
        self.sync_dir(parent(path))
    }

    /// Makes a directory whose name the caller makes durable.
    pub(crate) fn create_dir_unsynced(&self, path: &Path) -> Result<()> {
        self.fs.create_dir_all(path).at("make directory", path)
    }

    /// Makes renames and removals inside a directory durable.
    pub fn sync_dir(&self, path: &Path) -> Result<()> {
        self.fs.sync_dir(path).at("sync directory", path)
    }

    /// The same of several directories.
    pub(crate) fn sync_dirs<'p>(&self, paths: impl IntoIterator<Item = &'p Path>) -> Result<()> {
        let paths: Vec<&Path> = paths.into_iter().collect();
        let Some(first) = paths.first() else { return Ok(()) };
        self.fs.sync_dirs(&paths).at("sync directory", first)
    }

    /// Syncs files and gives each its name; the caller makes the names durable.
    pub(crate) fn persist_all_unsynced(&self, mut files: Vec<(TempFile, PathBuf)>) -> Result<()> {
        let Some((_, first)) = files.first() else { return Ok(()) };
        let first = first.clone();
        let outs = files.iter_mut().filter_map(|(file, _)| file.out.as_deref_mut());
        let mut outs: Vec<&mut dyn Output> = outs.map(|out| out as &mut dyn Output).collect();
        self.fs.sync_files(&mut outs).at("sync", &first)?;
        files.into_iter().try_for_each(|(mut file, path)| file.finish(&path))
    }

    /// Starts a file that gets its name when it is whole. `dir` must be on the same file system as
    /// the final place.
    pub fn temp(&self, dir: &Path) -> Result<TempFile> {
        self.create_dir_all(dir)?;
        // Random, since process ids repeat across containers that share a store.
        let random = crate::id::Digest(crate::random_bytes()?).to_string();
        let path = dir.join(format!("{TEMP_PREFIX}{}", &random[..32]));
        let out = self.fs.create_new(&path).at("create", &path)?;
        Ok(TempFile { disk: self.clone(), path, out: Some(out) })
    }

    /// Replaces a file: old bytes or new bytes, durable on return.
    ///
    /// # Errors
    /// [`Error::Unsure`] where the new bytes are there and may not last; with any other error the
    /// old ones are.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut temp = self.filled(path, bytes)?;
        temp.sync()?;
        temp.finish(path)?;
        let what = || format!("`{}` is replaced", path.display());
        self.sync_dir(parent(path)).map_err(|error| error.unsure(what()))
    }

    /// Makes a file that nobody goes by yet, durable on return.
    pub fn put(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.filled(path, bytes)?.persist(path)
    }

    fn filled(&self, path: &Path, bytes: &[u8]) -> Result<TempFile> {
        let mut temp = self.temp(parent(path))?;
        temp.write_all(bytes).at("write", path)?;
        Ok(temp)
    }

    /// Writes a file that may be lost and is checked when it is read: no sync.
    pub fn write_cache(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.filled(path, bytes)?.publish(path)
    }

    /// Makes a file that must not exist, durable on return but for its name in the directory.
    ///
    /// Returns `false` where it exists.
    pub fn create_exclusive(&self, path: &Path, bytes: &[u8]) -> Result<bool> {
        let mut out = match self.fs.create_new(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            done => done.at("create", path)?,
        };
        out.write_all(bytes).at("write", path)?;
        out.sync().at("sync", path)?;
        Ok(true)
    }

    /// Appends to a file and makes it durable.
    pub fn append(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.create_dir_all(parent(path))?;
        let fresh = !path.exists();
        let mut out = self.fs.append(path).at("open", path)?;
        out.write_all(bytes).at("append to", path)?;
        out.sync().at("sync", path)?;
        if fresh { self.sync_dir(parent(path)) } else { Ok(()) }
    }

    /// Replaces the text inside a lock file that this process holds, and makes it durable.
    pub(crate) fn write_note(&self, path: &Path, text: &str) -> Result<()> {
        let mut out = self.fs.overwrite(path).at("open", path)?;
        out.write_all(text.as_bytes()).at("write", path)?;
        out.sync().at("sync", path)
    }

    /// Empties a lock file that this process holds. Where that is lost the note is read once more.
    pub(crate) fn clear_note(&self, path: &Path) -> Result<()> {
        self.fs.overwrite(path).at("open", path).map(drop)
    }

    /// Renames a file over another; the caller makes the name durable.
    pub(crate) fn rename_unsynced(&self, from: &Path, to: &Path) -> Result<()> {
        self.fs.rename(from, to).at("rename", from)
    }

    /// Removes a file; a missing one is fine.
    pub fn remove_file(&self, path: &Path) -> Result<()> {
        match self.fs.remove_file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.at("remove", path),
        }
    }

    /// Removes a directory of files that may be lost, and all in it; a missing one is fine.
    pub(crate) fn remove_dir_all(&self, path: &Path) -> Result<()> {
        for entry in self.list(path)? {
            let inner = path.join(&entry.name);
            if entry.is_dir { self.remove_dir_all(&inner)? } else { self.remove_file(&inner)? }
        }
        match self.fs.remove_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.at("remove", path),
        }
    }

    /// Waits for an exclusive lock.
    pub fn lock(&self, path: &Path) -> Result<Lock> {
        self.fs.lock(path, false).at("lock", path)
    }

    /// Waits for a shared lock.
    pub fn lock_shared(&self, path: &Path) -> Result<Lock> {
        self.fs.lock(path, true).at("lock", path)
    }
}

/// Whether a call failed because files can only be read here.
pub(crate) fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that has no final name yet; removed when dropped.
#[must_use]
pub struct TempFile {
    disk: Disk,
    path: PathBuf,
    out: Option<Box<dyn Output>>,
}

impl fmt::Debug for TempFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TempFile").field(&self.path).finish()
    }
}

impl TempFile {
    /// Syncs the file, gives it its name, and syncs the directory.
    pub fn persist(mut self, path: &Path) -> Result<()> {
        self.sync()?;
        self.finish(path)?;
        self.disk.sync_dir(parent(path))
    }

    fn sync(&mut self) -> Result<()> {
        match &mut self.out {
            Some(out) => out.sync().at("sync", &self.path),
            None => Ok(()),
        }
    }

    /// Gives the file its name without making anything durable: for caches only.
    pub fn publish(mut self, path: &Path) -> Result<()> {
        self.finish(path)
    }

    fn finish(&mut self, path: &Path) -> Result<()> {
        self.disk.create_dir_all(parent(path))?;
        self.disk.fs.rename(&self.path, path).at("rename", &self.path)?;
        self.out = None;
        Ok(())
    }
}

impl Write for TempFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            Some(out) => {
                let written = out.write(bytes)?;
                Work::add(&self.disk.work.bytes_written, written);
                Ok(written)
            }
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), |out| out.flush())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if self.out.take().is_some() {
            // Best effort: what stays behind is collected by gc.
            let _ = self.disk.fs.remove_file(&self.path);
        }
    }
}

/// Opens a file of the user's for reading.
#[allow(clippy::disallowed_methods, reason = "this is where files are opened")]
pub fn open_input(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    let facts = file.metadata()?;
    if facts.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !facts.is_file() {
        // A file is read more than once: to tell its format, for its rows, for its digest.
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file; write it to one first",
        ));
    }
    Ok(file)
}

/// Makes a temporary file that has no name and vanishes when it is closed.
pub fn anonymous_temp_file() -> io::Result<File> {
    tempfile::tempfile()
}

/// A file of the user's that is being written.
#[derive(Debug)]
#[must_use]
pub enum OutputFile {
    /// It replaces the one that is there when it is whole.
    Whole(TempFile, PathBuf),
    /// A device or a pipe, which is written as it is.
    Stream(File),
}

impl OutputFile {
    /// Ends the file: from here on it has its name.
    pub fn persist(self) -> Result<()> {
        match self {
            Self::Whole(file, path) => file.persist(&path),
            Self::Stream(_) => Ok(()),
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Whole(file, _) => file.write(bytes),
            Self::Stream(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Whole(file, _) => file.flush(),
            Self::Stream(file) => file.flush(),
        }
    }
}

/// Starts a file of the user's that replaces `path` when it is whole; what a link names, where it
/// is one. A device or a pipe is never replaced.
#[allow(clippy::disallowed_methods, reason = "this is where files are opened")]
pub fn output_file(path: &Path) -> Result<OutputFile> {
    let bad = |what: &str| Error::BadFile { path: path.to_owned(), what: what.to_owned() };
    let path = match path.canonicalize() {
        Ok(found) if found.is_dir() => return Err(bad("it is a directory")),
        Ok(found) if !found.is_file() => {
            let file = File::options().write(true).open(&found).at("write", &found)?;
            return Ok(OutputFile::Stream(file));
        }
        Ok(found) => found,
        Err(_) => path.to_owned(),
    };
    let dir = parent(&path);
    if !dir.is_dir() {
        return Err(bad("its directory does not exist"));
    }
    Ok(OutputFile::Whole(Disk::default().temp(dir)?, path))
}

/// Makes a temporary directory that vanishes with what is in it.
pub(crate) fn scratch_dir() -> Result<tempfile::TempDir> {
    tempfile::tempdir().at("make a directory in", std::env::temp_dir())
}

/// Makes a temporary directory that stays.
pub fn kept_temp_dir(prefix: &str) -> Result<PathBuf> {
    let made = tempfile::Builder::new().prefix(prefix).tempdir();
    Ok(made.at("make a directory in", std::env::temp_dir())?.keep())
}
