//! `gloss gc`

use std::io::Write;

use clap::Args;

use glossator_store::Store;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::network::{Bar, entry_of, open};
use crate::render::{number, plain};

/// Remove objects that nothing refers to
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss gc --dry-run\n  gloss gc --remote\n\n\
    Commits of branches, tags and reflogs and what is staged are kept, with all that they need. \
    The plan is shown first.")]
pub(crate) struct GcArgs {
    /// Only show the plan
    #[arg(long)]
    dry_run: bool,
    /// Remove from a remote what pushes that did not end have left there instead
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    remote: Option<Option<String>>,
}

pub(crate) fn run(context: &mut Context, args: &GcArgs) -> Result<u8> {
    let store = context.store()?;
    if let Some(name) = &args.remote {
        return collect(context, &store, name.as_deref(), args.dry_run);
    }
    if !args.dry_run {
        let _stage_lock = store.lock_stage()?;
        store.clear_committed_stage()?;
        drop(_stage_lock);
        if let Ok((_, who)) = context.identities(&store) {
            // What was erased elsewhere is followed while the old objects are here.
            store.follow_redactions(&who)?;
        }
    }
    let plan = store.plan_gc()?;
    if !context.json {
        let out = context.out();
        for object in &plan.objects {
            writeln!(out, "object {} ({} bytes)", object.object, number(object.bytes))?;
        }
        for file in plan.caches.iter().chain(&plan.leftovers) {
            let path = file.path.display().to_string();
            writeln!(out, "file {} ({} bytes)", plain(&path), number(file.bytes))?;
        }
        for id in &plan.history {
            writeln!(out, "git object {id}")?;
        }
        // The plan is seen before anything goes, and nothing goes unseen.
        context.flush().map_err(|_| {
            CliError::outside("the plan could not be shown, so nothing was removed")
                .hint("run it where its output is read, or with `--json`")
        })?;
    }
    let empty = plan.is_empty();
    let planned = context.json.then(|| serde_json::to_value(&plan)).transpose()?;
    let done = if args.dry_run || empty { None } else { Some(store.run_gc(plan)?) };
    if context.json {
        context.json_line(&serde_json::json!({ "plan": planned, "removed": done }))?;
        return Ok(0);
    }
    let out = context.out();
    match done {
        Some(done) => writeln!(
            out,
            "removed {} objects, {} git objects and {} files, {} bytes",
            number(done.objects),
            number(done.history),
            number(done.files),
            number(done.bytes)
        )?,
        None if empty => writeln!(out, "nothing to remove")?,
        None => writeln!(out, "nothing was removed (--dry-run)")?,
    }
    Ok(0)
}

fn collect(context: &mut Context, store: &Store, name: Option<&str>, dry_run: bool) -> Result<u8> {
    let (_, entry) = entry_of(store, name)?;
    let remote = open(context, &entry.url)?;
    let done = {
        let bar = Bar::new(context);
        remote.collect(store, dry_run, &bar)?
    };
    if context.json {
        context.json_line(&done)?;
        return Ok(0);
    }
    let out = context.out();
    for key in &done.keys {
        writeln!(out, "{}", plain(key))?;
    }
    match (done.keys.len(), done.removed) {
        (0, _) => writeln!(out, "nothing to remove at {}", plain(&entry.url))?,
        (keys, true) => writeln!(out, "removed {keys} keys from {}", plain(&entry.url))?,
        (_, false) => writeln!(out, "nothing was removed (--dry-run)")?,
    }
    Ok(0)
}
