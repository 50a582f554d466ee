//! How much people agree, item by item, and how much of that chance would give.
//!
//! One file a family of measures. All take counts of labels by item, so that their cost follows the
//! number of answers.

mod alpha;
mod bootstrap;
mod categorical;
mod cohen;
mod sets;

pub use alpha::{interval_alpha, ordinal_alpha};
pub use bootstrap::{Bootstrap, Interval, Units};
pub use categorical::Coincidences;
pub use cohen::{PairKappa, Weights, pairwise_kappa};
pub use sets::{SetDistance, Sets, set_alpha};
