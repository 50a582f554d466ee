//! `gloss tag`

use std::io::Write;

use clap::Args;
use glossator_store::history::RefName;

use crate::context::{Context, resolve};
use crate::error::Result;

/// List, make or delete tags
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gloss tag v1\n  gloss tag -a -m \"release to training\" v1 main~2"
)]
pub(crate) struct TagArgs {
    /// The tag to make
    name: Option<String>,
    /// The commit
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// Record who tagged, when and why
    #[arg(short, long, requires = "message")]
    annotate: bool,
    /// Why; makes an annotated tag
    #[arg(short, long, value_name = "MSG")]
    message: Option<String>,
    /// Delete the tag
    #[arg(short, long, requires = "name", conflicts_with_all = ["revision", "message"])]
    delete: bool,
}

pub(crate) fn run(context: &mut Context, args: &TagArgs) -> Result<u8> {
    let store = context.store()?;
    let Some(name) = &args.name else {
        for (name, commit) in store.history.refs(true)? {
            if context.json {
                context.json_line(&serde_json::json!({"tag": name, "commit": commit}))?;
            } else {
                writeln!(context.out(), "{name}  {}", commit.short())?;
            }
        }
        return Ok(0);
    };
    let name: RefName = name.parse()?;
    let (_, who) = context.identities(&store)?;
    let (word, commit) = if args.delete {
        let commit = store.history.resolve(&format!("refs/tags/{name}"))?;
        store.delete_ref(true, &name, &who)?;
        ("deleted", commit)
    } else {
        let commit = resolve(&store, args.revision.as_deref())?;
        store.make_ref(true, &name, commit, &who, args.message.as_deref())?;
        ("tagged", commit)
    };
    if context.json {
        let line = serde_json::json!({"tag": name.as_str(), "commit": commit, "done": word});
        context.json_line(&line)?;
    } else {
        writeln!(context.out(), "{word} {name} at {}", commit.short())?;
    }
    Ok(0)
}
