//! An input file: opened as often as needed, gunzipped by its magic bytes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::{Error, Result};

/// A file to import.
#[derive(Debug, Clone)]
pub struct Input {
    path: PathBuf,
}

impl Input {
    /// Names a file; nothing is opened.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path as text, for messages.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The file name without directories, `.gz` and the last extension.
    pub fn stem(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
    }

    /// Opens the file as it is.
    pub fn open_raw(&self) -> Result<File> {
        glossator_store::fs::open_input(&self.path)
            .map_err(|source| Error::Io { file: self.name(), source })
    }

    /// Opens the file, unzipped where it is gzip.
    pub fn open(&self) -> Result<Box<dyn BufRead>> {
        let mut raw = BufReader::with_capacity(1 << 18, self.open_raw()?);
        let magic = raw.fill_buf().map_err(|source| Error::Io { file: self.name(), source })?;
        if magic.starts_with(&[0x1f, 0x8b]) {
            Ok(Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(raw))))
        } else {
            Ok(Box::new(raw))
        }
    }

    /// The first bytes, unzipped; at most `limit`.
    pub fn head(&self, limit: u64) -> Result<Vec<u8>> {
        let size = self.open_raw()?.metadata().map_or(0, |facts| facts.len());
        let mut head = Vec::with_capacity(size.min(limit) as usize);
        self.open()?
            .take(limit)
            .read_to_end(&mut head)
            .map_err(|source| Error::Io { file: self.name(), source })?;
        Ok(head)
    }
}
