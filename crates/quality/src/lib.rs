//! How good labels are, as pure functions over rows: no file is read, and a seed gives the same
//! figures again.
//!
//! # Guarantees
//! - Views never overwrite votes: they choose rows and change none.
//! - What cannot be measured is told with the reason, and is neither 0 nor 1.
//! - Measures of agreement do not depend on the order of rows, nor on what annotators are called.

pub mod aggregate;
pub mod agreement;
mod answers;
pub mod compare;
pub mod distribution;
pub mod gold;
pub mod measure;
pub mod numbers;
pub mod objects;
pub mod report;
pub mod sample;
pub mod texts;
pub mod tokens;
pub mod unit;
pub mod votes;

pub use answers::{Aliases, FinalAnswers, LeftOut, Method};
