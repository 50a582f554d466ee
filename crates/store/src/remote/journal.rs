//! What a push has uploaded so far, so that one that was broken off need not begin again.
//!
//! A droppable file of the store, a JSON line an entry: where it goes, then each file that is there
//! whole. What it says is asked of the remote before it is relied on. A file keeps its key, which
//! another attempt may name as well as the one that made it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Remote;
use super::error::Result;
use super::upload::File;
use crate::fs::Disk;

/// Entries of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The address of the remote and its epoch: in another one, files may be gone at any time.
    To(String, u64),
    /// A file that was uploaded.
    Whole(File),
}

/// The journal of pushes to one remote.
#[derive(Debug)]
pub(super) struct Journal<'s> {
    disk: &'s Disk,
    path: PathBuf,
    to: (String, u64),
    /// What is written of it: where it goes.
    begun: bool,
    whole: Vec<File>,
}

impl<'s> Journal<'s> {
    /// Reads the journal; one of another place or epoch is empty.
    pub(super) fn open(disk: &'s Disk, root: &Path, remote: &str, to: (String, u64)) -> Self {
        let path = Self::path(root, remote);
        let bytes = disk.read_optional(&path).ok().flatten().unwrap_or_default();
        // The last line of a process that died may be cut.
        let mut lines =
            bytes.split(|byte| *byte == b'\n').map_while(|line| serde_json::from_slice(line).ok());
        let same = match lines.next() {
            Some(Line::To(url, epoch)) => (url, epoch) == to,
            _ => false,
        };
        let mut whole = Vec::new();
        if same {
            whole.extend(lines.filter_map(|line| match line {
                Line::Whole(file) => Some(file),
                Line::To(..) => None,
            }));
        }
        Self { disk, path, to, begun: false, whole }
    }

    fn path(root: &Path, remote: &str) -> PathBuf {
        root.join(format!("cache/remote/{remote}.uploaded"))
    }

    /// Takes the files out that are at the remote still, whole.
    pub(super) async fn there(&mut self, remote: &Remote) -> Result<Vec<File>> {
        let mut there = Vec::new();
        for file in std::mem::take(&mut self.whole) {
            if remote.len(&file.key.to_string()).await? == Some(file.bytes) {
                there.push(file);
            }
        }
        Ok(there)
    }

    /// Notes a file. Where that fails it is uploaded again, at worst.
    pub(super) fn note(&mut self, file: &File) {
        let mut lines = Vec::new();
        if !self.begun {
            // What is read of the old one is noted again.
            let _ = self.disk.remove_file(&self.path);
            lines.push(Line::To(self.to.0.clone(), self.to.1));
            self.begun = true;
        }
        lines.push(Line::Whole(file.clone()));
        let mut bytes = Vec::new();
        for line in lines {
            let _ = serde_json::to_writer(&mut bytes, &line);
            bytes.push(b'\n');
        }
        let _ = self.disk.append(&self.path, &bytes);
    }

    /// Forgets everything: the push is done.
    pub(super) fn end(disk: &Disk, root: &Path, remote: &str) {
        let _ = disk.remove_file(&Self::path(root, remote));
    }
}
