//! The six tables of format 1. This list is the only place that names a column.

use arrow::array::{Array, RecordBatch};

use super::cells::Cell;
use super::{CellType, Column, ColumnBuilder, ColumnView, Table};

/// Declares a table: its constant, row struct, builder and view.
macro_rules! table {
    (
        $(#[$doc:meta])* $constant:ident = $name:literal, key $key_len:literal;
        $row:ident, $view:ident, $builder:ident;
        $(
            $(#[$column_doc:meta])*
            $number:literal $field:ident: $cell:ident => $type:ty $(, $null:ident)?;
        )+
    ) => {
        $(#[$doc])*
        pub static $constant: Table = Table {
            name: $name,
            key_len: $key_len,
            columns: &[$(Column {
                number: $number,
                name: stringify!($field),
                cell: CellType::$cell,
                nullable: table!(@nullable $($null)?),
            }),+],
        };

        #[doc = concat!("One row of `", $name, "`, borrowed.")]
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $row<'a> {
            $($(#[$column_doc])* pub $field: $type,)+
        }

        #[doc = concat!("Typed columns of a batch of `", $name, "`.")]
        #[derive(Debug, Clone)]
        pub struct $view<'a> {
            rows: usize,
            $($field: ColumnView<'a>,)+
        }

        impl<'a> $view<'a> {
            /// Views a batch of this table.
            ///
            /// # Panics
            /// If the batch has not this table's schema; batches from the store and from the
            /// builder always have it.
            pub fn new(batch: &'a RecordBatch) -> Self {
                let mut columns = batch.columns().iter();
                Self {
                    rows: batch.num_rows(),
                    $($field: columns
                        .next()
                        .and_then(|c| ColumnView::new(c as &dyn Array))
                        .expect(concat!("a batch of ", $name)),)+
                }
            }

            /// The number of rows.
            pub fn len(&self) -> usize {
                self.rows
            }

            /// Whether there are no rows.
            pub fn is_empty(&self) -> bool {
                self.rows == 0
            }

            /// Every column of one row.
            pub fn row(&self, row: usize) -> $row<'a> {
                $row { $($field: self.$field(row),)+ }
            }

            /// The rows in order.
            pub fn iter(&self) -> impl Iterator<Item = $row<'a>> + '_ {
                (0..self.rows).map(|row| self.row(row))
            }

            $($(#[$column_doc])* #[inline] pub fn $field(&self, row: usize) -> $type {
                Cell::read(&self.$field, row)
            })+
        }

        #[doc = concat!("Builds a batch of `", $name, "` row by row.")]
        #[allow(missing_debug_implementations)]
        pub struct $builder {
            columns: Vec<ColumnBuilder>,
            rows: usize,
        }

        impl Default for $builder {
            fn default() -> Self {
                let columns =
                    $constant.columns.iter().map(|c| ColumnBuilder::new(c.cell)).collect();
                Self { columns, rows: 0 }
            }
        }

        impl $builder {
            /// Appends a row.
            pub fn push(&mut self, row: &$row<'_>) {
                let mut columns = self.columns.iter_mut();
                $(if let Some(column) = columns.next() {
                    row.$field.push(column);
                })+
                self.rows += 1;
            }

            /// The number of rows appended since the last [`finish`](Self::finish).
            pub fn len(&self) -> usize {
                self.rows
            }

            /// Whether no row was appended since the last [`finish`](Self::finish).
            pub fn is_empty(&self) -> bool {
                self.rows == 0
            }

            /// Finishes the batch and empties the builder.
            pub fn finish(&mut self) -> RecordBatch {
                self.rows = 0;
                let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
                RecordBatch::try_new($constant.arrow(), columns)
                    .expect("columns as the table declares them")
            }
        }
    };
    (@nullable null) => { true };
    (@nullable) => { false };
}

table! {
    /// One label decision by one annotator on one item.
    ANNOTATIONS = "annotations", key 2;
    AnnotationRow, Annotations, AnnotationsBuilder;
    /// The item that is labelled.
    1 item_id: Text => &'a str;
    /// The annotation's id, unique within its item; minted once and kept.
    2 annotation_id: Text => &'a str;
    /// The namespace of foreign ids, such as `label-studio:7`.
    3 source: Dict => &'a str;
    /// The submission it was handed in with, `annotation/12`.
    4 submission_id: Text => Option<&'a str>, null;
    /// The tool's region id; rows of one region share it.
    5 region_id: Text => Option<&'a str>, null;
    /// Who decided.
    6 annotator_id: Dict => &'a str;
    /// `human`, `model` or `rule`.
    7 origin: Dict => &'a str;
    /// Which question of the policy.
    8 field: Dict => &'a str;
    /// Which part of the item.
    9 target: Dict => Option<&'a str>, null;
    /// `choice`, `bbox`, `span`, … as the format description lists them.
    10 kind: Dict => &'a str;
    /// The class; a taxonomy path is joined with `/`.
    11 label: Dict => Option<&'a str>, null;
    /// Verified absent.
    12 negative: Bool => bool;
    /// Coordinates, encoded per kind.
    13 geometry: Floats => Option<&'a [f64]>, null;
    /// The unit of `geometry`.
    14 unit: Dict => Option<&'a str>, null;
    /// Key frame of a track.
    15 frame: Int => Option<i64>, null;
    /// Place in the submission or file, from 0.
    16 seq: Int32 => Option<i32>, null;
    /// Ends of a relation, candidates of a pairwise, order of a ranking.
    17 refs: Texts => Option<Vec<&'a str>>, null;
    /// A transcript or other free answer, or a date as it was written.
    18 text: Text => Option<&'a str>, null;
    /// A rating or other number.
    19 number: Float => Option<f64>, null;
    /// A run-length encoded mask.
    20 mask: Bytes => Option<&'a [u8]>, null;
    /// A model's confidence.
    21 score: Float => Option<f64>, null;
    /// The policy version that the annotator read.
    22 policy: Dict => Option<&'a str>, null;
    /// `draft`, `submitted`, `skipped`, `superseded`, `accepted`, `rejected` or `fixed`.
    23 status: Dict => &'a str;
    /// Whether it is a reference answer.
    24 gold: Bool => bool;
    /// The annotation that it was derived from.
    25 parent_id: Text => Option<&'a str>, null;
    /// When it was made, microseconds since 1970 UTC.
    26 created_at: Time => Option<i64>, null;
    /// When it was last changed, microseconds since 1970 UTC.
    27 updated_at: Time => Option<i64>, null;
    /// Seconds that it took, where the source measured it per row.
    28 lead_time: Float => Option<f64>, null;
    /// JSON: what no column holds.
    29 extra: Json => Option<&'a str>, null;
}

table! {
    /// What one annotator handed in together for one item.
    SUBMISSIONS = "submissions", key 2;
    SubmissionRow, Submissions, SubmissionsBuilder;
    /// The item that was answered.
    1 item_id: Text => &'a str;
    /// `annotation/<id>`, `prediction/<id>` or `draft/<id>`.
    2 submission_id: Text => &'a str;
    /// The namespace of foreign ids.
    3 source: Dict => &'a str;
    /// Who handed it in.
    4 annotator_id: Dict => &'a str;
    /// `human`, `model` or `rule`.
    5 origin: Dict => &'a str;
    /// The status of the submission; see the annotations' `status`.
    6 state: Dict => &'a str;
    /// Why it was skipped.
    7 skip_reason: Text => Option<&'a str>, null;
    /// Whether it is a reference answer.
    8 gold: Bool => bool;
    /// The policy version that the annotator read.
    9 policy: Dict => Option<&'a str>, null;
    /// When it was made, microseconds since 1970 UTC.
    10 created_at: Time => Option<i64>, null;
    /// When it was last changed, microseconds since 1970 UTC.
    11 updated_at: Time => Option<i64>, null;
    /// Seconds that it took.
    12 lead_time: Float => Option<f64>, null;
    /// The submission that it was derived from.
    13 parent_id: Text => Option<&'a str>, null;
    /// A model's confidence.
    14 score: Float => Option<f64>, null;
    /// The fields that were asked, where the source says so.
    15 fields_asked: Texts => Option<Vec<&'a str>>, null;
    /// Place among the item's submissions of its sort, from 0.
    16 seq: Int32 => Option<i32>, null;
    /// JSON: what no column holds.
    17 extra: Json => Option<&'a str>, null;
}

table! {
    /// Verdicts on submissions or single annotations; append-only.
    REVIEWS = "reviews", key 2;
    ReviewRow, Reviews, ReviewsBuilder;
    /// The item of what was reviewed.
    1 item_id: Text => &'a str;
    /// The review's id, unique within its item.
    2 review_id: Text => &'a str;
    /// The namespace of foreign ids.
    3 source: Dict => &'a str;
    /// The submission that was reviewed.
    4 submission_id: Text => Option<&'a str>, null;
    /// The annotation that was reviewed; null for the whole submission.
    5 annotation_id: Text => Option<&'a str>, null;
    /// The round of review, from 1.
    6 round: Int32 => Option<i32>, null;
    /// Who reviewed.
    7 reviewer_id: Dict => &'a str;
    /// `accepted`, `rejected`, `fixed` or `adjudicated`.
    8 decision: Dict => &'a str;
    /// When, microseconds since 1970 UTC.
    9 at: Time => Option<i64>, null;
    /// Why.
    10 reason: Text => Option<&'a str>, null;
    /// Hex digest of the content that was reviewed; null where it is not known.
    11 digest: Text => Option<&'a str>, null;
    /// Place in the source, from 0.
    12 seq: Int32 => Option<i32>, null;
    /// JSON: what no column holds.
    13 extra: Json => Option<&'a str>, null;
}

table! {
    /// The things that are labelled.
    ITEMS = "items", key 1;
    ItemRow, Items, ItemsBuilder;
    /// What people call the item.
    1 item_id: Text => &'a str;
    /// Every foreign id, URI and digest that it is known by.
    2 aliases: Texts => Option<Vec<&'a str>>, null;
    /// The source that first named it.
    3 source: Dict => Option<&'a str>, null;
    /// Where its bytes are.
    4 uri: Text => Option<&'a str>, null;
    /// Media type, `image/png`.
    5 media_type: Dict => Option<&'a str>, null;
    /// JSON: inline content.
    6 data: Json => Option<&'a str>, null;
    /// Width in pixels.
    7 width: Int => Option<i64>, null;
    /// Height in pixels.
    8 height: Int => Option<i64>, null;
    /// Duration in seconds.
    9 duration: Float => Option<f64>, null;
    /// Digest of its bytes, `blake3:<hex>` or as the source states it.
    10 digest: Text => Option<&'a str>, null;
    /// Patient, video or conversation that it belongs to.
    11 group_id: Text => Option<&'a str>, null;
    /// `train`, `val`, `test`, or the source's own word.
    12 split: Dict => Option<&'a str>, null;
    /// Name of the rights record that covers it.
    13 rights: Dict => Option<&'a str>, null;
    /// Place in the source, from 0.
    14 seq: Int32 => Option<i32>, null;
    /// JSON: what no column holds.
    15 extra: Json => Option<&'a str>, null;
}

table! {
    /// File-level facts that belong to no row.
    SOURCES = "sources", key 1;
    SourceRow, Sources, SourcesBuilder;
    /// The namespace of foreign ids.
    1 source: Text => &'a str;
    /// The format that it was read from.
    2 format: Dict => &'a str;
    /// JSON: file-level sections (COCO info, licences, categories; the shape of a JSON file).
    3 data: Json => Option<&'a str>, null;
    /// JSON: what no column holds.
    4 extra: Json => Option<&'a str>, null;
}

table! {
    /// Who decided, without identity facts.
    ANNOTATORS = "annotators", key 1;
    AnnotatorRow, Annotators, AnnotatorsBuilder;
    /// The annotator's id as rows hold it.
    1 annotator_id: Text => &'a str;
    /// The id that this one is another name of.
    2 alias_of: Text => Option<&'a str>, null;
    /// JSON: what no column holds.
    3 extra: Json => Option<&'a str>, null;
}

/// Every table, in the order in which reports show them.
pub static TABLES: [&Table; 6] =
    [&ANNOTATIONS, &SUBMISSIONS, &REVIEWS, &ITEMS, &SOURCES, &ANNOTATORS];
