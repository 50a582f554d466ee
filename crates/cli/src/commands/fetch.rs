//! `gloss fetch`

use std::io::Write;

use clap::Args;
use glossator_store::remote::FetchReport;

use crate::context::Context;
use crate::error::Result;
use crate::network::{Bar, entry_of, open, who};
use crate::render::{number, plain};

/// Download what a remote has, and change no branch
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss fetch && gloss diff main origin/main\n\n\
    Branches of the remote are `<remote>/<branch>` from then on. Everything is checked before any \
    of it is visible.")]
pub(crate) struct FetchArgs {
    /// The remote: `origin`, or the only one, where none is given
    remote: Option<String>,
    /// Also the rows of every commit here: those that `clone --history-only` left there, or whose
    /// history came from a git host
    #[arg(long)]
    rows: bool,
}

pub(crate) fn run(context: &mut Context, args: &FetchArgs) -> Result<u8> {
    let store = context.store()?;
    let (name, entry) = entry_of(&store, args.remote.as_deref())?;
    let remote = open(context, &entry.url)?;
    let who = who(context, &store);
    let report = {
        let bar = Bar::new(context);
        let mut report = remote.fetch(&store, &name, &who, &bar)?;
        if args.rows {
            let (objects, bytes) = remote.fetch_rows(&store, &name, &bar)?;
            (report.objects, report.bytes, report.left) =
                (report.objects + objects, report.bytes + bytes, 0);
        }
        report
    };
    if context.json {
        context.json_line(&report)?;
        return Ok(0);
    }
    show(context, &report)?;
    if report.refs.is_empty() && report.objects == 0 {
        writeln!(context.out(), "nothing new")?;
    }
    Ok(0)
}

/// Shows what came.
pub(crate) fn show(context: &mut Context, report: &FetchReport) -> Result<()> {
    let out = context.out();
    for moved in &report.refs {
        let short = |id: &str| id.get(..10).unwrap_or(id).to_owned();
        let name = ["refs/remotes/", "refs/"].iter().find_map(|p| moved.name.strip_prefix(p));
        let (name, new) = (plain(name.unwrap_or(&moved.name)), short(&moved.new));
        match moved.old.as_deref().map(short) {
            None => writeln!(out, "{name}  new at {new}")?,
            Some(old) => writeln!(out, "{name}  {old} → {new}")?,
        }
    }
    for tag in &report.kept_tags {
        let tag = plain(tag.strip_prefix("refs/tags/").unwrap_or(tag));
        writeln!(out, "warning: tag {tag} is another one there; the one here is left as it is")?;
    }
    if report.objects > 0 {
        writeln!(
            out,
            "fetched {} commits and {} objects, {} bytes",
            number(report.commits as u64),
            number(report.objects as u64),
            number(report.bytes)
        )?;
    }
    Ok(())
}
