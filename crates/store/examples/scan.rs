//! Reads the annotations of a commit to Arrow, batch by batch, and looks items up: what the table
//! of `docs/benchmarks.md` measures below the command line.
//!
//! `cargo run --release -p glossator-store --example scan -- DIR REVISION [ITEM]`

#![allow(clippy::disallowed_macros, reason = "an example prints")]

use std::time::Instant;

use glossator_store::fs::Disk;
use glossator_store::schema::ANNOTATIONS;
use glossator_store::{Error, Result, Store};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(dir), Some(revision)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: scan DIR REVISION [ITEM]");
        return Err(Error::NoCommit(String::new()));
    };
    let store = Store::discover(&Disk::default(), dir.as_ref())?;
    let commit = store.history.resolve(&revision)?;
    let snapshot = store.snapshot(Some(commit), &[])?;
    let table = snapshot.table(&ANNOTATIONS)?;
    match arguments.next() {
        None => {
            let (mut rows, mut bytes) = (0, 0);
            for batch in table.scan()? {
                let batch = batch?;
                rows += batch.num_rows();
                bytes += batch.get_array_memory_size();
            }
            println!("{rows} rows, {bytes} bytes of Arrow");
        }
        Some(item) => {
            for round in 0..5 {
                let start = Instant::now();
                let rows = table.fetch(&table.locate_item(&item)?)?.num_rows();
                println!("round {round}: {rows} rows in {:?}", start.elapsed());
            }
        }
    }
    Ok(())
}
