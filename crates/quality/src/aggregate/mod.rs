//! One label an item out of many answers, as a view: votes stay what they are.

mod consensus;
mod dawid_skene;
mod majority;

pub use consensus::{Decision, Method, decide, votes_of};
pub use dawid_skene::{DawidSkene, DawidSkeneOptions};
pub use majority::{Winners, agreement_weights, majority, weighted_majority};
