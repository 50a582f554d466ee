//! How good labels are, as pure functions over rows. For now: the final answers of a snapshot.
//!
//! # Guarantees
//! - Views never overwrite votes: they choose rows and change none.

mod answers;

pub use answers::{Aliases, FinalAnswers, LeftOut};
