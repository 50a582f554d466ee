//! Remotes: what holds over every kind of store, when requests go wrong, and when a remote lies.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at once, damage files, and print"
)]

mod audit;
mod contract;
mod costs;
mod desk;
mod faults;
mod gcs;
mod hostile;
mod lend;
mod moto;
mod people;
mod resume;
