//! The key index: one droppable file a segment that finds rows by item or key.
//!
//! A file is a head and blocks of 1,024 bytes. Entries of 40 bytes are sorted by the hash of the
//! item, then the fingerprint of the key: item hash (8), key fingerprint (12), row (4, little
//! endian), first 16 bytes of the row's digest. A block starts with the first 16 bytes of the
//! BLAKE3 of segment digest ‖ block number ‖ entries, so that a bad block is never an answer. The
//! head names the segment's first and last key, so that a look-up passes over segments that cannot
//! hold it, and the first hash of each block, so that a look-up reads one block.
//!
//! # Guarantees
//! - Hashes are BLAKE3 of the ids, 160 bits a key: a hit needs no look at the row.
//! - A block that fails its check, or a missing file, is an [`IndexState::Rebuild`], never a wrong
//!   answer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::canonical::{Key, get_varint, put_varint};
use crate::error::{Error, IoContext, Result};
use crate::fs::{Disk, Work};
use crate::id::Digest;
use crate::limits::ID_BYTES_MAX;
use crate::segment::RowEntry;

const MAGIC: &[u8; 8] = b"glossix2";
/// Magic, number of entries, length of the key range, digest of the segment.
const FIXED_BYTES: usize = 8 + 8 + 8 + 32;
/// Small, since a look-up reads and hashes one.
const BLOCK_BYTES: usize = 1024;
const CHECK_BYTES: usize = 16;
const ENTRY_BYTES: usize = 40;
const BLOCK_ENTRIES: usize = (BLOCK_BYTES - CHECK_BYTES) / ENTRY_BYTES;
/// Bytes that are read first: most heads fit.
const HEAD_BYTES_FIRST: u64 = 4096;
/// The number that stands for the head in its check.
const HEAD: usize = usize::MAX;

/// Hashes keys; the hash of an item is kept while it repeats.
#[derive(Debug, Default)]
pub struct KeyHasher {
    item: String,
    item_hash: Option<u64>,
    scratch: Vec<u8>,
}

impl KeyHasher {
    /// What an index sorts a key by.
    pub fn needle(&mut self, (item, key): Key<'_>) -> Needle {
        let (item, key) = self.hash(item, key);
        Needle { item, key: Some(key) }
    }

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

/// What is looked for: every row of an item, or the row with one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Needle {
    /// The hash of the item (or only) id.
    pub item: u64,
    /// The fingerprint of the key.
    pub key: Option<[u8; 12]>,
}

impl Needle {
    /// Compares an entry with it: equal where it is one of those looked for.
    fn order(&self, entry: &[u8; ENTRY_BYTES]) -> std::cmp::Ordering {
        let by_item = entry[..8].cmp(&self.item.to_be_bytes()[..]);
        match &self.key {
            Some(key) => by_item.then_with(|| entry[8..20].cmp(key)),
            None => by_item,
        }
    }
}

/// The first and the last key of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub first: (String, String),
    /// The last key.
    pub last: (String, String),
}

impl KeyRange {
    /// Whether a key lies in it.
    pub fn holds(&self, (item, key): Key<'_>) -> bool {
        let (first, last) = (&self.first, &self.last);
        (first.0.as_str(), first.1.as_str()) <= (item, key)
            && (item, key) <= (last.0.as_str(), last.1.as_str())
    }

    /// Whether a key of the item may lie in it.
    pub fn holds_item(&self, item: &str) -> bool {
        self.first.0.as_str() <= item && item <= self.last.0.as_str()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for text in [&self.first.0, &self.first.1, &self.last.0, &self.last.1] {
            put_varint(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
    }

    /// `None` where the bytes are no range; nothing is none.
    fn decode(bytes: &[u8]) -> Option<Option<Self>> {
        if bytes.is_empty() {
            return Some(None);
        }
        let mut at = 0;
        let mut text = || {
            let len = usize::try_from(get_varint(bytes, &mut at)?).ok()?;
            let text = bytes.get(at..at.checked_add(len)?)?;
            at += len;
            String::from_utf8(text.to_vec()).ok()
        };
        let first = (text()?, text()?);
        let last = (text()?, text()?);
        Some(Some(Self { first, last }))
    }
}

/// Bytes of an encoded range at most.
const RANGE_BYTES_MAX: usize = 4 * (ID_BYTES_MAX + 10);

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
    /// The keys that the segment's rows lie between; none where the index is not by key.
    pub range: Option<KeyRange>,
    /// The first hash of each block.
    fences: Vec<u64>,
    /// Where the blocks begin.
    start: usize,
    source: Source,
    work: Arc<Work>,
}

#[derive(Debug)]
enum Source {
    /// The bytes of a file that is not on disk.
    Memory(Vec<u8>),
    File(File),
}

fn check(segment: &Digest, number: usize, bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&segment.0).update(&(number as u64).to_le_bytes()).update(bytes);
    let mut out = [0; CHECK_BYTES];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    out
}

fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<RowEntry> {
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

/// The bytes of an index: entries in any order.
pub(crate) fn encode(
    segment: &Digest,
    mut entries: Vec<RowEntry>,
    range: Option<&KeyRange>,
) -> Vec<u8> {
    entries.sort_unstable();
    let blocks = entries.len().div_ceil(BLOCK_ENTRIES);
    let mut keys = Vec::new();
    if let Some(range) = range {
        range.encode(&mut keys);
    }
    let head = FIXED_BYTES + keys.len() + blocks * 8 + CHECK_BYTES;
    let mut bytes = Vec::with_capacity(head + blocks * BLOCK_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(entries.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&(keys.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&segment.0);
    bytes.extend_from_slice(&keys);
    for block in entries.chunks(BLOCK_ENTRIES) {
        bytes.extend_from_slice(&block[0].item.to_le_bytes());
    }
    let sum = check(segment, HEAD, &bytes);
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

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl KeyIndex {
    /// Writes the index of a segment: entries in any order.
    pub fn write(
        disk: &Disk,
        path: &Path,
        segment: &Digest,
        entries: Vec<RowEntry>,
        range: Option<&KeyRange>,
    ) -> Result<()> {
        disk.write_cache(path, &encode(segment, entries, range))
    }

    /// Makes an index anew, and keeps it on disk where that can be.
    pub(crate) fn rebuilt(
        disk: &Disk,
        path: &Path,
        segment: &Digest,
        entries: Vec<RowEntry>,
        range: Option<&KeyRange>,
    ) -> Result<Self> {
        let bytes = encode(segment, entries, range);
        // Whether it can be kept is no matter: a store may be readable only.
        let _ = disk.write_cache(path, &bytes);
        let len = bytes.len() as u64;
        match Self::read(disk, path, segment, Source::Memory(bytes), len)? {
            IndexState::Ready(index) => Ok(index),
            IndexState::Rebuild => Err(Error::damaged(path.display(), "it cannot be built")),
        }
    }

    /// Opens the index of a segment.
    pub fn open(disk: &Disk, path: &Path, segment: &Digest) -> Result<IndexState<Self>> {
        let file = match disk.open(path) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(IndexState::Rebuild);
            }
            done => done?,
        };
        let facts = file.metadata().at("read", path)?;
        if !facts.is_file() {
            return Ok(IndexState::Rebuild);
        }
        Self::read(disk, path, segment, Source::File(file), facts.len())
    }

    /// Reads the head.
    fn read(
        disk: &Disk,
        path: &Path,
        segment: &Digest,
        source: Source,
        len: u64,
    ) -> Result<IndexState<Self>> {
        let mut head = source.read(0, len.min(HEAD_BYTES_FIRST) as usize, path)?;
        if head.len() < FIXED_BYTES || !head.starts_with(MAGIC) || head[24..56] != segment.0 {
            return Ok(IndexState::Rebuild);
        }
        let (entries, keys) = (number(&head[8..16]), number(&head[16..24]));
        let blocks = entries.div_ceil(BLOCK_ENTRIES as u64);
        if entries > u64::from(u32::MAX) || keys > RANGE_BYTES_MAX as u64 {
            return Ok(IndexState::Rebuild);
        }
        let fences = FIXED_BYTES + keys as usize;
        let end = fences + blocks as usize * 8;
        let start = end + CHECK_BYTES;
        if len != start as u64 + blocks * BLOCK_BYTES as u64 {
            return Ok(IndexState::Rebuild);
        }
        if head.len() < start {
            head = source.read(0, start, path)?;
        }
        let range = KeyRange::decode(&head[FIXED_BYTES..fences]);
        let (Some(range), true) = (range, head[end..start] == check(segment, HEAD, &head[..end]))
        else {
            return Ok(IndexState::Rebuild);
        };
        Ok(IndexState::Ready(Self {
            segment: *segment,
            path: path.to_owned(),
            entries: entries as usize,
            range,
            fences: head[fences..end].chunks_exact(8).map(number).collect(),
            start,
            source,
            work: disk.work.clone(),
        }))
    }

    /// The entries of a block, checked; `None` where they are bad.
    fn block(&self, number: usize) -> Result<Option<Vec<u8>>> {
        let count = (self.entries - number * BLOCK_ENTRIES).min(BLOCK_ENTRIES);
        Work::add(&self.work.index_blocks_read, 1);
        let at = self.start + number * BLOCK_BYTES;
        let mut bytes = self.source.read(at, CHECK_BYTES + count * ENTRY_BYTES, &self.path)?;
        let entries = bytes.split_off(CHECK_BYTES);
        Ok((bytes == check(&self.segment, number, &entries)).then_some(entries))
    }

    /// Finds the entries of needles that rise; `each` is given the place of the needle.
    pub fn find(
        &self,
        needles: impl IntoIterator<Item = (usize, Needle)>,
        each: &mut dyn FnMut(usize, RowEntry),
    ) -> Result<IndexState<()>> {
        // Neighbours share blocks: the last one that was read is kept.
        let mut held: Option<(usize, Vec<u8>)> = None;
        for (place, needle) in needles {
            // Entries of one item may begin in the block before the first that begins with it.
            let first = self.fences.partition_point(|fence| *fence < needle.item);
            let mut number = first.saturating_sub(1);
            while number < self.fences.len() && self.fences[number] <= needle.item {
                if held.as_ref().is_none_or(|(held, _)| *held != number) {
                    let Some(block) = self.block(number)? else { return Ok(IndexState::Rebuild) };
                    held = Some((number, block));
                }
                let Some((_, block)) = &held else { return Ok(IndexState::Rebuild) };
                let (entries, _) = block.as_chunks::<ENTRY_BYTES>();
                let start = entries.partition_point(|entry| needle.order(entry).is_lt());
                let equal = entries[start..].partition_point(|entry| needle.order(entry).is_eq());
                for entry in &entries[start..start + equal] {
                    let Some(entry) = decode(entry) else { return Ok(IndexState::Rebuild) };
                    each(place, entry);
                }
                if start + equal < entries.len() {
                    break;
                }
                number += 1;
            }
        }
        Ok(IndexState::Ready(()))
    }
}

impl Source {
    fn read(&self, at: usize, len: usize, path: &Path) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        match self {
            Self::Memory(all) => {
                let part = all.get(at..).and_then(|rest| rest.get(..len)).unwrap_or_default();
                bytes[..part.len()].copy_from_slice(part);
            }
            Self::File(file) => file.read_exact_at(&mut bytes, at as u64).at("read", path)?,
        }
        Ok(bytes)
    }
}
