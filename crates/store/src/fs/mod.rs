//! The only place that touches the disk.

use std::fs::File;
use std::path::Path;

/// Opens a file of the user's for reading.
pub fn open_input(path: &Path) -> std::io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// Makes a temporary file that has no name and vanishes when it is closed.
pub fn anonymous_temp_file() -> std::io::Result<File> {
    tempfile::tempfile()
}
