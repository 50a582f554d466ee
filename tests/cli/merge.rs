//! Branches merged by the real binary, with conflicts and without.

use serde_json::{Value, json};

use crate::json::fits;
use crate::session::Session;

/// A store of three answers, and a branch `side` at its first commit.
fn start() -> Session {
    let s = Session::new();
    labels(&s, &[("a", "ann", "cat"), ("b", "ann", "dog"), ("c", "bob", "cat")], "first");
    s.ok("branch side");
    s
}

/// Upserts answers and commits.
fn labels(s: &Session, rows: &[(&str, &str, &str)], message: &str) {
    let mut text = "item,annotator,label\n".to_owned();
    for (item, who, label) in rows {
        text.push_str(&format!("{item},{who},{label}\n"));
    }
    s.write("rows.csv", text);
    s.ok(&format!("import rows.csv -m {message}"));
}

/// Item, annotator and label of every row.
fn rows(s: &Session) -> Vec<[String; 3]> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let line = |row: Value| ["item_id", "annotator_id", "label"].map(|name| text(&row, name));
    s.rows().into_iter().map(line).collect()
}

fn conflicts(s: &Session) -> Vec<Value> {
    let found = s.json("conflicts");
    fits("conflicts", &found);
    found
}

#[test]
fn disjoint_changes_merge_and_every_command_reads_the_merge() {
    let s = start();
    labels(&s, &[("a", "ann", "bird")], "ours");
    s.ok("switch side");
    labels(&s, &[("b", "ann", "wolf"), ("d", "eve", "cow")], "theirs");
    s.ok("switch main");
    let told = s.json("merge side --dry-run");
    fits("merge", &told);
    assert_eq!(told[0]["result"], "dry-run");
    let wanted = json!({"added": 1, "changed": 1, "removed": 0});
    assert_eq!(told[0]["changes"]["annotations"], wanted);
    let told = s.json("merge side --dry-run --quality");
    fits("merge", &told);
    let answers = |side: &str| told[0]["quality"][0][side]["answers"].clone();
    assert_eq!((answers("before"), answers("after")), (json!(3), json!(4)));
    insta::assert_snapshot!(s.run(&["merge side", "log --oneline", "merge side"]), @r#"
    $ gloss merge side
    merged side into main: <1>
      annotations: +1 added, ~1 changed
    $ gloss log --oneline
    <1> (HEAD -> main) Merge side into main  [+1 added, ~1 changed]
    <2> ours  [~1 changed]
    <3> (side) theirs  [+1 added, ~1 changed]
    <4> first  [+3 added]
    $ gloss merge side
    main has everything of side
    "#);
    let merged = rows(&s);
    let wanted =
        [["a", "ann", "bird"], ["b", "ann", "wolf"], ["c", "bob", "cat"], ["d", "eve", "cow"]];
    assert_eq!(merged, wanted.map(|row| row.map(str::to_owned)));
    assert_eq!(s.git("rev-list --parents -n 1 main").split_whitespace().count(), 3);
    assert_eq!(s.git("fsck --full --strict --no-progress"), "");
    fits("show", &s.json("show"));
    fits("log", &s.json("log"));
    // Against the first parent: what came with the merge.
    assert_eq!(s.json("diff main~1 main --table annotations").len(), 2);
    assert_eq!(s.json("diff side main --table annotations").len(), 1);
    // Each change is told once, by the commit that made it.
    let history = s.json("history b --rows");
    let told: Vec<&str> = history.iter().map(|event| event["message"].as_str().unwrap()).collect();
    assert_eq!(told, ["theirs", "first"]);
    s.ok("verify");

    // The branch goes on and merges again; the other way round it moves forward.
    s.ok("switch side");
    labels(&s, &[("d", "eve", "ox")], "more");
    s.ok("switch main");
    let told = s.json("merge side");
    fits("merge", &told);
    assert_eq!(told[0]["result"], "merged");
    assert_eq!(told[0]["changes"]["annotations"]["changed"], 1);
    s.ok("switch side");
    let told = s.json("merge main");
    fits("merge", &told);
    assert_eq!(told[0]["result"], "fast-forward");
    assert_eq!(s.commit("side"), s.commit("main"));
    fits("merge", &s.json("merge main"));
    // Reverting a merge takes back what came with it.
    s.ok("revert main");
    assert_eq!(rows(&s)[3], ["d", "eve", "cow"].map(str::to_owned));
    s.ok("verify");
}

/// Both change `a`, ours removes `b`, theirs edits it, and both answer `n` as ann.
fn conflicting() -> Session {
    let s = start();
    labels(&s, &[("a", "ann", "bird"), ("n", "ann", "x")], "ours");
    s.ok("rm --where label=dog -m gone");
    s.ok("switch side");
    labels(&s, &[("a", "ann", "fish"), ("b", "ann", "wolf"), ("n", "ann", "y")], "theirs");
    labels(&s, &[("c", "bob", "lynx")], "fits");
    s.ok("switch main");
    s
}

#[test]
fn conflicts_wait_until_they_are_decided() {
    let s = conflicting();
    let head = s.commit("main");
    insta::assert_snapshot!(s.run(&["merge side", "status", "conflicts", "merge side"]), @r#"
    $ gloss merge side
    side does not fit main: 3 conflict(s) open, nothing is committed
      conflicts changed-twice: 1
      conflicts removed-changed: 1
      conflicts answered-twice: 1
        changed-twice  a table/ann/choice/label  cat → ours bird | theirs fish
        removed-changed  b table/ann/choice/label  dog → ours - | theirs wolf
        answered-twice  n table/ann/choice/label  ours x | theirs y
    see them with `gloss conflicts` and decide with `gloss resolve`
    then `gloss merge --continue`, or `gloss merge --abort`
    [1]
    $ gloss status
    on branch main at <1>
    a merge of side into main is under way: see `gloss conflicts`
    nothing staged
    $ gloss conflicts
    changed-twice  a table/ann/choice/label  cat → ours bird | theirs fish
    removed-changed  b table/ann/choice/label  dog → ours - | theirs wolf
    answered-twice  n table/ann/choice/label  ours x | theirs y
    3 open, 0 decided
    $ gloss merge side
    ! error: a merge of `side` into main is under way
    ! hint: see `gloss conflicts`; then `gloss merge --continue` or `gloss merge --abort`
    [2]
    "#);
    assert_eq!(s.commit("main"), head);
    fits("status", &s.json("status"));
    let found = conflicts(&s);
    let kinds: Vec<&str> = found.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["changed-twice", "removed-changed", "answered-twice"]);
    assert_eq!(found[0]["base"]["label"], "cat");
    assert_eq!(found[0]["ours"]["label"], "bird");
    assert_eq!(found[0]["theirs"]["label"], "fish");
    assert_eq!((&found[1]["ours"], &found[1]["theirs"]["label"]), (&Value::Null, &json!("wolf")));
    assert_eq!(found[2]["base"], Value::Null);

    // With conflicts left nothing is committed.
    let told = s.gloss("merge --continue");
    assert_eq!(told.code, 1, "{}{}", told.out, told.err);
    assert_eq!(s.commit("main"), head);
    // A file with a row that is in no conflict decides nothing.
    let line = |one: &Value, take: &str| {
        let (item, id) = (&one["item_id"], &one["annotation_id"]);
        format!("{}\n", json!({"item_id": item, "annotation_id": id, "take": take}))
    };
    s.write("bad.jsonl", line(&found[0], "theirs") + "{\"item_id\":\"c\",\"take\":\"ours\"}\n");
    let told = s.fails(2, "resolve --file bad.jsonl");
    assert!(told.contains("`bad.jsonl` line 2: `c` `` is in no conflict"), "{told}");
    assert_eq!(conflicts(&s).len(), 3);
    s.write("worse.jsonl", "{\"item_id\":\"c\",\"take\":\"nobody\"}\n");
    assert!(s.fails(2, "resolve --file worse.jsonl").contains("line 1"));
    assert!(s.fails(2, "resolve a --take both").contains("both cannot stay"));
    assert!(s.fails(2, "resolve z --take ours").contains("there is no such conflict"));
    assert!(s.fails(2, "resolve --take ours --kind x").contains("`x` is no kind of conflict"));

    s.write("decided.jsonl", line(&found[0], "theirs"));
    fits("resolve", &s.json("resolve --file decided.jsonl"));
    s.ok("resolve b --take both");
    // gc keeps what the merge needs, even without its branch.
    s.ok("branch -D side");
    s.ok("gc");
    s.ok("verify");
    let told = s.json("resolve --rule ours --kind answered-twice");
    fits("resolve", &told);
    assert_eq!(told[0], json!({"decided": 1, "open": 0}));
    fits("conflicts", &s.json("conflicts --all"));
    let told = s.json("merge --continue");
    fits("merge", &told);
    assert_eq!(told[0]["result"], "merged");
    let wanted =
        [["a", "ann", "fish"], ["b", "ann", "wolf"], ["c", "bob", "lynx"], ["n", "ann", "x"]];
    assert_eq!(rows(&s), wanted.map(|row| row.map(str::to_owned)));
    // Who decided what stays in the record of the commit.
    let shown = s.json("show");
    fits("show", &shown);
    let decisions = shown[0]["merge"]["decisions"].as_array().unwrap();
    let told: Vec<_> = decisions
        .iter()
        .map(|one| (one["item"].as_str().unwrap(), one["take"].as_str().unwrap(), &one["rule"]))
        .collect();
    let null = Value::Null;
    let rule = json!("ours");
    assert_eq!(told, [("a", "theirs", &null), ("b", "both", &null), ("n", "ours", &rule)]);
    assert_eq!(decisions[0]["by"], "Ada");
    assert!(s.ok("show").contains("decided annotations a "));
    s.ok("verify");
    assert!(s.fails(2, "merge --continue").contains("no merge is under way"));
    assert!(s.fails(2, "conflicts").contains("no merge is under way"));
}

#[test]
fn a_merge_is_aborted_or_decided_by_rule() {
    let s = conflicting();
    let head = s.commit("main");
    assert_eq!(s.gloss("merge side").code, 1);
    fits("merge", &s.json("merge --abort"));
    assert_eq!(s.commit("main"), head);
    assert!(s.fails(2, "merge --abort").contains("no merge is under way"));
    s.ok("verify");
    let told = s.gloss("merge side --strategy newest --json");
    assert_eq!(told.code, 1, "rows without times: {}", told.err);
    s.ok("merge --abort");
    let told = s.json("merge side --strategy newest --strategy theirs");
    fits("merge", &told);
    assert_eq!(told[0]["decided"], json!({"theirs": 3}));
    let wanted =
        [["a", "ann", "fish"], ["b", "ann", "wolf"], ["c", "bob", "lynx"], ["n", "ann", "y"]];
    assert_eq!(rows(&s), wanted.map(|row| row.map(str::to_owned)));
    s.ok("verify");
}

#[test]
fn what_cannot_be_merged_is_told() {
    let s = conflicting();
    s.write("more.csv", "item,annotator,label\nz,ann,cat\n");
    s.ok("import more.csv");
    let told = s.fails(2, "merge side");
    assert!(told.contains("changes are staged") && told.contains("hint:"), "{told}");
    s.ok("restore --staged");
    assert!(s.fails(2, "merge nowhere").contains("no commit is named `nowhere`"));
    assert!(s.fails(2, "merge").contains("BRANCH"));

    // The branch moves on while a merge waits.
    assert_eq!(s.gloss("merge side").code, 1);
    s.ok("resolve --take theirs");
    s.ok("import more.csv -m meanwhile");
    let told = s.fails(1, "merge --continue");
    assert!(told.contains("was at") && told.contains("hint: `gloss merge --abort`"), "{told}");
    s.ok("switch side");
    let told = s.fails(2, "merge --continue");
    assert!(
        told.contains("the merge is into main") && told.contains("gloss switch main"),
        "{told}"
    );
    s.ok("switch main");
    s.ok("merge --abort");

    // Each was merged into the other: no single commit tells what either changed.
    let (ours, theirs) = (s.commit("main"), s.commit("side"));
    s.ok("merge side --strategy ours");
    s.ok("switch side");
    s.ok(&format!("merge {ours} --strategy theirs"));
    labels(&s, &[("q", "ann", "cat")], "on");
    let told = s.fails(2, "merge main");
    assert!(told.contains("merged into each other"), "{told}");
    for (commit, hint) in [(&ours, "gloss cherry-pick"), (&theirs, "gloss branch NAME")] {
        assert!(told.contains(&commit[..10]) && told.contains(hint), "{told}");
    }
    s.ok("verify");
}

#[test]
fn histories_without_a_common_commit_are_refused() {
    let s = start();
    // Stock git makes a commit that shares nothing with main.
    let tree = s.git("rev-parse main^{tree}");
    let alone = s.git(&format!("commit-tree {} -m alone", tree.trim()));
    s.git(&format!("update-ref refs/heads/alone {}", alone.trim()));
    let told = s.fails(2, "merge alone");
    assert!(told.contains("shares no history") && told.contains("import them here"), "{told}");
}

#[test]
fn a_commit_is_picked_onto_another_branch() {
    let s = start();
    s.ok("switch side");
    labels(&s, &[("b", "ann", "wolf")], "wolf");
    labels(&s, &[("c", "bob", "lynx")], "lynx");
    s.ok("switch main");
    labels(&s, &[("c", "bob", "puma")], "puma");
    let told = s.json("cherry-pick side~1");
    fits("merge", &told);
    assert_eq!(told[0]["result"], "picked");
    let wanted = [["a", "ann", "cat"], ["b", "ann", "wolf"], ["c", "bob", "puma"]];
    assert_eq!(rows(&s), wanted.map(|row| row.map(str::to_owned)));
    assert_eq!(s.git("rev-list --parents -n 1 main").split_whitespace().count(), 2);
    assert!(s.ok("show").contains("(cherry picked from commit "));
    fits("merge", &s.json("cherry-pick side~1"));
    // One that does not fit waits as a merge does.
    assert_eq!(s.gloss("cherry-pick side").code, 1);
    assert_eq!(conflicts(&s)[0]["kind"], "changed-twice");
    s.ok("resolve --take theirs");
    s.ok("cherry-pick --continue");
    assert_eq!(rows(&s)[2][2], "lynx");
    s.ok("verify");
}

/// A process that died after the commit and before it forgot the merge left a merge that is done.
#[test]
fn a_merge_that_was_committed_is_none() {
    let s = conflicting();
    assert_eq!(s.gloss("merge side").code, 1);
    s.ok("resolve --take theirs");
    let waiting = s.read(".gloss/stage/merge.json");
    fits("merging", &[serde_json::from_str(&waiting).unwrap()]);
    s.ok("merge --continue");
    s.write(".gloss/stage/merge.json", waiting);
    assert!(s.fails(2, "conflicts").contains("no merge is under way"));
    s.ok("verify");
    s.ok("merge side");
    // What does not read is an error, and can be forgotten.
    s.write(".gloss/stage/merge.json", "{");
    assert!(s.fails(3, "conflicts").contains("merge.json"));
    assert_eq!(s.gloss("gc").code, 3);
    s.ok("merge --abort");
    s.ok("verify");
}

/// A task of Label Studio with one annotation of user 5, whose results have ids of their own.
fn task(annotation: u32, labels: &[&str], more: Value) -> String {
    let result = |at: usize, label: &&str| {
        json!({"id": format!("r{annotation}-{at}"), "type": "choices", "from_name": "q",
            "to_name": "image", "value": {"choices": [label]}})
    };
    let results: Vec<Value> = labels.iter().enumerate().map(|(at, l)| result(at, l)).collect();
    let mut given = json!({"id": annotation, "completed_by": 5, "was_cancelled": false,
        "result": results});
    given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([{"id": 1, "project": 1, "data": {"image": "a.jpg"}, "annotations": [given]}]).to_string()
}

/// Two branches that import what one person answered to one task; they are merged.
fn answered(ours: &str, theirs: &str) -> Session {
    let s = start();
    s.ok("switch side");
    s.write("theirs.json", theirs);
    s.ok("import theirs.json -m theirs");
    s.ok("switch main");
    s.write("ours.json", ours);
    s.ok("import ours.json -m ours");
    s
}

/// Once both were kept, and only the skipped one, or only half an answer.
#[test]
fn one_person_answers_one_task_of_label_studio_on_both_branches() {
    let told = |s: &Session| {
        let rows = s.rows().into_iter().filter(|row| row["annotator_id"] == "5");
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
        let line = |row: Value| ["submission_id", "label", "status"].map(|name| text(&row, name));
        rows.map(|row| line(row).join(" ")).collect::<Vec<_>>()
    };
    // Another answer is a conflict, though the results have other ids.
    let s = answered(&task(1, &["cat", "fox"], json!({})), &task(2, &["cat", "dog"], json!({})));
    insta::assert_snapshot!(s.run(&["merge side"]), @r#"
    $ gloss merge side
    side does not fit main: 1 conflict(s) open, nothing is committed
      conflicts answered-twice: 1
        answered-twice  a.jpg annotation/1/r1-1/q  ours fox (1 of 2 rows) | theirs dog (1 of 2 rows)
    see them with `gloss conflicts` and decide with `gloss resolve`
    then `gloss merge --continue`, or `gloss merge --abort`
    [1]
    "#);
    assert_eq!(conflicts(&s)[0]["rows"], json!({"ours": 2, "theirs": 2}));
    s.ok("resolve --take theirs");
    s.ok("merge --continue");
    assert_eq!(told(&s), ["annotation/2 cat submitted", "annotation/2 dog submitted"]);
    s.ok("verify");
    // The same answer is one; one that was skipped is none.
    let s = answered(&task(1, &["cat"], json!({})), &task(2, &["cat"], json!({})));
    s.ok("merge side");
    assert_eq!(told(&s), ["annotation/1 cat submitted"]);
    let skipped = task(1, &["cat"], json!({"was_cancelled": true}));
    let s = answered(&skipped, &task(2, &["cat"], json!({})));
    s.ok("merge side");
    assert_eq!(told(&s), ["annotation/1 cat skipped", "annotation/2 cat submitted"]);
    // What is a reference on one branch is one.
    let gold = task(2, &["cat"], json!({"ground_truth": true}));
    let s = answered(&task(1, &["cat"], json!({})), &gold);
    s.ok("merge side");
    assert_eq!(told(&s), ["annotation/2 cat submitted"]);
    assert_eq!(s.rows().iter().filter(|row| row["gold"] == true).count(), 1);
    s.ok("verify");
}

/// A policy may say how conflicts between answers to a question are decided.
#[test]
fn a_policys_fields_decide_what_the_merge_does_not() {
    let s = Session::new();
    labels(&s, &[("a", "ann", "cat")], "first");
    s.write(
        "policy.toml",
        "name = \"pets\"\nversion = \"1\"\n\n[[field]]\nname = \"label\"\nlabels = \"open\"\n\
         merge = \"repeats\"\n",
    );
    s.ok("policy add pets --file policy.toml");
    s.write("bad.toml", s.read("policy.toml").replace("repeats", "mean-box").replace("1", "2"));
    assert!(s.fails(2, "policy add pets --file bad.toml").contains("of kind \"bbox\""));
    s.ok("branch side");
    labels(&s, &[("b", "ann", "cat")], "ours");
    s.ok("switch side");
    labels(&s, &[("b", "eve", "cat")], "other");
    s.write("late.csv", "item,annotation_id,annotator,label\nb,late,ann,dog\n");
    s.ok("import late.csv -m theirs");
    s.ok("switch main");
    let told = s.gloss("merge side --strict --dry-run --json");
    assert_eq!(told.code, 1, "--strict lets no policy decide");
    let told = s.json("merge side");
    fits("merge", &told);
    assert_eq!(
        (&told[0]["result"], &told[0]["decided"]),
        (&json!("merged"), &json!({"repeats": 1}))
    );
    let of_b: Vec<[String; 3]> = rows(&s).into_iter().filter(|row| row[0] == "b").collect();
    assert_eq!(of_b.len(), 3, "{of_b:?}");
    fits("show", &s.json("show"));
    s.ok("verify");
}

#[test]
fn open_conflicts_can_be_looked_at_in_label_studio() {
    let s = start();
    labels(&s, &[("a", "ann", "bird")], "ours");
    s.ok("switch side");
    labels(&s, &[("a", "ann", "wolf"), ("c", "bob", "cow")], "theirs");
    s.ok("switch main");
    labels(&s, &[("c", "bob", "emu")], "more");
    assert_eq!(s.gloss("merge side").code, 1);
    s.ok("conflicts --export review.json");
    let tasks: Value = serde_json::from_str(&s.read("review.json")).unwrap();
    let told: Vec<Value> = tasks
        .as_array()
        .unwrap()
        .iter()
        .map(|task| {
            let shown = |one: &Value| {
                json!([one["model_version"], one["result"][0]["value"]["choices"][0]])
            };
            let shown: Vec<Value> =
                task["predictions"].as_array().unwrap().iter().map(shown).collect();
            json!([task["data"]["gloss_item"], shown])
        })
        .collect();
    let wanted = json!([
        ["a", [["ours", "bird"], ["theirs", "wolf"]]],
        ["c", [["ours", "emu"], ["theirs", "cow"]]],
    ]);
    assert_eq!(json!(told), wanted);
    let named = &tasks[0]["data"]["gloss_conflicts"][0];
    assert_eq!(named["kind"], "changed-twice");
    let key = named["annotation_id"].as_str().unwrap();
    s.ok(&format!("resolve a {key} --take theirs"));
    s.ok("conflicts --export review.json");
    let tasks: Value = serde_json::from_str(&s.read("review.json")).unwrap();
    assert_eq!(tasks.as_array().unwrap().len(), 1, "what is decided is not asked");
}

/// A lock file and a recorded run, of the first commit: one row of it becomes another, and `b`,
/// which it has, gets one more; `d` is not of it.
#[test]
fn a_dry_run_says_whose_labels_would_move() {
    let s = start();
    let away = s.path("remote").display().to_string();
    s.ok(&format!("remote add origin 'file://{away}'"));
    s.ok("push");
    s.ok("pin --format csv");
    s.ok("run record --pin gloss.lock --name baseline");
    s.ok("switch side");
    labels(&s, &[("a", "ann", "bird"), ("b", "eve", "wolf"), ("d", "eve", "cow")], "theirs");
    s.ok("switch main");
    let pins = |told: &Value| -> Vec<Value> {
        let pins = told["pins"].as_array().unwrap();
        pins.iter().map(|pin| json!([pin["pin"], pin["changes"]])).collect()
    };
    let changes = json!({"added": 1, "changed": 1, "removed": 0});
    for line in ["merge side --dry-run", "merge side --dry-run --no-ff"] {
        let told = s.json(&format!("{line} --pin gloss.lock"));
        fits("merge", &told);
        let wanted = [json!(["gloss.lock", changes]), json!(["run baseline", changes])];
        assert_eq!(pins(&told[0]), wanted, "{line}");
        assert_eq!(pins(&s.json(line)[0]), wanted[1..], "{line}");
    }
    let told = s.ok("merge side --dry-run");
    assert!(told.contains("pinned by run baseline at "), "{told}");
    assert!(s.fails(2, "merge side --dry-run --pin none.lock").contains("no `none.lock`"));
    labels(&s, &[("e", "eve", "cow")], "other");
    s.ok("switch side");
    assert_eq!(pins(&s.json("merge main --dry-run")[0]), Vec::<Value>::new());
}
