//! Measures against references, against hand calculations, and against what must always hold.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at once, read files, and say what it skips"
)]

mod besides;
mod by_hand;
mod crowd;
mod distribution;
mod objects;
mod properties;
mod regressions;
