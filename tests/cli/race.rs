//! Several processes on one store at once, and locks that others left.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Output};

use serde_json::{Value, json};

use crate::session::Session;

const WRITERS: usize = 4;
const COMMITS: usize = 5;
/// The same for processes that do not wait for each other.
const RUNNERS: usize = 8;
const RUNS: usize = 50;

/// What all of them gave: the folder goes with the session, so nobody may still run.
fn ended<Name>(children: Vec<(Name, Child)>) -> Vec<(Name, Output)> {
    let end = |(name, child): (Name, Child)| (name, child.wait_with_output().expect("an end"));
    children.into_iter().map(end).collect()
}

/// Every commit that was acknowledged is in the history, once, and every row is there.
#[test]
fn disjoint_commits_all_land() {
    let s = Session::new();
    s.write("first.csv", "item,annotator,label\nfirst,ann,cat\n");
    s.ok("import first.csv -m first");
    let mut acknowledged = BTreeSet::new();
    for round in 0..COMMITS {
        let mut children = Vec::new();
        for writer in 0..WRITERS {
            let name = format!("w{writer}-{round}");
            s.write(&format!("{name}.csv"), format!("item,annotator,label\n{name},ann,cat\n"));
            let line = format!("import {name}.csv -m {name} --json");
            let child = s.command(&line).spawn().expect("gloss runs");
            children.push((name, child));
        }
        for (name, output) in ended(children) {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(0), "{name}: {told}");
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            let commit = report["commit"].as_str().expect("a commit").to_owned();
            assert!(acknowledged.insert(commit), "{name}: a commit of its own");
        }
    }
    let log = s.json("log");
    assert_eq!(log.len(), 1 + WRITERS * COMMITS);
    let commits: BTreeSet<String> =
        log.iter().map(|c| c["commit"].as_str().unwrap().to_owned()).collect();
    assert!(commits.is_superset(&acknowledged));
    let messages: BTreeSet<String> =
        log.iter().map(|c| c["message"].as_str().unwrap().trim().to_owned()).collect();
    assert_eq!(messages.len(), log.len(), "each once");
    for commit in &log {
        assert_eq!(commit["changes"]["annotations"]["added"], 1, "{commit}");
    }
    let items: BTreeSet<String> =
        s.rows().iter().map(|row| row["item_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(items, messages, "the rows of every commit are live");
    assert_eq!(s.git("rev-list --count main").trim(), "21");
    assert_eq!(s.git("rev-list --merges --count main").trim(), "0");
    assert_eq!(s.git("reflog main").lines().count(), 21);
    assert_eq!(s.try_git("fsck --strict").code, 0);
}

/// The same with loops: no writer waits for another.
#[test]
fn writers_that_do_not_wait_for_each_other() {
    let s = Session::new();
    let mut loops: Vec<Vec<Command>> = Vec::new();
    for writer in 0..RUNNERS {
        let commands = (0..RUNS).map(|round| {
            let name = format!("w{writer}-{round}");
            s.write(&format!("{name}.csv"), format!("item,annotator,label\n{name},ann,cat\n"));
            s.command(&format!("import {name}.csv -m {name}"))
        });
        loops.push(commands.collect());
    }
    let running: Vec<_> = loops
        .into_iter()
        .map(|commands| {
            std::thread::spawn(|| {
                let outputs = commands.into_iter().map(|mut command| command.output().unwrap());
                outputs.filter(|output| !output.status.success()).collect::<Vec<Output>>()
            })
        })
        .collect();
    // All of them end before anything is said: the folder goes with the session.
    let failed: Vec<Output> =
        running.into_iter().flat_map(|writer| writer.join().expect("a writer")).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let messages: Vec<String> = s.git("log --format=%s").lines().map(str::to_owned).collect();
    assert_eq!(messages.len(), RUNNERS * RUNS);
    for writer in 0..RUNNERS {
        // A writer's own commits stand in the order in which it made them.
        let own: Vec<&String> =
            messages.iter().filter(|m| m.starts_with(&format!("w{writer}-"))).collect();
        let expected: Vec<String> =
            (0..RUNS).rev().map(|round| format!("w{writer}-{round}")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
    assert_eq!(s.json("items").len(), RUNNERS * RUNS);
    s.ok("verify");
}

/// A store of one row, and the name of a file that gives it another label.
fn with_a_row() -> Session {
    let s = Session::new();
    s.write("cat.csv", "item,annotator,label\ni1,ann,cat\ni2,ann,cat\n");
    s.ok("import cat.csv -m first");
    let id = s.rows()[0]["annotation_id"].as_str().unwrap().to_owned();
    for label in ["dog", "bird", "fish", "newt"] {
        let text = format!("item_id,annotation_id,label\ni1,{id},{label}\n");
        s.write(&format!("{label}.csv"), text);
    }
    s
}

fn label(s: &Session, item: &str) -> String {
    s.json(&format!("ls --item {item}"))[0]["label"].as_str().unwrap().to_owned()
}

#[test]
fn of_two_changes_of_one_row_the_second_is_told() {
    let s = with_a_row();
    s.ok("import dog.csv --update");
    s.ok("import bird.csv --update -m bird");
    let told = s.fails(1, "commit -m dog");
    assert!(told.contains("`i1`") && !told.contains("`i2`"), "{told}");
    assert!(told.contains("hint: "), "{told}");
    assert_eq!(label(&s, "i1"), "bird");
    assert_eq!(s.json("log").len(), 2);
    assert!(s.ok("status").contains("staged:"), "what was staged is still there");
}

#[test]
fn of_two_equal_changes_the_second_drops_out() {
    let s = with_a_row();
    s.ok("import dog.csv --update");
    s.ok("rm --where item=i2");
    s.ok("import dog.csv --update -m dog");
    s.ok("commit -m 'dog and no i2'");
    let log = s.json("log");
    assert_eq!(log.len(), 3);
    let counts = json!({"added": 0, "changed": 0, "removed": 1});
    assert_eq!(log[0]["changes"]["annotations"], counts, "only what was left to do");
    // All of it there already: no commit.
    s.ok("import bird.csv --update");
    s.ok("import bird.csv --update -m bird");
    assert!(s.ok("commit -m again").contains("nothing to commit"));
    assert_eq!(s.json("log").len(), 4);
    assert!(s.ok("status").contains("nothing staged"));
}

/// A removal and a change of one row are a conflict, whichever comes first.
#[test]
fn a_removal_does_not_hide_a_change() {
    for (staged, direct) in [
        ("rm --where item=i1", "import dog.csv --update -m dog"),
        ("import dog.csv --update", "rm --where item=i1 -m gone"),
    ] {
        let s = with_a_row();
        s.ok(staged);
        s.ok(direct);
        let told = s.fails(1, "commit -m late");
        assert!(told.contains("`i1`"), "{staged}: {told}");
    }
}

/// Whoever comes first: an acknowledged change is a commit, a refused one names the row.
#[test]
fn changes_of_one_row_at_once() {
    let s = with_a_row();
    let labels = ["dog", "bird", "fish", "newt"];
    let start = |label: &str| {
        s.command(&format!("import {label}.csv --update -m {label}")).spawn().unwrap()
    };
    let children = labels.map(|label| (label, start(label))).into();
    let mut done = BTreeSet::from(["first".to_owned()]);
    for (label, output) in ended(children) {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => assert!(done.insert(label.to_owned())),
            Some(1) => assert!(told.contains("`i1`"), "{told}"),
            other => panic!("{other:?}: {told}"),
        }
    }
    assert!(done.len() > 1, "somebody was first");
    let log = s.json("log");
    let message = |commit: &Value| commit["message"].as_str().unwrap().trim().to_owned();
    assert_eq!(log.iter().map(message).collect::<BTreeSet<_>>(), done);
    assert_eq!(log.len(), done.len());
    assert_eq!(label(&s, "i1"), message(&log[0]), "the last commit's label is live");
}

#[test]
fn equal_changes_at_once_make_one_commit() {
    let s = with_a_row();
    let start = || s.command("import dog.csv --update -m dog --json").spawn().unwrap();
    let children = (0..WRITERS).map(|writer| (writer, start())).collect();
    let mut made = 0;
    for (_, output) in ended(children) {
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        made += usize::from(!report["commit"].is_null());
    }
    assert_eq!(made, 1);
    assert_eq!(s.json("log").len(), 2);
    assert_eq!(label(&s, "i1"), "dog");
}

/// The shared stage takes what all of them bring.
#[test]
fn several_stage_at_once() {
    let s = Session::new();
    let start = |writer: usize| {
        let text = format!("item,annotator,label\ni{writer},ann,cat\n");
        s.write(&format!("{writer}.csv"), text);
        s.command(&format!("import {writer}.csv")).spawn().unwrap()
    };
    let children = (0..WRITERS).map(|writer| (writer, start(writer))).collect();
    for (_, output) in ended(children) {
        assert!(output.status.success(), "{output:?}");
    }
    s.ok("commit -m all");
    assert_eq!(s.rows().len(), WRITERS);
}

#[test]
fn one_of_many_makes_a_branch() {
    let s = with_a_row();
    let start = || s.command("branch other").spawn().unwrap();
    let children = (0..WRITERS).map(|writer| (writer, start())).collect();
    let mut codes: Vec<Option<i32>> =
        ended(children).iter().map(|(_, output)| output.status.code()).collect();
    codes.sort();
    assert_eq!(codes[0], Some(0));
    assert!(codes[1..].iter().all(|code| matches!(code, Some(1 | 2))), "{codes:?}");
    assert_eq!(s.json("branch").len(), 2);
}

/// A lock of git or of another program is not ours to break: it is named, and nothing happens.
#[test]
fn a_lock_of_another_program_is_named() {
    let s = with_a_row();
    let lock = s.path(".gloss/git/refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    let before = s.commit("main");
    let told = s.fails(4, "import dog.csv --update -m dog");
    assert!(told.contains("refs/heads/main.lock") && told.contains("hint: "), "{told}");
    assert!(lock.exists(), "a foreign lock stays");
    assert_eq!(s.commit("main"), before);
    assert_eq!(label(&s, "i1"), "cat");
    // Other branches are free, and so is this one once the lock is gone.
    s.ok("branch other");
    fs::remove_file(&lock).unwrap();
    s.ok("import dog.csv --update -m dog");
    assert_eq!(label(&s, "i1"), "dog");
}

/// The note in the store's lock says that a gloss made the lock and died: it is broken.
#[test]
fn a_lock_of_a_dead_gloss_is_broken() {
    let s = with_a_row();
    let lock = s.path(".gloss/git/refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    let note = format!("refs/heads/main.lock {}", "1".repeat(40));
    fs::write(s.path(".gloss/lock"), note).unwrap();
    s.ok("import dog.csv --update -m dog");
    assert!(!lock.exists());
    assert_eq!(label(&s, "i1"), "dog");
    assert_eq!(fs::read_to_string(s.path(".gloss/lock")).unwrap(), "", "no note is left");
}

/// A note that names something else than a lock of a ref removes nothing.
#[test]
fn a_strange_note_in_the_lock_removes_nothing() {
    for note in ["refs/heads/main", "../config.toml", "HEAD", "refs/../../config.toml.lock"] {
        let s = with_a_row();
        s.write(".gloss/config.toml.lock", "");
        fs::write(s.path(".gloss/lock"), note).unwrap();
        s.ok("import dog.csv --update -m dog");
        assert_eq!(s.json("log").len(), 2, "{note}");
        assert!(s.path(".gloss/config.toml").exists() && s.path(".gloss/git/HEAD").exists());
        assert!(s.path(".gloss/config.toml.lock").exists(), "{note}");
    }
}

/// What stock git packed is the same ref.
#[test]
fn a_packed_ref_moves_on() {
    let s = with_a_row();
    s.ok("branch other");
    s.git("pack-refs --all");
    assert!(!s.path(".gloss/git/refs/heads/main").exists());
    s.ok("import dog.csv --update -m dog");
    assert_eq!(s.json("log").len(), 2);
    s.ok("branch -d other");
    assert_eq!(s.json("branch").len(), 1);
    assert_eq!(s.git("for-each-ref --format=%(refname)").trim(), "refs/heads/main");
    s.git("gc --quiet");
    assert_eq!(label(&s, "i1"), "dog");
    s.ok("import bird.csv --update -m bird");
    assert_eq!(s.json("log").len(), 3);
    assert_eq!(s.try_git("fsck --strict").code, 0);
}

/// A process that died between the move of its branch and the clearing of the stage.
#[test]
fn what_a_dead_commit_left_on_the_stage_is_not_staged() {
    for next in ["switch -c side", "gc", "commit -m again", "import second.csv"] {
        let s = Session::new();
        s.write("first.csv", "item,annotator,label\nfirst,ann,cat\n");
        s.write("second.csv", "item,annotator,label\nsecond,ann,cat\n");
        s.ok("import first.csv");
        let stage = s.read(".gloss/stage/shared.json");
        s.ok("commit -m first");
        s.write(".gloss/stage/shared.json", &stage);
        let status = s.json("status");
        assert_eq!(status[0]["staged"], json!({}), "{status:?}");
        assert_eq!(s.json("diff"), Vec::<Value>::new());
        s.ok("verify");
        s.ok(next);
        let left = fs::read_to_string(s.path(".gloss/stage/shared.json")).unwrap_or_default();
        assert_ne!(left, stage, "`gloss {next}` clears it");
        assert_eq!(left.is_empty(), !next.starts_with("import"), "{next}: {left}");
        assert_eq!(s.json("log").len(), 1);
    }
}
