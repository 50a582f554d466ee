//! Limits of remotes, units last.

/// Bytes of a root at most.
pub const ROOT_BYTES_MAX: usize = 16 << 20;
/// Refs of a remote at most.
pub const REFS_MAX: usize = 100_000;
/// Pushes whose attempts a root names.
pub const RECENT_MAX: usize = 64;
/// Bytes of the people of a store at most.
pub const PEOPLE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a log at most.
pub const LOG_BYTES_MAX: u64 = 512 << 20;
/// Bytes of the logs that a push puts together at most.
pub const FOLD_BYTES_MAX: u64 = 32 << 20;
/// How often as long as its bytes the content of a log is at most.
pub const CONTENT_RATIO_MAX: u64 = 4_096;
/// Logs of a level before they are put together.
pub const FOLD_LOGS: u64 = 8;
/// Logs that a push reads at most, to put them together with its own.
pub const FOLD_READS_MAX: usize = 7;
/// Bytes of the list of objects of one push at most.
pub const HEAD_BYTES_MAX: u64 = 256 << 20;
/// Bytes of a file of several objects at most, and of one part of a larger object.
pub const FILE_BYTES_MAX: u64 = 8 << 20;
/// Bytes between two wanted ranges of a file that are read along with them at most.
pub const GAP_BYTES_MAX: u64 = 64 << 10;
/// Requests at a time.
pub const PARALLEL: usize = 8;
/// How often a push tries to move the root on top of others.
pub const SWAP_TRIES: u32 = 64;
/// How often a request to move the root is sent again where no answer came.
pub const RESEND_TRIES: u32 = 3;
/// Decoded bytes of git objects that are held before they are written as a pack.
pub const PACK_OBJECTS_BYTES: usize = 32 << 20;
/// Seconds between the clock here and the one there before somebody is told.
pub const CLOCK_DRIFT_SECONDS: i64 = 180;

/// Objects of more bytes stay at a remote that only the history was cloned from. Those of a small
/// change come with it.
pub const STAYS_BYTES_MIN: u64 = 1 << 20;
