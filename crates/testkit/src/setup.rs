//! What tests install for themselves, once for all tests of a build directory.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "it installs programs, and says why where it cannot"
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The build directory, and a lock that keeps other tests from installing the same meanwhile.
///
/// # Errors
/// Says what was not found.
pub(crate) fn alone(what: &str) -> Result<(PathBuf, File), String> {
    let exe = std::env::current_exe().map_err(|e| e.to_string())?;
    // …/<target>/<profile>/deps/<test>
    let target = exe.ancestors().nth(3).ok_or("the build directory is not found")?;
    let text = |e: std::io::Error| format!("its lock: {e}");
    let lock = File::create(target.join(format!("{what}.lock"))).map_err(text)?;
    lock.lock().map_err(text)?;
    Ok((target.to_owned(), lock))
}

/// What was set up. Where that could not be, `None`, and why is printed.
///
/// # Panics
/// Instead of `None`, with `CI` set.
pub(crate) fn or_skipped<T>(what: &str, made: Result<T, String>) -> Option<T> {
    match made {
        Ok(made) => Some(made),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "no {what} to test with: {why}");
            eprintln!("skipped: no {what} to test with: {why}");
            None
        }
    }
}

/// Runs a program to its end.
///
/// # Errors
/// Says what it said last.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let ran = ran.map_err(|e| format!("`{}`: {e}", program.display()))?;
    match ran.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            let last = said.lines().rev().take(3).collect::<Vec<_>>().join("; ");
            Err(format!("`{}` failed: {last}", program.display()))
        }
    }
}
