//! One bit of a store's bytes is another: `verify` finds it, and no read gives another row.
//!
//! On the store of `tests/compat/v1`, with its caches, about 400 kB in all. CI tries 2,000 seeded
//! places. `GLOSS_FLIPS=all cargo test --release -p glossator-testkit --test flips` tries each byte
//! once, and each bit of what is read first: refs, `HEAD`, the configuration, the stage, and the
//! heads and footers of objects.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at once, damage files, and print"
)]

use std::fs;
use std::path::{Path, PathBuf};

use glossator_store::canonical::Rows;
use glossator_store::fs::Disk;
use glossator_store::schema::{ANNOTATIONS, TABLES};
use glossator_store::verify::{Finding, VerifyReport};
use glossator_store::{CommitId, Error, Store};
use glossator_testkit::faults::Image;
use glossator_testkit::scratch;

/// Places that CI tries.
const FLIPS: usize = 2_000;

/// SplitMix64: the same flips in every run.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn all_files(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_files(&path, files);
        } else if path.metadata().unwrap().len() > 0 {
            files.push(path);
        }
    }
}

/// Places in which a flipped bit breaks no promise: what the format gives no meaning to.
fn is_harmless(path: &str, bytes: &[u8], at: usize) -> bool {
    let line_start = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    let is_text = |from: &str, to: &str| {
        let text = String::from_utf8_lossy(bytes);
        let start = text.find(from).unwrap();
        let end = start + text[start..].find(to).unwrap();
        (start..end).contains(&at)
    };
    match path {
        // Git's own settings, and people's facts: no row depends on them.
        "git/config" | "private/people" | "private/key" => true,
        // Of a reflog only the new ids count; a newline that is gone hides one line at most.
        _ if path.starts_with("git/logs/") => {
            !(41..81).contains(&(at - line_start)) || bytes[at].is_ascii_alphabetic()
        }
        // The first line says how the refs are sorted; upper-case hex digits are the same id.
        "git/packed-refs" => bytes[line_start] == b'#' || bytes[at].is_ascii_alphabetic(),
        // Upper-case hex digits are the same id to git, and so is any white space at the end.
        _ if path.starts_with("git/refs/") => at >= 40 || bytes[at].is_ascii_alphabetic(),
        "git/HEAD" => bytes[at].is_ascii_whitespace(),
        // The empty table of features.
        "config.toml" => at > String::from_utf8_lossy(bytes).find("[features]").unwrap() - 2,
        // Names of imported files stand for themselves, and so does a stage's random id.
        "stage/shared.json" => {
            is_text("\"sources\"", "\"annotators\"") || is_text("\"id\"", "\"base\"")
        }
        _ => false,
    }
}

/// Everything that a commit holds, and an item that is looked up, as text.
fn contents(store: &Store, commit: CommitId) -> Result<String, Error> {
    let snapshot = store.snapshot(Some(commit), &[])?;
    let mut text = String::new();
    let mut digests = |batch, table| -> Result<(), Error> {
        let rows = Rows::new(table, &batch)?;
        for row in 0..rows.len() {
            text.push_str(&rows.digest(row, &mut Vec::new()).to_string());
        }
        Ok(())
    };
    for table in TABLES {
        for batch in snapshot.table(table)?.scan()? {
            digests(batch?, table)?;
        }
    }
    let annotations = snapshot.table(&ANNOTATIONS)?;
    digests(annotations.fetch(&annotations.locate_item(ITEM)?)?, &ANNOTATIONS)?;
    for commit in store.history.walk(commit)? {
        text.push_str(&store.history.commit(commit?)?.message);
    }
    Ok(text)
}

/// An item of the samples.
const ITEM: &str = "/data/upload/2/1f1468e8-img01.png";

/// A store whose files are damaged one at a time.
struct Golden {
    _dir: tempfile::TempDir,
    root: PathBuf,
    commit: CommitId,
    sound: String,
    /// Names inside the store, with what is in them.
    files: Vec<(String, Vec<u8>)>,
}

impl Golden {
    fn new() -> Self {
        let dir = scratch();
        let root = dir.path().join(".gloss");
        let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/compat/v1/store");
        Image::of(&frozen).unwrap().write_to(&root).unwrap();
        let store = Store::open(&Disk::default(), &root).unwrap();
        let commit = store.history.resolve("v1").unwrap();
        // The look-up makes the caches.
        let sound = contents(&store, commit).unwrap();
        assert!(sound.len() > 64 * 400, "the sample is whole");
        let mut paths = Vec::new();
        all_files(&root, &mut paths);
        paths.sort();
        let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let files = paths.iter().map(|path| (name(path), fs::read(path).unwrap())).collect();
        let golden = Self { _dir: dir, root, commit, sound, files };
        assert_eq!(golden.verify().unwrap().findings, []);
        golden
    }

    fn verify(&self) -> Result<VerifyReport, Error> {
        Store::open(&Disk::default(), &self.root)?.verify(&mut |_| {})
    }

    /// Flips a bit, and tells whether it was found.
    fn flip(&self, file: usize, at: usize, bit: u64) -> bool {
        let (name, bytes) = &self.files[file];
        let place = format!("{name}: bit {bit} of byte {at} of {}", bytes.len());
        let path = self.root.join(name);
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        fs::write(&path, &flipped).unwrap();
        let report = self.verify();
        if let Ok(store) = Store::open(&Disk::default(), &self.root) {
            let read = contents(&store, self.commit);
            assert!(read.is_err() || read.is_ok_and(|text| text == self.sound), "{place}");
        }
        fs::write(&path, bytes).unwrap();
        let found = report.as_ref().map_or(true, |report| !report.findings.is_empty());
        assert!(found || is_harmless(name, bytes, at), "{place}");
        if let (Some(object), Ok(report)) = (name.strip_prefix("objects/"), &report) {
            let digest = &object[3..];
            let names =
                |finding: &Finding| finding.object == digest && !finding.referrers.is_empty();
            assert!(report.findings.iter().any(names), "{place}: {:#?}", report.findings);
        }
        found
    }
}

/// Whether every bit of a place is tried: what is read first, and decides what is read then.
fn is_crucial(name: &str, bytes: &[u8], at: usize) -> bool {
    let text = ["git/refs/", "git/HEAD", "git/packed-refs", "config.toml"];
    let binary = ["objects/", "git/objects/"];
    let starts = |names: &[&str]| names.iter().any(|start| name.starts_with(start));
    starts(&text) || starts(&binary) && (at < 16 || at + 64 >= bytes.len())
}

/// What is tried: a file, a place in it, and a bit.
type Flip = (usize, usize, u64);

fn flips(files: &[(String, Vec<u8>)]) -> Vec<Flip> {
    let mut seed = 20_260_801;
    if std::env::var("GLOSS_FLIPS").is_ok_and(|which| which == "all") {
        let places = files.iter().enumerate().flat_map(|(file, (name, bytes))| {
            (0..bytes.len()).map(move |at| (file, at, is_crucial(name, bytes, at)))
        });
        return places
            .flat_map(|(file, at, crucial)| {
                let one = random(&mut seed) % 8;
                let bits = if crucial { 0..8 } else { one..one + 1 };
                bits.map(move |bit| (file, at, bit))
            })
            .collect();
    }
    // Each file in turn: most of the bytes are those of a few.
    let mut flip = |number: usize| {
        let file = number % files.len();
        let at = random(&mut seed) as usize % files[file].1.len();
        (file, at, random(&mut seed) % 8)
    };
    (0..FLIPS).map(&mut flip).collect()
}

#[test]
fn every_flipped_bit_is_found_or_harmless_and_no_read_is_wrong() {
    let files = Golden::new().files;
    let flips = flips(&files);
    let part = |flips: &[Flip]| {
        let golden = Golden::new();
        let found = flips.iter().filter(|(file, at, bit)| golden.flip(*file, *at, *bit)).count();
        assert_eq!(golden.verify().unwrap().findings, []);
        found
    };
    let (one, other) = flips.split_at(flips.len() / 2);
    let found: usize = std::thread::scope(|scope| {
        let threads = [one, other].map(|flips| scope.spawn(move || part(flips)));
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    println!("{} flips in {} files, {found} found", flips.len(), files.len());
    assert!(flips.len() >= FLIPS && found * 10 > flips.len() * 8, "{found}");
}
