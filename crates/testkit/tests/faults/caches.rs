//! Caches whose bytes are damaged.

use std::fs;

use glossator_store::Store;
use glossator_store::fs::Disk;
use glossator_store::schema::ANNOTATIONS;
use glossator_testkit::scratch;

use crate::bench::benches;

/// Whichever byte of a key index is damaged, the rows are found: the index is built again.
#[test]
fn a_damaged_key_index_finds_the_rows() {
    let (_, bench) = benches().nth(1).unwrap();
    let dir = scratch();
    bench.image.write_to(dir.path()).unwrap();
    let root = dir.path().join(".gloss");
    let rows = &bench.model.branches["main"].rows;
    let mut damaged = 0;
    for entry in fs::read_dir(root.join("cache/index")).unwrap() {
        let path = entry.unwrap().path();
        let whole = fs::read(&path).unwrap();
        // The header, the check of the first block, and its first entry.
        for at in 0..(64 + 16 + 40) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            let store = Store::open(&Disk::default(), &root).unwrap();
            let head = store.history.head().unwrap().commit;
            let snapshot = store.snapshot(head, &[]).unwrap();
            let table = snapshot.table(&ANNOTATIONS).unwrap();
            for item in rows.keys() {
                let found = table.locate_item(item).unwrap().len();
                assert_eq!(found, 1, "{item}, byte {at} of {}", path.display());
            }
            damaged += 1;
        }
        fs::write(&path, &whole).unwrap();
    }
    assert!(damaged >= 240, "{damaged}");
}
