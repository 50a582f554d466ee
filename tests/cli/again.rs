//! Importing again, editing and coming back, and what stock git says of the result.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use crate::samples::{FULL_SNAPSHOT, IMAGES, TEXTS, ours, shared, texts};
use crate::session::Session;

/// Rows by key, without the place in the file.
fn by_key(rows: Vec<Value>) -> BTreeMap<(String, String), Value> {
    let key = |row: &Value| {
        let part = |name: &str| row[name].as_str().expect("a key").to_owned();
        (part("item_id"), part("annotation_id"))
    };
    let count = rows.len();
    let found: BTreeMap<_, _> = rows.into_iter().map(|row| (key(&row), row)).collect();
    assert_eq!(found.len(), count, "keys are unique");
    found
}

#[test]
fn json_then_snapshot_then_json_changes_nothing() {
    let s = Session::new();
    s.sample(TEXTS, "json.json");
    s.sample(FULL_SNAPSHOT, "snapshot.json");
    s.ok("import json.json -m json");
    let first = by_key(s.rows());
    let told = s.json("import snapshot.json -m snapshot");
    let changes = &told[0]["changes"]["annotations"];
    // The full snapshot brings the bodies of 20 predictions, 71 results; nothing else is new.
    assert_eq!((&changes["changed"], &changes["removed"]), (&json!(0), &json!(0)), "{changes}");
    let second = by_key(s.rows());
    for (key, row) in &first {
        assert_eq!(second.get(key), Some(row), "a result of the first file");
    }
    let predicted = second.values().filter(|row| row["origin"] == "model").count();
    assert_eq!(second.len(), first.len() + predicted);
    assert_eq!(predicted, model_rows(), "rows of the predictions");
    let tip = s.commit("main");
    for file in ["json.json", "snapshot.json", "json.json", "snapshot.json"] {
        let told = s.json(&format!("import {file} -m again"));
        for (table, counts) in told[0]["changes"].as_object().unwrap() {
            assert_eq!(counts, &json!({"added": 0, "changed": 0, "removed": 0}), "{file} {table}");
        }
        assert_eq!(told[0]["commit"], Value::Null);
    }
    assert_eq!(s.commit("main"), tip);
    assert_eq!(by_key(s.rows()), second);
}

/// What the results of the predictions say, a row a label or text.
fn model_rows() -> usize {
    let tasks: Value = serde_json::from_slice(&ours(FULL_SNAPSHOT)).unwrap();
    let lists = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let results: Vec<Value> = lists(&tasks)
        .iter()
        .flat_map(|task| lists(&task["predictions"]))
        .flat_map(|prediction| lists(&prediction["result"]))
        .collect();
    assert_eq!(results.len(), 71, "counted with a script");
    let parts = |value: &Value| value.as_array().map_or(1, Vec::len);
    results.iter().map(|r| parts(&r["value"]["choices"]).max(parts(&r["value"]["text"]))).sum()
}

/// Every one of the 222 results is a row: by person, field, label, place and text.
#[test]
fn no_result_is_lost() {
    let s = Session::with_texts();
    let mut expected = Vec::new();
    let tasks = texts();
    for task in tasks.as_array().unwrap() {
        for annotation in task["annotations"].as_array().unwrap() {
            for result in annotation["result"].as_array().unwrap() {
                let head = format!(
                    "{} annotation/{} {} {}",
                    task["id"], annotation["id"], annotation["completed_by"], result["from_name"]
                );
                let value = &result["value"];
                match result["type"].as_str().unwrap() {
                    "labels" => expected.push(format!(
                        "{head} {} {:?} {:?}",
                        value["labels"][0],
                        value["start"].as_f64(),
                        value["end"].as_f64()
                    )),
                    "choices" => expected.extend(
                        value["choices"].as_array().unwrap().iter().map(|c| format!("{head} {c}")),
                    ),
                    "rating" => expected.push(format!("{head} {:?}", value["rating"].as_f64())),
                    "textarea" => expected.extend(
                        value["text"].as_array().unwrap().iter().map(|t| format!("{head} {t}")),
                    ),
                    other => panic!("{other}"),
                }
            }
        }
    }
    // 222 results, 11 of the 12 double choices and the 3 double texts (the draft has one).
    assert_eq!(expected.len(), 222 + 11 + 3);
    let mut found: Vec<String> = s
        .rows()
        .iter()
        .filter(|row| row["status"] != "draft")
        .map(|row| {
            let item = row["item_id"].as_str().unwrap().rsplit('/').next().unwrap();
            let submission = row["submission_id"].as_str().unwrap();
            let who = row["annotator_id"].as_str().unwrap();
            let head = format!("{item} {submission} {who} {}", row["field"]);
            match row["kind"].as_str().unwrap() {
                "span" => format!(
                    "{head} {} {:?} {:?}",
                    row["label"],
                    row["geometry"][0].as_f64(),
                    row["geometry"][1].as_f64()
                ),
                "choice" => format!("{head} {}", row["label"]),
                "number" => format!("{head} {:?}", row["number"].as_f64()),
                _ => format!("{head} {}", row["text"]),
            }
        })
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn every_table_again_changes_nothing() {
    let live = "label-studio-live";
    for (file, options) in [
        ("table/answers.csv", "--gold gold.csv"),
        ("table/boxes.jsonl", "--each boxes"),
        ("table/spans.jsonl", "--each annotations.*,gold"),
        ("table/objects.jsonl", "--each objects"),
        (&format!("{live}/text/export/JSON_MIN.json"), ""),
        (&format!("{live}/text/export/CSV.csv"), ""),
        (&format!("{live}/text/export/TSV.tsv"), ""),
        (&format!("{live}/image/export/JSON_MIN.json"), ""),
        (&format!("{live}/image/export/CSV.csv"), ""),
        (&format!("{live}/image/export/TSV.tsv"), ""),
    ] {
        let s = Session::new();
        let name = file.rsplit('/').next().unwrap();
        s.sample(file, name);
        s.sample("table/gold.csv", "gold.csv");
        s.ok(&format!("import {name} {options} -m once"));
        let rows = s.rows();
        assert!(!rows.is_empty());
        let told = s.ok(&format!("import {name} {options} -m again"));
        assert!(told.contains("nothing changed"), "{file}: {told}");
        assert_eq!(s.rows(), rows);
        assert_eq!(s.json("log").len(), 1);
    }
}

#[test]
fn the_crowd_sets_again_change_nothing() {
    // adult2 has 2,922 repeat answers of one person on one item.
    for (name, map) in [("crowd-adult2-ordinal", ""), ("crowd-valence", "--map number=label")] {
        let Some(folder) = shared(name) else { return };
        let packed = folder.join("answers.csv.gz");
        let file = if packed.exists() { packed } else { folder.join("answers.csv") };
        let (file, gold) = (file.display(), folder.join("gold.csv"));
        let s = Session::new();
        let line = format!("import {file} --gold {} {map} -m x", gold.display());
        s.ok(&line);
        let told = s.ok(&line);
        assert!(told.contains("nothing changed"), "{name}: {told}");
    }
}

/// Appended answers are further answers; without the word they are new versions.
#[test]
fn a_second_answer_is_a_version_or_a_further_answer() {
    let s = Session::new();
    s.write("a.csv", "item,annotator,label\ni1,ann,cat\ni2,ann,cat\n");
    s.write("b.csv", "item,annotator,label\ni1,ann,dog\n");
    s.ok("import a.csv -m a");
    s.ok("import b.csv -m b");
    let rows = s.json("diff main~1 main");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["op"], "changed");
    assert_eq!(rows[0]["columns"]["label"], json!({"old": "cat", "new": "dog"}));
    s.write("c.csv", "item,annotator,label\ni1,ann,bird\n");
    s.ok("import c.csv --append -m c");
    let mut labels: Vec<String> =
        s.json("ls --item i1").iter().map(|r| r["label"].to_string()).collect();
    labels.sort();
    assert_eq!(labels, ["\"bird\"", "\"dog\""]);
}

/// Strings that must not stand in git: addresses, ids of items and of annotations.
fn private_strings() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in [TEXTS, FULL_SNAPSHOT, IMAGES, "label-studio/reviews.json"] {
        let text = String::from_utf8(ours(name)).unwrap();
        let address = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
        let words = text.split(|c: char| !address(c));
        found.extend(words.filter(|word| word.contains('@')).map(str::to_owned));
    }
    assert!(found.contains("ann1@example.com"), "the samples hold addresses: {found:?}");
    found
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn git_holds_no_person_and_no_item() {
    let s = Session::with_corrections();
    s.sample(IMAGES, "images.json");
    s.sample(FULL_SNAPSHOT, "snapshot.json");
    s.sample("label-studio/reviews.json", "reviews.json");
    s.ok("import images.json -m images");
    s.ok("import snapshot.json -m snapshot");
    s.ok("import reviews.json -m reviews");
    s.ok("rm --where item=label-studio:1/2 -m removed");
    s.ok("annotator alias ann1@example.com 2");
    s.ok("revert main~1");
    s.ok("tag -a -m why v1");
    let mut secrets = private_strings();
    for item in s.json("items") {
        secrets.insert(item["item_id"].as_str().unwrap().to_owned());
        let aliases = item["aliases"].as_array().cloned().unwrap_or_default();
        secrets.extend(aliases.iter().map(|alias| alias.as_str().unwrap().to_owned()));
    }
    assert!(secrets.contains("label-studio:1/1"));
    assert!(secrets.contains("/data/upload/2/4a8e1210-img00.png"));
    // A short number as an alias says nothing about anybody.
    secrets.retain(|secret| secret.len() > 5);
    let objects = s.git_objects();
    assert!(holds(&objects, "Gloss-Change: +241 ~0 -0"), "commits are among the objects");
    assert!(holds(&objects, "\"segment\""), "files of tables are among the objects");
    for secret in &secrets {
        assert!(!holds(&objects, secret), "`{secret}` stands in git");
    }
}

#[test]
fn addresses_stand_in_the_private_folder_only() {
    let s = Session::new();
    s.write("table.csv", "item,annotator,label\ni1,zoe@example.net,cat\n");
    s.ok("import table.csv -m table");
    for (name, file) in
        [("texts", TEXTS), ("snapshot", FULL_SNAPSHOT), ("reviews", "label-studio/reviews.json")]
    {
        s.sample(file, &format!("{name}.json"));
        s.ok(&format!("import {name}.json -m {name}"));
    }
    let mut secrets = private_strings();
    secrets.insert("zoe@example.net".to_owned());
    // What the item of the reviews itself says is data.
    secrets.retain(|secret| !["someone@example.com", "desk@example.com"].contains(&&**secret));
    let private = s.path(".gloss/private");
    let kept = files(&private);
    assert!(kept.iter().any(|(_, bytes)| holds(bytes, "ann1@example.com")), "people are kept");
    for (path, bytes) in files(&s.path(".gloss")) {
        if path.starts_with(private.to_str().unwrap()) {
            continue;
        }
        for secret in &secrets {
            assert!(!holds(&bytes, secret), "`{secret}` stands in {path}");
        }
    }
    // Segments are compressed: what they say is asked of the rows.
    let rows = s.ok("ls --json");
    secrets.iter().for_each(|secret| assert!(!rows.contains(secret), "`{secret}` in a row"));
    for table in ["annotations", "submissions", "items", "sources", "reviews"] {
        let all = s.ok(&format!("diff main~3 main --table {table} --json"));
        assert!(!all.is_empty(), "{table}");
        secrets.iter().for_each(|secret| assert!(!all.contains(secret), "`{secret}` in {table}"));
    }
    // The same person under number and address is one annotator; export gives people back.
    let people = s.json("annotator list");
    let ids: Vec<&str> = people.iter().filter_map(|p| p["annotator_id"].as_str()).collect();
    let worker: Vec<&&str> = ids.iter().filter(|id| id.starts_with("p-")).collect();
    assert!(!worker.is_empty(), "{ids:?}");
    assert!(worker.iter().all(|id| {
        id.len() == 18 && id[2..].bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }));
    s.ok("export --format label-studio --source label-studio:1 -o with.json");
    s.ok("export --format label-studio --source label-studio:1 --without-people -o without.json");
    assert!(s.read("with.json").contains("ann1@example.com"));
    assert!(!s.read("without.json").contains("ann1@example.com"));
}

/// The files below a folder.
fn files(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn stock_git_reads_the_history() {
    let s = Session::with_corrections();
    s.ok("tag -a -m why v1");
    s.ok("switch -c relabel");
    s.ok("rm --where label=LOC -m places");
    s.ok("revert main");
    let told = s.try_git("fsck --strict --full");
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(!told.err.contains("error") && !told.err.contains("warning"), "{}", told.err);
    assert_eq!(s.git("log --format=%s relabel").lines().count(), 4);
    assert_eq!(s.git("log --format=%s main").lines().collect::<Vec<_>>(), ["corrected", "texts"]);
    let diff = s.git("diff main~1 main");
    assert!(diff.contains("change.json") && diff.contains("tables/annotations.jsonl"), "{diff}");
    assert!(diff.lines().any(|line| line.starts_with("+{\"segment\":")), "{diff}");
    let packs = s.path(".gloss/git/objects/pack");
    let mut checked = 0;
    for entry in fs::read_dir(packs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "idx") {
            s.git(&format!("verify-pack -v {}", path.display()));
            checked += 1;
        }
    }
    assert!(checked >= 1, "a pack a commit");
    assert_eq!(s.git("rev-parse --is-bare-repository").trim(), "true");
    assert_eq!(
        s.git("branch --format=%(refname:short)").lines().collect::<Vec<_>>(),
        ["main", "relabel"]
    );
    assert_eq!(s.git("reflog main").lines().count(), 2);
    let mut names: Vec<String> =
        s.git("ls-tree -r --name-only main").lines().map(str::to_owned).collect();
    names.retain(|name| !name.starts_with("tables/"));
    assert_eq!(names, ["change.json", "gloss.toml"]);
}

/// As pandas does it: export, change a column, write only keys and that column.
#[test]
fn a_column_that_was_edited_comes_back() {
    let s = Session::with_texts();
    for format in ["csv", "jsonl", "parquet"] {
        s.ok(&format!("export --format {format} -o rows.{format}"));
    }
    // A full table that was not edited changes nothing.
    for format in ["csv", "jsonl", "parquet"] {
        let told = s.ok(&format!("import rows.{format} --update --base main -m same"));
        assert!(told.contains("nothing changed"), "{format}: {told}");
    }
    let before = by_key(s.rows());
    let mut edited = String::new();
    for line in s.read("rows.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        if row["label"] == "LOC" {
            let (item, id) = (&row["item_id"], &row["annotation_id"]);
            let row = json!({"item_id": item, "annotation_id": id, "label": "PLACE"});
            edited.push_str(&format!("{row}\n"));
        }
    }
    s.write("edited.jsonl", edited);
    s.ok("import edited.jsonl --update --base main -m places");
    let rows = s.json("diff main~1 main");
    assert_eq!(rows.len(), 38, "as many as the export has places");
    for row in &rows {
        assert_eq!(row["op"], "changed");
        assert_eq!(row["columns"], json!({"label": {"old": "LOC", "new": "PLACE"}}));
    }
    let after = by_key(s.rows());
    for (key, was) in before {
        let mut expected = was.clone();
        if was["label"] == "LOC" {
            expected["label"] = json!("PLACE");
        }
        assert_eq!(after[&key], expected);
    }
    assert_eq!(s.json("diff main~1 main --stat")[0]["transitions"], json!({"LOC": {"PLACE": 38}}));
}

#[test]
fn csv_with_one_column_updates_it() {
    let s = Session::with_texts();
    s.write(
        "edited.csv",
        "item_id,annotation_id,label\n\
        label-studio:1/1,annotation/1/choice/sentiment,neutral\n",
    );
    s.ok("import edited.csv --update -m neutral");
    let rows = s.json("diff main~1 main");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["columns"], json!({"label": {"old": "positive", "new": "neutral"}}));
}

#[test]
fn rows_that_changed_since_the_base_are_left_alone() {
    let s = Session::with_texts();
    s.ok("tag exported");
    let row = |id: &str, label: &str| {
        let row = json!({"item_id": "label-studio:1/1", "annotation_id": id, "label": label});
        format!("{row}\n")
    };
    let (one, other) = ("annotation/1/choice/sentiment", "annotation/3/choice/sentiment");
    s.write("meanwhile.jsonl", row(one, "neutral"));
    s.ok("import meanwhile.jsonl --update -m meanwhile");
    s.write("edited.jsonl", row(one, "mixed") + &row(other, "mixed"));
    let told = s.json("import edited.jsonl --update --base exported -m edited");
    let warnings: Vec<&String> = told[0]["warnings"].as_object().unwrap().keys().collect();
    assert_eq!(warnings.len(), 1, "{told:?}");
    assert!(warnings[0].contains(one) && !warnings[0].contains(other), "{warnings:?}");
    let label = |id: &str| {
        by_key(s.rows())[&("label-studio:1/1".to_owned(), id.to_owned())]["label"].clone()
    };
    assert_eq!((label(one), label(other)), (json!("neutral"), json!("mixed")));
    let told = s.ok("import edited.jsonl --update --base exported");
    assert!(told.contains("warning: ") && told.contains(one), "{told}");
}

#[test]
fn an_update_of_unknown_rows_is_refused() {
    let s = Session::with_texts();
    s.write("edited.csv", "item_id,annotation_id,label\nlabel-studio:1/1,nothing,neutral\n");
    let told = s.fails(2, "import edited.csv --update");
    assert!(told.contains("nothing") && told.contains("hint: "), "{told}");
    s.write("keys.csv", "item_id,label\nlabel-studio:1/1,neutral\n");
    let told = s.fails(2, "import keys.csv --update");
    assert!(told.contains("annotation_id"), "{told}");
    assert!(s.ok("status").contains("nothing staged"));
}

#[test]
fn an_update_and_a_removal_make_one_commit() {
    let s = Session::with_texts();
    let item = "label-studio:1/1";
    s.write(
        "keys.csv",
        format!(
            "item_id,annotation_id\n{item},annotation/1/number/quality\n\
            {item},annotation/1/sp0PER/ner\n"
        ),
    );
    s.write(
        "edited.csv",
        format!("item_id,annotation_id,label\n{item},annotation/1/choice/sentiment,neutral\n"),
    );
    s.ok("import edited.csv --update --base main");
    s.ok("import keys.csv --remove");
    assert_eq!(s.json("log").len(), 1);
    s.ok("commit -m both");
    let mut ops: Vec<String> =
        s.json("diff main~1 main").iter().map(|row| row["op"].to_string()).collect();
    ops.sort();
    assert_eq!(ops, ["\"changed\"", "\"removed\"", "\"removed\""]);
    assert_eq!(s.json("log").len(), 2);
    assert_eq!(s.rows().len(), 239);
    // Gone is gone: the same keys again are not there.
    let told = s.fails(2, "import keys.csv --remove");
    assert!(told.contains("annotation/1/number/quality"), "{told}");
}

#[test]
fn an_import_removes_rows_in_the_same_commit() {
    let s = Session::new();
    s.write("rows.csv", "item_id,annotation_id,annotator,label\ni1,a,ann,cat\ni2,b,ann,dog\n");
    s.ok("import rows.csv -m rows");
    s.write("more.csv", "item_id,annotation_id,annotator,label\ni1,a,ann,cow\ni3,c,ann,cat\n");
    s.write("gone.csv", "item_id,annotation_id\ni2,b\n");
    s.ok("import more.csv --remove-keys gone.csv -m round");
    let ops: Vec<String> =
        s.json("diff main~1 main").iter().map(|row| row["op"].to_string()).collect();
    assert_eq!(ops, ["\"changed\"", "\"removed\"", "\"added\""]);
    assert_eq!(s.json("log").len(), 2);
    // What is not there cannot go, and then nothing comes either.
    s.write("rows.csv", "item_id,annotation_id,annotator,label\ni4,d,ann,cat\n");
    let told = s.fails(2, "import rows.csv --remove-keys gone.csv -m again");
    assert!(told.contains("`i2` `b`"), "{told}");
    assert_eq!((s.json("log").len(), s.rows().len()), (2, 2));
    // Rows of our own columns in order of their keys, which need not be kept aside.
    let row = |item: &str, label: &str| {
        format!(
            "{{\"item_id\":\"{item}\",\"annotation_id\":\"1\",\"annotator_id\":\"ann\",\
             \"field\":\"q\",\"kind\":\"choice\",\"label\":\"{label}\"}}\n"
        )
    };
    s.write("own.jsonl", row("x1", "cat") + &row("x2", "cat"));
    s.ok("import own.jsonl -m own");
    s.write("own.jsonl", row("x2", "dog") + &row("x3", "cat"));
    s.write("x1.csv", "item_id,annotation_id\nx1,1\n");
    s.ok("import own.jsonl --remove-keys x1.csv -m both");
    let changes = &s.json("log -n 1")[0]["changes"]["annotations"];
    assert_eq!(*changes, json!({"added": 1, "changed": 1, "removed": 1}));
}

/// Cells that pandas writes as missing do not fill what was there.
#[test]
fn an_empty_cell_clears_a_column_that_may_be_empty() {
    let s = Session::new();
    s.write("rows.csv", "item,annotator,label,policy\ni1,ann,cat,v1\ni2,ann,dog,v1\n");
    s.ok("import rows.csv -m rows");
    let rows = s.rows();
    let id = rows[0]["annotation_id"].as_str().unwrap().to_owned();
    s.write("edited.csv", format!("item_id,annotation_id,policy\ni1,{id},\n"));
    s.ok("import edited.csv --update -m cleared");
    let diff = s.json("diff main~1 main");
    assert_eq!(diff.len(), 1, "{diff:?}");
    assert_eq!(diff[0]["columns"], json!({"policy": {"old": "v1", "new": null}}));
}

/// A number that a tool gave to another task is another annotation.
#[test]
fn a_changed_label_keeps_its_id() {
    let s = Session::with_corrections();
    let rows = s.json("diff main~1 main");
    let moved: Vec<&Value> = rows.iter().filter(|row| row["op"] == "moved").collect();
    assert_eq!(moved.len(), 1);
    let history = s.json(&format!(
        "history --rows {} {}",
        moved[0]["item_id"].as_str().unwrap(),
        moved[0]["annotation_id"].as_str().unwrap()
    ));
    assert_eq!(history.len(), 2, "one life: made, then moved");
}

/// An edit in the store is seen in the tool's own format: nothing is an echo of the file.
#[test]
fn edits_come_out_in_the_tools_format() {
    let s = Session::with_texts();
    let item = "label-studio:1/1";
    s.write(
        "edited.jsonl",
        format!(
            "{}\n{}\n",
            json!({"item_id": item, "annotation_id": "annotation/1/choice/sentiment",
            "label": "neutral"}),
            json!({"item_id": item, "annotation_id": "annotation/1/sp0PER/ner", "label": "ORG",
            "geometry": [0, 3], "text": "Ada"}),
        ),
    );
    s.write("keys.csv", format!("item_id,annotation_id\n{item},annotation/1/number/quality\n"));
    s.ok("import edited.jsonl --update");
    s.ok("import keys.csv --remove");
    s.ok("commit -m edited");
    s.ok("export --format label-studio -o back.json");
    let mut expected = texts();
    let results = expected[0]["annotations"][0]["result"].as_array_mut().unwrap();
    results[3]["value"]["choices"] = json!(["neutral"]);
    results[0]["value"]["labels"] = json!(["ORG"]);
    results[0]["value"]["end"] = json!(3);
    results[0]["value"]["text"] = json!("Ada");
    results.remove(4);
    let found: Value = serde_json::from_str(&s.read("back.json")).unwrap();
    assert_eq!(found[0]["annotations"][0]["result"], expected[0]["annotations"][0]["result"]);
    for at in 1..20 {
        assert_eq!(found[at], expected[at]);
    }
}

/// What no column holds is little: of every table, against the files themselves.
#[test]
fn extra_holds_under_a_fifth() {
    let s = Session::new();
    s.write("first.csv", "item,annotator,label\nfirst,ann,cat\n");
    s.ok("import first.csv -m first");
    let (mut extra, mut whole) = (0, 0);
    for (name, file) in [("texts", TEXTS), ("images", IMAGES)] {
        s.sample(file, &format!("{name}.json"));
        s.ok(&format!("import {name}.json -m {name}"));
        let value: Value = serde_json::from_slice(&ours(file)).unwrap();
        whole += value.to_string().len();
    }
    for table in ["annotations", "submissions", "items", "sources"] {
        for row in s.json(&format!("diff main~2 main --table {table}")) {
            let kept = &row["columns"]["extra"]["new"];
            extra += if kept.is_null() { 0 } else { kept.to_string().len() };
        }
    }
    assert!(extra > 1_000, "the samples have members of their own");
    assert!(extra * 5 < whole, "{extra} of {whole} bytes");
}

/// However an address comes in, rows hold a pseudonym, and the same one each time.
#[test]
fn an_address_never_becomes_an_id() {
    let s = Session::new();
    s.write("rows.csv", "item,annotator,label\ni1,zoe@example.net,cat\ni2,ann,cat\n");
    s.ok("import rows.csv -m rows");
    let zoe = s.json("ls --item i1")[0]["annotator_id"].as_str().unwrap().to_owned();
    assert!(zoe.starts_with("p-"), "{zoe}");
    let row = &s.json("ls --item i2")[0];
    let id = row["annotation_id"].as_str().unwrap();
    s.write("edited.csv", format!("item_id,annotation_id,annotator_id\ni2,{id},zoe@example.net\n"));
    s.ok("import edited.csv --update -m edited");
    assert_eq!(s.json("ls --item i2")[0]["annotator_id"], zoe.as_str());
}

#[test]
fn an_alias_of_an_address_is_kept_without_it() {
    let s = Session::with_texts();
    s.ok("annotator alias zoe@example.net 2");
    let people = s.json("annotator list");
    let aliases: Vec<&Value> = people.iter().filter(|p| p["alias_of"] == "2").collect();
    assert_eq!(aliases.len(), 1, "{people:?}");
    assert!(aliases[0]["annotator_id"].as_str().unwrap().starts_with("p-"), "{people:?}");
    for (path, bytes) in files(&s.path(".gloss")) {
        assert!(!holds(&bytes, "zoe@example.net") || path.contains("/private/"), "{path}");
    }
}

/// Order is no fact: reversed lists, and what the tool counts anew, change nothing.
#[test]
fn order_and_volatile_members_are_no_change() {
    let s = Session::with_texts();
    let mut tasks = texts();
    tasks.as_array_mut().unwrap().reverse();
    for task in tasks.as_array_mut().unwrap() {
        task["total_annotations"] = json!(99);
        task["updated_at"] = json!("2027-01-01T00:00:00.000000Z");
        let annotations = task["annotations"].as_array_mut().unwrap();
        annotations.reverse();
        for annotation in annotations {
            annotation["created_ago"] = json!("3 days");
            annotation["result"].as_array_mut().unwrap().reverse();
        }
    }
    s.write("again.json", tasks.to_string());
    let told = s.ok("import again.json -m again");
    assert!(told.contains("nothing changed"), "{told}");
}

/// A submission that was emptied has no rows, as one that lost some of them has fewer.
#[test]
fn an_emptied_submission_loses_its_rows() {
    let s = Session::with_texts();
    let mut tasks = texts();
    let annotation = &mut tasks[1]["annotations"][0];
    let id = annotation["id"].clone();
    assert!(annotation["result"].as_array().unwrap().len() > 1);
    annotation["result"] = json!([]);
    // The tool counts anew.
    annotation["result_count"] = json!(0);
    s.write("emptied.json", tasks.to_string());
    s.ok("import emptied.json -m emptied");
    let submission = format!("annotation/{id}");
    let left = s.rows().iter().filter(|row| row["submission_id"] == *submission).count();
    assert_eq!(left, 0, "rows of {submission}");
    s.ok("export --format label-studio -o back.json");
    let back: Value = serde_json::from_str(&s.read("back.json")).unwrap();
    assert_eq!(back, tasks);
}
