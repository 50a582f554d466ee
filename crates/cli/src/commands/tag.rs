//! `gloss tag`

use std::io::Write;

use clap::Args;
use glossator_store::history::{Annotation, RefName};

use crate::context::{Context, resolve};
use crate::error::Result;
use crate::signing::SignArgs;

/// List, make or delete tags
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gloss tag v1\n  gloss tag -a -m \"for training\" v1 main~2\n  \
    gloss tag -s -m \"release to training\" v1"
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
    /// Sign the tag with git's `user.signingKey`
    #[arg(short, long, requires = "message")]
    sign: bool,
    /// Sign the tag with this key
    #[arg(short = 'u', long, value_name = "KEY", requires = "message")]
    local_user: Option<String>,
    /// Do not sign, whatever `tag.gpgSign` says
    #[arg(long, conflicts_with_all = ["sign", "local_user"])]
    no_sign: bool,
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
        let key = args.local_user.clone().or(args.sign.then(String::new));
        let signing = SignArgs::new(key, args.no_sign);
        let signer = match &args.message {
            Some(_) => signing.signer(&store, &who, |config| config.tags)?,
            None => None,
        };
        let signer = signer.as_ref();
        let annotation = args.message.as_deref().map(|message| Annotation { message, signer });
        store.make_ref(true, &name, commit, &who, annotation)?;
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
