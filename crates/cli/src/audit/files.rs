//! The directory of a bundle: files with their digests, and the list of all.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use glossator_store::Digest;
use glossator_store::fs::Disk;

use crate::error::{CliError, Result};

/// The list of files: a digest, a length and a path a line.
const MANIFEST: &str = "MANIFEST";

/// A bundle in the making. Without its list, which comes last, it is none.
#[derive(Debug)]
#[must_use]
pub(super) struct Files {
    dir: PathBuf,
    disk: Disk,
    listed: Vec<(String, Digest, u64)>,
}

/// What was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    /// The digest of the list of files: of the whole bundle.
    pub(super) digest: Digest,
    pub(super) files: usize,
    pub(super) bytes: u64,
}

impl Files {
    /// Begins in a directory that is empty or is not there yet.
    ///
    /// # Errors
    /// Where something else is there.
    pub(super) fn begin(dir: &Path) -> Result<Self> {
        let disk = Disk::default();
        if dir.exists() && !(dir.is_dir() && disk.list(dir)?.is_empty()) {
            let message = format!("`{}` is there already and is not empty", dir.display());
            return Err(CliError::input(message).hint("name a directory that is not there yet"));
        }
        disk.create_dir_all(dir)?;
        Ok(Self { dir: dir.to_owned(), disk, listed: Vec::new() })
    }

    /// Writes a file; its path is below the directory, with `/`. Gives the digest of its bytes.
    pub(super) fn write(
        &mut self,
        path: &str,
        fill: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<Digest> {
        let place = self.dir.join(path);
        let dir = place.parent().unwrap_or(&self.dir);
        let (file, hasher) = (self.disk.temp(dir)?, blake3::Hasher::new());
        let mut out = Counted { out: BufWriter::with_capacity(1 << 16, file), hasher, len: 0 };
        fill(&mut out)?;
        let file = out.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.publish(&place)?;
        let digest = Digest::from(out.hasher.finalize());
        self.listed.push((path.to_owned(), digest, out.len));
        Ok(digest)
    }

    /// Ends the bundle.
    pub(super) fn finish(mut self) -> Result<Written> {
        self.listed.sort();
        let bytes = self.listed.iter().map(|(_, _, len)| len).sum();
        let lines =
            self.listed.iter().map(|(path, digest, len)| format!("{digest}  {len}  {path}\n"));
        let text: String = lines.collect();
        self.disk.write(&self.dir.join(MANIFEST), text.as_bytes())?;
        Ok(Written { digest: Digest::of(text.as_bytes()), files: self.listed.len() + 1, bytes })
    }
}

/// Counts and hashes what goes through.
struct Counted<W> {
    out: W,
    hasher: blake3::Hasher,
    len: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
