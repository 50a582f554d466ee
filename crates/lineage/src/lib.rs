//! How versions relate: net differences, merges, policies, what became of one item, what a change
//! amounts to.
//!
//! # Guarantees
//! - A diff of neighbouring commits reads their changes only, never a table.
//! - The net difference found by folding changes equals the one found by comparing snapshots.
//!
//! # Limitations
//! - Nothing here prints or knows a file format.

mod blame;
mod diff;
mod history;
pub mod life;
pub mod merge;
pub mod policy;
pub mod recall;
pub mod records;
pub mod rights;
mod rows;
pub mod standards;
mod stat;

pub use blame::{Blame, Blamer};
pub use diff::{between, between_columns};
pub use history::{Event, history};
pub use rows::{CellChange, Operation, RowDiff, row_diffs};
pub use stat::{Group, Stat};
