//! `gloss push`

use std::io::Write;

use clap::Args;
use glossator_store::remote::{PushReport, PushRequest, RemoteConfig};

use super::remote::probe;
use crate::context::Context;
use crate::error::Result;
use crate::network::{Bar, entry_of, open};
use crate::protect::hold_commit;
use crate::render::{number, plain};

/// Upload commits, their rows and tags to a remote
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss push\n  gloss push origin relabel\n  \
    gloss push --dry-run\n  \
    gloss push origin relabel --delete\n\n\
    A branch that somebody else moved is not overwritten: fetch and look first. With --force it is \
    moved, if it is still where you fetched it last. Runs travel, too, where those that are there \
    were fetched.")]
pub(crate) struct PushArgs {
    /// The remote: `origin`, or the only one, where none is given
    remote: Option<String>,
    /// Branches: the one you are on, where none is given
    branches: Vec<String>,
    /// All branches
    #[arg(long, conflicts_with = "branches")]
    all: bool,
    /// Leave tags out
    #[arg(long)]
    no_tags: bool,
    /// Remove branches there that are where you fetched them last, and whose commits a branch or a
    /// tag of yours holds; with --force, whether one does or not
    #[arg(long, conflicts_with_all = ["all", "rows"], requires = "branches")]
    delete: bool,
    /// Also move branches whose commits would be lost there, if you have seen them
    #[arg(long)]
    force: bool,
    /// Only rows, for a history that is pushed to a git host: no branch is moved
    #[arg(long, conflicts_with_all = ["force", "no_tags"])]
    rows: bool,
    /// Say what would be pushed, and push nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(context: &mut Context, args: &PushArgs) -> Result<u8> {
    let store = context.store()?;
    let (name, mut entry) = entry_of(&store, args.remote.as_deref())?;
    let branches = if args.all {
        let all = store.history.refs(false)?;
        all.into_iter().map(|(name, _)| name.parse()).collect::<Result<_, _>>()?
    } else if args.branches.is_empty() {
        vec![store.branch()?]
    } else {
        args.branches.iter().map(|name| name.parse()).collect::<Result<_, _>>()?
    };
    for branch in &branches {
        if let Some((_, tip)) =
            store.history.refs(false)?.into_iter().find(|(name, _)| name == branch.as_str())
        {
            let theirs = store.history.remote_branches(&name)?;
            let there = theirs.into_iter().find(|(name, _)| name == branch.as_str());
            // Of a branch that is new there the commits before its tip are older than any rule.
            let old = there.map(|(_, old)| old).or(store.history.first_parent(tip)?);
            hold_commit(&store, branch.as_str(), old, tip)?;
        }
    }
    let (_, who) = context.identities(&store)?;
    let remote = open(context, &entry.url)?;
    if !entry.checked && !args.dry_run {
        probe(&remote)?;
        entry.checked = true;
        RemoteConfig::change(&store, |config| {
            config.remotes.insert(name.clone(), entry.clone());
            Ok(())
        })?;
    }
    let (branches, delete) =
        if args.delete { (Vec::new(), branches) } else { (branches, Vec::new()) };
    let request = PushRequest {
        remote: name,
        branches,
        delete,
        tags: !args.no_tags,
        force: args.force,
        people: entry.with_people,
        dry_run: args.dry_run,
        who,
    };
    let report = {
        let bar = Bar::new(context);
        match args.rows {
            true => remote.push_rows(&store, &request, &bar)?,
            false => remote.push(&store, &request, &bar)?,
        }
    };
    show(context, &entry.url, &report, args.dry_run)?;
    Ok(0)
}

fn show(context: &mut Context, url: &str, report: &PushReport, dry_run: bool) -> Result<()> {
    if context.json {
        return context.json_line(&serde_json::json!({
            "url": url,
            "refs": report.refs,
            "commits": report.commits,
            "objects": report.objects,
            "bytes": report.bytes,
            "erased": report.erased,
            "dry_run": dry_run,
        }));
    }
    let out = context.out();
    if report.refs.is_empty() && report.objects == 0 {
        writeln!(out, "{} has everything", plain(url))?;
        return Ok(());
    }
    for moved in &report.refs {
        let short = |id: &str| id.get(..10).unwrap_or(id).to_owned();
        let name = moved.name.strip_prefix("refs/").unwrap_or(&moved.name);
        match (moved.old.as_deref().map(short), moved.new.as_deref().map(short)) {
            (None, Some(new)) => writeln!(out, "{name}  new at {new}")?,
            (Some(old), Some(new)) => {
                let forced = if moved.forced { "  (forced)" } else { "" };
                writeln!(out, "{name}  {old} → {new}{forced}")?;
            }
            (old, None) => writeln!(out, "{name}  removed, was at {}", old.unwrap_or_default())?,
        }
    }
    if dry_run {
        writeln!(out, "nothing was pushed (--dry-run)")?;
    } else {
        writeln!(
            out,
            "pushed {} commits and {} objects, {} bytes, to {}",
            number(report.commits as u64),
            number(report.objects as u64),
            number(report.bytes),
            plain(url)
        )?;
    }
    match report.erased {
        Some(0) => context.note(
            "what was erased may still lie there: look with `gloss verify --remote`, and remove it \
             with `gloss gc --remote`",
        ),
        Some(files) => Ok(writeln!(out, "{files} files with erased rows were removed there")?),
        None => Ok(()),
    }
}
