//! Merges against a plain in-memory table, and against cases worked out by hand.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at once, and print"
)]

#[path = "merge/by_hand.rs"]
mod by_hand;
#[path = "merge/costs.rs"]
mod costs;
#[path = "merge/model.rs"]
mod model;
#[path = "merge/regressions.rs"]
mod regressions;
#[path = "merge/support.rs"]
mod support;
