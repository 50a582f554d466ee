//! The canonical row: the bytes that equality, diffs, digests and proofs are defined on.
//!
//! A row is, for each of its non-null cells in order of field number: the number as a varint, then
//! the value. Text, JSON and bytes: length as a varint, then the bytes. Booleans: one byte. Floats:
//! eight bytes, little endian, −0 as +0. Integers and times: eight bytes, little endian. Lists: the
//! count as a varint, then the elements. `schemas/format-v1.md` is the reference.

mod many;
mod tree;

use arrow::array::RecordBatch;

pub use many::{RowDigests, leaves, padded_digest};
pub use tree::{RootBuilder, Salts, audit_path, leaf};

use crate::error::{Error, Result};
use crate::id::Digest;
use crate::schema::{CellType, Column, ColumnView, Columns, Table};

/// Typed columns of a batch of any table.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    table: &'static Table,
    columns: Vec<ColumnView<'a>>,
    /// The columns that are not null throughout.
    filled: Columns,
    len: usize,
}

impl<'a> Rows<'a> {
    /// Views a batch that starts with the table's columns; further columns are left out.
    pub fn new(table: &'static Table, batch: &'a RecordBatch) -> Result<Self> {
        let columns: Option<Vec<_>> =
            batch.columns().iter().take(table.columns.len()).map(|c| ColumnView::new(c)).collect();
        match columns {
            Some(columns) if columns.len() == table.columns.len() => {
                let len = batch.num_rows();
                let filled = (0..columns.len()).filter(|&c| batch.column(c).null_count() < len);
                Ok(Self { table, filled: filled.collect(), columns, len })
            }
            _ => Err(Error::BadRows {
                table: table.name,
                what: "a batch of another schema".to_owned(),
            }),
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The table.
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// The column of that index in the table.
    pub fn column(&self, index: usize) -> &ColumnView<'a> {
        &self.columns[index]
    }

    /// The key of a row: its item (or only) id, and the second part or an empty text.
    pub fn key(&self, row: usize) -> Key<'a> {
        let part = |i: usize| self.columns[i].text(row).unwrap_or_default();
        (part(0), if self.table.key_len > 1 { part(1) } else { "" })
    }

    /// Appends the canonical bytes of a row.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) {
        self.encode_columns(row, out, |_| true);
    }

    /// Appends the canonical bytes of some of a row's columns.
    pub fn encode_columns(&self, row: usize, out: &mut Vec<u8>, take: impl Fn(&Column) -> bool) {
        for index in (0..self.columns.len()).filter(|index| self.filled.has(*index)) {
            let (column, view) = (&self.table.columns[index], &self.columns[index]);
            if view.is_null(row) || !take(column) {
                continue;
            }
            put_varint(out, u64::from(column.number));
            encode_cell(column.cell, view, row, out);
        }
    }

    /// The digest of a row.
    pub fn digest(&self, row: usize, scratch: &mut Vec<u8>) -> Digest {
        scratch.clear();
        self.encode(row, scratch);
        padded_digest(scratch)
    }

    /// Indices of the table's columns in which two rows differ.
    pub fn differing(&self, row: usize, other: &Rows<'_>, other_row: usize) -> Vec<usize> {
        let filled = |column: &usize| self.filled.has(*column) || other.filled.has(*column);
        (0..self.columns.len())
            .filter(filled)
            .filter(|&c| !self.columns[c].same_cell(row, &other.columns[c], other_row))
            .collect()
    }
}

/// A row's key: the item (or only) id, then the second part or an empty text. Ordered bytewise.
pub type Key<'a> = (&'a str, &'a str);

fn encode_cell(cell: CellType, view: &ColumnView<'_>, row: usize, out: &mut Vec<u8>) {
    match cell {
        CellType::Text | CellType::Dict | CellType::Json => {
            put_bytes(out, view.text(row).unwrap_or_default().as_bytes());
        }
        CellType::Bytes => put_bytes(out, view.bytes(row).unwrap_or_default()),
        CellType::Bool => out.push(u8::from(view.bool(row).unwrap_or_default())),
        CellType::Float => put_float(out, view.float(row).unwrap_or_default()),
        CellType::Int | CellType::Int32 | CellType::Time => {
            out.extend_from_slice(&view.int(row).unwrap_or_default().to_le_bytes());
        }
        CellType::Floats => {
            let values = view.floats(row).unwrap_or_default();
            put_varint(out, values.len() as u64);
            values.iter().for_each(|v| put_float(out, *v));
        }
        CellType::Texts => {
            let values = view.texts(row).unwrap_or_default();
            put_varint(out, values.len() as u64);
            values.iter().for_each(|v| put_bytes(out, v.as_bytes()));
        }
    }
}

/// The bits of a float in canonical form.
pub fn float_bits(value: f64) -> u64 {
    if value == 0.0 { 0 } else { value.to_bits() }
}

fn put_float(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&float_bits(value).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends an unsigned LEB128 number.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads an unsigned LEB128 number and moves `at` behind it; `None` where it is cut or too long.
pub fn get_varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{
        ANNOTATIONS, AnnotationRow, AnnotationsBuilder, ITEMS, ItemRow, ItemsBuilder,
    };

    #[test]
    fn a_canonical_row_is_the_bytes_that_the_format_says() {
        let mut builder = ItemsBuilder::default();
        builder.push(&ItemRow {
            item_id: "a",
            aliases: Some(vec!["b", ""]),
            width: Some(-2),
            duration: Some(-0.0),
            ..ItemRow::default()
        });
        let batch = builder.finish();
        let mut out = Vec::new();
        Rows::new(&ITEMS, &batch).unwrap().encode(0, &mut out);
        let mut expected = vec![1, 1, b'a', 2, 2, 1, b'b', 0, 7];
        expected.extend_from_slice(&(-2_i64).to_le_bytes());
        expected.push(9);
        expected.extend_from_slice(&[0; 8]);
        assert_eq!(out, expected);
    }

    /// The example of `schemas/format-v1.md`; its values were computed by another program.
    #[test]
    fn the_worked_example_of_the_format_holds() {
        let mut builder = AnnotationsBuilder::default();
        let row = AnnotationRow {
            item_id: "img-1.jpg",
            annotation_id: "s/ann/r1/box",
            source: "s",
            annotator_id: "ann",
            origin: "human",
            field: "box",
            kind: "bbox",
            label: Some("Größe"),
            geometry: Some(&[1.5, -0.0, 10.0, 20.0]),
            unit: Some("px"),
            seq: Some(3),
            refs: Some(vec!["a", ""]),
            status: "submitted",
            gold: true,
            created_at: Some(1_700_000_000_000_000),
            extra: Some(r#"{"z":1.0,"a":[]}"#),
            ..AnnotationRow::default()
        };
        builder.push(&row);
        let batch = builder.finish();
        let rows = Rows::new(&ANNOTATIONS, &batch).unwrap();
        let mut out = Vec::new();
        rows.encode(0, &mut out);
        let digest = rows.digest(0, &mut Vec::new());
        let hex: String = out.iter().map(|b| format!("{b:02x}")).collect();
        let expected = "0109696d672d312e6a7067020c732f616e6e2f72312f626f780301730603616e\
                        6e070568756d616e0803626f780a0462626f780b074772c3b6c39f650c000d04\
                        000000000000f83f000000000000000000000000000024400000000000003440\
                        0e027078100300000000000000110201610017097375626d697474656418011a\
                        00401e18240a06001d107b227a223a312e302c2261223a5b5d7d";
        assert_eq!(hex, expected);
        let digests = "059b1466a970c1691d0032f346f93503fd52ffe1715bb25cc5e74286c2233b1c";
        assert_eq!(digest.to_string(), digests);
        let mut salts = Salts::new(&std::array::from_fn(|i| i as u8));
        let mut root = RootBuilder::default();
        (0..3).for_each(|_| root.push(leaf(&salts.next_salt(), &digest)));
        let root_of_three = "03ec4f8f2fefb8515e934f133371637603f06c5b5aad6d7e774a5fd447d37b3d";
        assert_eq!(root.finish().to_string(), root_of_three);
    }

    #[test]
    fn varints_read_back_and_refuse_what_is_cut() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            let mut at = 0;
            assert_eq!(get_varint(&out, &mut at), Some(value));
            assert_eq!(at, out.len());
            assert_eq!(get_varint(&out[..out.len() - 1], &mut 0), None);
        }
        assert_eq!(get_varint(&[0xff; 11], &mut 0), None);
    }
}
