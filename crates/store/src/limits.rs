//! Every limit of the store, units last.

use std::time::Duration;

use arrow::array::{Array, RecordBatch};

/// Version of the on-disk format.
pub const FORMAT: u32 = 1;
/// Rows of one segment at most.
pub const SEGMENT_ROWS_MAX: usize = 1 << 20;
/// Rows of one Parquet row group at most: a dictionary stands once a row group.
pub const ROW_GROUP_ROWS_MAX: usize = SEGMENT_ROWS_MAX;
/// Bytes of Arrow data of one Parquet row group at most.
pub const ROW_GROUP_BYTES_MAX: usize = 64 << 20;
/// Rows of one Parquet data page at most: what a read of one row decodes.
pub const PAGE_ROWS_MAX: usize = 4_096;
/// Rows of the batches that a segment is written and read in.
pub const BATCH_ROWS: usize = 8_192;
/// Bytes that the rows of one batch take at most, but for a single row that takes more.
pub const BATCH_BYTES_MAX: usize = 32 << 20;
/// Canonical bytes of the rows of a segment that is not compressed, at most.
pub const PLAIN_BYTES_MAX: usize = 8 << 10;
/// Canonical bytes after which a segment's writer hands on the rows that it holds.
pub const WRITE_BYTES_MAX: usize = 1 << 20;
/// Bytes of one column in a Parquet data page, after which it ends; it is asked after each write.
pub const PAGE_BYTES_MAX: usize = 1 << 20;
/// Canonical bytes of one Parquet row group, after which the next one begins. Encoded bytes say
/// little of equal large cells, and how far rows of a row group differ bounds a batch.
pub const ROW_GROUP_CANONICAL_BYTES_MAX: usize = 256 << 20;
/// Bytes of a batch of a sorted run in a temporary file at most: a merge holds one of each run.
pub const RUN_BATCH_BYTES_MAX: usize = 1 << 20;
/// Bytes of an id at most.
pub const ID_BYTES_MAX: usize = 1_024;
/// Unfolded removal objects of a table before a commit folds them into one.
pub const REMOVALS_UNFOLDED_MAX: usize = 32;
/// Small segments of a table before some of them are folded into one.
pub const SEGMENTS_SMALL_MAX: usize = 64;
/// Rows of a segment that is written anew on its own once half of it is dead, at least.
pub const WORN_ROWS_MIN: usize = 8_192;
/// Packs of git objects before some of them are folded into one.
pub const PACKS_MAX: usize = 32;
/// Bytes of packs that are folded into one at most: they are encoded in memory.
pub const PACK_BYTES_MAX: u64 = 32 << 20;
/// Objects up to this size are read whole and checked against their digest before use.
pub const OBJECT_BYTES_WHOLE_MAX: u64 = 1 << 20;
/// Arrow bytes of one table of an import, or of a sort, that are held before they go to a temporary
/// file.
pub const SORT_BYTES_MAX: usize = 64 << 20;
/// Row changes that a net diff folds in memory; beyond that the snapshots are compared.
pub const FOLD_ROWS_MAX: u64 = 1 << 20;
/// Rows that a scan reads in about the time that one row takes to be looked up.
pub const LOOK_UP_ROWS: u64 = 16;
/// Commits since the base of a stage that are asked whether they were made of it.
pub const STAGE_COMMITS_MAX: usize = 1_000;
/// Commits that are walked for each time, before what is known of all is kept in a file.
pub const COMMITS_UNCACHED_MAX: usize = 64;
/// Bytes of a meta object's JSON at most: as many names as are counted, each of an id's length.
pub const META_BYTES_MAX: usize = 64 << 20;
/// Distinct annotators or labels that a commit's record counts one by one.
pub const META_NAMES_MAX: usize = 10_000;
/// How often a lock file of git's that another program holds is tried.
pub const REF_LOCK_TRIES: u32 = 21;
/// The pause between two tries: a second in all.
pub const REF_LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Bytes of a git object that is read (a tree file, a commit) at most.
pub const GIT_OBJECT_BYTES_MAX: u64 = 64 << 20;
/// Bytes of the note of a commit at most: about 10,000 runs. Each further one writes it anew.
pub const NOTE_BYTES_MAX: usize = 4 << 20;
/// Bytes of a note with records of erasure at most.
pub const REDACTION_BYTES_MAX: usize = 48 << 20;

/// Bytes that the rows of a batch take, as the limits count them: of a slice, its own part alone.
pub fn batch_bytes(batch: &RecordBatch) -> usize {
    let bytes = |column: &dyn Array| {
        let data = column.to_data();
        data.get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    };
    batch.columns().iter().map(|column| bytes(column.as_ref())).sum()
}

/// Bytes that a row of a batch takes on average, at least one.
pub fn row_bytes(batch: &RecordBatch) -> usize {
    (batch_bytes(batch) / batch.num_rows().max(1)).max(1)
}

/// How many rows of so many bytes a batch of at most `bytes` may hold.
pub fn batch_rows(bytes: usize, row_bytes: usize) -> usize {
    (bytes / row_bytes.max(1)).clamp(1, BATCH_ROWS)
}
