//! Every limit of the store, units last.

/// Version of the on-disk format.
pub const FORMAT: u32 = 1;
/// Rows of one segment at most.
pub const SEGMENT_ROWS_MAX: usize = 1 << 20;
/// Rows of one Parquet row group at most.
pub const ROW_GROUP_ROWS_MAX: usize = 131_072;
/// Bytes of Arrow data of one Parquet row group at most.
pub const ROW_GROUP_BYTES_MAX: usize = 64 << 20;
/// Rows of one Parquet data page at most: what a read of one row decodes.
pub const PAGE_ROWS_MAX: usize = 4_096;
/// Rows of the batches that a segment is written and read in.
pub const BATCH_ROWS: usize = 8_192;
/// Bytes of an id at most.
pub const ID_BYTES_MAX: usize = 1_024;
/// Unfolded removal objects of a table before a commit folds them into one.
pub const REMOVALS_UNFOLDED_MAX: usize = 32;
/// Objects up to this size are read whole and checked against their digest before use.
pub const OBJECT_BYTES_WHOLE_MAX: u64 = 1 << 20;
/// Arrow bytes that a sort holds before it writes a sorted run to a temporary file.
pub const SORT_BYTES_MAX: usize = 96 << 20;
/// Row changes that a net diff folds in memory; beyond that the snapshots are compared.
pub const FOLD_ROWS_MAX: u64 = 1 << 20;
/// Changed annotations and submissions that a commit checks against each other.
pub const COPIES_CHECKED_ROWS_MAX: u64 = 1 << 16;
/// Distinct annotators or labels that a commit's record counts one by one.
pub const META_NAMES_MAX: usize = 10_000;
/// Bytes of a git object that is read (a tree file, a commit) at most.
pub const GIT_OBJECT_BYTES_MAX: u64 = 64 << 20;
