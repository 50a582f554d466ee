//! Removal objects: which rows of which segments a commit took out of the table.
//!
//! Bytes: `glossrm1`, then for each segment in order of its digest: the digest (32 bytes), the
//! count as a varint, then the row numbers as varints, the first as it is and each further one as
//! the distance to the one before, which is at least 1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::canonical::{get_varint, put_varint};
use crate::error::{Error, Result};
use crate::id::Digest;
use crate::objects::Objects;

const MAGIC: &[u8; 8] = b"glossrm1";

/// A line of `tables/<name>.jsonl` that names a removal object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovalRef {
    /// The digest of the removal object.
    pub removed: Digest,
    /// How many rows it removes.
    pub count: u64,
}

/// Row numbers by segment; the numbers of a segment rise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removal {
    /// Rising row numbers by segment.
    pub rows: BTreeMap<Digest, Vec<u32>>,
}

impl Removal {
    /// How many rows are removed.
    pub fn count(&self) -> u64 {
        self.rows.values().map(|rows| rows.len() as u64).sum()
    }

    /// Adds one row. Call [`Removal::sort`] after the last.
    pub fn push(&mut self, segment: Digest, row: u32) {
        self.rows.entry(segment).or_default().push(row);
    }

    /// Adds another removal's rows. Call [`Removal::sort`] after the last.
    pub fn extend(&mut self, other: Self) {
        for (segment, rows) in other.rows {
            self.rows.entry(segment).or_default().extend(rows);
        }
    }

    /// Puts the rows of each segment in order.
    pub fn sort(&mut self) {
        for rows in self.rows.values_mut() {
            rows.sort_unstable();
            rows.dedup();
        }
    }

    /// Stores the removal; `None` where it is empty.
    pub fn write(&self, objects: &Objects) -> Result<Option<RemovalRef>> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let mut bytes = MAGIC.to_vec();
        for (segment, rows) in &self.rows {
            bytes.extend_from_slice(&segment.0);
            put_varint(&mut bytes, rows.len() as u64);
            let mut last = 0;
            for &row in rows {
                put_varint(&mut bytes, u64::from(row - last));
                last = row;
            }
        }
        Ok(Some(RemovalRef { removed: objects.put(&bytes)?, count: self.count() }))
    }

    /// Reads a removal.
    pub fn read(objects: &Objects, line: &RemovalRef) -> Result<Self> {
        let bytes = objects.read(&line.removed)?;
        let removal = Self::decode(&bytes)
            .ok_or_else(|| Error::damaged(line.removed, "it is no removal object"))?;
        if removal.count() != line.count {
            let what = format!("it removes {} rows instead of {}", removal.count(), line.count);
            return Err(Error::damaged(line.removed, what));
        }
        Ok(removal)
    }

    /// Decodes the bytes of a removal object.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut removal = Self::default();
        while let Some((segment, tail)) = rest.split_first_chunk::<32>() {
            let segment = Digest(*segment);
            let above = removal.rows.last_key_value().is_none_or(|(last, _)| *last < segment);
            let mut at = 0;
            let count = get_varint(tail, &mut at)?;
            if !above || count == 0 || count > tail.len() as u64 {
                return None;
            }
            let mut rows = Vec::with_capacity(count as usize);
            let mut last = 0_u32;
            for index in 0..count {
                let step = u32::try_from(get_varint(tail, &mut at)?).ok()?;
                if index > 0 && step == 0 {
                    return None;
                }
                last = last.checked_add(step)?;
                rows.push(last);
            }
            removal.rows.insert(segment, rows);
            rest = &tail[at..];
        }
        rest.is_empty().then_some(removal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Disk;

    #[test]
    fn a_removal_reads_back_and_a_damaged_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(Disk::default(), dir.path().join("objects"));
        let mut removal = Removal::default();
        for (segment, row) in [(2, 9), (1, 300), (1, 0), (2, 4)] {
            removal.push(Digest([segment; 32]), row);
        }
        removal.sort();
        let line = removal.write(&objects).unwrap().unwrap();
        assert_eq!(line.count, 4);
        assert_eq!(Removal::read(&objects, &line).unwrap(), removal);
        let bytes = objects.read(&line.removed).unwrap();
        // Magic, digest, count 2, row 0, distance 300 as two bytes.
        assert_eq!(bytes[40..44], [2, 0, 0xac, 2]);
        for end in 9..bytes.len() {
            let cut = Removal::decode(&bytes[..end]);
            assert!(cut.is_none() || cut.is_some_and(|r| r.count() < 4), "cut at {end}");
        }
        assert!(Removal::read(&objects, &RemovalRef { count: 5, ..line }).is_err());
    }
}
