//! `gloss audit`

use std::io::Write;
use std::path::PathBuf;

use clap::{ArgAction, Args};
use glossator_store::schema::ANNOTATIONS;
use glossator_store::{CommitId, Store};

use crate::audit::Audit;
use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::render::number;
use crate::signing::checker;

/// Write a directory that a third party checks without Glossator
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss audit -o bundle\n  \
    gloss audit v1..v2 -o bundle --allowed-signers signers.txt\n  \
    gloss audit v2 -o bundle --prove img_01.jpg annotation/7/r1/label\n\n\
    The bundle holds the history as a git bundle, the objects, change records, policies, reviews, \
    who decided what, notes of quality and runs, signatures, one page to read, and `check.py`, \
    which checks all of it with git, blake3 and pyarrow. Give the digest that is printed to \
    whoever checks it by another way than the bundle. docs/audit.md tells what each check shows.")]
pub(crate) struct AuditArgs {
    /// What is told: REV for all of its history, OLD..NEW for what NEW has and OLD has not
    #[arg(value_name = "RANGE")]
    range: Option<String>,
    /// The directory to make
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Prove that this annotation is in the last commit
    #[arg(long, num_args = 2, value_names = ["ITEM", "ANNOTATION"], action = ArgAction::Append)]
    prove: Vec<String>,
    /// Whose SSH keys are known, as `ssh-keygen` has it; else git's `gpg.ssh.allowedSignersFile`
    #[arg(long, value_name = "FILE")]
    allowed_signers: Option<PathBuf>,
    /// Put in the names and addresses of annotators, which are private otherwise
    #[arg(long)]
    names: bool,
}

pub(crate) fn run(context: &mut Context, args: &AuditArgs) -> Result<u8> {
    let store = context.store()?;
    let (base, tip) = range(&store, args.range.as_deref())?;
    let checker = checker(&store, args.allowed_signers.as_ref().map(|path| context.path(path)))?;
    let mut proofs = Vec::new();
    for key in args.prove.chunks_exact(2) {
        let proof = store.prove(tip, &ANNOTATIONS, (&key[0], &key[1]))?;
        proofs.push(proof.ok_or_else(|| {
            let short = tip.short();
            CliError::input(format!(
                "there is no annotation `{}` of `{}` in {short}",
                key[1], key[0]
            ))
            .hint(format!("`gloss history {}` shows what became of it", key[0]))
        })?);
    }
    // What it names must not go meanwhile.
    let _reading = store.writing()?;
    let audit = Audit {
        store: &store,
        tip,
        base,
        checker: &checker,
        proofs,
        names: args.names,
        interactive: context.interactive(),
    };
    let report = audit.write(&context.path(&args.output))?;
    if context.json {
        context.json_line(&report)?;
        return Ok(0);
    }
    let out = context.out();
    writeln!(
        out,
        "wrote {} commits, {} objects and {} files to {}, {} bytes",
        number(report.commits as u64),
        number(report.objects as u64),
        number(report.files as u64),
        args.output.display(),
        number(report.bytes)
    )?;
    let worth: Vec<String> = report
        .signatures
        .iter()
        .map(|(word, count)| format!("{} {word}", number(*count)))
        .collect();
    writeln!(out, "signatures: {}", worth.join(", "))?;
    writeln!(out, "digest {}", report.digest)?;
    context.note(&format!("check it with `python3 {}/check.py`", args.output.display()))?;
    Ok(0)
}

/// What was asked for: the commit that is known, and the one up to which is told.
fn range(store: &Store, range: Option<&str>) -> Result<(Option<CommitId>, CommitId)> {
    let (old, new) = match range.and_then(|range| range.split_once("..")) {
        Some((old, new)) => (Some(old), Some(new).filter(|new| !new.is_empty())),
        None => (None, range),
    };
    let old = old.map(|old| resolve(store, Some(old))).transpose()?;
    let new = resolve(store, new)?;
    if old.is_some() && store.history.commits_since(old, new)?.next().is_none() {
        return Err(CliError::input("the range holds no commit")
            .hint("write OLD..NEW, such as v1..v2, or one revision for all of its history"));
    }
    Ok((old, new))
}
