//! Runs are noted on the commit that they used, where stock git finds them, too.

use serde_json::{Value, json};

use crate::json::fits;
use crate::remote::{Place, pushed};
use crate::samples::corrected;
use crate::session::{Ran, Session};

/// A store whose commit `v1` is pinned, and the place that it is pushed to.
fn pinned() -> (Session, Session) {
    let shared = Session::empty();
    let here = pushed(&Place::directory(&shared));
    here.ok("pin v1 --format csv --view labels --label positive");
    (here, shared)
}

/// The lines of runs that stock git shows; pins stand between them.
fn noted(s: &Session, revision: &str) -> Vec<Value> {
    let shown = s.git(&format!("notes --ref=gloss-runs show {revision}"));
    let line = |line: &str| -> Value { serde_json::from_str(line).expect("a line of JSON") };
    shown.lines().map(line).filter(|record| record.get("made").is_none()).collect()
}

#[test]
fn stock_git_reads_a_record() {
    let (s, _shared) = pinned();
    assert_eq!(s.ok("runs"), "");
    let before = s.git("for-each-ref refs/heads refs/tags refs/remotes");
    let line = "run record --name baseline --metric f1=0.830 --metric steps=12 --metric note='ü a'";
    let made = s.json(line);
    fits("runs", &made);
    assert_eq!(made[0]["commit"], s.commit("v1"));
    // `date -u -d @1700000000`
    assert_eq!(made[0]["at"], "2023-11-14T22:13:20Z");
    let metrics = &made[0]["metrics"];
    assert_eq!(metrics.to_string(), r#"{"f1":0.830,"steps":12,"note":"ü a"}"#);
    let lock: toml::Value = toml::from_str(&s.read("gloss.lock")).unwrap();
    for digest in ["rows", "output"] {
        assert_eq!(made[0][digest], json!(lock["digest"][digest].as_str()), "{digest}");
    }
    // No label of a filter stands in git.
    assert!(!made[0].to_string().contains("positive"));
    let told = s.ok("run record --pin gloss.lock --name second");
    assert!(told.starts_with("recorded second on "), "{told}");
    // As git has it: the same lines, without the commit, which the note is on.
    let mut listed = s.json("runs v1");
    fits("runs", &listed);
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&made[0]));
    for run in &mut listed {
        run.as_object_mut().unwrap().remove("commit");
    }
    let mut lines = noted(&s, "v1");
    let id = |run: &Value| run["id"].to_string();
    lines.sort_by_key(id);
    listed.sort_by_key(id);
    assert_eq!(lines, listed);
    let notes = s.git("notes --ref=gloss-runs list");
    assert_eq!(notes.split_whitespace().nth(1), Some(s.commit("v1").as_str()));
    assert_eq!(s.git("log -1 --format=%an refs/notes/gloss-runs").trim(), "Ada");
    // Nothing else moved, and all is sound, also for git and after gc.
    assert_eq!(s.git("for-each-ref refs/heads refs/tags refs/remotes"), before);
    s.ok("gc");
    s.ok("verify");
    s.git("fsck --strict");
    assert_eq!(noted(&s, "v1").len(), 2);
    let text = s.ok("runs");
    assert!(text.contains("  2023-11-14T22:13:20Z  baseline  f1=0.830  steps=12  note=ü a\n"));
}

#[test]
fn a_note_that_git_changed_is_kept_and_goes_on() {
    let (s, _shared) = pinned();
    s.ok("run record --name first");
    let commit = s.commit("v1");
    s.git(&format!("-c core.commentChar=! notes --ref=gloss-runs append -m 'by hand' {commit}"));
    s.ok("run record --name second");
    let shown = s.git(&format!("notes --ref=gloss-runs show {commit}"));
    let mut lines: Vec<&str> = shown.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines.remove(0).starts_with(r#"{"made":"pin""#), "{shown}");
    assert_eq!(lines.len(), 3, "{shown}");
    assert!(lines[0].contains("\"first\"") && lines[2].contains("\"second\""), "{shown}");
    assert_eq!(lines[1], "by hand");
    let told = s.gloss("runs");
    assert_eq!(told.out.lines().count(), 2, "{}", told.out);
    assert!(told.err.contains("1 lines of notes are no records"), "{}", told.err);
    // Another commit has runs of its own; git spreads many notes over directories.
    s.write("corrected.json", corrected());
    s.ok("import corrected.json -m later");
    assert_eq!(s.ok("runs main"), "");
    assert_eq!(s.json("runs v1").len(), 2);
    let blob = s.git(&format!("rev-parse refs/notes/gloss-runs:{commit}"));
    let inner = s
        .program("sh")
        .current_dir(s.path(".gloss/git"))
        .arg("-c")
        .arg(format!(
            "t=$(printf '100644 blob %s\\t%s\\n' {} {} | git mktree) && \
         t=$(printf '040000 tree %s\\t%s\\n' $t {} | git mktree) && \
         c=$(git commit-tree -m spread -p refs/notes/gloss-runs $t) && \
         git update-ref refs/notes/gloss-runs $c",
            blob.trim(),
            &commit[2..],
            &commit[..2]
        ))
        .output()
        .unwrap();
    assert!(inner.status.success(), "{inner:?}");
    s.ok("run record --name third");
    assert_eq!(s.json("runs v1").len(), 3);
    let shown = s.git(&format!("notes --ref=gloss-runs show {commit}"));
    assert!(shown.contains("\"first\"") && shown.contains("\"third\""), "{shown}");
    s.ok("verify");
}

#[test]
fn records_at_the_same_time_are_all_there() {
    let (s, _shared) = pinned();
    let started: Vec<_> = (0..8)
        .map(|n| {
            let line = format!("run record --name run-{n} --metric n={n}");
            s.command(&line).spawn().expect("gloss starts")
        })
        .collect();
    for child in started {
        let ran = Ran::new(child.wait_with_output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
    let mut names: Vec<String> =
        noted(&s, "v1").iter().map(|run| run["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, (0..8).map(|n| format!("run-{n}")).collect::<Vec<_>>());
    s.ok("verify");
}

#[test]
fn what_cannot_be_recorded_is_not() {
    let (s, _shared) = pinned();
    let other = Session::new();
    other.write("gloss.lock", s.read("gloss.lock"));
    let lock = s.read("gloss.lock");
    s.write("gone.lock", lock.replace(&s.commit("v1"), &"f".repeat(40)));
    let long = "x".repeat(201);
    for (line, said) in [
        ("run record --name x --metric f1", "not of the form NAME=VALUE"),
        ("run record --name x --metric =1", "a metric of a run"),
        ("run record --name x --metric a=", "a value of a run"),
        ("run record --name x --metric a=1 --metric a=2", "given twice"),
        ("run record --name ''", "the name of a run"),
        (&format!("run record --name {long}"), "the name of a run"),
        ("run record --name x --pin none.lock", "there is no `none.lock`"),
        ("run record --name x --pin gone.lock", "is not here"),
        ("run record", "--name"),
        ("runs nothing", "no commit"),
    ] {
        let error = s.fails(2, line);
        assert!(error.contains(said), "{line}: {error}");
    }
    let error = other.fails(2, "run record --name x");
    assert!(error.contains("of another store"), "{error}");
    assert_eq!(s.ok("runs"), "");
}

/// The names of all runs, in their order by name.
fn names(s: &Session) -> Vec<String> {
    let runs = s.json("runs");
    let mut names: Vec<String> =
        runs.iter().map(|run| run["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn runs_of_two_machines_come_together() {
    let (here, shared) = pinned();
    let url = Place::directory(&shared).url;
    here.ok("run record --name a1");
    here.ok("push");
    // A clone brings them.
    let there = Session::empty();
    there.ok(&format!("clone {url} ."));
    assert_eq!(names(&there), ["a1"]);
    there.write("gloss.lock", here.read("gloss.lock"));
    // Forward on one side only.
    there.ok("run record --name b1");
    fits("push", &there.json("push"));
    fits("fetch", &here.json("fetch"));
    assert_eq!(names(&here), ["a1", "b1"]);
    assert_eq!(here.commit("refs/notes/gloss-runs"), there.commit("refs/notes/gloss-runs"));
    // Apart, on the same commit and on another one.
    here.ok("run record --name a2");
    here.ok("push");
    there.write("corrected.json", corrected());
    there.ok("import corrected.json -m later");
    there.ok("run record --name b2");
    there.ok("push");
    there.ok("pin");
    there.ok("run record --name b3");
    // Those here do not follow those there: nobody's are overwritten.
    assert!(there.ok("push").contains("has everything"));
    assert!(there.ok("fetch").contains("notes/gloss-runs"));
    let all = ["a1", "a2", "b1", "b2", "b3"];
    assert_eq!(names(&there), all);
    let merged = there.commit("refs/notes/gloss-runs");
    assert!(there.ok("fetch").contains("nothing new"));
    assert_eq!(there.commit("refs/notes/gloss-runs"), merged);
    there.ok("push");
    here.ok("pull");
    assert_eq!(names(&here), all);
    assert_eq!(here.commit("refs/notes/gloss-runs"), merged);
    for s in [&here, &there] {
        let mut shown: Vec<Value> = noted(s, "v1");
        shown.extend(noted(s, "origin/main"));
        assert_eq!(shown.len(), 5);
        s.ok("gc");
        s.ok("verify");
        s.ok("verify --remote");
        s.git("fsck --strict");
    }
    // From the remote alone, all of it; and what is lost there is uploaded again.
    let third = Session::empty();
    third.ok(&format!("clone {url} ."));
    assert_eq!(names(&third), all);
    assert!(here.ok("push").contains("has everything"));
    let mut logs = Vec::new();
    files(&shared.path("shared"), &mut logs);
    logs.retain(|path| path.to_string_lossy().contains("/log-"));
    for log in logs {
        std::fs::remove_file(log).unwrap();
    }
    assert_ne!(here.gloss("verify --remote").code, 0);
    here.ok("verify --remote --repair");
    let fourth = Session::empty();
    fourth.ok(&format!("clone {url} ."));
    assert_eq!(names(&fourth), all);
}

fn files(dir: &std::path::Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

/// A pin leaves a record by itself, an export where it is asked for; both travel with the runs.
#[test]
fn pins_and_exports_are_noted_and_travel() {
    let (here, shared) = pinned();
    here.ok("pin v1 --format csv --view labels --label positive");
    here.ok("export --format jsonl -o plain.jsonl --label positive");
    here.ok("export --format jsonl -o named.jsonl --label positive --record handover");
    here.ok("run record --name baseline");
    let records = here.json("runs --all");
    fits("records", &records);
    let made = |record: &Value| record["made"].as_str().unwrap_or("run").to_owned();
    let mut kinds: Vec<String> = records.iter().map(made).collect();
    kinds.sort();
    // The same pin twice is one record, and an export without a name none.
    assert_eq!(kinds, ["export", "pin", "run"]);
    let lock: toml::Value = toml::from_str(&here.read("gloss.lock")).unwrap();
    for record in &records {
        assert_eq!(record["commit"], here.commit("v1"));
        match made(record).as_str() {
            "pin" => assert_eq!(record["rows"], json!(lock["digest"]["rows"].as_str())),
            "export" => {
                let bytes = std::fs::read(here.path("named.jsonl")).unwrap();
                assert_eq!(record["output"], blake3::hash(&bytes).to_hex().as_str());
                assert_eq!(
                    (&record["name"], &record["filtered"]),
                    (&json!("handover"), &json!(true))
                );
            }
            _ => {}
        }
    }
    // What filters say may name people and items: it does not enter git.
    assert!(!here.git("notes --ref=gloss-runs show v1").contains("positive"));
    assert_eq!(here.json("runs").len(), 1);
    here.ok("push");
    let there = Session::empty();
    there.ok(&format!("clone {} .", Place::directory(&shared).url));
    assert_eq!(there.json("runs --all"), records);
    for line in ["export --format csv --record x", "export --format csv -o a.csv --record ''"] {
        here.fails(2, line);
    }
    // Who has no name in git can pin all the same.
    let mut nobody = here.command("pin v1 --format tsv");
    for name in ["AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"] {
        nobody.env_remove(format!("GIT_{name}"));
    }
    let ran = Ran::new(nobody.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("not noted"), "{}", ran.err);
    assert_eq!(here.json("runs --all").len(), 3);
}
