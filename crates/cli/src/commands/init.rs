//! `gloss init`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_store::Store;
use glossator_store::fs::Disk;

use crate::context::Context;
use crate::error::Result;

/// Make a store
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss init labels")]
pub(crate) struct InitArgs {
    /// Where to make it; made where missing
    #[arg(default_value = ".")]
    dir: PathBuf,
}

pub(crate) fn run(context: &mut Context, args: &InitArgs) -> Result<u8> {
    let disk = Disk::default();
    let dir = context.path(&args.dir);
    disk.create_dir_all(&dir)?;
    let store = Store::init(&disk, &dir)?;
    let root = store.root().display().to_string();
    if context.json {
        context.json_line(&serde_json::json!({"store": root, "branch": "main"}))?;
    } else {
        writeln!(context.out(), "made an empty store in {root} on branch main")?;
    }
    Ok(0)
}
