//! Digests of many short messages at once.
//!
//! Hashing a message of 200 bytes uses a fraction of what the machine's vector units can do.
//! Messages of whole blocks can be hashed side by side, as BLAKE3 itself does with the chunks of a
//! long one. This is why what is hashed row by row is padded to whole blocks.

use std::sync::LazyLock;

use arrow::array::{Array, DictionaryArray};
use arrow::datatypes::Int32Type;
use blake3::IncrementCounter;
use blake3::platform::Platform;

use super::tree::{Salts, leaf_message};
use super::{Rows, encode_cell, put_bytes, put_varint};
use crate::id::Digest;
use crate::schema::{CellType, Column, ColumnView};

/// Bytes of a block.
const BLOCK: usize = 64;
/// Bytes of a chunk: a longer message has an inner tree.
const CHUNK: usize = 1024;
/// Messages that the widest vector unit hashes side by side.
const LANES: usize = 16;

// Flags of a compression and the initial value, from sections 2.1 and 2.2 of the BLAKE3 paper.
const CHUNK_START: u8 = 1 << 0;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;
const IV: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// How messages are hashed: with the standard initial value, or with a key.
#[derive(Clone, Copy)]
struct Mode {
    key: [u32; 8],
    flags: u8,
}

const PLAIN: Mode = Mode { key: IV, flags: 0 };

/// The key of the inner nodes of a row tree, which tells them from leaves.
pub(super) fn node_key() -> [u8; 32] {
    *blake3::hash(b"glossator row tree node v1").as_bytes()
}

static NODES: LazyLock<Mode> = LazyLock::new(|| {
    let mut key = [0; 8];
    for (word, bytes) in key.iter_mut().zip(node_key().as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    Mode { key, flags: KEYED_HASH }
});

/// Pads a message with zeros to whole blocks.
fn pad(message: &mut Vec<u8>) {
    message.resize(message.len().next_multiple_of(BLOCK), 0);
}

/// The BLAKE3 of a message and zeros up to a whole block.
pub fn padded_digest(message: &[u8]) -> Digest {
    let zeros = message.len().next_multiple_of(BLOCK) - message.len();
    let mut hasher = blake3::Hasher::new();
    hasher.update(message).update(&[0; BLOCK][..zeros]).finalize().into()
}

/// Hashes messages of `N` bytes, whole blocks of one chunk at most.
fn side_by_side<const N: usize>(messages: &[&[u8; N]], mode: &Mode, each: &mut dyn FnMut(Digest)) {
    const { assert!(N.is_multiple_of(BLOCK) && N <= CHUNK) };
    let platform = Platform::detect();
    for messages in messages.chunks(LANES) {
        let mut out = [0; LANES * 32];
        let out = &mut out[..messages.len() * 32];
        let (start, end) = (CHUNK_START, CHUNK_END | ROOT);
        let no = IncrementCounter::No;
        platform.hash_many(messages, &mode.key, 0, no, mode.flags, start, end, out);
        out.as_chunks().0.iter().for_each(|digest| each(Digest(*digest)));
    }
}

/// The BLAKE3 of each message, in order. Those of whole blocks in one chunk are quick.
fn digests(messages: &[&[u8]]) -> Vec<Digest> {
    let mut digests = vec![Digest([0; 32]); messages.len()];
    let mut by_blocks: [Vec<usize>; CHUNK / BLOCK] = Default::default();
    for (at, message) in messages.iter().enumerate() {
        match message.len() {
            len if len > 0 && len <= CHUNK && len.is_multiple_of(BLOCK) => {
                by_blocks[len / BLOCK - 1].push(at);
            }
            _ => digests[at] = Digest::of(message),
        }
    }
    macro_rules! groups {
        ($($blocks:literal)*) => {$({
            const BYTES: usize = $blocks * BLOCK;
            let places = &by_blocks[$blocks - 1];
            let group: Vec<&[u8; BYTES]> =
                places.iter().filter_map(|&at| messages[at].first_chunk()).collect();
            let mut places = places.iter();
            side_by_side(&group, &PLAIN, &mut |digest| {
                if let Some(&at) = places.next() {
                    digests[at] = digest;
                }
            });
        })*};
    }
    groups!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
    digests
}

/// Inner nodes of a row tree over pairs of their children.
pub(super) fn joined(pairs: &[[Digest; 2]]) -> Vec<Digest> {
    let messages: Vec<[u8; 2 * 32]> = pairs
        .iter()
        .map(|[left, right]| {
            let mut message = [0; 2 * 32];
            message[..32].copy_from_slice(&left.0);
            message[32..].copy_from_slice(&right.0);
            message
        })
        .collect();
    let messages: Vec<&[u8; 64]> = messages.iter().collect();
    let mut nodes = Vec::with_capacity(pairs.len());
    side_by_side(&messages, &NODES, &mut |node| nodes.push(node));
    nodes
}

/// The leaves of rows, which take the next salts.
pub fn leaves(salts: &mut Salts, rows: &[Digest]) -> Vec<Digest> {
    let messages: Vec<[u8; BLOCK]> = rows
        .iter()
        .map(|row| {
            let mut message = [0; BLOCK];
            let leaf = leaf_message(&salts.next_salt(), row);
            message[..leaf.len()].copy_from_slice(&leaf);
            message
        })
        .collect();
    let messages: Vec<&[u8; BLOCK]> = messages.iter().collect();
    let mut leaves = Vec::with_capacity(rows.len());
    side_by_side(&messages, &PLAIN, &mut |leaf| leaves.push(leaf));
    leaves
}

/// Canonical bytes of a row up to which they are kept beside its digest.
const KEPT_BYTES_MAX: usize = 16 << 10;

/// Bytes of a padded row that there is room for at once.
const ROW_BYTES_USUAL: usize = 6 * BLOCK;

/// The cells of a column, made ready to be encoded row by row.
enum Cells<'a> {
    /// Values of a dictionary, each with its field number: the place of each row's, and where each
    /// begins and ends in the bytes.
    Dict { keys: &'a DictionaryArray<Int32Type>, bytes: Vec<u8>, ends: Vec<usize> },
    /// Others, with their field number.
    Each(u64, CellType, ColumnView<'a>),
}

impl<'a> Cells<'a> {
    fn new(column: &Column, view: ColumnView<'a>, rows: usize) -> Self {
        match view {
            ColumnView::Dict(keys, values) if values.len() < rows => {
                let (mut bytes, mut ends) = (Vec::new(), vec![0]);
                for value in 0..values.len() {
                    put_varint(&mut bytes, u64::from(column.number));
                    put_bytes(&mut bytes, values.value(value).as_bytes());
                    ends.push(bytes.len());
                }
                Self::Dict { keys, bytes, ends }
            }
            view => Self::Each(u64::from(column.number), column.cell, view),
        }
    }

    fn encode(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Dict { keys, bytes, ends } => {
                if let Some(value) = keys.key(row) {
                    out.extend_from_slice(&bytes[ends[value]..ends[value + 1]]);
                }
            }
            Self::Each(number, cell, view) => {
                if !view.is_null(row) {
                    put_varint(out, *number);
                    encode_cell(*cell, view, row, out);
                }
            }
        }
    }
}

/// Rows of a batch as bytes, and their digests.
#[derive(Debug, Default)]
pub struct RowDigests {
    /// The digest of each row.
    pub digests: Vec<Digest>,
    /// The length of each row's canonical bytes.
    pub lens: Vec<usize>,
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl RowDigests {
    /// The canonical bytes of a row; `None` of a long one.
    pub fn canonical(&self, row: usize) -> Option<&[u8]> {
        (self.lens[row] <= KEPT_BYTES_MAX)
            .then(|| &self.bytes[self.starts[row]..self.starts[row] + self.lens[row]])
    }
}

impl<'a> Rows<'a> {
    /// The columns that are not null throughout, in order of field number.
    fn cells(&self) -> Vec<Cells<'a>> {
        let filled = (0..self.columns.len()).filter(|index| self.filled.has(*index));
        let cells = |at: usize| Cells::new(&self.table.columns[at], self.columns[at], self.len);
        filled.map(cells).collect()
    }

    /// The digests of the rows, in the place of what was found before: its memory is used again.
    pub fn digests(&self, found: &mut RowDigests) {
        found.bytes.clear();
        found.lens.clear();
        found.starts.clear();
        found.bytes.reserve(self.len * ROW_BYTES_USUAL);
        found.lens.reserve(self.len);
        found.starts.reserve(self.len);
        let cells = self.cells();
        let mut long = Vec::new();
        for row in 0..self.len {
            let start = found.bytes.len();
            cells.iter().for_each(|cells| cells.encode(row, &mut found.bytes));
            let len = found.bytes.len() - start;
            pad(&mut found.bytes);
            if len > KEPT_BYTES_MAX {
                long.push((found.lens.len(), Digest::of(&found.bytes[start..])));
                found.bytes.truncate(start);
            }
            found.lens.push(len);
            found.starts.push(start);
        }
        let ends = found.starts.iter().skip(1).copied().chain([found.bytes.len()]);
        let messages: Vec<&[u8]> =
            found.starts.iter().zip(ends).map(|(start, end)| &found.bytes[*start..end]).collect();
        found.digests = digests(&messages);
        long.into_iter().for_each(|(at, digest)| found.digests[at] = digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ANNOTATIONS, AnnotationRow, AnnotationsBuilder};

    #[test]
    fn many_messages_hash_as_each_alone() {
        let bytes: Vec<u8> = (0..4_000_u32).map(|i| ((i * 31) >> 3) as u8).collect();
        let lens = [0, 1, 63, 64, 65, 128, 192, 320, 960, 1_024, 1_088, 2_048];
        let messages: Vec<&[u8]> =
            (0..400).map(|i| &bytes[i..i + lens[i * 7 % lens.len()]]).collect();
        let expected: Vec<Digest> = messages.iter().map(|m| blake3::hash(m).into()).collect();
        assert_eq!(digests(&messages), expected);
    }

    #[test]
    fn rows_of_a_batch_are_encoded_as_each_alone() {
        let labels = [Some("car"), None, Some(""), Some("a long label of more than a block")];
        let mut builder = AnnotationsBuilder::default();
        for row in 0..300 {
            let (item, numbers) = (format!("i{row}"), vec![0.5; row % 40]);
            builder.push(&AnnotationRow {
                item_id: &item,
                label: labels[row % 4],
                geometry: (row % 3 > 0).then_some(&numbers),
                number: (row % 5 > 0).then_some(-0.0),
                gold: row % 2 == 0,
                ..AnnotationRow::default()
            });
        }
        let batch = builder.finish();
        let rows = Rows::new(&ANNOTATIONS, &batch).unwrap();
        let mut found = RowDigests::default();
        rows.digests(&mut found);
        rows.digests(&mut found);
        for row in 0..300 {
            let mut bytes = Vec::new();
            rows.encode(row, &mut bytes);
            assert_eq!(found.canonical(row), Some(&bytes[..]));
            assert_eq!(found.digests[row], padded_digest(&bytes));
        }
    }

    #[test]
    fn nodes_are_keyed_hashes_of_their_children() {
        let nodes: Vec<Digest> = (0..70_u8).map(|i| Digest::of(&[i])).collect();
        let (pairs, _) = nodes.as_chunks::<2>();
        let expected: Vec<Digest> = pairs
            .iter()
            .map(|[l, r]| blake3::keyed_hash(&node_key(), &[l.0, r.0].concat()).into())
            .collect();
        assert_eq!(joined(pairs), expected);
    }
}
