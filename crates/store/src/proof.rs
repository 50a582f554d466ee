//! A proof that a row was in a commit: what leads from the row's bytes to the commit's id.
//!
//! # Guarantees
//! - Who has the commit's id can check the proof without the store: each part is hashed into the
//!   next one (`schemas/format-v1.md`, part 14).
//! - It tells nothing of other rows but their number and that they are there: the leaves beside the
//!   path are salted.

use serde::Serialize;

use crate::canonical::{RootBuilder, RowDigests, Rows, audit_path};
use crate::error::{Error, Result};
use crate::id::{CommitId, Digest};
use crate::redaction::{Proof as RowProofPart, Proofs};
use crate::schema::Table;
use crate::segment::SegmentRef;
use crate::snapshot::TableSnapshot;
use crate::store::{Store, table_path};

/// The version of the form of proofs.
const PROOF_VERSION: u32 = 1;

/// A proof, as JSON has it. Bytes are hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// The version of this form.
    pub proof: u32,
    /// The commit.
    pub commit: CommitId,
    /// The table that the row is of.
    pub table: &'static str,
    /// The parts of the row's key.
    pub key: Vec<String>,
    /// The row.
    pub row: RowProof,
    /// The segment that holds it, as the table's file has it.
    pub segment: SegmentRef,
    /// The text of the table's file.
    pub table_file: String,
    /// The removals that the table's file names, in its order: none of them names the row.
    pub removals: Vec<String>,
    /// The git tree that holds the table's file.
    pub tables_tree: String,
    /// The git tree of the commit.
    pub tree: String,
    /// The commit, with its signature where it is signed.
    pub commit_object: String,
}

/// A row and its way to the root of its segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowProof {
    /// Its place in the segment.
    pub number: u32,
    /// Its canonical bytes.
    pub canonical: String,
    /// Its salt.
    pub salt: String,
    /// The nodes beside the way from its leaf to the root, the lowest first.
    pub path: Vec<Digest>,
}

impl Store {
    /// Proves that a row was live at a commit; `None` where it was not.
    ///
    /// # Errors
    /// Where an object of it cannot be read, or is damaged.
    pub fn prove(
        &self,
        commit: CommitId,
        table: &'static Table,
        key: (&str, &str),
    ) -> Result<Option<Proof>> {
        let snapshot = self.snapshot(Some(commit), &[])?;
        let rows = snapshot.table(table)?;
        let Some(at) = rows.locate([key])?.pop().flatten() else { return Ok(None) };
        let row = row_proof(self, rows, (at.segment, at.row), key)?;
        let removals = rows.state.removals.iter();
        let removals = removals
            .map(|line| Ok(hex(&self.objects().read(&line.removed)?)))
            .collect::<Result<_>>()?;
        let way = self.history.way_to(commit, &table_path(table))?;
        let table_file = String::from_utf8(way.file)
            .map_err(|e| Error::damaged(format!("{commit}:{}", table_path(table)), e))?;
        let parts = [key.0, key.1];
        Ok(Some(Proof {
            proof: PROOF_VERSION,
            commit,
            table: table.name,
            key: parts.iter().take(table.key_len).map(|part| (*part).to_owned()).collect(),
            row,
            segment: rows.state.segments[at.segment].clone(),
            table_file,
            removals,
            tables_tree: hex(&way.dir),
            tree: hex(&way.root),
            commit_object: hex(&way.commit),
        }))
    }
}

/// Reads the segment once, for the row and the leaves of all.
fn row_proof(
    store: &Store,
    rows: &TableSnapshot,
    (segment, number): (usize, u32),
    key: (&str, &str),
) -> Result<RowProof> {
    let reader = rows.reader(segment)?;
    let mut proofs = Proofs::of(store.objects(), reader)?;
    let (mut all, mut canonical, mut salt) = (Vec::new(), Vec::new(), None);
    let mut found = RowDigests::default();
    for batch in reader.scan()? {
        let batch = batch?;
        let view = Rows::new(rows.table, &batch)?;
        let within = (number as usize).checked_sub(all.len()).filter(|row| *row < view.len());
        if let Some(row) = within {
            // An index that lies gives another row.
            if view.key(row) != key {
                return Err(Error::damaged(
                    rows.segment(segment),
                    "its key index names other rows",
                ));
            }
            view.encode(row, &mut canonical);
        }
        view.digests(&mut found);
        for digest in &found.digests {
            let of_row = proofs.next()?;
            if all.len() == number as usize
                && let RowProofPart::Kept(known) = of_row
            {
                salt = Some(known);
            }
            all.push(of_row.leaf(digest));
        }
    }
    let mut root = RootBuilder::default();
    root.extend(all.clone());
    if root.finish() != reader.line().root {
        return Err(Error::damaged(rows.segment(segment), "its rows have another root"));
    }
    let salt = salt.unwrap_or_default();
    let path = audit_path(&all, number as usize);
    Ok(RowProof { number, canonical: hex(&canonical), salt: hex(&salt), path })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
