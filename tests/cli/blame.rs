//! Who made a label what it is, across renames, merges, cherry-picks and compactions.

use serde_json::{Value, json};

use crate::json::fits;
use crate::session::Session;

/// Upserts rows `item,label,annotator,policy` and commits; gives the commit.
fn labels(s: &Session, rows: &[[&str; 4]], message: &str) -> String {
    let mut text = "item,label,annotator,policy\n".to_owned();
    rows.iter().for_each(|row| text.push_str(&format!("{}\n", row.join(","))));
    let file = format!("{message}.csv");
    s.write(&file, text);
    s.ok(&format!("import {file} --source table -m {message}"));
    s.commit("HEAD")
}

fn blamed(s: &Session, line: &str) -> Vec<Value> {
    let lines = s.json(&format!("blame {line}"));
    fits("blame", &lines);
    lines
}

/// Item, commit, made in, annotator, policy and label of each line.
fn told(lines: &[Value]) -> Vec<Value> {
    let names = ["item_id", "commit", "made_in", "annotator_id", "policy", "label"];
    lines.iter().map(|line| names.iter().map(|name| line[name].clone()).collect()).collect()
}

#[test]
fn a_row_is_blamed_on_the_commit_that_made_it_whatever_came_after() {
    let s = Session::new();
    let v1 = "vehicles@1";
    let first = labels(&s, &[["a", "car", "ann", v1], ["b", "van", "bob", v1]], "first");
    s.ok("policy add vehicles --field label=car,van,bike");
    s.ok("branch side");
    s.ok("branch vendor");
    let ours = labels(&s, &[["a", "bike", "ann", v1]], "ours");
    s.ok("switch side");
    let theirs = labels(&s, &[["c", "car", "eve", v1]], "theirs");
    s.ok("switch vendor");
    let picked = labels(&s, &[["b", "bike", "bob", v1]], "vendor");
    s.ok("switch main");
    s.ok("merge side");
    s.ok("cherry-pick vendor");
    let pick = s.commit("HEAD");
    s.ok("policy rename vehicles label car automobile");
    s.ok("compact");
    // By hand: what each commit above did, the merge and the compaction to no row.
    let a = json!(["a", ours, null, "ann", v1, "bike"]);
    let b = json!(["b", pick, picked, "bob", v1, "bike"]);
    let c = json!(["c", theirs, null, "eve", v1, "automobile"]);
    assert_eq!(told(&blamed(&s, "a")), std::slice::from_ref(&a));
    assert_eq!(told(&blamed(&s, "--query kind=choice")), [a, b, c.clone()]);
    // Filters ask for what labels are read as; `--raw` shows what is stored.
    assert_eq!(told(&blamed(&s, "--query label=automobile")), [c]);
    assert_eq!(blamed(&s, "c --raw")[0]["label"], "car");
    assert_eq!(told(&blamed(&s, "a main~5"))[0][1], json!(first));
    assert_eq!(told(&blamed(&s, "--query annotator=bob side"))[0][1], json!(first));
    // The file that the row came from, of the picked one as well.
    for (item, file) in [("a", "ours.csv"), ("b", "vendor.csv"), ("c", "theirs.csv")] {
        let line = &blamed(&s, item)[0];
        assert_eq!(line["files"][0]["name"], file);
        let bytes = std::fs::read(s.path(file)).unwrap();
        assert_eq!(line["files"][0]["digest"], blake3::hash(&bytes).to_hex().as_str());
    }
    let shown = s.ok("blame b");
    assert!(shown.contains(&format!("{} (made in {})", &pick[..10], &picked[..10])), "{shown}");
    // The branch is gone, with its commits: the pick is what is left to tell.
    s.ok("branch -D vendor");
    std::fs::remove_dir_all(s.path(".gloss/git/logs")).unwrap();
    s.ok("gc");
    assert_eq!(told(&blamed(&s, "b")), [json!(["b", pick, null, "bob", v1, "bike"])]);
}

#[test]
fn reviews_stand_beside_the_row_they_are_of() {
    let s = Session::new();
    s.sample("label-studio/reviews.json", "reviews.json");
    s.ok("import reviews.json -m reviews");
    let lines = blamed(&s, "--query kind=choice");
    let of = |line: &Value| -> Vec<String> {
        let reviews = line["reviews"].as_array().unwrap().iter();
        reviews.map(|r| format!("{} by {}", r["decision"], r["reviewer_id"])).collect()
    };
    let sample: Value = serde_json::from_str(&s.read("reviews.json")).unwrap();
    let wanted: usize = sample
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|task| task["annotations"].as_array().unwrap())
        .map(|one| one["reviews"].as_array().map_or(0, Vec::len))
        .sum();
    assert!(wanted > 0, "the sample has reviews");
    let mut submissions: Vec<String> = Vec::new();
    for line in &lines {
        let id = line["annotation_id"].as_str().unwrap();
        let submission = id.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
        let key = format!("{} {submission} {:?}", line["item_id"], of(line));
        if !submissions.contains(&key) {
            submissions.push(key);
        }
    }
    let told: usize = submissions.iter().map(|key| key.matches(" by ").count()).sum();
    assert_eq!(told, wanted);
}

#[test]
fn names_that_are_nearly_right_are_offered() {
    let s = Session::new();
    labels(&s, &[["img_0001.jpg", "car", "ann", ""], ["img_0002.jpg", "van", "bob", ""]], "one");
    s.ok("rm --where item=img_0002.jpg -m gone");
    s.ok("branch relabel");
    let error = s.fails(2, "blame img_001.jpg");
    assert!(error.contains("there is no item `img_001.jpg`"), "{error}");
    assert!(error.contains("did you mean `img_0001.jpg`"), "{error}");
    let error = s.fails(2, "blame img_0001.jpg relable");
    assert!(error.contains("did you mean `relabel`?"), "{error}");
    let error = s.fails(2, "blame img_0002.jpg");
    assert!(error.contains("`gloss history img_0002.jpg`"), "{error}");
    for line in ["blame", "blame --query nonsense", "blame --query colour=red", "blame a b c"] {
        s.fails(2, line);
    }
    assert_eq!(s.ok("blame --query label=nothing"), "");
}
