//! The key index: one droppable file a segment that finds rows by item or key.
//!
//! A file is a header and blocks of 4,096 bytes. Entries of 40 bytes are sorted by the hash of the
//! item, then the fingerprint of the key: item hash (8), key fingerprint (12), row (4, little
//! endian), first 16 bytes of the row's digest. A block starts with the first 16 bytes of the
//! BLAKE3 of segment digest ‖ block number ‖ entries, so that a bad block is never an answer.
//!
//! # Guarantees
//! - Hashes are BLAKE3 of the ids, 160 bits a key: a hit needs no look at the row.
//! - A block that fails its check, or a missing file, is an [`IndexState::Rebuild`], never a wrong
//!   answer.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{IoContext, Result};
use crate::fs::{Disk, Work};
use crate::id::Digest;
use crate::segment::RowEntry;

const MAGIC: &[u8; 8] = b"glossix1";
const HEADER_BYTES: usize = 64;
const BLOCK_BYTES: usize = 4096;
const CHECK_BYTES: usize = 16;
const ENTRY_BYTES: usize = 40;
const BLOCK_ENTRIES: usize = (BLOCK_BYTES - CHECK_BYTES) / ENTRY_BYTES;

/// Hashes keys; the hash of an item is kept while it repeats.
#[derive(Debug, Default)]
pub struct KeyHasher {
    item: String,
    item_hash: Option<u64>,
    scratch: Vec<u8>,
}

impl KeyHasher {
    /// The hash of an item (or only) id, and the fingerprint of the whole key.
    pub fn hash(&mut self, item: &str, key: &str) -> (u64, [u8; 12]) {
        let item_hash = self.item(item);
        self.scratch.clear();
        self.scratch.extend_from_slice(&(item.len() as u64).to_le_bytes());
        self.scratch.extend_from_slice(item.as_bytes());
        self.scratch.extend_from_slice(key.as_bytes());
        let mut fingerprint = [0; 12];
        fingerprint.copy_from_slice(&blake3::hash(&self.scratch).as_bytes()[..12]);
        (item_hash, fingerprint)
    }

    /// The hash of an item (or only) id.
    pub fn item(&mut self, item: &str) -> u64 {
        match self.item_hash {
            Some(hash) if self.item == item => hash,
            _ => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&blake3::hash(item.as_bytes()).as_bytes()[..8]);
                let hash = u64::from_be_bytes(bytes);
                item.clone_into(&mut self.item);
                self.item_hash = Some(hash);
                hash
            }
        }
    }
}

/// The result of opening or asking an index.
#[derive(Debug)]
pub enum IndexState<T> {
    /// The answer.
    Ready(T),
    /// The file is missing or damaged and must be rebuilt from the segment.
    Rebuild,
}

/// An open key index.
#[derive(Debug)]
pub struct KeyIndex {
    segment: Digest,
    path: PathBuf,
    entries: usize,
    source: Source,
    work: std::sync::Arc<Work>,
}

#[derive(Debug)]
enum Source {
    Memory(Vec<RowEntry>),
    File(File),
}

/// Indices up to this size are read whole.
const WHOLE_BYTES_MAX: u64 = 1 << 20;

fn check(segment: &Digest, number: usize, entries: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&segment.0).update(&(number as u64).to_le_bytes()).update(entries);
    let mut out = [0; CHECK_BYTES];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    out
}

fn decode(bytes: &[u8]) -> Option<RowEntry> {
    let (item, rest) = bytes.split_first_chunk::<8>()?;
    let (key, rest) = rest.split_first_chunk::<12>()?;
    let (row, digest) = rest.split_first_chunk::<4>()?;
    Some(RowEntry {
        item: u64::from_be_bytes(*item),
        key: *key,
        row: u32::from_le_bytes(*row),
        digest: digest.try_into().ok()?,
    })
}

impl KeyIndex {
    /// Writes the index of a segment: entries in any order.
    pub fn write(disk: &Disk, path: &Path, segment: &Digest, entries: Vec<RowEntry>) -> Result<()> {
        disk.write_cache(path, &Self::encode(segment, entries))
    }

    /// The bytes of the index of a segment: entries in any order.
    pub fn encode(segment: &Digest, mut entries: Vec<RowEntry>) -> Vec<u8> {
        entries.sort_unstable();
        let blocks = entries.len().div_ceil(BLOCK_ENTRIES);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + blocks * BLOCK_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&segment.0);
        let sum = check(segment, usize::MAX, &bytes);
        bytes.extend_from_slice(&sum);
        for (number, chunk) in entries.chunks(BLOCK_ENTRIES).enumerate() {
            let start = bytes.len();
            bytes.extend_from_slice(&[0; CHECK_BYTES]);
            for entry in chunk {
                bytes.extend_from_slice(&entry.item.to_be_bytes());
                bytes.extend_from_slice(&entry.key);
                bytes.extend_from_slice(&entry.row.to_le_bytes());
                bytes.extend_from_slice(&entry.digest);
            }
            let sum = check(segment, number, &bytes[start + CHECK_BYTES..]);
            bytes[start..start + CHECK_BYTES].copy_from_slice(&sum);
            bytes.resize(start + BLOCK_BYTES, 0);
        }
        bytes
    }

    /// An index of entries in any order, not on disk.
    pub(crate) fn in_memory(
        disk: &Disk,
        path: &Path,
        segment: &Digest,
        mut entries: Vec<RowEntry>,
    ) -> Self {
        entries.sort_unstable();
        Self {
            segment: *segment,
            path: path.to_owned(),
            entries: entries.len(),
            source: Source::Memory(entries),
            work: disk.work.clone(),
        }
    }

    /// Opens the index of a segment.
    pub fn open(disk: &Disk, path: &Path, segment: &Digest) -> Result<IndexState<Self>> {
        if !path.is_file() {
            return Ok(IndexState::Rebuild);
        }
        let file = disk.open(path)?;
        let len = file.metadata().at("read", path)?.len();
        let mut header = [0; HEADER_BYTES];
        if len < HEADER_BYTES as u64 || file.read_exact_at(&mut header, 0).is_err() {
            return Ok(IndexState::Rebuild);
        }
        let (facts, sum) = header.split_at(48);
        let count = facts[8..16].iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        let blocks = count.div_ceil(BLOCK_ENTRIES as u64);
        let whole = count <= u64::from(u32::MAX)
            && facts.starts_with(MAGIC)
            && facts[16..] == segment.0
            && sum == check(segment, usize::MAX, facts)
            && len == HEADER_BYTES as u64 + blocks * BLOCK_BYTES as u64;
        if !whole {
            return Ok(IndexState::Rebuild);
        }
        let mut index = Self {
            segment: *segment,
            path: path.to_owned(),
            entries: count as usize,
            source: Source::File(file),
            work: disk.work.clone(),
        };
        if len <= WHOLE_BYTES_MAX {
            let mut all = Vec::with_capacity(index.entries);
            for number in 0..blocks as usize {
                let IndexState::Ready(block) = index.block(number)? else {
                    return Ok(IndexState::Rebuild);
                };
                all.extend(block);
            }
            index.source = Source::Memory(all);
        }
        Ok(IndexState::Ready(index))
    }

    fn block(&self, number: usize) -> Result<IndexState<Vec<RowEntry>>> {
        let count = (self.entries - number * BLOCK_ENTRIES).min(BLOCK_ENTRIES);
        let Source::File(file) = &self.source else { return Ok(IndexState::Rebuild) };
        let mut bytes = vec![0; CHECK_BYTES + count * ENTRY_BYTES];
        Work::add(&self.work.index_blocks_read, 1);
        file.read_exact_at(&mut bytes, (HEADER_BYTES + number * BLOCK_BYTES) as u64)
            .at("read", &self.path)?;
        let (sum, entries) = bytes.split_at(CHECK_BYTES);
        if sum != check(&self.segment, number, entries) {
            return Ok(IndexState::Rebuild);
        }
        Ok(match entries.chunks_exact(ENTRY_BYTES).map(decode).collect() {
            Some(entries) => IndexState::Ready(entries),
            None => IndexState::Rebuild,
        })
    }

    /// Finds the entries of an item, or of one key of it.
    pub fn find(
        &self,
        item: u64,
        key: Option<&[u8; 12]>,
        each: &mut dyn FnMut(RowEntry),
    ) -> Result<IndexState<()>> {
        let wanted = |e: &RowEntry| e.item == item && key.is_none_or(|k| e.key == *k);
        let before = |e: &RowEntry| {
            (e.item, key.map_or([0; 12], |_| e.key)) < (item, key.copied().unwrap_or_default())
        };
        if let Source::Memory(entries) = &self.source {
            let start = entries.partition_point(before);
            entries[start..].iter().take_while(|e| wanted(e)).for_each(|e| each(*e));
            return Ok(IndexState::Ready(()));
        }
        let blocks = self.entries.div_ceil(BLOCK_ENTRIES);
        let Some(mut number) = self.first_block(blocks, item, &before)? else {
            return Ok(IndexState::Rebuild);
        };
        while number < blocks {
            let IndexState::Ready(block) = self.block(number)? else {
                return Ok(IndexState::Rebuild);
            };
            let start = block.partition_point(before);
            for entry in &block[start..] {
                if !wanted(entry) {
                    return Ok(IndexState::Ready(()));
                }
                each(*entry);
            }
            number += 1;
        }
        Ok(IndexState::Ready(()))
    }

    /// The first block whose last entry is not before what is looked for: interpolation, since
    /// hashes are spread evenly, with halving as the bound.
    fn first_block(
        &self,
        blocks: usize,
        item: u64,
        before: &dyn Fn(&RowEntry) -> bool,
    ) -> Result<Option<usize>> {
        let (mut low, mut high) = (0, blocks);
        let (mut low_hash, mut high_hash) = (0_u64, u64::MAX);
        let mut halve = false;
        while low < high {
            let span = (high_hash - low_hash).max(1) as f64;
            let share = item.saturating_sub(low_hash) as f64 / span;
            let guess = low + ((high - low) as f64 * share) as usize;
            let middle = if halve { low + (high - low) / 2 } else { guess.clamp(low, high - 1) };
            let IndexState::Ready(block) = self.block(middle)? else { return Ok(None) };
            let (Some(first), Some(last)) = (block.first(), block.last()) else { return Ok(None) };
            if before(last) {
                halve = middle - low > (high - low) / 2 || !halve;
                low = middle + 1;
                low_hash = last.item;
            } else if before(first) {
                return Ok(Some(middle));
            } else {
                halve = !halve;
                high = middle;
                high_hash = first.item;
            }
        }
        Ok(Some(low))
    }
}
