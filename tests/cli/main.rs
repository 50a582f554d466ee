//! The real binary, run as people and scripts run it.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at once, damage files, and print"
)]

mod again;
mod bad;
mod compat;
mod convert;
mod drift;
mod edges;
mod ends;
mod everyday;
mod files;
mod formats;
mod json;
mod merge;
mod oracle;
mod outside;
mod page;
mod pins;
mod policies;
mod quality;
mod race;
mod relabel;
mod remote;
mod runs;
mod samples;
mod saved;
mod session;
mod views;
