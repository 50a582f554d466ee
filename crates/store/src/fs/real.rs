//! The real file system.

#![allow(clippy::disallowed_methods, reason = "this is where the disk is touched")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::{Entry, Fs, Lock, Output};

/// The operating system's own calls.
#[derive(Debug, Clone, Copy)]
pub struct RealFs;

struct RealOutput(File);

/// Syncs that wait for the disk at a time.
const SYNCS_AT_ONCE: usize = 16;

/// Does something with each, several at a time.
fn at_once<T: Send>(
    all: &mut [T],
    each: impl Fn(&mut T) -> io::Result<()> + Sync,
) -> io::Result<()> {
    if let [only] = all {
        return each(only);
    }
    let share = all.len().div_ceil(SYNCS_AT_ONCE).max(1);
    let each = &each;
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for some in all.chunks_mut(share) {
            let work = move || some.iter_mut().try_for_each(each);
            threads.push(std::thread::Builder::new().spawn_scoped(scope, work)?);
        }
        let stopped = |_| Err(io::Error::other("a thread that syncs stopped"));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(stopped))
    })
}

impl Write for RealOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Output for RealOutput {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl Fs for RealFs {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Box::new(RealOutput(file)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Box::new(RealOutput(file)))
    }

    fn overwrite(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let file = OpenOptions::new().write(true).truncate(true).open(path)?;
        Ok(Box::new(RealOutput(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    // Syncs of one moment share a write of the journal.
    fn sync_files(&self, files: &mut [&mut dyn Output]) -> io::Result<()> {
        at_once(files, |file| file.sync())
    }

    fn sync_dirs(&self, paths: &[&Path]) -> io::Result<()> {
        at_once(&mut paths.to_vec(), |path| self.sync_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let facts = match entry.metadata() {
                // Another process removed it between the two calls.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                done => done?,
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(Entry { name, is_dir: facts.is_dir(), len: facts.len() });
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn lock(&self, path: &Path, shared: bool) -> io::Result<Lock> {
        let mut options = OpenOptions::new();
        let file = match options.read(true).write(true).create(true).truncate(false).open(path) {
            // A shared lock asks nothing of the file: who may only read the store can hold it.
            Err(e) if shared && super::is_read_only(&e) => File::open(path).map_err(|_| e)?,
            done => done?,
        };
        if shared {
            file.lock_shared()?
        } else {
            file.lock()?
        }
        Ok(Lock { _file: file })
    }
}
