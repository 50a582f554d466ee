//! `gloss verify`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_store::verify::VerifyProgress;
use indicatif::{ProgressBar, ProgressStyle};

use glossator_store::Store;

use super::signatures;
use crate::context::Context;
use crate::error::Result;
use crate::network::{Bar, entry_of, open};
use crate::render::{number, plain};

/// Check every object, commit and invariant of the store
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss verify --json\n  gloss verify --remote\n  \
    gloss verify --remote=origin --repair\n  \
    gloss verify --signatures --allowed-signers signers.txt --require\n\n\
    Every object is hashed again and every invariant of schemas/format-v1.md is checked. Exits \
    with 0 where all is well, with 3 where something is damaged; with --signatures with 1 where a \
    signature is bad, or one is missing that --require asks for.")]
pub(crate) struct VerifyArgs {
    /// Read and check everything that a remote has instead
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    remote: Option<Option<String>>,
    /// Upload from this store what is damaged or missing there
    #[arg(long, requires = "remote")]
    repair: bool,
    /// Check the signatures of commits, tags and delivered files instead
    #[arg(long, conflicts_with = "remote")]
    pub(super) signatures: bool,
    /// Whose SSH keys are known, as `ssh-keygen` has it; else git's `gpg.ssh.allowedSignersFile`
    #[arg(long, value_name = "FILE", requires = "signatures")]
    pub(super) allowed_signers: Option<PathBuf>,
    /// Fail where a commit or an annotated tag has no good signature
    #[arg(long, requires = "signatures")]
    pub(super) require: bool,
}

/// The exit code of a damaged store.
const DAMAGED: u8 = 3;

pub(crate) fn run(context: &mut Context, args: &VerifyArgs) -> Result<u8> {
    let store = context.store()?;
    if let Some(name) = &args.remote {
        return audit(context, &store, name.as_deref(), args.repair);
    }
    if args.signatures {
        return signatures::run(context, &store, args);
    }
    let bar = if context.interactive() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let report = store.verify(&mut |at: VerifyProgress| {
        bar.set_message(at.phase);
        bar.set_length(at.total);
        bar.set_position(at.done);
    })?;
    bar.finish_and_clear();
    if report.unlocked {
        context.note(
            "the store can only be read and not be locked: while `gloss gc` runs elsewhere, \
             objects that it removes show as missing",
        )?;
    }
    let code = if report.ok { 0 } else { DAMAGED };
    if context.json {
        context.json_line(&report)?;
        return Ok(code);
    }
    let out = context.out();
    for finding in &report.findings {
        let (object, detail) = (plain(&finding.object), plain(&finding.detail));
        writeln!(out, "{object}: {detail} ({})", finding.invariant)?;
        for referrer in &finding.referrers {
            writeln!(out, "  named by {}", plain(referrer))?;
        }
    }
    if report.elsewhere > 0 {
        let left = number(report.elsewhere);
        writeln!(out, "{left} objects stay at the remote and were not checked")?;
    }
    if report.redacted > 0 {
        let erased = number(report.redacted);
        writeln!(out, "{erased} rows of objects were erased, as records say; the rest is proved")?;
    }
    let objects = number(report.objects);
    match (report.ok, report.findings.len()) {
        (true, 0) => writeln!(out, "{objects} objects checked, all is well")?,
        (true, notes) => {
            writeln!(
                out,
                "{objects} objects checked, all is well but for {notes} droppable files"
            )?;
        }
        (false, 1) => writeln!(out, "{objects} objects checked, 1 finding")?,
        (false, findings) => writeln!(out, "{objects} objects checked, {findings} findings")?,
    }
    Ok(code)
}

fn audit(context: &mut Context, store: &Store, name: Option<&str>, repair: bool) -> Result<u8> {
    let (_, entry) = entry_of(store, name)?;
    let remote = open(context, &entry.url)?;
    let report = {
        let bar = Bar::new(context);
        remote.audit(store, repair, &bar)?
    };
    let code = if report.ok { 0 } else { DAMAGED };
    if context.json {
        context.json_line(&report)?;
        return Ok(code);
    }
    let out = context.out();
    for finding in &report.findings {
        writeln!(out, "{}: {}", plain(&finding.object), plain(&finding.detail))?;
    }
    let (objects, url) = (number(report.objects), plain(&entry.url));
    match (report.findings.len(), report.ok) {
        (0, _) => writeln!(out, "{objects} objects of {url} checked, all is well")?,
        (found, true) => {
            let repaired = number(report.repaired);
            writeln!(out, "{found} findings at {url}; {repaired} objects were uploaded again")?;
        }
        (found, false) => {
            writeln!(out, "{objects} objects of {url} checked, {found} findings")?;
            context.note("hint: upload what this store has: `gloss verify --remote --repair`")?;
        }
    }
    Ok(code)
}
