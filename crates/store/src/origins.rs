//! Which commit first held a segment, so that blame is a look-up and not a walk.
//!
//! Kept in one droppable file, `.gloss/cache/index/commits`: of each commit its parents and the
//! segments that its change added, as `change.json` says. It holds no item, no person, no name.
//!
//! # Guarantees
//! - What is answered is what the named commit's own `change.json` says. A file that is missing,
//!   damaged or wrong costs a walk, never an answer.
//! - Commits are never changed, so nothing in the file grows old; new commits are walked for until
//!   enough have come to write the file anew.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use crate::error::Result;
use crate::id::{CommitId, Digest};
use crate::limits::COMMITS_UNCACHED_MAX;
use crate::store::Store;

/// What the file begins with; another form of it has another number.
const MAGIC: &[u8; 8] = b"GLOSCOM1";
/// Bytes of the checksum that it ends with.
const CHECKSUM_BYTES: usize = 32;

/// Commits with their parents and what they added.
#[derive(Debug, Default)]
pub struct Origins {
    /// Closed: the parents of each commit are commits of it.
    parents: HashMap<CommitId, Vec<CommitId>>,
    added: HashMap<Digest, Vec<CommitId>>,
    /// How many of them the file does not hold.
    walked: usize,
}

impl Origins {
    /// The commits whose change added a segment: one, or several of equal content.
    pub fn of(&self, segment: &Digest) -> &[CommitId] {
        self.added.get(segment).map_or(&[], Vec::as_slice)
    }

    /// A commit and every commit before it, as far as they are known.
    pub fn reached(&self, tip: CommitId) -> HashSet<CommitId> {
        let mut reached = HashSet::new();
        let mut stack = vec![tip];
        while let Some(commit) = stack.pop() {
            if let Some(parents) = self.parents.get(&commit).filter(|_| reached.insert(commit)) {
                stack.extend(parents);
            }
        }
        reached
    }

    /// Some commits and every commit before them, the oldest first: each stands behind its
    /// parents, whatever the clocks said, and those of the first parent stand first.
    pub fn order(&self, tips: &[CommitId]) -> Vec<CommitId> {
        let (mut order, mut seen) = (Vec::new(), HashSet::new());
        let mut stack: Vec<_> = tips.iter().rev().map(|tip| (*tip, false)).collect();
        while let Some((commit, parents_done)) = stack.pop() {
            if parents_done {
                order.push(commit);
            } else if let Some(parents) = self.parents.get(&commit).filter(|_| seen.insert(commit))
            {
                stack.push((commit, true));
                stack.extend(parents.iter().rev().map(|parent| (*parent, false)));
            }
        }
        order
    }

    /// Some commits and every known commit that comes from them.
    pub fn descendants(&self, of: impl IntoIterator<Item = CommitId>) -> HashSet<CommitId> {
        let mut children: HashMap<CommitId, Vec<CommitId>> = HashMap::new();
        for (commit, parents) in &self.parents {
            parents.iter().for_each(|parent| children.entry(*parent).or_default().push(*commit));
        }
        let mut found = HashSet::new();
        let mut stack: Vec<CommitId> = of.into_iter().collect();
        while let Some(commit) = stack.pop() {
            if found.insert(commit) {
                stack.extend(children.get(&commit).into_iter().flatten());
            }
        }
        found
    }

    fn add(&mut self, commit: CommitId, parents: Vec<CommitId>, added: Vec<Digest>) {
        for segment in added {
            let commits = self.added.entry(segment).or_default();
            if !commits.contains(&commit) {
                commits.push(commit);
            }
        }
        self.parents.insert(commit, parents);
    }

    fn encode(&self) -> Vec<u8> {
        let mut added: HashMap<CommitId, Vec<&Digest>> = HashMap::new();
        for (segment, commits) in &self.added {
            commits.iter().for_each(|commit| added.entry(*commit).or_default().push(segment));
        }
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&(self.parents.len() as u32).to_le_bytes());
        for (commit, parents) in &self.parents {
            let added = added.get(commit).map_or(&[][..], Vec::as_slice);
            out.extend_from_slice(commit.as_bytes());
            out.extend_from_slice(&(parents.len() as u32).to_le_bytes());
            out.extend_from_slice(&(added.len() as u32).to_le_bytes());
            parents.iter().for_each(|parent| out.extend_from_slice(parent.as_bytes()));
            added.iter().for_each(|segment| out.extend_from_slice(&segment.0));
        }
        let checksum = Digest::of(&out);
        out.extend_from_slice(&checksum.0);
        out
    }

    /// Reads the file; `None` where it is not whole.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        let mut rest = body.strip_prefix(MAGIC)?;
        if Digest::of(body).0 != checksum {
            return None;
        }
        let mut take = |count: usize| {
            let (part, left) = rest.split_at_checked(count)?;
            rest = left;
            Some(part)
        };
        let number = |part: &[u8]| Some(u32::from_le_bytes(part.try_into().ok()?) as usize);
        let mut origins = Self::default();
        for _ in 0..number(take(4)?)? {
            let commit = CommitId::from_bytes(take(CommitId::BYTES)?)?;
            let (parents, added) = (number(take(4)?)?, number(take(4)?)?);
            let parents = take(parents.checked_mul(CommitId::BYTES)?)?;
            let added = take(added.checked_mul(32)?)?;
            let parents = parents.chunks(CommitId::BYTES).map(CommitId::from_bytes);
            let added = added.chunks(32).map(|part| Some(Digest(part.try_into().ok()?)));
            origins.add(commit, parents.collect::<Option<_>>()?, added.collect::<Option<_>>()?);
        }
        rest.is_empty().then_some(origins)
    }
}

impl Store {
    fn origins_path(&self) -> PathBuf {
        self.index_dir().join("commits")
    }

    /// What the commits that `tips` reach added; with every branch, tag and followed branch where
    /// `tips` is empty.
    ///
    /// # Errors
    /// Where a commit cannot be read. That the file cannot be kept is none.
    pub fn origins(&self, tips: &[CommitId]) -> Result<Origins> {
        // A file that cannot be read is as good as none.
        let kept = self.disk().read_optional(&self.origins_path()).ok().flatten();
        let mut origins = kept.and_then(|bytes| Origins::decode(&bytes)).unwrap_or_default();
        self.walk_origins(&mut origins, tips)?;
        Ok(origins)
    }

    /// Adds what more tips reach.
    ///
    /// # Errors
    /// Where a commit cannot be read.
    pub fn walk_origins(&self, origins: &mut Origins, tips: &[CommitId]) -> Result<()> {
        let mut stack = match tips {
            [] => self.history.tips()?.into_iter().map(|(_, tip)| tip).collect(),
            tips => tips.to_vec(),
        };
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        while let Some(commit) = stack.pop() {
            if origins.parents.contains_key(&commit) || !seen.insert(commit) {
                continue;
            }
            let parents = self.history.commit(commit)?.parents;
            stack.extend(&parents);
            let record = self.change(commit)?;
            let added = record.tables.values().flat_map(|table| &table.added);
            found.push((commit, parents, added.map(|line| line.segment).collect()));
        }
        // All or nothing: what is known stays closed.
        origins.walked += found.len();
        for (commit, parents, added) in found {
            origins.add(commit, parents, added);
        }
        if origins.walked > COMMITS_UNCACHED_MAX {
            // A store may be readable only, and whoever comes next walks again.
            let _ = self.disk().write_cache(&self.origins_path(), &origins.encode());
            origins.walked = 0;
        }
        Ok(())
    }

    /// Whether a commit says itself that it added a segment: what the file says of it is no proof.
    ///
    /// # Errors
    /// Where the commit cannot be read.
    pub fn has_added(&self, commit: CommitId, segment: &Digest) -> Result<bool> {
        if !self.history.contains(commit) {
            return Ok(false);
        }
        let record = self.change(commit)?;
        let mut added = record.tables.values().flat_map(|table| &table.added);
        Ok(added.any(|line| line.segment == *segment))
    }

    /// Forgets the file: what it said turned out wrong.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn drop_origins(&self) -> Result<()> {
        self.disk().remove_file(&self.origins_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(byte: u8) -> CommitId {
        CommitId::from_bytes(&[byte; CommitId::BYTES]).unwrap()
    }

    fn some() -> Origins {
        let mut origins = Origins::default();
        let segment = |byte| Digest([byte; 32]);
        origins.add(commit(1), vec![], vec![segment(1), segment(2)]);
        origins.add(commit(2), vec![commit(1)], vec![]);
        origins.add(commit(3), vec![commit(2), commit(1)], vec![segment(2)]);
        origins
    }

    #[test]
    fn the_file_reads_as_it_was_written_and_no_other_bytes_do() {
        let bytes = some().encode();
        let read = Origins::decode(&bytes).unwrap();
        assert_eq!(read.parents, some().parents);
        assert_eq!(read.of(&Digest([1; 32])), [commit(1)]);
        assert_eq!(read.of(&Digest([2; 32])).len(), 2);
        assert!(read.of(&Digest([9; 32])).is_empty());
        for end in 0..bytes.len() {
            assert!(Origins::decode(&bytes[..end]).is_none(), "cut to {end}");
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(Origins::decode(&bad).is_none(), "bit at {at}");
        }
        // Numbers that say more than there is, with a checksum that fits.
        let mut body = bytes[..bytes.len() - CHECKSUM_BYTES].to_vec();
        body[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        let checksum = Digest::of(&body);
        body.extend_from_slice(&checksum.0);
        assert!(Origins::decode(&body).is_none());
    }

    #[test]
    fn what_a_commit_reaches_is_itself_and_what_is_before_it() {
        let origins = some();
        assert_eq!(origins.reached(commit(2)), HashSet::from([commit(1), commit(2)]));
        assert_eq!(origins.reached(commit(3)).len(), 3);
        assert!(origins.reached(commit(7)).is_empty());
        assert_eq!(origins.descendants([commit(2)]), HashSet::from([commit(2), commit(3)]));
        assert_eq!(origins.order(&[commit(3)]), [commit(1), commit(2), commit(3)]);
    }
}
