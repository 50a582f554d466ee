//! The real binary, run as people and scripts run it.

mod again;
mod bad;
mod everyday;
mod formats;
mod json;
mod race;
mod samples;
mod session;
