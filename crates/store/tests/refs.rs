//! Refs against stock git: what it packs, locks and reads.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at once, and make git's files itself"
)]

use std::path::Path;
use std::process::Command;

use glossator_store::Error;
use glossator_store::history::RefName;
use glossator_testkit::{TestStore, choice, identity};

fn git(dir: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git").arg("-C").arg(dir).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "git {arguments:?}: {text}");
    String::from_utf8(done.stdout).unwrap()
}

fn name(text: &str) -> RefName {
    text.parse().unwrap()
}

#[test]
fn refs_that_git_packed_are_read_moved_and_deleted() {
    let test = TestStore::new();
    let first = test.import(&[choice("item", "id", "a")]).unwrap().unwrap();
    let who = identity();
    test.store.make_ref(false, &name("side"), first, &who, None).unwrap();
    test.store.make_ref(true, &name("v1"), first, &who, Some("first".into())).unwrap();
    let dir = test.store.history.dir().to_owned();
    git(&dir, &["fsck", "--strict"]);
    git(&dir, &["gc", "--quiet"]);
    git(&dir, &["pack-refs", "--all"]);
    assert!(!dir.join("refs/heads/main").exists(), "git packed the refs");

    let store = test.reopen().unwrap();
    assert_eq!(store.history.head().unwrap().commit, Some(first));
    let second = test.import(&[choice("item", "id", "b")]).unwrap().unwrap();
    assert_eq!(git(&dir, &["rev-parse", "main"]).trim(), second.to_string());
    store.delete_ref(false, &name("side"), &who).unwrap();
    store.delete_ref(true, &name("v1"), &who).unwrap();
    assert_eq!(git(&dir, &["for-each-ref", "--format=%(refname)"]).trim(), "refs/heads/main");
    git(&dir, &["fsck", "--strict"]);
}

#[test]
fn a_foreign_lock_is_named_and_one_of_a_dead_owner_is_broken() {
    let test = TestStore::new();
    test.import(&[choice("item", "id", "a")]).unwrap().unwrap();
    let lock = test.store.history.dir().join("refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    let refused = test.import(&[choice("item", "id", "b")]);
    assert!(matches!(&refused, Err(Error::RefLocked(path)) if *path == lock), "{refused:?}");
    assert!(lock.exists(), "a lock of another program stays");
    // A gloss that died while it held the lock leaves its name behind.
    let oid = "1".repeat(40);
    let note = format!("refs/heads/main.lock {oid}");
    std::fs::write(test.store.root().join("lock"), &note).unwrap();
    std::fs::write(&lock, format!("{}\n", "2".repeat(40))).unwrap();
    assert!(test.import(&[choice("item", "id", "b")]).is_err(), "it is not what was noted");
    std::fs::write(test.store.root().join("lock"), note).unwrap();
    std::fs::write(&lock, format!("{oid}\n")).unwrap();
    assert!(test.import(&[choice("item", "id", "b")]).unwrap().is_some());
    assert!(!lock.exists());
    assert_eq!(std::fs::read(test.store.root().join("lock")).unwrap(), b"");
}

#[test]
fn names_that_collide_somewhere_are_refused() {
    for bad in ["", "Main", "a/b", "-x", ".x", "x.", "a..b", "x.lock", "ü", "a b", "head"] {
        assert!(bad.parse::<RefName>().is_err(), "{bad:?}");
    }
    for good in ["main", "v1.2", "re_label-3", "0"] {
        assert_eq!(good.parse::<RefName>().unwrap().as_str(), good);
    }
}

#[test]
fn reflogs_and_revisions_are_gits() {
    let test = TestStore::new();
    let commits: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|label| test.import(&[choice("item", "id", label)]).unwrap().unwrap())
        .collect();
    let dir = test.store.history.dir();
    for revision in ["main", "main~1", "main^", "@{1}", "main@{2}", "HEAD~2", ":/test"] {
        let theirs = git(dir, &["rev-parse", revision]);
        let ours = test.store.history.resolve(revision).unwrap();
        assert_eq!(ours.to_string(), theirs.trim(), "{revision}");
    }
    let short = &commits[1].to_string()[..8];
    assert_eq!(test.store.history.resolve(short).unwrap(), commits[1]);
    for none in ["", "nope", "main~9", "main..main", "@{9}", "main:gloss.toml", "main^{tree}"] {
        assert!(test.store.history.resolve(none).is_err(), "{none}");
    }
}
