//! A real browser on this machine: Chromium, from Debian's packages where it is not there.

use std::path::Path;

use crate::setup::{alone, or_skipped, run};

/// The program, installed first where it is not there and `apt-get` may do that.
///
/// Where that cannot be, `None`, and why is printed.
///
/// # Panics
/// Instead, with `CI` set.
pub fn chromium() -> Option<&'static Path> {
    or_skipped("browser", installed())
}

fn installed() -> Result<&'static Path, String> {
    let chromium = Path::new("chromium");
    let (_, _lock) = alone("chromium")?;
    if run(chromium, &["--version"]).is_err() {
        let apt = Path::new("apt-get");
        run(apt, &["update", "-qq"])?;
        run(apt, &["install", "-qq", "-y", "--no-install-recommends", "chromium"])?;
        run(chromium, &["--version"])?;
    }
    Ok(chromium)
}
