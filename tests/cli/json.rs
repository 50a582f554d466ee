//! What scripts rely on: every `--json` output fits its schema and has the members it promises.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::samples::{IMAGES, corrected, ours, texts};
use crate::session::Session;

/// The schema of an output.
fn schema(name: &str) -> jsonschema::Validator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let read = |name: &str| -> Value {
        let path = folder.join(format!("{name}.schema.json"));
        let text = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_slice(&text).expect("a schema is JSON")
    };
    let mut schema = read(name);
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
    if name == "history-rows" {
        // The one schema that refers to another: put it in its place.
        let mut diff = read("diff");
        let cell = diff["$defs"]["cell"].take();
        diff.as_object_mut().expect("an object").remove("$defs");
        schema["$defs"]["cell"] = cell;
        diff.as_object_mut().expect("an object").remove("$id");
        schema["properties"]["rows"]["items"] = diff;
    }
    jsonschema::draft202012::new(&schema).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Holds values against a schema.
#[track_caller]
pub fn fits(name: &str, values: &[Value]) {
    let validator = schema(name);
    assert!(!values.is_empty(), "no output to hold against {name}");
    for value in values {
        let wrong: Vec<String> =
            validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(wrong.is_empty(), "{name}: {}\n{value}", wrong.join("\n"));
    }
}

fn members(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// A member that no schema knows must not fit: else the schemas check nothing.
#[test]
fn schemas_are_closed() {
    for (name, value) in [
        ("status", json!({"branch": "main", "commit": null, "staged": {}, "stage_base": null})),
        ("switch", json!({"branch": "main"})),
        ("commit", json!({"commit": null})),
        ("verify", json!({"ok": true, "objects": 3, "findings": []})),
    ] {
        let validator = schema(name);
        assert!(validator.is_valid(&value), "{name}");
        let mut more = value.clone();
        more["surprise"] = json!(1);
        assert!(!validator.is_valid(&more), "{name}");
        for member in members(&value) {
            let mut fewer = value.clone();
            fewer.as_object_mut().unwrap().remove(member);
            assert!(!validator.is_valid(&fewer), "{name} without {member}");
        }
    }
}

#[test]
fn every_output_fits_its_schema() {
    let s = Session::empty();
    s.write("corrected.json", corrected());
    s.sample(crate::samples::TEXTS, "texts.json");
    s.sample(IMAGES, "images.json");
    fits("init", &s.json("init"));
    fits("status", &s.json("status"));
    fits("import", &s.json("import texts.json"));
    fits("status", &s.json("status"));
    fits("diff", &s.json("diff"));
    fits("commit", &s.json("commit -m texts"));
    fits("commit", &s.json("commit -m texts"));
    fits("import", &s.json("import texts.json -m again"));
    fits("import", &s.json("import corrected.json --dry-run"));
    fits("tag", &s.json("tag v1"));
    fits("tag", &s.json("tag -a -m why v2"));
    fits("tag", &s.json("tag"));
    fits("tag", &s.json("tag -d v2"));
    fits("branch", &s.json("branch other"));
    fits("branch", &s.json("branch"));
    fits("branch", &s.json("branch -d other"));
    fits("switch", &s.json("switch -c relabel"));
    fits("import", &s.json("import images.json -m images"));
    fits("import", &s.json("import corrected.json -m corrected"));
    fits("revert", &s.json("revert HEAD"));
    fits("rm", &s.json("rm --where label=LOC"));
    fits("rm", &s.json("rm --where label=nothing"));
    fits("status", &s.json("status"));
    fits("restore", &s.json("restore --staged"));
    fits("restore", &s.json("restore --staged"));
    fits("rm", &s.json("rm --where label=LOC -m places"));
    fits("commit", &s.json("annotator alias p-0123 2"));
    fits("annotators", &s.json("annotator list"));
    fits("log", &s.json("log"));
    fits("log", &s.json("log -n 1"));
    fits("show", &s.json("show"));
    fits("show", &s.json("show v1"));
    fits("ls", &s.json("ls"));
    fits("items", &s.json("items"));
    fits("history", &s.json("history label-studio:1/1"));
    fits("history-rows", &s.json("history label-studio:1/1 --rows"));
    fits("diff-stat", &s.json("diff v1 relabel --stat"));
    for table in ["annotations", "submissions", "items", "sources"] {
        let rows = s.json(&format!("diff v1 relabel --table {table}"));
        if table != "sources" {
            assert!(rows.iter().all(|row| row["table"] == table));
        }
        fits("diff", &rows);
    }
    fits("diff", &s.json("diff relabel~1 relabel --table annotators"));
    fits("export", &s.json("export --format csv -o rows.csv"));
    fits("export", &s.json("export --format csv --view labels -o labels.csv"));
    fits("compact", &s.json("compact --dry-run"));
    let compacted = s.json("compact");
    fits("compact", &compacted);
    assert!(compacted[0]["commit"].is_string() && compacted[0]["tables"][0].is_object());
    fits("compact", &s.json("compact"));
    fits("verify", &s.json("verify"));
    fits("switch", &s.json("switch main"));
    s.ok("rm --where label=ORG");
    s.ok("restore --staged");
    fits("gc", &s.json("gc --dry-run"));
    let gone = s.json("gc");
    fits("gc", &gone);
    assert!(gone[0]["removed"]["objects"].as_u64() > Some(0), "{gone:?}");
}

#[test]
fn reviews_and_every_kind_of_row_fit() {
    let s = Session::new();
    for name in ["reviews", "per-region", "dialogue", "chat-preference", "moving"] {
        s.sample(&format!("label-studio/{name}.json"), &format!("{name}.json"));
        s.ok(&format!("import {name}.json -m {name}"));
    }
    for name in ["instances", "keypoints", "captions", "panoptic"] {
        s.sample(&format!("coco/{name}.json"), &format!("{name}.json"));
        fits("import", &s.json(&format!("import {name}.json --source {name} -m {name}")));
    }
    let rows = s.json("ls");
    let kinds: BTreeSet<&str> = rows.iter().filter_map(|row| row["kind"].as_str()).collect();
    for kind in ["choice", "bbox", "keypoints", "mask", "span", "relation", "pairwise", "ranking"] {
        assert!(kinds.contains(kind), "no row of kind {kind}: {kinds:?}");
    }
    fits("ls", &rows);
    fits("items", &s.json("items"));
    let tip = s.json("log");
    let first = tip.last().unwrap()["commit"].as_str().unwrap();
    let reviews = s.json(&format!("diff {first} main --table reviews"));
    fits("diff", &s.json(&format!("diff {first} main")));
    assert!(reviews.is_empty(), "the first commit brought the reviews");
    assert!(s.json(&format!("show {first}"))[0]["changes"]["reviews"]["added"].as_u64() > Some(0));
}

#[test]
fn the_log_is_newest_first() {
    let s = Session::with_corrections();
    let log = s.json("log");
    assert_eq!(log.len(), 2);
    for commit in &log {
        let names = members(commit);
        for name in ["commit", "parents", "author", "time", "message", "changes"] {
            assert!(names.contains(&name), "no {name} in {commit}");
        }
        assert_eq!(members(&commit["author"]), ["name", "email"]);
        assert_eq!(members(&commit["changes"]["annotations"]), ["added", "changed", "removed"]);
    }
    assert_eq!(log[0]["message"].as_str().map(str::trim_end), Some("corrected"));
    assert_eq!(log[0]["commit"], s.commit("main"));
    assert_eq!(log[0]["parents"], json!([s.commit("main~1")]));
    assert_eq!(log[1]["parents"], json!([]));
    assert_eq!(log[0]["author"], json!({"name": "Ada", "email": "ada@example.org"}));
    // `date -u -d @1700000000`
    assert!(log[0]["time"].as_str().unwrap().starts_with("2023-11-14T22:13:20"));
    let counts = json!({"added": 1, "changed": 2, "removed": 1});
    assert_eq!(log[0]["changes"]["annotations"], counts);
    assert_eq!(log[1]["changes"]["annotations"]["added"], 241);
    // The message of git says the same in its trailer.
    let message = s.git("log -1 --format=%B main");
    assert!(message.contains("Gloss-Change: +1 ~2 -1\n"), "{message}");
    assert!(s.git("log -1 --format=%B main~1").contains("Gloss-Change: +241 ~0 -0\n"));
}

#[test]
fn a_diff_has_the_members_that_it_promises() {
    let s = Session::with_corrections();
    let rows = s.json("diff main~1 main");
    let op = |op: &str| -> &Value {
        let found: Vec<&Value> = rows.iter().filter(|row| row["op"] == op).collect();
        assert_eq!(found.len(), 1, "{op}: {rows:?}");
        found[0]
    };
    assert_eq!(rows.len(), 4);
    let names = ["table", "op", "item_id", "annotation_id", "columns"];
    for row in &rows {
        let mut have = members(row);
        have.retain(|name| *name != "iou");
        assert_eq!(have, names);
        assert_eq!(row["table"], "annotations");
        assert_eq!(row["item_id"], "label-studio:1/1");
    }
    assert_eq!(op("changed")["columns"], json!({"label": {"old": "positive", "new": "neutral"}}));
    assert!(op("changed").get("iou").is_none());
    let moved = op("moved");
    assert_eq!(moved["columns"]["geometry"], json!({"old": [34.0, 39.0], "new": [34.0, 38.0]}));
    assert_eq!(moved["columns"]["text"], json!({"old": "Paris", "new": "Pari"}));
    assert_eq!(members(&moved["columns"]), ["geometry", "text"]);
    // Four of five characters.
    assert!((moved["iou"].as_f64().unwrap() - 0.8).abs() < 1e-9, "{moved}");
    assert_eq!(op("added")["columns"]["number"], json!({"old": null, "new": 4.0}));
    assert_eq!(op("added")["columns"]["annotator_id"], json!({"old": null, "new": "2"}));
    assert_eq!(op("removed")["columns"]["number"], json!({"old": 1.0, "new": null}));
    let stat = s.json("diff main~1 main --stat");
    assert_eq!(stat.len(), 1, "one object");
    assert_eq!(stat[0]["transitions"], json!({"positive": {"neutral": 1}}));
    assert_eq!(stat[0]["moved"], 1);
}

/// A box that was shifted by one pixel of ten: the overlap is 9 of 11.
#[test]
fn a_box_that_moved_is_moved() {
    let s = Session::new();
    let row = |x: f64| {
        json!({"item_id": "i", "annotation_id": "a", "annotator_id": "1", "field": "box",
            "kind": "bbox", "label": "car", "geometry": [x, 0.0, 10.0, 10.0], "unit": "px"})
    };
    s.write("rows.jsonl", row(0.0).to_string());
    s.ok("import rows.jsonl -m box");
    s.write("rows.jsonl", row(1.0).to_string());
    s.ok("import rows.jsonl -m shifted");
    let rows = s.json("diff main~1 main");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["op"], "moved");
    assert!((rows[0]["iou"].as_f64().unwrap() - 9.0 / 11.0).abs() < 1e-9, "{rows:?}");
    assert_eq!(members(&rows[0]["columns"]), ["geometry"]);
}

#[test]
fn rows_have_the_columns_of_the_model_without_nulls() {
    let s = Session::with_texts();
    let known = [
        "item_id",
        "annotation_id",
        "source",
        "submission_id",
        "region_id",
        "annotator_id",
        "origin",
        "field",
        "target",
        "kind",
        "label",
        "negative",
        "geometry",
        "unit",
        "frame",
        "seq",
        "refs",
        "text",
        "number",
        "mask",
        "score",
        "policy",
        "status",
        "gold",
        "parent_id",
        "created_at",
        "updated_at",
        "lead_time",
        "extra",
    ];
    for row in s.rows() {
        assert!(members(&row).iter().all(|name| known.contains(name)), "{row}");
        assert!(row.as_object().unwrap().values().all(|value| !value.is_null()), "{row}");
    }
    // As the first result of the file says it.
    let rows = s.json("ls --item label-studio:1/1 --label PER --annotator 1");
    let result = &texts()[0]["annotations"][0]["result"][0];
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["region_id"], result["id"]);
    assert_eq!(rows[0]["field"], result["from_name"]);
    assert_eq!(rows[0]["target"], result["to_name"]);
    assert_eq!(rows[0]["text"], result["value"]["text"]);
    assert_eq!(rows[0]["gold"], true);
}

#[test]
fn verify_has_the_members_that_it_promises() {
    let s = Session::with_corrections();
    let told = s.json("verify");
    assert_eq!(told.len(), 1);
    assert_eq!(members(&told[0]), ["ok", "objects", "findings"]);
    assert_eq!(told[0]["ok"], true);
    assert_eq!(told[0]["findings"], json!([]));
    assert!(told[0]["objects"].as_u64() > Some(5), "{}", told[0]);
    fits("verify", &told);
    // A segment that is gone.
    let table = s.git("show main:tables/annotations.jsonl");
    let line: Value = serde_json::from_str(table.lines().next().unwrap()).unwrap();
    let digest = line["segment"].as_str().unwrap().to_owned();
    fs::remove_file(s.path(&format!(".gloss/objects/{}/{digest}", &digest[..2]))).unwrap();
    let ran = s.gloss("verify --json");
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    fits("verify", std::slice::from_ref(&told));
    assert_eq!(told["ok"], false);
    let findings = told["findings"].as_array().unwrap();
    let missing: Vec<&Value> = findings.iter().filter(|f| f["object"] == digest).collect();
    assert_eq!(missing.len(), 1, "{told}");
    assert_eq!(missing[0]["kind"], "missing");
    assert!(!missing[0]["referrers"].as_array().unwrap().is_empty());
}

#[test]
fn an_import_reports_what_it_made() {
    let s = Session::new();
    s.sample(crate::samples::TEXTS, "texts.json");
    let told = s.json("import texts.json -m texts");
    assert_eq!(told.len(), 1);
    let names =
        ["sources", "rows", "changes", "warnings", "losses", "quarantined", "commit", "staged"];
    assert_eq!(members(&told[0]), names);
    assert_eq!(told[0]["commit"], s.commit("main"));
    let shown = s.json("show");
    let file = &shown[0]["sources"][0];
    assert_eq!(file["name"], "texts.json");
    assert_eq!(file["format"], "label-studio");
    assert_eq!(file["records"], 20);
    assert_eq!(file["source"], "label-studio:1");
    assert_eq!(file["digest"].as_str().map(str::len), Some(64));
    assert_eq!(ours(crate::samples::TEXTS).len(), 58_800, "the sample is the one counted");
}
