//! The Glossator store: git history, Parquet rows, content-addressed objects.
pub mod error;
pub mod fs;
pub mod schema;

pub use error::{Error, Result};
