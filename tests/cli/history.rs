//! The life of an item, told from what was done to it, and what touched what.

use serde_json::{Value, json};

use crate::json::fits;
use crate::remote::Place;
use crate::session::Session;

/// A task of Label Studio: a model said Yes; perhaps a person's answer, and its reviews.
fn task(answer: Option<(&str, &str)>, reviews: &[(u64, bool)]) -> String {
    let result = |value: &str| {
        json!([{"id": "a", "type": "choices", "value": {"choices": [value]}, "origin": "manual",
                "to_name": "text", "from_name": "q"}])
    };
    let reviews: Vec<Value> = reviews
        .iter()
        .map(|(id, accepted)| {
            json!({"id": id, "created_by": {"id": 6, "email": "r@example.com"},
                   "created_at": format!("2025-06-{id:02}T09:00:00.000000Z"),
                   "accepted": accepted, "annotation": 21})
        })
        .collect();
    let annotations: Vec<Value> = answer
        .iter()
        .map(|(value, day)| {
            json!({"id": 21, "completed_by": {"id": 5, "email": "five@example.com"},
                   "result": result(value), "reviews": reviews, "was_cancelled": false,
                   "ground_truth": false, "created_at": "2025-05-30T09:00:00.000000Z",
                   "updated_at": format!("2025-{day}T09:00:00.000000Z"), "lead_time": 4.0,
                   "task": 11, "project": 3, "parent_prediction": 9})
        })
        .collect();
    json!([{"id": 11, "data": {"text": "hi"}, "project": 3, "annotations": annotations,
            "predictions": [{"id": 9, "model_version": "m1", "result": result("Yes"),
                             "score": 0.7, "task": 11, "project": 3,
                             "created_at": "2025-05-01T09:00:00.000000Z",
                             "updated_at": "2025-05-01T09:00:00.000000Z"}]}])
    .to_string()
}

const ITEM: &str = "label-studio:3/11";

/// Predicted, corrected, rejected, changed, accepted; somebody else's answer is merged.
fn lived() -> (Session, Session) {
    let s = Session::new();
    let steps: [(&str, String); 5] = [
        ("one", task(None, &[])),
        ("two", task(Some(("No", "05-31")), &[])),
        ("three", task(Some(("No", "05-31")), &[(1, false)])),
        ("four", task(Some(("Maybe", "06-02")), &[(1, false)])),
        ("five", task(Some(("Maybe", "06-02")), &[(1, false), (3, true)])),
    ];
    for (name, bytes) in steps {
        s.write(&format!("{name}.json"), bytes);
        s.ok(&format!("import {name}.json -m {name}"));
    }
    s.ok("switch -c side");
    s.write("side.csv", format!("item,annotator,label,policy\n{ITEM},zed,Yes,q@1\n"));
    s.ok("import side.csv -m side");
    s.write("again.csv", format!("item,annotator,label,policy\n{ITEM},zed,No,q@2\n"));
    s.ok("import again.csv -m again");
    s.ok("switch main");
    s.write("other.csv", "item,annotator,label\nother,zed,No\n");
    s.ok("import other.csv -m other");
    s.ok("merge side");
    let shared = Session::empty();
    s.ok(&format!("remote add origin {}", Place::directory(&shared).url));
    s.ok("push");
    s.ok("pin --format csv --view labels");
    s.ok("run record --name baseline --metric f1=0.8");
    (s, shared)
}

fn told(s: &Session, line: &str) -> Vec<Value> {
    let events = s.json(line);
    fits("history", &events);
    events
}

#[test]
fn a_life_is_told_from_the_prediction_to_the_training_run() {
    let (s, _shared) = lived();
    let events = told(&s, &format!("history {ITEM}"));
    let line = |event: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let commit = event["message"].as_str().unwrap_or("-").to_owned();
        [
            text(&event["what"]),
            text(&event["by"]),
            text(&event["policy"]),
            text(&event["old"]["label"]),
            text(&event["new"]["label"]),
            commit,
        ]
    };
    // By hand, from the steps above.
    let wanted = [
        ["listed", "-", "-", "-", "-", "one"],
        ["predicted", "m1", "-", "-", "Yes", "one"],
        ["corrected", "5", "-", "-", "No", "two"],
        ["rejected", "6", "-", "-", "-", "three"],
        ["changed", "5", "-", "No", "Maybe", "four"],
        ["accepted", "6", "-", "-", "-", "five"],
        ["labelled", "zed", "q@1", "-", "Yes", "side"],
        ["relabelled", "zed", "q@2", "Yes", "No", "again"],
        ["merged", "-", "-", "-", "-", "Merge side into main"],
        ["pinned", "-", "-", "-", "-", "-"],
        ["trained on", "-", "-", "-", "-", "-"],
    ];
    let found: Vec<[String; 6]> = events.iter().map(line).collect();
    assert_eq!(found, wanted.map(|line| line.map(str::to_owned)));
    assert_eq!(events[2]["from"], "prediction/9");
    // Times are the tool's where it says them, not those of the commit.
    for (at, time) in
        [(1, "2025-05-01T"), (2, "2025-05-30T"), (3, "2025-06-01T"), (4, "2025-06-02T")]
    {
        assert!(events[at]["at"].as_str().unwrap().starts_with(time), "{}", events[at]);
    }
    assert_eq!(events[10]["metrics"], json!({"f1": 0.8}));
    // One annotation, with what it was made of and without what it has nothing to do with.
    let events = told(&s, &format!("history {ITEM} annotation/21/a/q"));
    let what: Vec<&str> = events.iter().map(|event| event["what"].as_str().unwrap()).collect();
    let wanted = [
        "listed",
        "predicted",
        "corrected",
        "rejected",
        "changed",
        "accepted",
        "merged",
        "pinned",
        "trained on",
    ];
    assert_eq!(what, wanted);
    // Before the merge nothing was pinned that holds it, up to a commit nothing later is told.
    let events = told(&s, &format!("history {ITEM} --at main~2"));
    assert_eq!(events.last().unwrap()["what"], "trained on", "the run holds the item, too");
    assert!(events.iter().all(|event| event["message"] != "side"));
    let shown = s.ok(&format!("history {ITEM}"));
    assert!(shown.contains("corrected") && shown.contains("No  from prediction/9"), "{shown}");
    assert!(shown.contains("baseline") && shown.contains("f1=0.8"), "{shown}");
}

#[test]
fn recall_counts_what_is_live_in_each_place_that_holds_it() {
    let (s, _shared) = lived();
    s.ok("tag before main~1");
    let recalled = |line: &str| {
        let lines = s.json(&format!("recall {line}"));
        fits("recall", &lines);
        lines
    };
    let messages = |lines: &[Value]| -> Vec<String> {
        let commits = lines.iter().filter(|line| line["what"] == "commit");
        commits.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    };
    let held = |lines: &[Value]| -> Vec<String> {
        let uses = lines.iter().filter(|line| line["what"] != "commit" && line["what"] != "row");
        let mut held: Vec<String> = uses
            .map(|line| format!("{} {} {}", line["what"], line["name"], line["rows"]))
            .map(|line| line.replace('"', ""))
            .collect();
        held.sort();
        held
    };
    // By hand: zed answered `other` on main and the task on side, twice; the merge made no row.
    let lines = recalled("--annotator zed");
    assert_eq!(messages(&lines), ["other", "side", "again"]);
    let both = |rows: u64, tag: u64| {
        [
            format!("branch main {rows}"),
            "branch side 1".to_owned(),
            format!("pin labels csv@1 {rows}"),
            format!("remote branch origin/main {rows}"),
            format!("run baseline {rows}"),
            format!("tag before {tag}"),
        ]
    };
    assert_eq!(held(&lines), both(2, 1));
    // The answer under the first version was replaced: in the history, and live nowhere.
    let lines = recalled("--policy q@1 --rows");
    assert_eq!(messages(&lines), ["side"]);
    assert!(held(&lines).iter().all(|line| line.ends_with(" 0")), "{lines:?}");
    let rows: Vec<&Value> = lines.iter().filter(|line| line["what"] == "row").collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["row"]["label"], &rows[0]["commit"]),
        (&json!("Yes"), &json!(s.commit("side~1")))
    );
    let lines = recalled("--source again.csv");
    assert_eq!(messages(&lines), ["again"]);
    assert!(held(&lines).contains(&"run baseline 1".to_owned()), "{lines:?}");
    let digest = blake3::hash(s.read("again.csv").as_bytes()).to_hex();
    assert_eq!(recalled(&format!("--source {digest}")), lines);
    assert_eq!(recalled("--commit side"), recalled("--commit main^2"));
    assert_eq!(held(&recalled("--commit side")), held(&lines));
    let lines = recalled(&format!("--item {ITEM}"));
    assert_eq!(messages(&lines), ["one", "two", "three", "four", "five", "side", "again"]);
    assert!(held(&lines).contains(&"branch main 3".to_owned()), "{lines:?}");
    assert!(held(&lines).contains(&"tag before 2".to_owned()), "{lines:?}");
    // Names of one person are joined.
    s.ok("annotator alias zed z2");
    assert_eq!(messages(&recalled("--annotator z2")), ["other", "side", "again"]);
    assert_eq!(s.ok("recall --annotator nobody"), "");
    for line in ["recall", "recall --item x --annotator y", "recall --commit nothing"] {
        s.fails(2, line);
    }
    assert!(s.fails(2, "recall --item othr").contains("did you mean `other`?"));
}

/// Half of all rows match, so columns are read; one in very many, so rows are looked up.
#[test]
fn counts_by_scan_and_by_look_up_are_the_ledgers() {
    let s = Session::new();
    let mut rows = "item,annotator,label\n".to_owned();
    for item in 0..2_000 {
        let who = if item % 2 == 0 { "many" } else { "others" };
        rows.push_str(&format!("i{item},{who},a\n"));
    }
    rows.push_str("x,few,a\ny,few,a\n");
    s.write("rows.csv", &rows);
    s.ok("import rows.csv -m rows");
    s.ok("tag first");
    s.write("rows.csv", "item,annotator,label\ny,few,b\nz,few,a\n");
    s.ok("import rows.csv -m more");
    s.ok("rm --where item=x -m gone");
    let count = |line: &str, name: &str| {
        let lines = s.json(&format!("recall {line}"));
        let found = lines.iter().find(|line| line["name"] == name);
        found.map_or(0, |line| line["rows"].as_u64().unwrap())
    };
    assert_eq!(
        (count("--annotator many", "main"), count("--annotator many", "first")),
        (1_000, 1_000)
    );
    assert_eq!((count("--annotator few", "main"), count("--annotator few", "first")), (2, 2));
    assert_eq!((count("--commit first", "main"), count("--commit first", "first")), (2_000, 2_002));
    assert_eq!((count("--commit main~1", "main"), count("--commit main~1", "first")), (2, 0));
    s.ok("compact");
    assert_eq!((count("--annotator few", "main"), count("--commit first", "main")), (2, 2_000));
}

/// Stage, name and rows of each step.
fn steps(s: &Session, line: &str) -> Vec<String> {
    let steps = s.json(&format!("trace {line}"));
    fits("trace", &steps);
    let text = |step: &Value, name: &str| step[name].to_string().replace('"', "");
    steps.iter().map(|step| ["stage", "name", "rows"].map(|n| text(step, n)).join(" ")).collect()
}

#[test]
fn labels_are_traced_from_file_to_run_and_back() {
    let (s, _shared) = lived();
    // By hand: the prediction is of the first file, the answer as it stands of the last, zed's
    // under the second version of again.csv; final is what most said, here nobody.
    let found = steps(&s, ITEM);
    let wanted = [
        "file one.json null",
        "file five.json null",
        "file again.csv null",
        "import one 1",
        "import five 1",
        "import again 1",
        "annotation annotation/21/a/q null",
        "annotation prediction/9/a/q null",
        "annotation table/zed/choice/label null",
        "review annotation/21 null",
        "review annotation/21 null",
        "answer q null",
        "answer label null",
        "branch main 3",
        "branch side 3",
        "remote branch origin/main 3",
        "pin labels csv@1 3",
        "run baseline 3",
    ];
    assert_eq!(found, wanted);
    let wanted = [
        "file again.csv null",
        "import again 1",
        "branch main 1",
        "branch side 1",
        "remote branch origin/main 1",
        "pin labels csv@1 1",
        "run baseline 1",
    ];
    assert_eq!(steps(&s, "again.csv"), wanted);
    assert_eq!(steps(&s, "side"), wanted);
    let wanted = [
        "file again.csv 1",
        "file five.json 1",
        "file one.json 1",
        "file other.csv 1",
        "import one 1",
        "import five 1",
        "import other 1",
        "import again 1",
        "pin labels csv@1 null",
        "run baseline 4",
    ];
    let mut found = steps(&s, "run:baseline");
    assert_eq!(found.pop().as_deref(), wanted.last().copied());
    found.sort();
    let mut wanted = wanted[..wanted.len() - 1].to_vec();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    let wanted = ["file again.csv null", "import again 1", "run baseline 1"];
    assert_eq!(steps(&s, "again.csv run:baseline"), wanted);
    // What was replaced is in no run, though its commit is in the run's history.
    let told = s.fails(1, "trace side.csv run:baseline");
    assert!(told.contains("nothing of `side.csv`"), "{told}");
    s.fails(1, "trace other.csv side");
    let told = s.fails(2, "trace nothing");
    assert!(told.contains("no `nothing` to trace"), "{told}");
    for line in ["trace item:othr", "trace run:baseline main", "trace other side.csv", "trace"] {
        s.fails(2, line);
    }
}

/// Clocks of two machines differ, and a row may say that it was made of one made of itself.
#[test]
fn clocks_that_run_backwards_and_circles_of_parents_end() {
    let s = Session::new();
    for (at, label) in ["a", "b", "c"].into_iter().enumerate() {
        let row = |id: &str, parent: &str| {
            json!({"item_id": "i", "annotation_id": id, "annotator_id": "x", "origin": "human",
                   "field": "f", "kind": "choice", "label": label, "status": "submitted",
                   "parent_id": parent})
        };
        s.write("rows.jsonl", format!("{}\n{}\n", row("one", "two"), row("two", "one")));
        let date = format!("{} +0000", 1_700_000_000 - 86_400 * at);
        let mut import = s.command("import rows.jsonl --source table -m");
        import.arg(label).env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        assert!(import.status().unwrap().success());
    }
    let events = told(&s, "history i one");
    let labels: Vec<&str> = events
        .iter()
        .filter(|event| event["annotation_id"] == "one")
        .map(|event| event["new"]["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["a", "b", "c"], "in the order of the commits, not of their dates");
    assert!(events.iter().any(|event| event["annotation_id"] == "two"), "its parent is told, too");
    let blamed = s.json("blame i");
    assert!(blamed.iter().all(|line| line["commit"] == s.commit("main")));
}

/// Every version of the answers of an item as PROV, read by its libraries.
#[test]
fn an_item_is_told_version_by_version_in_prov() {
    let (s, _shared) = lived();
    for (format, name) in [("prov-json", "item.json"), ("prov-turtle", "item.ttl")] {
        s.ok(&format!("lineage --format {format} --item {ITEM} -o {name}"));
        let Some(read) = crate::oracle::standard(format, &s.path(name)) else { return };
        assert_eq!(read["agents"], json!(["5", "6", "Ada", "m1", "zed"]), "{format}");
        let versions: Vec<[String; 2]> = serde_json::from_value(read["derived"].clone()).unwrap();
        let short = |name: &str| name.rsplit_once('-').map(|(name, _)| name.to_owned());
        let mut derived: Vec<[Option<String>; 2]> = versions
            .iter()
            .filter(|[new, _]| new.starts_with("annotation-"))
            .map(|[new, old]| [short(new), short(old)])
            .collect();
        derived.sort();
        // By hand: the answer of the prediction, then of itself twice (changed, then accepted);
        // a rejection is a version, too; zed's second of the first.
        let item = "annotation-label-studio%3A3%2F11-";
        let of = |id: &str| Some(format!("{item}{id}"));
        let (answer, zed) = (of("annotation%2F21%2Fa%2Fq"), of("table%2Fzed%2Fchoice%2Flabel"));
        assert!(derived.contains(&[answer.clone(), of("prediction%2F9%2Fa%2Fq")]), "{derived:?}");
        assert!(
            derived.contains(&[answer.clone(), answer]) && derived.contains(&[zed.clone(), zed])
        );
        assert!(read["files"].as_array().unwrap().contains(&json!("again.csv")));
        if format == "prov-json" {
            let wanted = json!([
                ["changed", "Maybe"],
                ["corrected", "No"],
                ["labelled", "Yes"],
                ["predicted", "Yes"],
                ["relabelled", "No"]
            ]);
            assert_eq!(read["versions"], wanted);
        }
    }
    assert!(s.fails(2, "lineage --format prov-json --item othr").contains("did you mean"));
    for format in ["openlineage", "croissant -o x.json"] {
        s.fails(2, &format!("lineage --item other --format {format}"));
    }
}
