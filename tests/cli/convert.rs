//! A conversion gives what an import and an export through a store give, and leaves nothing else.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::formats::same;
use crate::json::fits;
use crate::samples::{FULL_SNAPSHOT, IMAGES, TEXTS, ours};
use crate::session::{Ran, Session};

/// Converts with an own directory for temporary files, which must be as empty as before.
fn convert(s: &Session, line: &str) -> Ran {
    let temp = s.path("temp");
    fs::create_dir_all(&temp).unwrap();
    let mut command = s.command(&format!("convert {line}"));
    let ran = Ran::new(command.env("TMPDIR", &temp).output().expect("gloss runs"));
    let left: Vec<_> = fs::read_dir(&temp).unwrap().collect();
    assert!(left.is_empty(), "convert {line}: {left:?} is left");
    ran
}

#[track_caller]
fn converted(s: &Session, line: &str) -> Value {
    let ran = convert(s, &format!("{line} --json"));
    assert_eq!(ran.code, 0, "convert {line}\n{}{}", ran.out, ran.err);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    fits("convert", std::slice::from_ref(&told));
    told
}

/// The rows of a JSON Lines file without the ids that are drawn anew for each store.
fn rows(text: &str) -> Vec<Value> {
    let mut rows: Vec<Value> = text
        .lines()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            assert!(row.as_object_mut().unwrap().remove("annotation_id").is_some(), "{line}");
            row
        })
        .collect();
    rows.sort_by_key(Value::to_string);
    rows
}

#[test]
fn label_studio_becomes_the_rows_that_a_store_gives() {
    for sample in [TEXTS, IMAGES] {
        let s = Session::empty();
        s.sample(sample, "in.json");
        let told = converted(&s, "in.json -o rows.jsonl");
        assert_eq!(told["format"], "jsonl");
        assert!(!s.path(".gloss").exists());
        s.ok("init");
        let imported = &s.json("import in.json -m in")[0];
        let exported = &s.json("export --format jsonl -o own.jsonl")[0];
        let (own, rows_here) = (rows(&s.read("own.jsonl")), rows(&s.read("rows.jsonl")));
        assert_eq!(rows_here.len(), s.rows().len());
        assert_eq!(rows_here, own, "{sample}");
        // The decisions of the file, counted in its JSON.
        let tasks: Vec<Value> = serde_json::from_slice(&ours(sample)).unwrap();
        let answers = tasks.iter().flat_map(|task| task["annotations"].as_array().unwrap());
        let results: usize = answers.map(|a| a["result"].as_array().unwrap().len()).sum();
        assert!(results > 50 && own.len() >= results, "{sample}: {} rows", own.len());
        for (ours, theirs) in [("rows", "rows"), ("warnings", "warnings"), ("not_kept", "losses")] {
            assert_eq!(told[ours], imported[theirs], "{sample}: {ours}");
        }
        assert_eq!(told["not_carried"], exported["losses"], "{sample}");
        // Back again from the rows: as a store gives them.
        converted(&s, "rows.jsonl -o again.csv");
        assert_eq!(s.read("again.csv").lines().next(), csv_head(&s).as_deref());
    }
}

fn csv_head(s: &Session) -> Option<String> {
    s.ok("export --format csv -o own.csv");
    s.read("own.csv").lines().next().map(str::to_owned)
}

#[test]
fn files_come_back_equal() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    let coco = ["instances", "keypoints", "captions", "panoptic"].map(|n| format!("coco/{n}.json"));
    let texts = [TEXTS, IMAGES, FULL_SNAPSHOT].map(str::to_owned);
    for name in coco.into_iter().chain(texts) {
        let s = Session::empty();
        let plain = ours(&name);
        s.write("in.json", &plain);
        let told = converted(&s, "in.json -o back.json");
        assert_eq!(told["not_carried"], json!({}), "{name}");
        same(&data.join(&name), &plain, &s);
    }
}

#[test]
fn final_answers_and_mappings_are_those_of_a_store() {
    let s = Session::empty();
    s.write("answers.csv", "question,worker,said\nq1,a,yes\nq1,b,yes\nq1,c,no\nq2,a,no\n");
    let map = "--map item=question --map annotator=worker --map label=said";
    let told = converted(&s, &format!("answers.csv -o out.jsonl --view labels {map}"));
    let found: Vec<Value> =
        s.read("out.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut said: Vec<String> =
        found.iter().map(|row| format!("{} {}", row["item_id"], row["label"])).collect();
    said.sort();
    // Two of three said yes to the first; one said no to the second.
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("q1\" \"yes") && said[1].contains("q2\" \"no"), "{said:?}");
    assert_eq!(told["rows"]["annotations"], 4);
    // People read what was lost, too.
    s.sample(TEXTS, "texts.json");
    let ran = convert(&s, "texts.json -o tasks.json");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("\nnothing was lost\nwrote "), "{}", ran.out);
    assert!(ran.out.ends_with("tasks.json as label-studio\n"), "{}", ran.out);
    let ran = convert(&s, &format!("answers.csv -o out.coco --to coco {map}"));
    assert!(ran.out.contains("not carried: "), "{}{}", ran.out, ran.err);
    assert!(!ran.out.contains("nothing was lost"), "{}", ran.out);
}

#[test]
fn bad_input_writes_nothing() {
    let s = Session::empty();
    s.sample(TEXTS, "texts.json");
    s.write("cut.json", &ours(TEXTS)[..5_000]);
    s.write("empty.json", "");
    s.write(
        "rows.jsonl",
        "{\"item_id\": \"a\", \"annotation_id\": \"1\", \"label\": 3, \"kind\": []}\n",
    );
    s.write("old.csv", "as it was\n");
    for (line, said) in [
        ("cut.json -o OUT.jsonl", "cut.json"),
        ("empty.json -o OUT.jsonl", "is empty"),
        ("none.json -o OUT.jsonl", "none.json"),
        ("rows.jsonl -o OUT.csv", "rows.jsonl"),
        ("texts.json -o OUT", "does not say which format"),
        ("old.csv -o OUT.json", "does not say which format"),
        ("texts.json -o OUT.jsonl --to xml", "no format `xml`"),
        ("texts.json -o OUT.jsonl --format xml", "no format `xml`"),
        ("texts.json -o OUT.jsonl --map nonsense", "OURS=THEIRS"),
        ("texts.json -o none/OUT.jsonl", "directory does not exist"),
        ("texts.json -o temp --to csv", "it is a directory"),
        ("cut.json -o old.csv", "cut.json"),
    ] {
        let ran = convert(&s, line);
        assert_eq!(ran.code, 2, "convert {line}\n{}{}", ran.out, ran.err);
        assert!(ran.err.contains(said), "convert {line}: {}", ran.err);
        let names = fs::read_dir(s.dir()).unwrap().map(|entry| entry.unwrap().file_name());
        let written: Vec<_> = names.filter(|name| name.to_string_lossy().contains("OUT")).collect();
        assert!(written.is_empty(), "convert {line}: {written:?}");
        assert_eq!(s.read("old.csv"), "as it was\n", "convert {line}");
    }
    // What is bad is set aside where that is asked for.
    s.write("two.jsonl", "{\"item_id\": \"a\", \"label\": \"x\"}\n{\"item_id\": 7, \"lab\n");
    assert_eq!(convert(&s, "two.jsonl -o good.csv").code, 2);
    let ran = convert(&s, "two.jsonl -o good.csv --quarantine bad.jsonl");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("1 bad records were set aside"), "{}", ran.out);
    assert_eq!(s.read("good.csv").lines().count(), 2);
}
