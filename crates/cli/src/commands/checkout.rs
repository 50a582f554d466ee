//! `gloss checkout`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_store::Store;
use glossator_store::fs::{Disk, output_file};
use glossator_store::remote::fetch_commit;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::network::{Bar, open};
use crate::pin::{Lock, LockDigest, write};
use crate::render::{number, plain};

/// Write exactly what a lock file pins, with or without a store
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss checkout gloss.lock -o data/\n\n\
    Takes the rows from the store around, if it has the commit, else from the remote that the lock \
    names; there only what the commit needs is read. The output is there with the pinned bytes, or \
    not at all.")]
pub(crate) struct CheckoutArgs {
    /// The lock file
    lock: PathBuf,
    /// Where to write: a directory, or a file
    #[arg(short, long, value_name = "PATH", default_value = ".")]
    output: PathBuf,
    /// Take other bytes, if the rows are the same: another version wrote them
    #[arg(long)]
    rows_only: bool,
    /// Take what is left, if rows were erased since: the commit proves it
    #[arg(long)]
    redacted: bool,
}

pub(crate) fn run(context: &mut Context, args: &CheckoutArgs) -> Result<u8> {
    let lock = Lock::read(&context.path(&args.lock))?;
    let mut path = context.path(&args.output);
    let as_dir = args.output.as_os_str().as_encoded_bytes().ends_with(b"/");
    if as_dir {
        Disk::default().create_dir_all(&path)?;
    }
    if as_dir || path.is_dir() {
        path.push(lock.view.file_name());
    }
    let (found, from) = match around(context, &lock) {
        Some(store) => (take(&store, &lock, &path, args)?, "the store here"),
        None => {
            let remote = open(context, &lock.remote)?;
            let fetched = {
                let bar = Bar::new(context);
                fetch_commit(&Disk::default(), &remote, &lock.store_id, lock.commit, &bar)?
            };
            (take(&fetched.store, &lock, &path, args)?, lock.remote.as_str())
        }
    };
    if context.json {
        let line = serde_json::json!({"file": path, "commit": lock.commit, "digest": found});
        context.json_line(&line)?;
        return Ok(0);
    }
    let (rows, bytes) = (number(found.annotations), number(found.bytes));
    let (file, commit) = (path.display().to_string(), lock.commit.short());
    let from = plain(from);
    let file = plain(&file);
    let whole = lock.differs(&found).is_none();
    let as_what = if whole { "as pinned" } else { "what is left of what was pinned" };
    writeln!(
        context.out(),
        "{file} of {commit} from {from}: {rows} annotations, {bytes} bytes, {as_what}"
    )?;
    Ok(0)
}

/// The store around, if it is the one and has the commit.
fn around(context: &Context, lock: &Lock) -> Option<Store> {
    let store = context.store().ok()?;
    let is_it = store.facts().store_id == lock.store_id;
    (is_it && store.history.resolve(&lock.commit.to_string()).is_ok()).then_some(store)
}

/// Writes the output, which has its name only if it is as pinned.
fn take(
    store: &Store,
    lock: &Lock,
    path: &std::path::Path,
    args: &CheckoutArgs,
) -> Result<LockDigest> {
    let mut file = output_file(path)?;
    let found = write(store, lock.commit, &lock.view, &mut file)?;
    let same_rows = found.rows == lock.digest.rows && found.annotations == lock.digest.annotations;
    let erased = if same_rows { 0 } else { store.redacted_rows(lock.commit)? };
    match lock.differs(&found) {
        Some(_) if erased > 0 && !args.redacted => Err(CliError::check(format!(
            "{} rows of {} were erased since it was pinned; nothing was written",
            number(erased),
            lock.commit.short()
        ))
        .hint("`--redacted` takes what is left: the commit proves it")),
        Some(what) if erased == 0 && !(args.rows_only && same_rows) => {
            let error = CliError::check(format!("{what}; nothing was written"));
            Err(match same_rows {
                true => {
                    error.hint("another version of gloss wrote them: `--rows-only` takes these")
                }
                false => {
                    error.hint("the lock was edited, or made by a version that counts otherwise")
                }
            })
        }
        _ => {
            file.persist()?;
            Ok(found)
        }
    }
}
