//! One label an item out of many answers, as a view: votes stay what they are.

mod dawid_skene;
mod majority;

pub use dawid_skene::{DawidSkene, DawidSkeneOptions};
pub use majority::{Winners, majority, weighted_majority};
