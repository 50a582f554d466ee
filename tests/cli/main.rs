//! The real binary, run as people and scripts run it.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at once, damage files, and print"
)]

mod again;
mod audit;
mod bad;
mod blame;
mod compat;
mod convert;
mod drift;
mod edges;
mod ends;
mod everyday;
mod files;
mod formats;
mod history;
mod json;
mod ledger;
mod merge;
mod oracle;
mod outside;
mod page;
mod pins;
mod policies;
mod quality;
mod race;
mod redact;
mod relabel;
mod remote;
mod rights;
mod runs;
mod samples;
mod saved;
mod session;
mod signed;
mod standards;
mod views;
