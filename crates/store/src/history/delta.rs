//! Deltas inside folded packs: the files of a commit are mostly those of the next one.
//!
//! gix writes deltas into packs and does not make them. Ours copy whole lines, which is what table
//! files of neighbouring commits have in common.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use gix::ObjectId;
use gix::objs::Kind;
use gix_pack::data::output;

use super::{History, NewObject};
use crate::canonical::put_varint;
use crate::error::{Error, Result};

/// Objects that the next one may be a delta of.
const WINDOW_OBJECTS: usize = 8;
/// Deltas that a read has to go through at most.
const DEPTH_MAX: usize = 32;
/// Larger objects are stored whole.
const DELTA_BYTES_MAX: usize = 1 << 20;
/// A line that a copy begins with has this many bytes at least: shorter ones cost less as they are.
const COPY_BYTES_MIN: usize = 16;

/// Makes pack entries of objects that come in an order in which like ones are close.
#[derive(Debug, Default)]
pub(super) struct Packer {
    window: VecDeque<Base>,
    entries: usize,
}

#[derive(Debug)]
struct Base {
    data: Vec<u8>,
    /// Its place in the pack.
    index: usize,
    /// How many deltas lead to it.
    depth: usize,
}

impl Packer {
    pub(super) fn entry(&mut self, object: NewObject) -> Result<output::Entry> {
        let index = self.entries;
        self.entries += 1;
        if object.kind != Kind::Blob || object.data.len() > DELTA_BYTES_MAX {
            return entry(object.id, output::entry::Kind::Base(object.kind), &object.data);
        }
        let bases = self.window.iter().filter(|base| base.depth < DEPTH_MAX);
        let deltas = bases.map(|base| (delta(&base.data, &object.data), base));
        let best = deltas.min_by_key(|(delta, _)| delta.len());
        let (made, depth) = match best.filter(|(delta, _)| delta.len() < object.data.len() / 2) {
            Some((delta, base)) => {
                let kind = output::entry::Kind::DeltaRef { object_index: base.index };
                (entry(object.id, kind, &delta)?, base.depth + 1)
            }
            None => (entry(object.id, output::entry::Kind::Base(Kind::Blob), &object.data)?, 0),
        };
        if self.window.len() == WINDOW_OBJECTS {
            self.window.pop_front();
        }
        self.window.push_back(Base { data: object.data, index, depth });
        Ok(made)
    }
}

/// An entry of bytes as they are, or of a delta.
pub(super) fn entry(id: ObjectId, kind: output::entry::Kind, data: &[u8]) -> Result<output::Entry> {
    let count = output::Count::from_data(id, None);
    let data = gix::objs::Data::new(data, Kind::Blob, gix::hash::Kind::Sha1);
    let compression = gix::zlib::Compression::DEFAULT;
    let made = output::Entry::from_data(&count, &data, compression)
        .map_err(|e| Error::git("cannot encode a pack", e))?;
    Ok(output::Entry { kind, ..made })
}

/// What makes `target` of `base`, as git encodes it: both lengths, then copies and insertions.
fn delta(base: &[u8], target: &[u8]) -> Vec<u8> {
    let mut starts = HashMap::new();
    let mut at = 0;
    for line in base.split_inclusive(|b| *b == b'\n') {
        starts.entry(line).or_insert(at);
        at += line.len();
    }
    let mut out = Vec::new();
    put_varint(&mut out, base.len() as u64);
    put_varint(&mut out, target.len() as u64);
    let mut copy = 0..0;
    let mut fresh = 0..0;
    let mut at = 0;
    for line in target.split_inclusive(|b| *b == b'\n') {
        let end = at + line.len();
        let found = starts.get(line).copied().filter(|_| line.len() >= COPY_BYTES_MIN);
        if !copy.is_empty() && fresh.is_empty() && base[copy.end..].starts_with(line) {
            copy.end += line.len();
        } else if let Some(found) = found {
            put_copy(&mut out, &copy);
            put_fresh(&mut out, &target[fresh]);
            (copy, fresh) = (found..found + line.len(), end..end);
        } else {
            fresh = if fresh.is_empty() { at..end } else { fresh.start..end };
        }
        at = end;
    }
    put_copy(&mut out, &copy);
    put_fresh(&mut out, &target[fresh]);
    out
}

fn put_fresh(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.chunks(0x7f) {
        out.push(chunk.len() as u8);
        out.extend_from_slice(chunk);
    }
}

/// A byte whose bits say which bytes of the offset and the length follow, those that are not zero.
fn put_copy(out: &mut Vec<u8>, range: &std::ops::Range<usize>) {
    for start in range.clone().step_by(0xffff) {
        let len = (range.end - start).min(0xffff);
        let bytes = (start as u32).to_le_bytes().into_iter().chain((len as u16).to_le_bytes());
        let first = out.len();
        out.push(0x80);
        for (bit, byte) in bytes.enumerate().filter(|(_, byte)| *byte != 0) {
            out[first] |= 1 << bit;
            out.push(byte);
        }
    }
}

impl History {
    /// Orders objects so that those of a commit stand together, and after those of its children.
    pub(super) fn by_commit(&self, ids: impl Iterator<Item = ObjectId>) -> Result<Vec<ObjectId>> {
        let mut left: BTreeSet<ObjectId> = ids.collect();
        let mut commits = HashMap::new();
        for id in &left {
            let read = |e: gix::Error| Error::git(format!("cannot read {id}"), e);
            if self.repo.find_header(*id).map_err(read)?.kind() == Kind::Commit {
                let commit = self.repo.find_commit(*id).map_err(read)?;
                let parents: Vec<ObjectId> = commit.parent_ids().map(|p| p.detach()).collect();
                commits.insert(*id, (commit.tree_id().map_err(read)?.detach(), parents));
            }
        }
        let parents: HashSet<_> = commits.values().flat_map(|(_, parents)| parents).collect();
        let mut stack: Vec<ObjectId> =
            commits.keys().filter(|id| !parents.contains(id)).copied().collect();
        stack.sort_unstable();
        let mut order = Vec::with_capacity(left.len());
        while let Some(id) = stack.pop() {
            if left.remove(&id) {
                order.push(id);
                if let Some((tree, parents)) = commits.get(&id) {
                    stack.extend(parents);
                    self.below(*tree, &mut left, &mut order)?;
                }
            }
        }
        order.extend(left);
        Ok(order)
    }

    /// A tree and what it names, as far as it is left.
    fn below(
        &self,
        tree: ObjectId,
        left: &mut BTreeSet<ObjectId>,
        order: &mut Vec<ObjectId>,
    ) -> Result<()> {
        let read = |e: gix::Error| Error::git(format!("cannot read {tree}"), e);
        let mut stack = vec![tree];
        while let Some(id) = stack.pop() {
            if !left.remove(&id) {
                continue;
            }
            order.push(id);
            if self.repo.find_header(id).map_err(read)?.kind() == Kind::Tree {
                let tree = self.repo.find_tree(id).map_err(read)?;
                for entry in tree.iter() {
                    let entry =
                        entry.map_err(|e| Error::git("cannot read a tree", e.to_string()))?;
                    stack.push(entry.oid().to_owned());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_is_as_git_has_it() {
        let base = b"a line of some length\nb line of some length\n";
        let target = b"new\na line of some length\nb line of some length\nc\n";
        // 44 bytes become 50: insert 4, copy 44 from 0, insert 2.
        let mut expected = vec![44, 50, 4];
        expected.extend_from_slice(b"new\n");
        expected.extend_from_slice(&[0x90, 44, 2]);
        expected.extend_from_slice(b"c\n");
        assert_eq!(delta(base, target), expected);
        // A copy from 22 of the rest; a short line is no copy of its own.
        assert_eq!(delta(base, &base[22..]), [44, 22, 0x91, 22, 22]);
        assert_eq!(delta(b"x\n", b"x\n"), [2, 2, 2, b'x', b'\n']);
        assert_eq!(delta(b"x", b""), [1, 0]);
        // 65,535 bytes at a time.
        let long = [b'l'; 70_000];
        let expected = [0xf0, 0xa2, 4, 0xf0, 0xa2, 4, 0xb0, 255, 255, 0xb3, 255, 255, 0x71, 0x11];
        assert_eq!(delta(&long, &long), expected);
    }
}
