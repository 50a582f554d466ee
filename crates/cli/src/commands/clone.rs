//! `gloss clone`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_store::fs::Disk;
use glossator_store::history::Identity;
use glossator_store::remote::{CloneRequest, FetchReport, clone_store};

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::network::{Bar, open};
use crate::render::{number, plain};

/// Make a store that is a copy of a remote
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss clone s3://team-labels/vehicles\n  \
    gloss clone file:///mnt/labels here --branch relabel\n  \
    gloss clone s3://team-labels/vehicles --history-only")]
pub(crate) struct CloneArgs {
    /// s3://bucket/prefix, gs://bucket/prefix or file:///directory
    url: String,
    /// The directory to make it in: the last part of the address, where none is given
    dir: Option<PathBuf>,
    /// The branch to begin on: the remote's own, where none is given
    #[arg(short, long, value_name = "BRANCH")]
    branch: Option<String>,
    /// Leave large segments of rows there: each is fetched when it is first read
    #[arg(long)]
    history_only: bool,
    /// Take who the annotators are, where that was pushed, and push it there later
    #[arg(long)]
    with_people: bool,
}

pub(crate) fn run(context: &mut Context, args: &CloneArgs) -> Result<u8> {
    let remote = open(context, &args.url)?;
    let branch = args.branch.as_deref().map(str::parse).transpose()?;
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None => {
            let last = args.url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let plain = last.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            if last.is_empty() || !plain || last.starts_with('.') {
                return Err(CliError::input("the address does not say what to call the directory")
                    .hint(format!("name it: `gloss clone {} DIR`", args.url)));
            }
            PathBuf::from(last)
        }
    };
    let place = context.path(&dir);
    let who = Identity {
        name: "gloss".to_owned(),
        email: String::new(),
        seconds: jiff::Timestamp::now().as_second(),
        offset: 0,
    };
    let (store, branch, report) = {
        let bar = Bar::new(context);
        let (name, rows_stay) = ("origin", args.history_only);
        let (branch, with_people) = (branch.as_ref(), args.with_people);
        let request = CloneRequest { name, branch, rows_stay, with_people };
        clone_store(&Disk::default(), &place, &remote, &request, &who, &bar)?
    };
    let commit = store.history.head()?.commit;
    let FetchReport { commits, objects, bytes, left, .. } = report;
    if context.json {
        context.json_line(&serde_json::json!({
            "url": args.url,
            "store": store.root(),
            "branch": branch.as_str(),
            "commit": commit,
            "commits": commits,
            "objects": objects,
            "bytes": bytes,
            "left": left,
        }))?;
        return Ok(0);
    }
    let (commits, objects) = (number(commits as u64), number(objects as u64));
    let dir = dir.display().to_string();
    writeln!(
        context.out(),
        "cloned {commits} commits and {objects} objects, {} bytes, into {}\non branch {branch}",
        number(bytes),
        plain(&dir)
    )?;
    if left > 0 {
        let left = number(left as u64);
        writeln!(
            context.out(),
            "{left} objects stay there until they are read; `gloss fetch --rows` fetches them all"
        )?;
    }
    Ok(0)
}
