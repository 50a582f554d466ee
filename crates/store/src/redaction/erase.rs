//! One segment without some of its rows, and what proves the others.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::compute::{cast, interleave};
use arrow::datatypes::{DataType, Field};

use super::Replacement;
use crate::canonical::{RootBuilder, RowDigests, Rows, Salts, leaf};
use crate::error::{Error, Result};
use crate::id::Digest;
use crate::objects::Objects;
use crate::schema::Table;
use crate::segment::{SegmentKind, SegmentReader, SegmentRef, write_empty_rows};

const MAGIC: &[u8; 8] = b"glossrp1";
const KEPT: u8 = 0;
const ERASED: u8 = 1;

/// What proves a row of a redacted segment against the root of the whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The salt of a row that is there.
    Kept([u8; 16]),
    /// The leaf of a row that is not.
    Erased(Digest),
}

impl Proof {
    /// Reads a proof object: `glossrp1`, then a row each: 0 and its salt of 16 bytes, or 1 and its
    /// leaf of 32 bytes.
    ///
    /// # Errors
    /// Where the object is missing, or not of that form for so many rows.
    pub(crate) fn read(objects: &Objects, object: &Digest, rows: u32) -> Result<Vec<Self>> {
        let bytes = objects.read(object)?;
        Self::decode(&bytes, rows as usize)
            .ok_or_else(|| Error::damaged(object, "it is no proof of so many rows"))
    }

    fn decode(bytes: &[u8], rows: usize) -> Option<Vec<Self>> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut proof = Vec::with_capacity(rows.min(rest.len()));
        while let Some((tag, tail)) = rest.split_first() {
            rest = match *tag {
                KEPT => {
                    let (salt, tail) = tail.split_first_chunk()?;
                    proof.push(Self::Kept(*salt));
                    tail
                }
                ERASED => {
                    let (leaf, tail) = tail.split_first_chunk()?;
                    proof.push(Self::Erased(Digest(*leaf)));
                    tail
                }
                _ => return None,
            };
        }
        (proof.len() == rows).then_some(proof)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Kept(salt) => {
                out.push(KEPT);
                out.extend_from_slice(salt);
            }
            Self::Erased(leaf) => {
                out.push(ERASED);
                out.extend_from_slice(&leaf.0);
            }
        }
    }

    /// The leaf of a row of this digest.
    pub(crate) fn leaf(&self, row: &Digest) -> Digest {
        match self {
            Self::Kept(salt) => leaf(salt, row),
            Self::Erased(leaf) => *leaf,
        }
    }
}

/// What proves the rows of a segment, in their order: from the seed of a whole one, or from the
/// proof of one with erased rows.
pub(crate) struct Proofs {
    segment: Digest,
    from: From,
}

enum From {
    Seed(Box<Salts>),
    Proof(std::vec::IntoIter<Proof>),
}

impl Proofs {
    /// Those of a segment.
    ///
    /// # Errors
    /// Where it has no seed, or its proof cannot be read.
    pub(crate) fn of(objects: &Objects, reader: &SegmentReader) -> Result<Self> {
        let line = reader.line();
        let proof = objects.redacted(&line.segment).and_then(|replaced| replaced.proof);
        let from = match proof {
            Some(proof) => From::Proof(Proof::read(objects, &proof, line.rows)?.into_iter()),
            None => From::Seed(Box::new(Salts::new(&reader.seed()?))),
        };
        Ok(Self { segment: line.segment, from })
    }

    /// That of the next row.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn next(&mut self) -> Result<Proof> {
        match &mut self.from {
            From::Seed(salts) => Ok(Proof::Kept(salts.next_salt())),
            From::Proof(rows) => {
                rows.next().ok_or_else(|| Error::damaged(self.segment, "its proof ends early"))
            }
        }
    }
}

/// Writes a segment anew with these rows empty, which must rise, and its proof.
///
/// The seed of the salts is not kept: with it, whoever guesses an erased row could see that the
/// guess is right.
pub(crate) fn without_rows(
    objects: &Objects,
    table: &'static Table,
    kind: SegmentKind,
    line: &SegmentRef,
    doomed: &[u32],
) -> Result<Replacement> {
    let reader = SegmentReader::open(objects, table, kind, line)?;
    let before = objects.redacted(&line.segment);
    let mut source = Proofs::of(objects, &reader)?;
    let (mut proof, mut erased, mut number) = (MAGIC.to_vec(), 0, 0_u32);
    let (mut doomed, mut found) = (doomed.iter().copied().peekable(), RowDigests::default());
    let batches = reader.scan()?.map(|batch| {
        let batch = batch?;
        Rows::new(table, &batch)?.digests(&mut found);
        let mut gone = Vec::with_capacity(batch.num_rows());
        for row in &found.digests {
            let chosen = doomed.next_if_eq(&number).is_some();
            let of_row = match source.next()? {
                Proof::Kept(salt) if chosen => Proof::Erased(leaf(&salt, row)),
                known => known,
            };
            gone.push(matches!(of_row, Proof::Erased(_)));
            of_row.encode(&mut proof);
            number += 1;
        }
        erased += gone.iter().filter(|gone| **gone).count() as u32;
        emptied(&batch, &gone)
    });
    let (new, bytes) = write_empty_rows(objects, table, kind, batches)?;
    let proof = Some(objects.put(&proof)?);
    let (old, from) = (line.segment, before.map_or(line.segment, |before| before.new));
    Ok(Replacement { old, from, new, bytes, rows: erased, proof })
}

/// Checks that what stands for a segment has the root that its line says.
///
/// # Errors
/// [`Error::Damaged`] where it has not, or has no proof.
pub(crate) fn check_replaced(
    objects: &Objects,
    table: &'static Table,
    kind: SegmentKind,
    line: &SegmentRef,
) -> Result<()> {
    let wrong = |what: &str| Err(Error::damaged(line.segment, what));
    if objects.redacted(&line.segment).is_none_or(|replaced| replaced.proof.is_none()) {
        return wrong("what stands for it has no proof");
    }
    let reader = SegmentReader::open(objects, table, kind, line)?;
    let (mut proofs, mut root) = (Proofs::of(objects, &reader)?, RootBuilder::default());
    let mut found = RowDigests::default();
    for batch in reader.scan()? {
        let batch = batch?;
        let rows = Rows::new(table, &batch)?;
        rows.digests(&mut found);
        for (row, digest) in found.digests.iter().enumerate() {
            let of_row = proofs.next()?;
            if matches!(of_row, Proof::Erased(_)) != rows.key(row).0.is_empty() {
                return wrong("what stands for it has other empty rows than its proof");
            }
            root.push(of_row.leaf(digest));
        }
    }
    if root.finish() != line.root {
        return wrong("what stands for it has another root");
    }
    Ok(())
}

/// A batch with some rows empty.
fn emptied(batch: &RecordBatch, gone: &[bool]) -> Result<RecordBatch> {
    if !gone.contains(&true) {
        return Ok(batch.clone());
    }
    let picks: Vec<(usize, usize)> =
        gone.iter().enumerate().map(|(row, gone)| if *gone { (1, 0) } else { (0, row) }).collect();
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let empty = empty_cell(field)?;
        Ok(interleave(&[column.as_ref(), empty.as_ref()], &picks)?)
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_>>()?)?)
}

/// One cell that says nothing: null where the column allows it, else empty, false or 0.
fn empty_cell(field: &Field) -> Result<ArrayRef> {
    let data_type = field.data_type();
    Ok(match data_type {
        _ if field.is_nullable() => new_null_array(data_type, 1),
        DataType::Utf8 | DataType::Dictionary(..) => cast(&StringArray::from(vec![""]), data_type)?,
        DataType::Boolean => Arc::new(BooleanArray::from(vec![false])),
        _ => cast(&Int64Array::from(vec![0]), data_type)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_read_as_it_was_written_and_nothing_else() {
        let rows = [Proof::Kept([7; 16]), Proof::Erased(Digest([9; 32])), Proof::Kept([0; 16])];
        let mut bytes = MAGIC.to_vec();
        rows.iter().for_each(|row| row.encode(&mut bytes));
        assert_eq!(bytes.len(), 8 + 17 + 33 + 17);
        assert_eq!(Proof::decode(&bytes, 3).unwrap(), rows);
        assert!(Proof::decode(&bytes, 2).is_none());
        for cut in 0..bytes.len() {
            assert!(Proof::decode(&bytes[..cut], 3).is_none(), "cut at {cut}");
        }
        bytes[8] = 2;
        assert!(Proof::decode(&bytes, 3).is_none());
    }
}
