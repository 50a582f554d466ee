//! Running a program that signs or checks.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{IoContext, Result};

/// What a program said.
pub(super) struct Ran {
    pub(super) ok: bool,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ran {
    /// The last words of its complaint.
    pub(super) fn complaint(&self) -> String {
        let last = |text: &str| {
            text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
        };
        let said = last(&self.err).or_else(|| last(&self.out));
        said.unwrap_or_else(|| "it did not say why".to_owned())
    }
}

/// Runs a program that reads a file, or nothing.
pub(super) fn run(command: &mut Command, input: Option<File>) -> Result<Ran> {
    let program = Path::new(command.get_program()).to_owned();
    let input = input.map_or_else(Stdio::null, Stdio::from);
    // Times that are given to `ssh-keygen` are in the time zone of the process; what is said is
    // read by us.
    command.env("TZ", "UTC").env("LC_ALL", "C");
    let ran = command.stdin(input).output().at("run", program)?;
    Ok(Ran {
        ok: ran.status.success(),
        out: String::from_utf8_lossy(&ran.stdout).into_owned(),
        err: String::from_utf8_lossy(&ran.stderr).into_owned(),
    })
}

/// A file without a name that holds these bytes, to be read from its beginning.
pub(super) fn holding(bytes: &[u8]) -> Result<File> {
    let mut file = crate::fs::anonymous_temp_file().at("make", "a temporary file")?;
    file.write_all(bytes).at("write", "a temporary file")?;
    file.rewind().at("read", "a temporary file")?;
    Ok(file)
}
