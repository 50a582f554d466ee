//! Every operation on a store, with a fault at each of its calls to the disk.
//!
//! After each case the store is opened anew: it holds what it held before or what the operation
//! was to do, as far as its outcome said; a further commit works; gc takes what is left over; and
//! `verify` finds no damage.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at once, damage files, and print"
)]

mod bench;
mod caches;
mod calls;
mod clocks;
mod power;
mod races;
mod signals;
