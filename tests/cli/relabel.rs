//! Relabelling: what a new version of a policy makes void is labelled again, and merged.
//!
//! `label-studio-relabel` is the record of a real Label Studio that loaded the tasks and gave them
//! to two people (`scripts/nightly-label-studio.sh --record`).

use serde_json::{Value, json};

use crate::json::fits;
use crate::samples::{TEXTS, ours};
use crate::session::Session;

const RECORD: &str = "label-studio-relabel";

fn record(name: &str) -> Value {
    serde_json::from_slice(&ours(&format!("{RECORD}/{name}"))).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The first round under `reading@1`; `reading@2` splits `LOC` and renames `ORG`.
fn reading() -> Session {
    let s = Session::new();
    s.write("first.xml", ours("label-studio-live/text/config.xml"));
    s.write("first.json", ours(TEXTS));
    for name in ["policy.toml", "config.xml", "half.json", "answers.json"] {
        s.write(name, ours(&format!("{RECORD}/{name}")));
    }
    s.ok("policy import reading first.xml");
    s.ok("import first.json -m first");
    s.ok("policy attach reading@1");
    s.ok("policy add reading --file policy.toml --config config.xml");
    s
}

const START: &str = "relabel start --to reading@2 --assign-by stratified --among 2,3 --overlap 2 \
                     -o tasks.json";

/// The `ner` results of answers that were not skipped, answer by answer, of a file of the tool.
fn ner(tasks: &Value) -> Vec<Vec<String>> {
    let answers = list(tasks).iter().flat_map(|task| list(&task["annotations"]));
    let label = |result: &Value| result["value"]["labels"][0].as_str().unwrap().to_owned();
    answers
        .filter(|answer| answer["was_cancelled"] == false)
        .map(|answer| {
            let results = list(&answer["result"]).iter();
            results.filter(|result| result["from_name"] == "ner").map(label).collect()
        })
        .collect()
}

#[test]
fn what_was_split_is_labelled_again_in_label_studio_and_merged() {
    let s = reading();
    let first: Value = serde_json::from_slice(&ours(TEXTS)).unwrap();
    let is_void = |answer: &&Vec<String>| answer.iter().any(|label| label == "LOC");
    let void: usize = ner(&first).iter().filter(is_void).map(Vec::len).sum();

    let started = s.json(START);
    fits("relabel-start", &started);
    let started = &started[0];
    assert_eq!((&started["items"], &started["into"]), (&json!(19), &json!("main")));
    assert_eq!(started["assigned"], json!({"annotator-1": 19, "annotator-2": 19}));
    assert_eq!(s.json("status")[0]["branch"], "relabel-reading-2");
    // What the branch is about is text without items and people.
    let about = s.git("show relabel-reading-2:relabel.toml");
    assert!(about.contains("policy = \"reading\"") && about.contains("overlap = 2"), "{about}");
    assert!(!about.contains("label-studio:1"), "{about}");
    fits("relabel", &[toml::from_str(&about).unwrap()]);

    // The server held what is written here: data and predictions.
    let tasks: Value = serde_json::from_str(&s.read("tasks.json")).unwrap();
    let held = record("tasks.json");
    assert_eq!(list(&tasks).len(), 19);
    for (task, held) in list(&tasks).iter().zip(list(&held)) {
        assert_eq!(task["data"], held["data"]);
        let shown = |task: &Value| -> Vec<Value> {
            let all = list(&task["predictions"]).iter();
            all.map(|one| json!([one["model_version"], one["result"]])).collect()
        };
        assert_eq!(shown(task), shown(held));
    }
    // Nobody is shown the reference: task 1's is the first person's.
    assert_eq!(list(&tasks[0]["predictions"]).len(), 2);
    let renamed = tasks[0]["predictions"][1]["result"][2]["value"]["labels"][0].as_str();
    assert_eq!(renamed, Some("COMPANY"), "labels are those of the new version");

    let came = s.json("relabel import half.json");
    fits("relabel-import", &came);
    assert_eq!((&came[0]["items"], &came[0]["superseded"]), (&json!(19), &json!(void)));
    let status = s.json("relabel status");
    fits("relabel-status", &status);
    let counts = |status: &Value| {
        ["done", "begun", "answers", "missing"].map(|name| status[name].as_u64().unwrap())
    };
    assert_eq!(counts(&status[0]), [0, 19, 19, 19]);
    let refused = s.gloss("relabel finish --json");
    assert_eq!(refused.code, 1, "{}", refused.err);
    let refused: Value = serde_json::from_str(&refused.out).unwrap();
    fits("relabel-finish", std::slice::from_ref(&refused));
    assert_eq!((&refused["passed"], &refused["done"]), (&json!(false), &json!(0)));

    s.ok("relabel import answers.json");
    let head = s.commit("relabel-reading-2");
    let again = s.json("relabel import answers.json");
    assert_eq!((&again[0]["commit"], &again[0]["superseded"]), (&json!(null), &json!(0)));
    assert_eq!(s.commit("relabel-reading-2"), head);
    // One of 38 answers was skipped.
    let status = s.json("relabel status --names");
    assert_eq!(counts(&status[0]), [18, 1, 37, 1]);
    let people = json!([
        {"annotator": "2", "answers": 19, "skipped": 0},
        {"annotator": "3", "answers": 18, "skipped": 1},
    ]);
    for (person, wanted) in list(&status[0]["people"]).iter().zip(list(&people)) {
        for (name, value) in wanted.as_object().unwrap() {
            assert_eq!(&person[name], value, "{name}");
        }
    }

    let report = s.json("relabel report");
    fits("relabel-report", &report);
    let transitions = list(&report[0]["transitions"]);
    let answers = ner(&record("answers.json"));
    for label in ["PER", "COMPANY", "CITY", "STATE"] {
        let given = answers.iter().flatten().filter(|given| *given == label).count() as u64;
        let to = transitions.iter().filter(|row| row["to"] == label);
        assert_eq!(to.map(|row| row["rows"].as_u64().unwrap()).sum::<u64>(), given, "{label}");
    }
    let became: Vec<&str> = transitions
        .iter()
        .filter(|row| row["from"] == "LOC")
        .filter_map(|row| row["to"].as_str())
        .collect();
    assert_eq!(became, ["CITY", "STATE"]);

    let finished = s.json("relabel finish");
    fits("relabel-finish", &finished[..1]);
    fits("merge", &finished[1..]);
    assert_eq!(finished[1]["result"], "merged");
    let changes = &finished[1]["changes"]["annotations"];
    let added: usize = answers.iter().map(Vec::len).sum();
    assert_eq!(*changes, json!({"added": added, "changed": void, "removed": 0}));
    assert_eq!(s.json("status")[0]["branch"], "main");
    assert_eq!(s.try_git("show main:relabel.toml").code, 128, "it stays on its branch");
    assert_eq!(s.json("relabel plan --to reading@2")[0]["items"], 0);
    s.ok("verify");
    // The first file knows nothing of all that, and undoes none of it.
    assert_eq!(s.json("import first.json --dry-run")[0]["changes"]["annotations"]["changed"], 0);
}

#[test]
fn new_rows_name_the_version_and_what_they_take_the_place_of() {
    let s = reading();
    s.ok(START);
    s.ok("relabel import answers.json");
    let rows = s.rows();
    let of = |id: &Value| rows.iter().find(|row| row["annotation_id"] == *id && id.is_string());
    let new: Vec<&Value> = rows.iter().filter(|row| row["policy"] == "reading@2").collect();
    assert_eq!(new.len(), 105);
    for row in &new {
        assert_eq!((&row["field"], &row["source"]), (&json!("ner"), &json!("relabel:reading@2")));
        let taken = rows.iter().find(|old| {
            old["annotation_id"] == row["parent_id"] && old["item_id"] == row["item_id"]
        });
        let Some(old) = taken else { continue };
        assert_eq!(old["status"], "superseded");
        assert_eq!(old["policy"], json!(null), "under which version it was made stays true");
        assert_eq!((&old["geometry"], &old["field"]), (&row["geometry"], &row["field"]));
    }
    // Both began with the first prediction, and drew nothing more.
    let with_parent = new.iter().filter(|row| of(&row["parent_id"]).is_some()).count();
    assert_eq!(with_parent, 105);
    // Who did not mark a place in answers that count now did not find nothing instead.
    let quality = s.json("quality --field ner");
    let field = &quality[0]["fields"][0];
    assert_eq!(field["spans"]["empty_answers"], 0, "{}", field["spans"]);
}

/// Three answers, two of them to be done again, as a table that knows no submissions.
fn vehicles() -> Session {
    let s = Session::new();
    let rows = "item,annotator,label,policy\na,ann,van,vehicles@1\nb,ann,van,vehicles@1\n\
                b,bob,car,vehicles@1\nc,bob,car,vehicles@1\n";
    s.write("rows.csv", rows);
    s.ok("import rows.csv -m first");
    s.ok("policy add vehicles --field label=car,van");
    let text = s.ok("policy show vehicles").replacen("version = \"1\"", "version = \"2\"", 1);
    let split = "\n[[change]]\nversion = \"2\"\nop = \"split\"\nfield = \"label\"\n\
                 from = [\"van\"]\nto = [\"pickup\", \"lorry\"]\nredo = \"rows\"\n";
    let labels = "name = \"pickup\"\n\n[[field.label]]\nname = \"lorry\"";
    s.write("next.toml", text.replacen("name = \"van\"", labels, 1) + split);
    s.ok("policy add vehicles --file next.toml");
    s
}

#[test]
fn answers_may_come_as_a_table_and_another_copy_goes_on() {
    let s = vehicles();
    let away = s.path("remote").display().to_string();
    s.ok("relabel start --to vehicles@2 --branch again -o tasks.json");
    s.ok(&format!("remote add origin 'file://{away}'"));
    s.ok("push --all");
    let other = Session::empty();
    other.ok(&format!("clone 'file://{away}' ."));
    other.ok("fetch");
    assert_eq!(other.json("relabel status origin/again")[0]["items"], 2);

    s.write("answers.csv", "item,annotator,label\na,ann,pickup\nb,eve,lorry\nc,eve,car\n");
    let came = s.json("relabel import answers.csv");
    assert_eq!((&came[0]["items"], &came[0]["superseded"]), (&json!(2), &json!(2)));
    let said: Vec<(String, String, String)> = s
        .rows()
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
            (text("item_id") + " " + &text("label"), text("status"), text("policy"))
        })
        .collect();
    let one = |what: &str, status: &str, policy: &str| {
        (what.to_owned(), status.to_owned(), policy.to_owned())
    };
    let mut wanted = [
        one("a van", "superseded", "vehicles@1"),
        one("a pickup", "submitted", "vehicles@2"),
        one("b van", "superseded", "vehicles@1"),
        one("b car", "submitted", "vehicles@1"),
        one("b lorry", "submitted", "vehicles@2"),
        one("c car", "submitted", "vehicles@1"),
    ];
    let mut said = said;
    said.sort();
    wanted.sort();
    assert_eq!(said, wanted, "whom nobody asked again stands; `c` was not asked for");
    let told = s.gloss("policy check main");
    assert_eq!(told.code, 1, "nobody asks for a van any more: {}", told.out);
    s.ok("relabel finish");
    assert_eq!(s.json("status")[0]["branch"], "main");
    assert_eq!(s.ok("policy check"), "every label is known\n", "what is superseded is no answer");
    s.ok("verify");
}

/// A strict policy refuses labels that it does not know, and not the end of those that it had.
#[test]
fn a_strict_policy_lets_old_answers_be_superseded() {
    let s = vehicles();
    let text = s.ok("policy show vehicles");
    let third = text.replacen("version = \"2\"", "version = \"3\"\nstrict = true", 1);
    s.write("strict.toml", third);
    s.ok("policy add vehicles --file strict.toml");
    s.ok("relabel start --to vehicles@3 -o t.json");
    s.write("answers.csv", "item,annotator,label\na,ann,van\nb,eve,lorry\n");
    assert!(s.fails(2, "relabel import answers.csv").contains("`van` is no label of `label`"));
    s.write("answers.csv", "item,annotator,label\na,ann,pickup\nb,eve,lorry\n");
    assert_eq!(s.json("relabel import answers.csv")[0]["superseded"], 2);
    s.ok("relabel finish");
    assert_eq!(s.ok("policy check"), "every label is known\n");
    s.ok("verify");
}

#[test]
fn what_is_no_relabelling_is_refused_and_nothing_changes() {
    let s = vehicles();
    let before = s.commit("main");
    for (line, told) in [
        ("relabel status", "relabels nothing"),
        ("relabel finish", "relabels nothing"),
        ("relabel report main", "relabels nothing"),
        ("relabel start --to vehicles@1 -o t.json", "nothing has to be done again"),
        ("relabel start --to vehicles@3 -o t.json", "no `vehicles@3` yet"),
        ("relabel start --to vehicles@2 --branch main -o t.json", "a branch `main` already"),
        (
            "relabel start --to vehicles@2 -o t.json --assign-by round-robin --among ann \
             --overlap 2",
            "1 name(s) for 2 answer(s)",
        ),
    ] {
        let said = s.fails(2, line);
        assert!(said.contains(told), "{line}: {said}");
        assert!(!s.path("t.json").exists(), "{line}");
    }
    assert_eq!(s.commit("main"), before);
    s.ok("relabel start --to vehicles@2 -o t.json");
    assert!(s.fails(2, "relabel start --to vehicles@2 -o t.json").contains("relabels for"));
    s.write("other.csv", "item,annotator,label\nc,ann,car\n");
    let head = s.commit("relabel-vehicles-2");
    assert!(s.fails(2, "relabel import other.csv").contains("none of the items"));
    assert_eq!(s.commit("relabel-vehicles-2"), head);
    // The gates of the branch that it is merged into are asked as well, and it stays where it is.
    s.write("answers.csv", "item,annotator,label\na,ann,pickup\nb,eve,lorry\n");
    s.ok("relabel import answers.csv");
    s.ok("protect main --gate alpha=0.99");
    assert!(s.fails(1, "relabel finish").contains("alpha of `label`"));
    assert_eq!(s.json("status")[0]["branch"], "relabel-vehicles-2");
    assert_eq!(s.commit("main"), before);
}

/// What somebody decided on the other branch meanwhile is not lost, and not merged by itself.
#[test]
fn a_row_that_changed_meanwhile_is_a_conflict() {
    let s = vehicles();
    s.ok("relabel start --to vehicles@2 -o t.json");
    s.write("answers.csv", "item,annotator,label\na,ann,pickup\nb,eve,lorry\n");
    s.ok("relabel import answers.csv");
    s.ok("switch main");
    s.write("rows.csv", "item,annotator,label,policy\na,ann,car,vehicles@1\n");
    s.ok("import rows.csv -m mended");
    s.ok("switch relabel-vehicles-2");
    let told = s.gloss("relabel finish");
    assert_eq!(told.code, 1, "{}", told.err);
    assert!(told.out.contains("1 conflict(s) open"), "{}", told.out);
    assert_eq!(s.json("status")[0]["branch"], "main");
    s.ok("resolve a --take theirs");
    s.ok("merge --continue");
    let of_a: Vec<Value> = s.rows().into_iter().filter(|row| row["item_id"] == "a").collect();
    let said: Vec<[&Value; 2]> =
        of_a.iter().map(|row| ["label", "status"].map(|name| &row[name])).collect();
    let (van, pickup) = (json!("van"), json!("pickup"));
    assert!(said.contains(&[&van, &json!("superseded")]), "{said:?}");
    assert!(said.contains(&[&pickup, &json!("submitted")]), "{said:?}");
    s.ok("verify");
}

#[test]
fn gates_of_a_policy_are_asked_wherever_labels_are_checked() {
    let s = vehicles();
    assert!(s.fails(2, "check").contains("no gate is given"));
    let text = s.ok("policy show vehicles").replacen("version = \"2\"", "version = \"3\"", 1);
    let gated =
        text.replacen("[[field]]", "[gates]\nannotators = 2\nlabel.items = 4\n\n[[field]]", 1);
    s.write("bad.toml", gated.replace("annotators = 2", "excellence = 2"));
    assert!(s.fails(2, "policy add vehicles --file bad.toml").contains("no measure `excellence`"));
    s.write("gated.toml", gated);
    s.ok("policy add vehicles --file gated.toml");
    let told = s.gloss("check --json");
    assert_eq!(told.code, 1);
    let line: Value = serde_json::from_str(&told.out).unwrap();
    fits("check", std::slice::from_ref(&line));
    let gates: Vec<[&Value; 4]> = list(&line["gates"])
        .iter()
        .map(|gate| ["policy", "measure", "value", "passed"].map(|name| &gate[name]))
        .collect();
    let policy = json!("vehicles@3");
    assert_eq!(
        gates,
        [
            [&policy, &json!("annotators"), &json!(2.0), &json!(true)],
            [&policy, &json!("items"), &json!(3.0), &json!(false)],
        ]
    );
    s.ok("protect main --gates");
    let before = s.commit("main");
    s.write("gone.csv", "item,annotator,label,policy\nc,eve,car,vehicles@3\n");
    assert!(s.fails(1, "import gone.csv -m more").contains("items of `label` is 3, not 4"));
    assert_eq!(s.commit("main"), before);
    s.write("more.csv", "item,annotator,label,policy\nd,eve,car,vehicles@3\n");
    s.ok("import more.csv -m more");
}

#[test]
fn a_pull_that_only_moves_a_protected_branch_forward_is_asked() {
    let s = vehicles();
    let away = s.path("remote").display().to_string();
    s.ok(&format!("remote add origin 'file://{away}'"));
    s.ok("push");
    let other = Session::empty();
    other.ok(&format!("clone 'file://{away}' ."));
    s.write("more.csv", "item,annotator,label,policy\nd,eve,car,vehicles@2\n");
    s.ok("import more.csv -m more");
    s.ok("push");
    other.ok("protect main --gate items=5");
    let before = other.commit("main");
    assert!(other.fails(1, "pull").contains("items of `label` is 4, not 5"));
    assert_eq!(other.commit("main"), before);
    other.ok("protect main --gate items=4");
    other.ok("pull");
    assert_eq!(other.commit("main"), s.commit("main"));
}

/// Somebody looks for cars; a third image has none. A new label has to be looked for in all three.
#[test]
fn who_found_nothing_has_to_look_again_where_a_label_is_new() {
    let s = Session::new();
    let xml = |labels: &str| {
        format!(
            "<View><Image name=\"image\" value=\"$image\"/>\
             <RectangleLabels name=\"box\" toName=\"image\">{labels}</RectangleLabels></View>"
        )
    };
    s.write("one.xml", xml("<Label value=\"car\"/>"));
    s.write("two.xml", xml("<Label value=\"car\"/><Label value=\"bus\"/>"));
    let boxed = |id: &str, label: &str| {
        json!({
            "id": id, "type": "rectanglelabels", "from_name": "box", "to_name": "image",
            "original_width": 100, "original_height": 100,
            "value": {"x": 1, "y": 1, "width": 10, "height": 10, "rotation": 0,
                      "rectanglelabels": [label]},
        })
    };
    let task = |id: usize, data: Value, results: Vec<Value>| {
        json!({
            "id": id, "data": data, "project": 9,
            "annotations": [{"id": id, "completed_by": 5, "result": results}],
        })
    };
    let image = |name: &str| json!({ "image": format!("https://x.org/{name}.jpg") });
    let tasks = json!([
        task(1, image("a"), vec![boxed("r1", "car")]),
        task(2, image("b"), vec![boxed("r2", "car")]),
        task(3, image("c"), vec![]),
    ]);
    s.write("tasks.json", tasks.to_string());
    s.ok("policy import street one.xml");
    s.ok("import tasks.json -m first --policy street@1");
    s.ok("policy import street two.xml");
    let plan = s.json("relabel plan --to street@2");
    fits("relabel-plan", &plan);
    assert_eq!((&plan[0]["rows"], &plan[0]["items"]), (&json!(0), &json!(3)));
    s.ok("relabel start --to street@2 -o again.json");
    let again: Value = serde_json::from_str(&s.read("again.json")).unwrap();
    let shown: Vec<usize> = list(&again).iter().map(|t| list(&t["predictions"]).len()).collect();
    assert_eq!(shown, [1, 1, 0]);
    // The same person answers all; the first has a bus, too, and the last is empty still.
    let results = [vec![boxed("r1", "car"), boxed("n1", "bus")], vec![boxed("r2", "car")], vec![]];
    let asked = list(&again).iter().map(|task| task["data"].clone());
    let answers: Vec<Value> =
        asked.zip(results).enumerate().map(|(at, (data, all))| task(at + 1, data, all)).collect();
    s.write("answers.json", json!(answers).to_string());
    let came = s.json("relabel import answers.json");
    assert_eq!((&came[0]["items"], &came[0]["superseded"]), (&json!(3), &json!(2)));
    let handed = &came[0]["changes"]["submissions"];
    assert_eq!(*handed, json!({"added": 3, "changed": 0, "removed": 0}));
    let status = s.json("relabel status");
    assert_eq!((&status[0]["done"], &status[0]["coverage"]), (&json!(3), &json!(1.0)));
    s.ok("relabel finish");
    // One answer a person and image: two with boxes, one that there is nothing.
    let quality = s.json("quality");
    let field = &quality[0]["fields"][0];
    assert_eq!(field["answers"], 3, "{field}");
    assert_eq!(field["boxes"]["empty_answers"], 1, "{}", field["boxes"]);
    assert_eq!(s.json("relabel plan --to street@2")[0]["items"], 0);
    s.ok("verify");
}
