//! A store that an earlier version wrote is read as it was then, and goes on.
//!
//! `tests/compat/v1/store` is a `.gloss` without its caches that the first version of the format
//! made of our own samples, never to be made anew. What it holds was written down beside it by the
//! reader in `tests/oracles`, which knows the description of the format alone.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::oracle::of_table;
use crate::session::Session;

fn frozen() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/compat/v1")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn expected(revision: &str) -> Vec<Map<String, Value>> {
    let text = fs::read_to_string(frozen().join(format!("{revision}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_store_of_format_1_is_read_and_goes_on() {
    let s = Session::empty();
    copy(&frozen().join("store"), &s.path(".gloss"));
    let report = &s.json("verify")[0];
    assert_eq!((&report["ok"], &report["findings"]), (&true.into(), &Value::Array(vec![])));
    let log = s.json("log");
    assert_eq!(log.len(), 9);
    assert_eq!(log[0]["commit"], "5e7b00e76a73d071b0988f9f670362752c2fed80");
    for revision in ["v1", "main"] {
        let (rows, annotations) = (expected(revision), s.json(&format!("ls --at {revision}")));
        assert!(annotations.len() > 300);
        assert_eq!(of_table(&rows, "annotations"), annotations, "{revision}");
    }
    // What was staged then is committed now, and what it stands on is still compacted.
    assert_eq!(s.json("status")[0]["staged"]["annotations"]["added"], 3);
    s.ok("commit -m staged-long-ago");
    assert_eq!(s.json("ls").len(), s.json("ls --at main~1").len() + 3);
    assert_eq!(s.json("diff corrections~1 corrections").len(), 7);
    assert_eq!(s.json("verify")[0]["ok"], true);
}
