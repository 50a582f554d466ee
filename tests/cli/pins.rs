//! A lock file gives the same bytes on another machine, or says which part differs.

use glossator_testkit::moto::Moto;

use crate::json::fits;
use crate::remote::{Place, pushed};
use crate::samples::corrected;
use crate::session::Session;

/// Holds a lock file against its schema.
fn lock_fits(text: &str) {
    let lock: toml::Value = toml::from_str(text).expect("TOML");
    fits("gloss-lock", &[serde_json::to_value(lock).expect("JSON")]);
}

fn pinned_and_taken_elsewhere(place: &Place) {
    let here = pushed(place);
    here.write("corrected.json", corrected());
    here.ok("import corrected.json -m later");
    let views = [
        ("jsonl", ""),
        ("csv", "--view labels"),
        ("label-studio", ""),
        ("parquet", "--view labels --field sentiment"),
        ("tsv", "--label PER --label ORG"),
    ];
    for (format, view) in views {
        let line = format!("pin v1 --format {format} {view}");
        let made = place.json(&here, "pin", &line);
        assert!(made["lock"]["digest"]["annotations"].as_u64() > Some(10), "{line}: {made}");
        let lock = here.read("gloss.lock");
        lock_fits(&lock);
        assert_eq!(place.json(&here, "pin-check", "pin --check")["ok"], true, "{line}");
        // Nothing but the lock file.
        let there = Session::empty();
        there.write("gloss.lock", &lock);
        let taken = place.json(&there, "checkout", "checkout gloss.lock -o data/");
        assert_eq!(taken["digest"], made["lock"]["digest"], "{line}");
        let export = format!("export --at v1 --format {format} {view} --without-people -o own");
        here.ok(&export);
        let name = taken["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let ours = std::fs::read(here.path("own")).unwrap();
        let theirs = std::fs::read(there.path("data").join(name)).unwrap();
        assert!(ours == theirs, "{line}: other bytes than an export's");
        // The store here has it, so nothing is asked of the remote.
        let near = Place { url: place.url.clone(), env: Vec::new() };
        assert_eq!(
            near.json(&here, "checkout", "checkout gloss.lock -o again")["digest"],
            taken["digest"]
        );
        assert!(!there.path(".gloss").exists());
    }
}

#[test]
fn a_locked_pull_fetches_and_checks_and_moves_nothing() {
    let shared = Session::empty();
    let place = Place::directory(&shared);
    let here = pushed(&place);
    let there = Session::empty();
    place.ok(&there, &format!("clone {} .", place.url));
    here.write("corrected.json", corrected());
    here.ok("import corrected.json -m later");
    here.ok("push");
    here.ok("pin --format csv");
    let lock = here.read("gloss.lock");
    there.write("gloss.lock", &lock);
    let before = there.commit("main");
    // It has not got the commit yet.
    assert!(there.fails(2, "pin --check").contains("no commit is named"));
    assert_eq!(place.json(&there, "pin-check", "pull --locked")["ok"], true);
    assert_eq!(there.commit("main"), before);
    let zeros = "0".repeat(64);
    let output = lock.lines().find(|line| line.starts_with("output = ")).unwrap();
    there.write("other.lock", lock.replacen(output, &format!("output = \"{zeros}\""), 1));
    let error = there.fails(1, "pull --locked=other.lock");
    assert!(error.contains("the rows are the same, the bytes differ"), "{error}");
    assert!(there.fails(2, "pull --locked=none.lock").contains("there is no `none.lock`"));
}

#[test]
fn a_lock_file_gives_the_same_bytes_from_a_directory() {
    let shared = Session::empty();
    pinned_and_taken_elsewhere(&Place::directory(&shared));
}

#[test]
fn a_lock_file_gives_the_same_bytes_from_a_real_s3_server() {
    let Some(moto) = Moto::start() else { return };
    pinned_and_taken_elsewhere(&Place::s3(&moto));
}

#[test]
fn a_lock_file_that_does_not_hold_says_which_part_differs() {
    let shared = Session::empty();
    let place = Place::directory(&shared);
    let here = pushed(&place);
    here.ok("pin v1");
    let lock = here.read("gloss.lock");
    let line = |name: &str| {
        let found = lock.lines().find(|line| line.starts_with(&format!("{name} = ")));
        found.unwrap_or_else(|| panic!("no {name} in {lock}")).to_owned()
    };
    let zeros = "0".repeat(64);
    let other = "f".repeat(40);
    for (name, new, code, said) in [
        ("version", "version = 2".to_owned(), 2, "of version 2"),
        ("rows", format!("rows = \"{zeros}\""), 1, "the rows differ"),
        ("output", format!("output = \"{zeros}\""), 1, "the rows are the same, the bytes differ"),
        ("annotations", "annotations = 7".to_owned(), 1, "the number of annotations differs"),
        ("writer", "writer = \"jsonl@9\"".to_owned(), 2, "no writer `jsonl@9`"),
        ("writer", "writer = \"jsonl@1\"\nmore = 1".to_owned(), 2, "unknown field"),
        ("commit", format!("commit = \"{other}\""), 2, "no commit ffff"),
        ("store_id", format!("store_id = \"{}\"", &other[..32]), 2, "the remote holds the store"),
        ("remote", "remote = \"ftp://x/y\"".to_owned(), 2, "no address of a remote"),
    ] {
        let there = Session::empty();
        // The digest of rows, not the view of them.
        let old = match name {
            "rows" => lock.lines().rfind(|line| line.starts_with("rows = ")).unwrap().to_owned(),
            name => line(name),
        };
        there.write("gloss.lock", lock.replacen(&old, &new, 1));
        let error = there.fails(code, "checkout gloss.lock -o out.jsonl");
        assert!(error.contains(said), "{name}: {error}");
        assert!(!there.path("out.jsonl").exists(), "{name}: something was written");
        // Other bytes of the same rows are taken if that is asked for; nothing else is.
        let ran = there.gloss("checkout gloss.lock -o out.jsonl --rows-only");
        assert_eq!(ran.code == 0, name == "output", "{name}: {}", ran.err);
    }
    // Rows that came damaged are no rows.
    let there = Session::empty();
    there.write("gloss.lock", &lock);
    let rows = walk(&shared.path("shared")).into_iter().find(|p| p.contains("/rows-")).unwrap();
    let mut bytes = std::fs::read(&rows).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&rows, bytes).unwrap();
    let error = there.fails(3, "checkout gloss.lock -o out.jsonl");
    assert!(error.contains("do not hash"), "{error}");
    assert!(!there.path("out.jsonl").exists());
    // What was never pushed cannot be pinned.
    here.write("corrected.json", corrected());
    here.ok("import corrected.json -m later");
    assert!(here.fails(2, "pin").contains("was not pushed"));
}

fn walk(dir: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(walk(&path)),
            false => found.push(path.display().to_string()),
        }
    }
    found
}

/// The first way to find final answers let a repeat in a table vote twice. What was pinned by it
/// gives the same bytes as ever; what is pinned now has another name.
#[test]
fn a_pin_of_the_first_consensus_goes_on_to_mean_what_it_meant() {
    let s = Session::new();
    s.write("a.csv", "item,annotator,label\ni,w1,cat\n");
    s.ok("import a.csv -m cat");
    s.write("b.csv", "item,annotator,label\ni,w1,dog\n");
    s.ok("import b.csv --append -m dog");
    s.ok(&format!("remote add origin file://{}", s.path("there").display()));
    s.ok("push origin");
    s.ok("pin HEAD --format csv --view labels");
    let lock = s.read("gloss.lock");
    lock_fits(&lock);
    assert!(lock.contains("consensus = \"gold-then-majority@2\""), "{lock}");
    s.ok("checkout gloss.lock -o new.csv");
    let labels = |name: &str| {
        let text = s.read(name);
        ["cat", "dog"].map(|label| text.contains(label))
    };
    assert_eq!(labels("new.csv"), [false, true], "the later answer");
    // The digests that the version before the second way wrote for these very rows.
    let (head, _) = lock.split_once("[digest]").unwrap();
    let old = "[digest]\nannotations = 2\n\
        rows = \"7187d73fd1781dcc2e7fe1749f649365b26ff7c2283e6a22de5e04f2490cc3aa\"\n\
        output = \"c84ac6f0cbd667f2a1db4f273e79467e3f6f2c7730a8a710aa7b92b40c2e5dfb\"\n\
        bytes = 421\n";
    s.write("gloss.lock", head.replace("majority@2", "majority@1") + old);
    lock_fits(&s.read("gloss.lock"));
    s.ok("checkout gloss.lock -o old.csv");
    assert_eq!(labels("old.csv"), [true, true], "as it ever was");
    s.write("gloss.lock", lock.replace("majority@2", "majority@3"));
    let error = s.fails(2, "checkout gloss.lock -o old.csv");
    assert!(error.contains("gold-then-majority@3"), "{error}");
}
