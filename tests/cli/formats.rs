//! Every sample goes in, is committed, and comes out again, through the real binary.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::samples::{ours, shared, shared_files, unpacked};
use crate::session::Session;

/// Imports a file under its own name into a new store and gives it back.
#[track_caller]
fn round_trip(path: &Path, bytes: &[u8], format: &str, options: &str) -> Session {
    let s = Session::new();
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    s.write(&name, bytes);
    let told = s.gloss(&format!("import {name} -m in {options}"));
    assert_eq!(told.code, 0, "{}: {}{}", path.display(), told.out, told.err);
    assert!(told.out.contains("committed"), "{}: {}", path.display(), told.out);
    let told = s.gloss(&format!("export --format {format} -o back.json"));
    assert_eq!(told.code, 0, "{}: {}{}", path.display(), told.out, told.err);
    s
}

/// Equal as JSON values, number texts too.
#[track_caller]
pub fn same(path: &Path, plain: &[u8], s: &Session) {
    let was: Value = serde_json::from_slice(plain).expect("the sample is JSON");
    let is: Value = serde_json::from_str(&s.read("back.json")).expect("an export is JSON");
    let mut differences = Vec::new();
    differ(&was, &is, &mut "$".to_owned(), &mut differences);
    assert!(differences.is_empty(), "{}:\n{}", path.display(), differences.join("\n"));
}

/// Where two values differ.
fn differ(was: &Value, is: &Value, at: &mut String, found: &mut Vec<String>) {
    let len = at.len();
    let mut inner = |was: Option<&Value>, is: Option<&Value>, part: String| {
        at.push_str(&part);
        match (was, is) {
            (Some(was), Some(is)) => differ(was, is, at, found),
            (was, is) => found.push(format!("{at}: {was:?} became {is:?}")),
        }
        at.truncate(len);
    };
    match (was, is) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            names.into_iter().for_each(|n| inner(a.get(n), b.get(n), format!(".{n}")));
        }
        (Value::Array(a), Value::Array(b)) => {
            (0..a.len().max(b.len())).for_each(|i| inner(a.get(i), b.get(i), format!("[{i}]")));
        }
        (a, b) if a != b => found.push(format!("{at}: {a} became {b}")),
        _ => {}
    }
}

#[test]
fn the_comparison_sees_differences() {
    let value = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    for (was, is) in [("1.0", "1"), (r#"{"a":1}"#, "{}"), ("[1]", "[1,2]"), ("null", "[]")] {
        let mut found = Vec::new();
        differ(&value(was), &value(is), &mut "$".to_owned(), &mut found);
        assert_eq!(found.len(), 1, "{was} {is}");
    }
}

/// The JSON files of the Label Studio samples.
fn label_studio() -> Vec<PathBuf> {
    let mut files = shared_files("fmt-labelstudio", &[".json", ".json.gz"]);
    assert!(files.is_empty() || files.len() == 36, "{} files", files.len());
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    let mut found = 0;
    for folder in
        ["label-studio-live/text/export", "label-studio-live/image/export", "label-studio"]
    {
        for entry in fs::read_dir(data.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.ends_with(".json") && name != "JSON_MIN.json" {
                found += 1;
                files.push(path);
            }
        }
    }
    assert!(found >= 6, "our own samples");
    files
}

#[test]
fn label_studio_comes_back() {
    for path in label_studio() {
        let plain = unpacked(&path);
        let s = round_trip(&path, &fs::read(&path).unwrap(), "label-studio", "");
        same(&path, &plain, &s);
    }
}

#[test]
fn label_studio_comes_back_from_gzip() {
    for name in ["text/export/JSON.json", "text/export/SNAPSHOT_FULL_JSON.json"] {
        let plain = ours(&format!("label-studio-live/{name}"));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&plain).unwrap();
        let path = Path::new("tasks.json.gz");
        let s = round_trip(path, &packed.finish().unwrap(), "label-studio", "");
        same(path, &plain, &s);
    }
}

/// A list, one task without a list around it, and an object without `data` and `id`.
#[test]
fn the_shape_of_a_file_comes_back() {
    let tasks: Value =
        serde_json::from_slice(&ours("label-studio-live/text/export/JSON.json")).unwrap();
    let task = &tasks[0];
    let mut bare = task.clone();
    bare.as_object_mut().unwrap().remove("data");
    bare.as_object_mut().unwrap().remove("id");
    for (name, value) in
        [("one.json", task.clone()), ("list.json", json!([task])), ("bare.json", bare)]
    {
        let path = Path::new(name);
        let plain = value.to_string().into_bytes();
        let s = round_trip(path, &plain, "label-studio", "");
        same(path, &plain, &s);
        // 11 results, as the file has them.
        assert_eq!(s.rows().len(), 11, "{name}");
    }
}

#[test]
fn coco_comes_back() {
    let mut files = shared_files("fmt-coco", &[".json", ".json.gz"]);
    assert!(files.is_empty() || files.len() == 15, "{} files", files.len());
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/coco");
    let names = ["instances", "keypoints", "captions", "panoptic", "repeated_images", "results"];
    files.extend(names.map(|name| data.join(format!("{name}.json"))));
    for path in files {
        let plain = unpacked(&path);
        let value: Value = serde_json::from_slice(&plain).unwrap();
        let mut options = String::new();
        let images = tempfile::NamedTempFile::new().unwrap();
        if value.is_array() {
            fs::write(images.path(), images_of(&value)).unwrap();
            options = format!("--images {}", images.path().display());
        }
        let s = round_trip(&path, &fs::read(&path).unwrap(), "coco", &options);
        same(&path, &plain, &s);
    }
}

/// A COCO file of the images and categories that results speak of.
fn images_of(results: &Value) -> String {
    let ids = |name: &str| -> BTreeSet<u64> {
        results.as_array().unwrap().iter().filter_map(|r| r[name].as_u64()).collect()
    };
    let images: Vec<Value> = ids("image_id")
        .iter()
        .map(|id| json!({"id": id, "file_name": format!("{id:012}.jpg"), "width": 9, "height": 9}))
        .collect();
    let categories: Vec<Value> =
        ids("category_id").iter().map(|id| json!({"id": id, "name": format!("c{id}")})).collect();
    json!({"images": images, "annotations": [], "categories": categories}).to_string()
}

/// Counts from the README of the live exports: 48 and 60 annotations; and the JSON equals the
/// table by what each row says.
#[test]
fn label_studio_tables_are_tables() {
    for (project, rows) in [("text", 48), ("image", 60)] {
        for (file, format) in [("JSON_MIN.json", "jsonl"), ("CSV.csv", "csv"), ("TSV.tsv", "tsv")] {
            let name = format!("label-studio-live/{project}/export/{file}");
            let s = round_trip(Path::new(file), &ours(&name), format, "");
            assert_eq!(s.rows().len(), rows, "{name}");
            let extra = if format == "jsonl" { 0 } else { 1 };
            assert_eq!(s.read("back.json").lines().count(), rows + extra, "{name}");
            assert!(s.ok(&format!("import {file}")).contains("nothing changed"), "{name}");
        }
    }
}

/// With the columns named, a table of the texts says what the JSON says.
#[test]
fn a_column_of_a_label_studio_table_is_an_answer() {
    let s = Session::new();
    s.sample("label-studio-live/text/export/CSV.csv", "rows.csv");
    s.ok("import rows.csv --map item=id --map annotator=annotator --map label=sentiment -m csv");
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for row in s.json("ls --field sentiment") {
        *counts.entry(row["label"].as_str().unwrap_or("-").to_owned()).or_default() += 1;
    }
    // Counted in JSON.json with a script, without the skipped annotation and the draft; one of 48
    // has no sentiment.
    let expected = [("-", 1), ("negative", 20), ("neutral", 16), ("positive", 11)];
    assert_eq!(counts, expected.map(|(k, v)| (k.to_owned(), v)).into());
}

/// Items, answers and annotators of each set, from the reference's first columns.
fn reference() -> Option<BTreeMap<String, [usize; 3]>> {
    let text = fs::read_to_string(shared("REFERENCE.md")?).unwrap();
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| crowd-")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells[1].split(' ').next().unwrap().to_owned();
        found.insert(name, [2, 3, 4].map(|at| cells[at].parse().unwrap()));
    }
    assert_eq!(found.len(), 10, "sets of the reference");
    Some(found)
}

/// `item,annotator,label` of a table without quotes.
fn cells(text: &str, columns: usize) -> Vec<Vec<String>> {
    let rows = text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect());
    rows.inspect(|row: &Vec<String>| assert_eq!(row.len(), columns, "{row:?}")).collect()
}

#[test]
fn crowd_sets_come_in_whole() {
    let Some(reference) = reference() else { return };
    for (name, [items, answers, annotators]) in reference {
        let Some(folder) = shared(&name) else { return };
        let packed = folder.join("answers.csv.gz");
        let file = if packed.exists() { packed } else { folder.join("answers.csv") };
        let (file, gold) = (file.display(), folder.join("gold.csv"));
        let numeric = matches!(name.as_str(), "crowd-wordsim" | "crowd-valence");
        let map = if numeric { "--map number=label" } else { "" };
        let s = Session::new();
        s.ok(&format!("import {file} --gold {} {map} -m {name}", gold.display()));
        let text = String::from_utf8(unpacked(Path::new(&file.to_string()))).unwrap();
        let mut expected = cells(&text, 3);
        assert_eq!(expected.len(), answers, "{name}");
        let gold = cells(&fs::read_to_string(gold).unwrap(), 2);
        expected.extend(gold.iter().map(|g| vec![g[0].clone(), "gold".to_owned(), g[1].clone()]));
        let rows = s.rows();
        assert_eq!(rows.len(), answers + gold.len(), "{name}");
        let human: Vec<&Value> = rows.iter().filter(|row| row["gold"] == false).collect();
        let distinct = |column: &str| -> usize {
            human.iter().map(|row| row[column].as_str().unwrap()).collect::<BTreeSet<_>>().len()
        };
        let found = [distinct("item_id"), human.len(), distinct("annotator_id")];
        assert_eq!(found, [items, answers, annotators], "{name}");
        let mut found: Vec<Vec<String>> = rows.iter().map(|row| said(row, numeric)).collect();
        if numeric {
            for row in &mut expected {
                row[2] = row[2].parse::<f64>().unwrap().to_string();
            }
        }
        expected.sort();
        found.sort();
        assert!(found == expected, "{name}: the answers differ");
        assert_eq!(rows.iter().map(|row| row["field"].as_str()).collect::<BTreeSet<_>>().len(), 1);
        s.ok("export --format csv -o back.csv");
        s.ok("export --format parquet -o back.parquet");
        assert_eq!(s.read("back.csv").lines().count(), rows.len() + 1, "{name}");
    }
}

/// Item, annotator and answer of a row.
fn said(row: &Value, numeric: bool) -> Vec<String> {
    let text = |name: &str| row[name].as_str().unwrap_or_else(|| panic!("{row}")).to_owned();
    let answer = if numeric {
        row["number"].as_f64().unwrap_or_else(|| panic!("{row}")).to_string()
    } else {
        text("label")
    };
    vec![text("item_id"), text("annotator_id"), answer]
}

/// The answers of each annotator, counted in the file.
#[test]
fn the_list_of_annotators_counts_answers() {
    let Some(file) = shared("crowd-dog/answers.csv") else { return };
    let s = Session::new();
    s.ok(&format!("import {} -m dogs", file.display()));
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for row in cells(&fs::read_to_string(file).unwrap(), 3) {
        *expected.entry(row[1].clone()).or_default() += 1;
    }
    let found = s.json("annotator list");
    let found: BTreeMap<String, u64> = found
        .iter()
        .map(|a| {
            (a["annotator_id"].as_str().unwrap().to_owned(), a["annotations"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(found, expected);
    // From the reference.
    assert_eq!((found.len(), found.values().sum::<u64>()), (109, 8070));
}

/// Counts from the set's README.
#[test]
fn crowd_texts_come_in_whole() {
    for (set, answers, sentences, workers) in [("T1", 1_000, 100, 42), ("J1", 2_490, 250, 70)] {
        let name = |part: &str| format!("crowd-text-wsa/CrowdWSA2019_{set}_{part}.tsv");
        let Some(file) = shared(&name("label_anonymous")) else { return };
        let Some(gold) = shared(&name("gt")) else { return };
        let s = Session::new();
        let (from, truth) = (file.display(), gold.display());
        s.ok(&format!("import {from} --gold {truth} -m {set}"));
        let rows = s.rows();
        let (truths, human): (Vec<&Value>, Vec<&Value>) =
            rows.iter().partition(|row| row["gold"] == true);
        let said = |row: &Value| {
            ["annotator_id", "item_id", "text"].map(|name| row[name].as_str().unwrap().to_owned())
        };
        let mut found: Vec<[String; 3]> = human.iter().map(|row| said(row)).collect();
        let text = fs::read_to_string(&file).unwrap();
        let mut expected: Vec<[String; 3]> = text
            .lines()
            .skip(1)
            .map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap())
            .collect();
        expected.sort();
        found.sort();
        assert_eq!(found.len(), answers);
        assert_eq!(found, expected);
        assert_eq!(found.iter().map(|r| &r[0]).collect::<BTreeSet<_>>().len(), workers);
        assert_eq!(found.iter().map(|r| &r[1]).collect::<BTreeSet<_>>().len(), sentences);
        let lines = fs::read_to_string(gold).unwrap().lines().count() - 1;
        assert_eq!(truths.len(), lines);
        let fields: BTreeSet<_> = rows.iter().map(|row| row["field"].as_str()).collect();
        assert_eq!(fields.len(), 1, "gold answers the same field: {fields:?}");
        s.ok("export --format tsv -o back.tsv");
    }
}

/// Counts from the set's README.
#[test]
fn crowd_boxes_come_in_whole() {
    let Some(crowd) = shared("crowd-bbox-pedestrians/crowd.jsonl.gz") else { return };
    let Some(expert) = shared("crowd-bbox-pedestrians/expert.jsonl") else { return };
    let s = Session::new();
    s.ok(&format!("import {} --each boxes -m crowd", crowd.display()));
    let rows = s.rows();
    assert_eq!(rows.len(), 7_875);
    assert_eq!(s.json("items").len(), 966);
    let submissions = s.json("diff main --table submissions");
    assert!(submissions.is_empty());
    let changes = &s.json("show")[0]["changes"];
    assert_eq!(changes["submissions"]["added"], 6_762);
    let people: BTreeSet<_> = rows.iter().map(|row| row["annotator_id"].as_str()).collect();
    // Of 43 annotators some may never have seen a pedestrian.
    assert!(people.len() <= 43 && people.len() > 35, "{}", people.len());
    let expected: f64 = String::from_utf8(unpacked(&crowd))
        .unwrap()
        .lines()
        .flat_map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["boxes"].as_array().unwrap().clone()
        })
        .map(|shape| shape.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).sum::<f64>())
        .sum();
    let found: f64 = rows
        .iter()
        .inspect(|row| assert_eq!((&row["kind"], &row["unit"]), (&json!("bbox"), &json!("px"))))
        .map(|row| {
            row["geometry"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).sum::<f64>()
        })
        .sum();
    assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    s.ok(&format!("import {} --each boxes -m expert", expert.display()));
    assert_eq!(s.rows().len(), 7_875 + 803);
    assert_eq!(s.json("items").len(), 966);
    s.ok("export --format jsonl -o back.jsonl");
    s.ok("export --format parquet -o back.parquet");
    assert_eq!(s.read("back.jsonl").lines().count(), 7_875 + 803);
}

/// Counts from the reference: 200 documents, 5,299 gold spans, 16,752 spans of annotators, 45
/// annotators on 195 documents.
#[test]
fn crowd_spans_come_in_whole() {
    let Some(file) = shared("crowd-ner-conll/spans.jsonl.gz") else { return };
    let s = Session::new();
    s.ok(&format!("import {} --each 'annotations.*,gold' -m spans", file.display()));
    let rows = s.rows();
    let gold = rows.iter().filter(|row| row["gold"] == true).count();
    assert_eq!((gold, rows.len() - gold), (5_299, 16_752));
    assert_eq!(s.json("items").len(), 200);
    let mut expected = Vec::new();
    for line in String::from_utf8(unpacked(&file)).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let gold = std::iter::once(("gold", &line["gold"]));
        let people = line["annotations"].as_object().unwrap();
        for (who, spans) in gold.chain(people.iter().map(|(who, spans)| (who.as_str(), spans))) {
            for span in spans.as_array().unwrap() {
                let (start, end) = (span[0].as_f64().unwrap(), span[1].as_f64().unwrap());
                expected.push(format!("{} {who} {start} {end} {}", line["doc"], span[2]));
            }
        }
    }
    let mut found: Vec<String> = rows
        .iter()
        .map(|row| {
            let ends = [0, 1].map(|at| row["geometry"][at].as_f64().unwrap());
            let who = row["annotator_id"].as_str().unwrap();
            format!("{} {who} {} {} {}", row["item_id"], ends[0], ends[1], row["label"])
        })
        .collect();
    expected.sort();
    found.sort();
    assert!(found == expected, "the spans differ");
    assert!(rows.iter().all(|row| row["kind"] == "span" && row["unit"] == "codepoint"));
    let changes = &s.json("show")[0]["changes"];
    // 819 of annotators and 200 of gold, the empty ones too.
    assert_eq!(changes["submissions"]["added"], 1_019);
    s.ok("export --format csv -o back.csv");
}

/// Our own columns, out and in again: the same rows in another store.
#[test]
fn rows_come_back_from_every_table() {
    let s = Session::with_texts();
    s.sample("label-studio-live/image/export/JSON.json", "images.json");
    s.ok("import images.json -m images");
    let rows =
        |s: &Session| -> BTreeSet<String> { s.rows().iter().map(Value::to_string).collect() };
    for format in ["jsonl", "csv", "tsv", "parquet"] {
        s.ok(&format!("export --format {format} -o rows.{format}"));
        let other = Session::new();
        let file = s.path(&format!("rows.{format}"));
        other.ok(&format!("import {} -m rows", file.display()));
        let (was, is) = (rows(&s), rows(&other));
        let lost: Vec<&String> = was.difference(&is).take(3).collect();
        let new: Vec<&String> = is.difference(&was).take(3).collect();
        assert!(lost.is_empty() && new.is_empty(), "{format}: {lost:#?} became {new:#?}");
    }
}
