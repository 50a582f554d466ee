//! `gloss man`

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_mangen::Man;
use glossator_store::fs::{Disk, output_file};

use crate::context::Context;
use crate::error::Result;
use crate::render::{number, plain};

/// Write the manual pages
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss man /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Where to write them; made where missing
    #[arg(default_value = ".")]
    dir: PathBuf,
}

pub(crate) fn run(context: &mut Context, args: &ManArgs) -> Result<u8> {
    let dir = context.path(&args.dir);
    Disk::default().create_dir_all(&dir)?;
    let mut command = crate::args::Args::command();
    // Fills in what commands inherit.
    command.build();
    let mut pages = Vec::new();
    write_pages(&command, "gloss", &dir, &mut pages)?;
    if context.json {
        context.json_line(&serde_json::json!({"pages": pages}))?;
    } else {
        let (count, dir) = (number(pages.len() as u64), dir.display().to_string());
        writeln!(context.out(), "wrote {count} pages in {}", plain(&dir))?;
    }
    Ok(0)
}

/// A page for a command, and for each below it.
fn write_pages(
    command: &clap::Command,
    name: &str,
    dir: &Path,
    pages: &mut Vec<PathBuf>,
) -> Result<()> {
    let mut page = Vec::new();
    let source = concat!("gloss ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(source).render(&mut page)?;
    let path = dir.join(format!("{name}.1"));
    let mut file = output_file(&path)?;
    file.write_all(&page)?;
    file.persist()?;
    pages.push(path);
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write_pages(inner, &format!("{name}-{}", inner.get_name()), dir, pages)?;
    }
    Ok(())
}
