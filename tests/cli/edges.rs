//! The edges of commands: what is refused, what is escaped, what only one of many may do.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::json::fits;
use crate::session::{Ran, Session};

/// A branch `side` with a commit that `main` does not have.
fn with_side() -> Session {
    let s = Session::new();
    s.write("one.csv", "item,annotator,label\none,ann,cat\n");
    s.write("two.csv", "item,annotator,label\ntwo,ann,cat\n");
    s.ok("import one.csv -m one");
    s.ok("switch -c side");
    s.ok("import two.csv -m two");
    s.ok("switch main");
    s
}

#[test]
fn a_key_that_stands_twice_is_told_with_its_lines() {
    let s = Session::new();
    let csv = "item_id,annotation_id,label\ni1,a1,cat\n\"i\n2\",a2,dog\ni1,a1,dog\n";
    let jsonl = "{\"item_id\":\"i1\",\"annotation_id\":\"a1\"}\n\n\
                 {\"item_id\":\"i1\",\"annotation_id\":\"a1\",\"label\":\"x\"}\n";
    s.write("rows.csv", csv);
    s.write("rows.jsonl", jsonl);
    for (line, places) in [
        ("import rows.csv", ["`rows.csv` line 2", "`rows.csv` line 5"]),
        ("import rows.jsonl", ["`rows.jsonl` line 1", "`rows.jsonl` line 3"]),
        ("import rows.csv --update", ["`rows.csv` line 2", "`rows.csv` line 5"]),
        ("import rows.csv --remove", ["`rows.csv` line 2", "`rows.csv` line 5"]),
    ] {
        let told = s.fails(2, line);
        let shown: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("  ")).collect();
        assert_eq!(shown, places, "{line}: {told}");
        assert!(told.contains("`i1` `a1`"), "{told}");
    }
    s.write("good.csv", "item_id,annotation_id,label\ni0,a0,cat\ni1,a1,cat\n");
    s.ok("import good.csv -m good");
    s.ok("export --format parquet -o a.parquet");
    fs::copy(s.path("a.parquet"), s.path("b.parquet")).unwrap();
    let told = s.fails(2, "import a.parquet b.parquet");
    assert!(told.contains("  `a.parquet` at `row 1`\n  `b.parquet` at `row 1`\n"), "{told}");
    s.ok("import rows.csv --quarantine bad.jsonl -m more");
    let bad: Value = serde_json::from_str(&s.read("bad.jsonl")).unwrap();
    assert_eq!((&bad["file"], &bad["line"]), (&json!("rows.csv"), &json!(5)));
}

/// An id may hold anything; a terminal must not obey it.
#[test]
fn ids_cannot_command_a_terminal() {
    let s = Session::new();
    let id = "a\u{1b}]0;owned\u{7}\nb\u{9b}2J";
    let row = |label: &str| {
        let row = json!({"item_id": id, "annotation_id": id, "annotator_id": id, "field": id,
                         "label": label});
        s.write("rows.jsonl", format!("{row}\n"));
    };
    row("cat\u{1b}[8m");
    s.ok("import rows.jsonl -m \u{1b}[31mred");
    row("dog\u{1b}[8m");
    s.ok("import rows.jsonl -m more");
    let shown = r"a\u{1b}]0;owned\u{7}\nb\u{9b}2J";
    for line in [
        "ls",
        "items",
        "diff HEAD~1 HEAD",
        "diff HEAD~1 HEAD --stat",
        "annotator list",
        "blame --query origin=human",
        "recall --commit HEAD --rows",
    ] {
        let out = s.ok(line);
        assert!(out.contains(shown), "{line}: {out}");
        assert!(!out.contains(|c: char| c.is_control() && c != '\n'), "{line}: {out:?}");
    }
    for line in ["log", "show HEAD~1", "branch", "verify", "log --oneline"] {
        let out = s.ok(line);
        assert!(!out.contains(|c: char| c.is_control() && c != '\n'), "{line}: {out:?}");
    }
    let told = s.fails(2, &format!("history '{id}x'"));
    assert!(told.contains(shown) && !told.contains('\u{1b}'), "{told:?}");
    assert_eq!(s.rows()[0]["item_id"], id, "JSON is as it was");
}

#[test]
fn a_dry_gc_prints_its_plan() {
    let s = with_side();
    s.ok("import two.csv");
    s.ok("restore --staged");
    let before: BTreeSet<String> = objects(&s);
    let plan = s.json("gc --dry-run");
    fits("gc", &plan);
    let planned: BTreeSet<String> = plan[0]["plan"]["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| object["object"].as_str().unwrap().to_owned())
        .collect();
    assert!(!planned.is_empty(), "a stage that was forgotten leaves objects");
    assert_eq!(plan[0]["removed"], Value::Null);
    assert_eq!(objects(&s), before, "nothing went");
    let done = s.json("gc");
    fits("gc", &done);
    assert_eq!(done[0]["plan"], plan[0]["plan"]);
    assert_eq!(done[0]["removed"]["objects"], planned.len());
    let after = objects(&s);
    assert_eq!(before.difference(&after).cloned().collect::<BTreeSet<_>>(), planned);
    let empty = s.json("gc --dry-run");
    fits("gc", &empty);
    assert_eq!(
        empty[0]["plan"],
        json!({"objects": [], "history": [], "caches": [], "leftovers": []})
    );
}

/// The names of all object files.
fn objects(s: &Session) -> BTreeSet<String> {
    let shards = fs::read_dir(s.path(".gloss/objects")).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn of_several_inits_one_makes_the_store() {
    for _ in 0..5 {
        let s = Session::empty();
        let all: Vec<_> = (0..6).map(|_| s.command("init").spawn().unwrap()).collect();
        let codes: Vec<Option<i32>> =
            all.into_iter().map(|child| child.wait_with_output().unwrap().status.code()).collect();
        let made = codes.iter().filter(|code| **code == Some(0)).count();
        assert_eq!(made, 1, "{codes:?}");
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 2))), "{codes:?}");
        s.ok("verify");
    }
}

#[test]
fn a_branch_with_commits_of_its_own_is_not_lost_unasked() {
    let s = with_side();
    let told = s.fails(2, "branch -d side");
    assert!(told.contains("\nhint: ") && told.contains("gloss branch -D side"), "{told}");
    s.ok("log side");
    s.ok("branch copy main");
    s.ok("branch -d copy");
    s.ok("branch old side");
    s.ok("switch old");
    s.ok("branch -d side");
    s.ok("switch main");
    s.ok("branch -D old");
    assert_eq!(s.json("branch").len(), 1);
}

#[test]
fn options_that_would_be_ignored_are_refused() {
    let s = with_side();
    for line in [
        "one.csv --base main",
        "one.csv --base main -m again",
        "one.csv --update --map item=question",
        "one.csv --update --source other",
        "one.csv --remove --quarantine bad.jsonl",
        "one.csv --update --remove",
    ] {
        let told = s.fails(2, &format!("import {line}"));
        assert!(told.contains("--"), "{line}: {told}");
    }
    assert!(s.ok("status").contains("nothing staged"));
}

#[test]
fn an_update_knows_the_words_of_status_and_origin() {
    let s = with_side();
    s.ok("export --format jsonl -o rows.jsonl");
    let row: Value = serde_json::from_str(&s.read("rows.jsonl")).unwrap();
    let edit = |column: &str, value: &str| {
        let edit = json!({"item_id": row["item_id"], "annotation_id": row["annotation_id"],
                          column: value});
        s.write("edit.jsonl", format!("{edit}\n"));
    };
    for (column, word, words) in
        [("status", "approved", "draft, submitted"), ("origin", "robot", "human, model, rule")]
    {
        edit(column, word);
        let told = s.fails(2, "import edit.jsonl --update");
        let place = format!("`edit.jsonl` line 1 at `{column}`: `{word}`");
        assert!(told.contains(&place) && told.contains(words), "{told}");
    }
    edit("status", "accepted");
    s.ok("import edit.jsonl --update -m accepted");
    assert_eq!(s.rows()[0]["status"], "accepted");
}

/// A complete file without a record says that nothing of its source is left: whose, must be known.
#[test]
fn an_empty_file_prunes_the_source_that_is_named() {
    let s = Session::new();
    s.write("one.csv", "item,annotator,label\none,ann,cat\n");
    s.write("two.csv", "item,annotator,label\ntwo,ann,cat\n");
    s.ok("import one.csv --source first -m one");
    s.ok("import two.csv --source second -m two");
    s.write("none.json", "[]");
    s.write("none.csv", "item,annotator,label\n");
    for file in ["none.json --format jsonl", "none.json --format label-studio", "none.csv"] {
        let told = s.fails(2, &format!("import {file} --prune"));
        assert!(told.contains("--source NAME --prune"), "{file}: {told}");
    }
    for file in ["none.json --format jsonl", "none.json --format label-studio", "none.csv"] {
        s.ok(&format!("import {file} --source first --prune"));
        let staged = &s.json("status")[0]["staged"]["annotations"];
        assert_eq!(*staged, json!({"added": 0, "changed": 0, "removed": 1}), "{file}");
        s.ok("restore --staged");
    }
    s.ok("import none.csv --source first --prune -m none");
    let left: Vec<Value> = s.rows().into_iter().map(|mut row| row["source"].take()).collect();
    assert_eq!(left, [json!("second")]);
    // Bad records are no reason to remove the rows that they were.
    s.write("two.csv", "item,annotator,label\ntwo,ann\n");
    let told = s.fails(2, "import two.csv --source second --prune --quarantine bad.jsonl");
    assert!(told.contains("not complete"), "{told}");
    assert_eq!(s.rows().len(), 1);
}

#[test]
fn names_of_one_person_and_empty_submissions_in_final_answers() {
    let s = Session::new();
    let votes = "item,annotator,label\ni,7,cat\ni,ann,cat\ni,bob,dog\n";
    s.write("votes.csv", votes);
    s.ok("import votes.csv -m votes");
    s.write("boxes.jsonl", "{\"item\":\"j\",\"annotator\":\"bob\",\"boxes\":[]}\n");
    s.ok("import boxes.jsonl --each boxes -m boxes");
    let told = s.gloss("export --format csv --view labels");
    assert!(told.out.contains(",cat,") && !told.out.contains(",dog,"), "{}", told.out);
    assert!(told.err.contains("left out: empty submission: 1\n"), "{}", told.err);
    s.ok("annotator alias ann 7");
    let told = s.gloss("export --format csv --view labels");
    assert!(told.err.contains("tie: i label\n"), "{}", told.err);
    let told = s.json("export --format csv --view labels -o labels.csv");
    fits("export", &told);
    assert_eq!(told[0]["left_out"], json!({"tie": 3, "empty submission": 1}));
}

#[test]
fn without_caches_rows_are_found_all_the_same() {
    let files = |session: &Session| {
        fs::read_dir(session.path(".gloss/cache/index")).map_or(0, Iterator::count)
    };
    let imported = |session: &Session, value: &str| {
        session.write("a.csv", "item_id,annotation_id,label\ni1,a1,car\ni2,a2,bus\n");
        let mut command = session.command("import a.csv -m first");
        let ran = Ran::new(command.env("GLOSS_NO_CACHES", value).output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.err);
    };
    let (with, without) = (Session::new(), Session::new());
    imported(&with, "");
    imported(&without, "1");
    assert_ne!(files(&with), 0);
    assert_eq!(files(&without), 0);
    assert_eq!(without.json("ls --item i2"), with.json("ls --item i2"));
    assert_ne!(files(&without), 0, "a look-up makes what it needs");
    without.ok("verify");
}
