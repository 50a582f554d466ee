//! The row root: a Merkle tree over salted row digests.

use super::many::{joined, padded_digest};
use crate::id::Digest;

/// The salts of a segment's rows: 16 bytes a row, from the segment's random seed.
///
/// The salt of row `i` is bytes `16 i .. 16 i + 16` of the output stream of BLAKE3 keyed with the
/// seed over the text `glossator row salt v1`.
#[derive(Debug, Clone)]
pub struct Salts {
    stream: blake3::OutputReader,
    /// Salts that were made already, many at a time.
    made: [u8; SALTS_AT_ONCE * SALT_BYTES],
    next: usize,
}

const SALT_BYTES: usize = 16;
const SALTS_AT_ONCE: usize = 64;

impl Salts {
    /// Starts at row 0.
    pub fn new(seed: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(seed);
        hasher.update(b"glossator row salt v1");
        let made = [0; SALTS_AT_ONCE * SALT_BYTES];
        Self { stream: hasher.finalize_xof(), made, next: SALTS_AT_ONCE }
    }

    /// The next row's salt.
    pub fn next_salt(&mut self) -> [u8; SALT_BYTES] {
        if self.next == SALTS_AT_ONCE {
            self.stream.fill(&mut self.made);
            self.next = 0;
        }
        let mut salt = [0; SALT_BYTES];
        salt.copy_from_slice(&self.made[self.next * SALT_BYTES..][..SALT_BYTES]);
        self.next += 1;
        salt
    }
}

/// What the leaf of a row is the digest of: 0x00 ‖ salt ‖ row digest.
pub(super) fn leaf_message(salt: &[u8; SALT_BYTES], row: &Digest) -> [u8; 49] {
    let mut bytes = [0; 49];
    bytes[1..17].copy_from_slice(salt);
    bytes[17..].copy_from_slice(&row.0);
    bytes
}

/// The leaf of a row in its segment's Merkle tree: BLAKE3(0x00 ‖ salt ‖ row digest), padded as
/// rows are.
pub fn leaf(salt: &[u8; SALT_BYTES], row: &Digest) -> Digest {
    padded_digest(&leaf_message(salt, row))
}

/// Nodes that are joined at once.
const NODES_AT_ONCE: usize = 512;

/// The Merkle root over leaves, shaped as RFC 6962 section 2.1 shapes it (the left subtree of `n`
/// leaves holds the largest power of two below `n`). A node is the digest of its two children; the
/// root of no leaves is BLAKE3 of nothing.
#[derive(Debug, Default, Clone)]
pub struct RootBuilder {
    /// By level from the leaves up: nodes that were not joined yet.
    levels: Vec<Vec<Digest>>,
}

impl RootBuilder {
    /// Appends a leaf.
    pub fn push(&mut self, leaf: Digest) {
        self.push_at(0, leaf);
    }

    /// Appends leaves.
    pub fn extend(&mut self, leaves: Vec<Digest>) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }

    fn push_at(&mut self, level: usize, node: Digest) {
        if self.levels.len() == level {
            self.levels.push(Vec::with_capacity(NODES_AT_ONCE));
        }
        self.levels[level].push(node);
        if self.levels[level].len() == NODES_AT_ONCE {
            self.join(level);
        }
    }

    /// Joins the pairs of a level; an odd node stays.
    fn join(&mut self, level: usize) {
        let nodes = std::mem::take(&mut self.levels[level]);
        let (pairs, odd) = nodes.as_chunks::<2>();
        joined(pairs).into_iter().for_each(|node| self.push_at(level + 1, node));
        self.levels[level].extend(odd);
    }

    /// The root of what was pushed.
    pub fn finish(mut self) -> Digest {
        let mut level = 0;
        while level < self.levels.len() {
            self.join(level);
            // A node without a neighbour stands for itself one level up.
            if level + 1 < self.levels.len()
                && let Some(odd) = self.levels[level].pop()
            {
                self.push_at(level + 1, odd);
            }
            level += 1;
        }
        let last = self.levels.last().and_then(|nodes| nodes.first());
        last.copied().unwrap_or_else(|| Digest::of(b""))
    }
}

/// The nodes beside the way from a leaf to the root, the lowest first: RFC 6962, section 2.1.1.
pub fn audit_path(leaves: &[Digest], index: usize) -> Vec<Digest> {
    let (mut leaves, mut index, mut path) = (leaves, index, Vec::new());
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let beside;
        (leaves, beside) = if index < left.len() { (left, right) } else { (right, left) };
        index -= if index < left.len() { 0 } else { left.len() };
        let mut root = RootBuilder::default();
        root.extend(beside.to_vec());
        path.push(root.finish());
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::super::many::node_key;
    use super::*;

    /// RFC 6962, section 2.1, word by word.
    fn by_definition(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [only] => *only,
            _ => {
                let left = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(left);
                let (left, right) = (by_definition(left), by_definition(right));
                blake3::keyed_hash(&node_key(), &[left.0, right.0].concat()).into()
            }
        }
    }

    #[test]
    fn the_root_has_the_shape_of_rfc_6962() {
        let leaves: Vec<Digest> = (0..3_000_u32).map(|i| Digest::of(&i.to_le_bytes())).collect();
        for count in (0..40).chain([511, 512, 513, 1_023, 1_024, 1_025, 1_537, 2_048, 2_999]) {
            let mut builder = RootBuilder::default();
            leaves[..count].iter().for_each(|leaf| builder.push(*leaf));
            assert_eq!(builder.finish(), by_definition(&leaves[..count]), "{count} leaves");
        }
    }

    /// RFC 6962, section 2.1.3: the paths of the example of seven leaves, by the letters of its
    /// figure.
    #[test]
    fn a_path_is_that_of_the_example_of_rfc_6962() {
        let d: Vec<Digest> = (0..7_u8).map(|i| Digest::of(&[i])).collect();
        let node = |l: Digest, r: Digest| -> Digest {
            blake3::keyed_hash(&node_key(), &[l.0, r.0].concat()).into()
        };
        let (g, h, i, j) = (node(d[0], d[1]), node(d[2], d[3]), node(d[4], d[5]), d[6]);
        let (k, l) = (node(g, h), node(i, j));
        assert_eq!(audit_path(&d, 0), [d[1], h, l]);
        assert_eq!(audit_path(&d, 3), [d[2], g, l]);
        assert_eq!(audit_path(&d, 4), [d[5], j, k]);
        assert_eq!(audit_path(&d, 6), [i, k]);
        assert_eq!(audit_path(&d[..1], 0), []);
    }

    #[test]
    fn salts_are_one_stream() {
        let mut hasher = blake3::Hasher::new_keyed(&[3; 32]);
        let mut stream = vec![0; 200 * SALT_BYTES];
        hasher.update(b"glossator row salt v1").finalize_xof().fill(&mut stream);
        let mut salts = Salts::new(&[3; 32]);
        assert!(stream.chunks(SALT_BYTES).all(|expected| salts.next_salt() == *expected));
    }
}
