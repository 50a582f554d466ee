//! Reads the net difference of two commits to Arrow, old and new values: what the table of
//! `docs/benchmarks.md` measures below the command line.
//!
//! `cargo run --release -p glossator-lineage --example net_diff -- DIR OLD NEW`

#![allow(clippy::disallowed_macros, reason = "an example prints")]

use glossator_lineage::between;
use glossator_store::fs::Disk;
use glossator_store::schema::ANNOTATIONS;
use glossator_store::{Error, Result, Store};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, old, new] = &arguments[..] else {
        eprintln!("usage: net_diff DIR OLD NEW");
        return Err(Error::NoCommit(String::new()));
    };
    let store = Store::discover(&Disk::default(), dir.as_ref())?;
    let commit = |revision: &str| store.history.resolve(revision).map(Some);
    let (mut added, mut changed, mut removed, mut bytes) = (0, 0, 0, 0);
    for delta in between(&store, commit(old)?, commit(new)?, &ANNOTATIONS)? {
        let delta = delta?;
        for change in &delta.changes {
            match (change.old, change.new) {
                (None, _) => added += 1,
                (Some(_), Some(_)) => changed += 1,
                (Some(_), None) => removed += 1,
            }
        }
        bytes += delta.old.get_array_memory_size() + delta.new.get_array_memory_size();
    }
    println!("{added} added, {changed} changed, {removed} removed, {bytes} bytes of Arrow");
    Ok(())
}
