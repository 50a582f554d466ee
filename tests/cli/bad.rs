//! Hostile input: an error that names the file and the place, or a counted warning; never a panic,
//! and never a trace in the store.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::samples::{TEXTS, ours};
use crate::session::{Ran, Session};

/// What of a store must not change: refs, stage, and what `status` says.
fn state(s: &Session) -> (String, Vec<(String, Vec<u8>)>, String) {
    let refs = s.git("for-each-ref") + &s.git("reflog main");
    let mut stage = Vec::new();
    let folder = s.path(".gloss/stage");
    if let Ok(entries) = fs::read_dir(folder) {
        for entry in entries {
            let path = entry.unwrap().path();
            let bytes = if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            // A lock is an empty file.
            if !bytes.is_empty() {
                stage.push((path.display().to_string(), bytes));
            }
        }
    }
    stage.sort();
    (refs, stage, s.ok("status"))
}

/// A store with a commit and something staged: a failed import must not touch either.
fn store() -> Session {
    let s = Session::with_texts();
    s.ok("rm --where label=LOC");
    assert!(s.ok("status").contains("staged:"));
    s
}

/// Holds that an import fails, says what must be said, and leaves nothing.
#[track_caller]
fn refused(s: &Session, line: &str, says: &[&str]) {
    let wrong = refusal(s, line, says);
    assert!(wrong.is_empty(), "{wrong}");
}

/// What is wrong with how an import is refused; nothing where all is as it must be.
fn refusal(s: &Session, line: &str, says: &[&str]) -> String {
    let before = state(s);
    let Ran { code, out, err } = s.gloss(&format!("import {line}"));
    let mut wrong = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    must(code == 2, format!("exit code {code}"));
    must(err.lines().any(|text| text.starts_with("error: ")), "no error".to_owned());
    says.iter().for_each(|says| must(err.contains(says), format!("no `{says}`")));
    must(err.contains("\nhint: "), "no next step".to_owned());
    must(!err.contains("panicked"), "a panic".to_owned());
    must(err.len() < 2_000, format!("{} bytes of error", err.len()));
    let same = state(s) == before;
    must(same, "the store changed".to_owned());
    if wrong.is_empty() {
        return String::new();
    }
    if !same {
        s.ok("restore --staged");
        s.ok("rm --where label=LOC");
    }
    let told: String = err.chars().take(1_000).collect();
    format!("import {line}: {}\n{out}{told}", wrong.join(", "))
}

/// The same for several imports: one run tells of all.
#[track_caller]
fn all_refused(s: &Session, cases: &[(&str, &[&str])]) {
    let wrong: Vec<String> = cases
        .iter()
        .map(|(line, says)| refusal(s, line, says))
        .filter(|wrong| !wrong.is_empty())
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Every file of `tests/data/bad` that is wrong, and what its error says beside its name.
const WRONG: &[(&str, &str)] = &[
    ("truncated.json", "[1]"),
    ("malformed.json", "line 29"),
    ("wrong-type.json", "[1].annotations"),
    ("text-in-box.json", "[1].annotations[0].result[0].value.x"),
    ("nan-box.json", "line 25"),
    ("infinite-box.json", "[1].annotations[0].result[0].value.x"),
    ("duplicate-member.json", "line 10"),
    ("duplicate-submission.json", "[1].annotations[1].id"),
    ("latin-1.json", "[1]"),
    ("half-surrogate.json", "[1].data.text"),
    ("trailing.json", "line 2"),
    ("utf-16.csv", "UTF-16"),
    ("ragged.csv", "line 3"),
    ("open-quote.csv", "line 3"),
    ("no-item.csv", "line 3"),
    ("no-item-column.csv", "--map item="),
    ("same-header.csv", "line 1"),
    ("not-utf-8.csv", "line 3"),
    ("mixed-encodings.csv", "line 3"),
    ("not-a-time.csv", "line 3"),
    ("empty.csv", "empty"),
    ("empty.json", "empty"),
    ("cut.jsonl", "line 2"),
    ("no-objects.jsonl", "line 2"),
    ("duplicate-member.jsonl", "line 2"),
    ("nan-box.jsonl", "line 2"),
    ("infinite-box.jsonl", "line 2"),
    ("three-numbers.jsonl", "line 2"),
    ("duplicate-key.jsonl", "`i1`"),
    ("damaged.parquet", "Parquet"),
    ("coco-no-image.json", "annotations[1].image_id"),
    ("coco-no-category.json", "annotations[1].category_id"),
    ("coco-text-box.json", "annotations[1].bbox"),
    ("coco-three-numbers.json", "annotations[1].bbox"),
    ("coco-no-id.json", "images[1]"),
    ("coco-odd-polygon.json", "annotations[1].segmentation[0]"),
    ("coco-bad-rle.json", "annotations[1].segmentation"),
    ("coco-truncated.json", "annotations[1]"),
];

/// Files that are odd but whole, and a word of the warning.
const ODD: &[(&str, &str)] = &[
    ("negative-box.json", "boxes"),
    ("negative-box.jsonl", "boxes"),
    ("coco-negative-box.json", "boxes"),
];

#[test]
fn wrong_files_are_refused_and_leave_nothing() {
    let s = store();
    let mut cases: Vec<(&str, [&str; 2])> = Vec::new();
    for (name, place) in WRONG {
        s.sample(&format!("bad/{name}"), name);
        cases.push((name, [name, place]));
    }
    let cases: Vec<(&str, &[&str])> = cases.iter().map(|(name, says)| (*name, &says[..])).collect();
    all_refused(&s, &cases);
}

#[test]
fn odd_files_are_taken_with_a_warning() {
    let mut failed = Vec::new();
    for (name, word) in ODD {
        let s = Session::new();
        s.sample(&format!("bad/{name}"), name);
        let told = s.json(&format!("import {name} -m odd"));
        let warnings = told[0]["warnings"].as_object().unwrap();
        let counted = warnings.iter().any(|(text, count)| text.contains(word) && *count == 1);
        let kept = s.rows().iter().any(|row| row["kind"] == "bbox");
        if !counted || !kept {
            failed.push(format!("{name}: {told:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn no_bad_file_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/bad");
    let known: BTreeSet<&str> = WRONG.iter().chain(ODD).map(|(name, _)| *name).collect();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(known.contains(&*name) || name == "README.md", "{name} is never imported");
    }
}

#[test]
fn files_that_are_not_there() {
    let s = store();
    s.sample("table/answers.csv", "answers.csv");
    s.sample("bad/ragged.csv", "ragged.csv");
    all_refused(
        &s,
        &[
            ("nothing.json", &["nothing.json"]),
            (".", &["directory"]),
            ("answers.csv --gold nothing.csv", &["nothing.csv"]),
            // The second of two files is wrong: the first leaves nothing.
            ("answers.csv ragged.csv", &["ragged.csv", "line 3"]),
            ("answers.csv --gold ragged.csv", &["ragged.csv"]),
        ],
    );
}

#[test]
fn arguments_that_do_not_fit() {
    let s = store();
    s.sample("table/answers.csv", "answers.csv");
    s.sample("coco/results.json", "results.json");
    s.write("seconds.csv", "item,annotator,label,created_at\ni1,ann,cat,1700000000\n");
    all_refused(
        &s,
        &[
            ("answers.csv --format yaml", &["yaml", "label-studio"]),
            ("answers.csv --map item=nothing", &["nothing"]),
            ("answers.csv --map item", &["item"]),
            ("answers.csv --value status", &["status"]),
            ("answers.csv --each boxes", &["boxes"]),
            ("answers.csv --time-unit fortnight", &["fortnight"]),
            ("answers.csv --format coco", &["answers.csv"]),
            ("answers.csv --format parquet", &["answers.csv"]),
            ("answers.csv --format label-studio", &["answers.csv"]),
            ("answers.csv --update --base nothing", &["nothing"]),
            ("results.json", &["results.json", "--images"]),
            ("seconds.csv", &["seconds.csv", "line 2", "--time-unit"]),
        ],
    );
}

/// The id limit is 1 KiB; ids are opaque else.
#[test]
fn long_and_strange_ids() {
    let s = store();
    let long = "i".repeat(10 << 10);
    s.write("long.csv", format!("item,annotator,label\nfine,ann,cat\n{long},ann,cat\n"));
    refused(&s, "long.csv", &["long.csv", "line 3", "1 KiB"]);
    let task = json!([{"id": 1, "data": {"text": "x"}, "annotations": []},
        {"id": long, "data": {"text": "x"}, "annotations": []}]);
    s.write("long.json", task.to_string());
    refused(&s, "long.json --format label-studio", &["long.json", "[1].id", "1 KiB"]);
    s.write("long.jsonl", json!({"item": "a", "annotator": long, "label": "x"}).to_string());
    let told = s.gloss("import long.jsonl");
    assert!(matches!(told.code, 0 | 2), "{}", told.err);
    s.ok("restore --staged");
    // Slashes, dots, line breaks, quotes and other scripts are part of the id.
    let strange =
        ["../../etc/passwd", "a\nb\r\n", "\"q\"", "é", "e\u{301}", " padded ", "a\u{0}b", "#"];
    let lines: Vec<String> = strange
        .iter()
        .map(|id| json!({"item": id, "annotator": "ann", "label": id}).to_string())
        .collect();
    s.write("strange.jsonl", lines.join("\n"));
    s.ok("import strange.jsonl --source strange -m strange");
    let found: BTreeSet<String> = s
        .json("ls --source strange")
        .iter()
        .map(|row| row["item_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, strange.map(str::to_owned).into());
    for format in ["csv", "jsonl", "parquet"] {
        s.ok(&format!("export --format {format} --source strange -o back.{format}"));
        assert!(s.ok(&format!("import back.{format} -m back")).contains("nothing changed"));
    }
    s.ok("verify");
}

#[test]
fn compressed_files_that_are_cut_or_damaged() {
    let s = store();
    let mut text = String::from("item,annotator,label\n");
    (0..20_000).for_each(|i| text.push_str(&format!("i{i},ann,cat{}\n", i * 7919 % 1_000)));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    s.write("cut.csv.gz", &packed[..packed.len() / 2]);
    refused(&s, "cut.csv.gz", &["cut.csv.gz"]);
    let mut flipped = packed.clone();
    let at = flipped.len() - 6;
    flipped[at] ^= 1;
    s.write("flipped.csv.gz", flipped);
    refused(&s, "flipped.csv.gz", &["flipped.csv.gz"]);
    s.write("whole.csv.gz", packed);
    s.ok("import whole.csv.gz --dry-run");
}

/// Deep nesting: refused, or kept and readable; never a crash.
#[test]
fn deep_nesting_does_not_overflow() {
    let s = store();
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    let wide = "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000);
    for nest in [&deep, &wide] {
        s.write("task.json", format!(r#"[{{"id":1,"data":{{"t":{nest}}},"annotations":[]}}]"#));
        let head = r#"{"images":[],"annotations":[],"categories":[]"#;
        s.write("coco.json", format!(r#"{head},"x":{nest}}}"#));
        all_refused(
            &s,
            &[
                ("task.json --format label-studio", &["task.json"]),
                ("coco.json --format coco", &["coco.json"]),
            ],
        );
        s.write("row.jsonl", format!(r#"{{"item":"a","annotator":"b","label":"c","x":{nest}}}"#));
        let ran = s.gloss("import row.jsonl --format jsonl -m deep");
        assert!(matches!(ran.code, 0 | 2), "{}", ran.err);
        for line in ["ls", "ls --json", "export --format csv", "verify", "history a"] {
            assert!(matches!(s.gloss(line).code, 0 | 2), "{line}");
        }
    }
    s.write("deep.json", deep);
    refused(&s, "deep.json", &["deep.json"]);
}

#[test]
fn a_line_or_a_cell_over_the_limit() {
    let s = store();
    let over = "x".repeat((64 << 20) + 1);
    s.write("line.jsonl", format!(r#"{{"item":"a","annotator":"b","label":"{over}"}}"#));
    refused(&s, "line.jsonl", &["line.jsonl", "line 1", "64 MiB"]);
    s.write("cell.csv", format!("item,annotator,label\na,b,{over}\n"));
    refused(&s, "cell.csv", &["cell.csv", "line 2", "64 MiB"]);
    s.write("cell.csv", format!("item,annotator,label\na,b,\"{over}\n"));
    refused(&s, "cell.csv", &["cell.csv", "line 2"]);
}

/// A long export on one line is legal; its end may be missing.
#[test]
fn a_long_export_on_one_line() {
    let s = Session::new();
    let tasks = 2_000;
    let text = "word ".repeat(2_000);
    {
        let mut out = BufWriter::new(File::create(s.path("line.json")).unwrap());
        for id in 1..=tasks {
            let task = json!({"id": id, "project": 5, "data": {"text": text}, "annotations": [
                {"id": id, "completed_by": 1, "result": [{"id": "r", "from_name": "q",
                    "to_name": "t", "type": "choices", "value": {"choices": ["a"]}}]}]});
            write!(out, "{}{task}", if id == 1 { "[" } else { "," }).unwrap();
        }
        out.write_all(b"]").unwrap();
    }
    let len = fs::metadata(s.path("line.json")).unwrap().len();
    assert!(len > 20_000_000, "{len} bytes");
    s.ok("import line.json -m line");
    assert_eq!(s.rows().len(), tasks);
    let file = File::options().write(true).open(s.path("line.json")).unwrap();
    file.set_len(len - 1_000).unwrap();
    refused(&s, "line.json", &["line.json", "[1999]"]);
    // Zeros where the end was.
    file.set_len(len).unwrap();
    refused(&s, "line.json", &["line.json", "[1999]"]);
}

#[test]
fn gold_on_unanswered_items_is_a_counted_warning() {
    let s = Session::new();
    s.write("answers.csv", "item,annotator,label\ni1,ann,cat\ni2,ann,dog\n");
    s.write("gold.csv", "item,label\ni1,cat\ni3,dog\ni4,dog\n");
    let told = s.json("import answers.csv --gold gold.csv -m gold");
    let warnings: Vec<(&String, &Value)> =
        told[0]["warnings"].as_object().unwrap().iter().collect();
    assert_eq!(warnings.len(), 1, "{told:?}");
    assert!(warnings[0].0.contains("gold") && *warnings[0].1 == 2, "{told:?}");
    let gold = s.json("ls --annotator gold");
    assert_eq!(gold.len(), 3, "the rows are kept");
    assert!(gold.iter().all(|row| row["gold"] == true));
}

#[test]
fn unknown_words_are_kept_and_warned_about() {
    let s = Session::new();
    s.write("rows.csv", "item,annotator,label,status,policy\ni1,ann,cat,approved,vehicles@9\n");
    let told = s.json("import rows.csv -m words");
    let warnings = told[0]["warnings"].as_object().unwrap();
    assert!(warnings.keys().any(|text| text.contains("status")), "{warnings:?}");
    assert!(warnings.keys().any(|text| text.contains("polic")), "{warnings:?}");
    assert_eq!(s.rows()[0]["extra"], json!({"status": "approved"}));
    assert_eq!(s.rows()[0]["policy"], "vehicles@9");
    s.ok("import rows.csv --value status:approved=accepted -m mapped");
    assert_eq!(s.rows()[0]["status"], "accepted");
}

/// Good records go in, bad ones go to the file with place, reason and their text.
#[test]
fn quarantine_takes_the_good_rows() {
    let cases: &[(&str, usize, &[&str])] = &[
        ("ragged.csv", 2, &["i2,ann", "i3,ann,cat,dog"]),
        ("no-item.csv", 1, &["dog"]),
        ("not-utf-8.csv", 1, &["i2,ann,"]),
        ("mixed-encodings.csv", 1, &["i2,ann,caf"]),
        ("not-a-time.csv", 1, &["yesterday"]),
        ("cut.jsonl", 1, &["{\"item\":\"i2\","]),
        ("no-objects.jsonl", 1, &["[1, 2]", "\"text\""]),
        ("duplicate-member.jsonl", 1, &["i3"]),
        ("nan-box.jsonl", 1, &["NaN"]),
        ("infinite-box.jsonl", 1, &["1e999"]),
        ("three-numbers.jsonl", 1, &["[1,2,3]"]),
        ("text-in-box.json", 2, &["ten"]),
        ("infinite-box.json", 2, &["1e999"]),
        ("duplicate-member.json", 2, &["\"id\": 9"]),
        ("duplicate-submission.json", 1, &["annotations"]),
        ("half-surrogate.json", 2, &["ud800"]),
        ("coco-no-image.json", 1, &["\"image_id\": 9"]),
        ("coco-no-category.json", 1, &["\"category_id\": 9"]),
        ("coco-text-box.json", 1, &["wide"]),
        ("coco-bad-rle.json", 1, &["@@@"]),
    ];
    let mut failed = Vec::new();
    let mut set_aside = Vec::new();
    for (name, good, bad) in cases {
        let s = Session::new();
        s.sample(&format!("bad/{name}"), name);
        let ran = s.gloss(&format!("import {name} --quarantine bad.jsonl -m good --json"));
        let lines = fs::read_to_string(s.path("bad.jsonl")).unwrap_or_default();
        let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let whole = lines.iter().all(|line| {
            let text = line["reason"].as_str().is_some_and(|reason| !reason.is_empty());
            let place = line["line"].is_u64() || line["path"].is_string();
            text && place && line["file"] == *name && line["record"].is_string()
        });
        let held = bad.iter().zip(&lines).all(|(text, line)| {
            line["record"].as_str().is_some_and(|record| record.contains(text))
        });
        set_aside.extend(lines.clone());
        let report: Value = serde_json::from_str(&ran.out).unwrap_or_default();
        let counted = report["quarantined"] == bad.len();
        // Items for the tools' own formats, rows for tables.
        let taken = if ran.code != 0 {
            usize::MAX
        } else if name.ends_with(".json") && !name.starts_with("coco") {
            s.json("items").len()
        } else {
            s.rows().len()
        };
        if ran.code != 0
            || !whole
            || !held
            || !counted
            || taken != *good
            || lines.len() != bad.len()
        {
            failed.push(format!("{name}: [{}] {taken} taken, {lines:?}{}", ran.code, ran.err));
        }
    }
    crate::json::fits("quarantine", &set_aside);
    assert!(failed.is_empty(), "{} files:\n{}", failed.len(), failed.join("\n---\n"));
}

/// Of rows with one key at most one can be good; the others go in.
#[test]
fn quarantine_takes_rows_beside_a_duplicate_key() {
    let s = Session::new();
    s.sample("bad/duplicate-key.jsonl", "rows.jsonl");
    s.ok("import rows.jsonl --quarantine bad.jsonl -m good");
    assert_eq!(s.json("ls --item i2").len(), 1);
    assert!(s.rows().len() <= 2);
    assert!(s.read("bad.jsonl").contains("dog"));
}

/// A file whose end is missing has no good part that could be told from the lost one.
#[test]
fn quarantine_does_not_hide_a_cut_file() {
    let s = store();
    for name in ["truncated.json", "coco-truncated.json", "open-quote.csv"] {
        s.sample(&format!("bad/{name}"), name);
        let before = state(&s);
        let ran = s.gloss(&format!("import {name} --quarantine bad.jsonl"));
        if ran.code == 0 {
            assert!(ran.out.contains("set aside"), "{name}: {}", ran.out);
            s.ok("restore --staged");
            s.ok("rm --where label=LOC");
        } else {
            assert_eq!(ran.code, 2, "{name}");
            assert!(state(&s) == before, "{name}");
        }
    }
}

#[test]
fn duplicate_keys_in_an_edit_are_refused() {
    let s = store();
    let row = "label-studio:1/1,annotation/1/choice/sentiment";
    s.write("twice.csv", format!("item_id,annotation_id,label\n{row},a\n{row},b\n"));
    refused(&s, "twice.csv --update", &["annotation/1/choice/sentiment"]);
    s.write("twice.csv", format!("item_id,annotation_id\n{row}\n{row}\n"));
    let ran = s.gloss("import twice.csv --remove");
    assert!(matches!(ran.code, 0 | 2), "{}", ran.err);
}

/// Bytes of a real export, cut at many places: never a panic, never a half import.
#[test]
fn a_real_export_cut_anywhere() {
    let s = store();
    let whole = ours(TEXTS);
    for part in 1..40 {
        s.write("cut.json", &whole[..whole.len() * part / 40]);
        refused(&s, "cut.json", &["cut.json"]);
    }
    let csv = ours("label-studio-live/text/export/CSV.csv");
    for part in 1..20 {
        s.write("cut.csv", &csv[..csv.len() * part / 20]);
        let before = state(&s);
        // A table that ends after a whole line is whole.
        let ran = s.gloss("import cut.csv --dry-run");
        assert!(matches!(ran.code, 0 | 2), "{}", ran.err);
        assert!(state(&s) == before);
    }
}

/// Bytes of real exports with one of them changed: an error or an import, never a panic.
#[test]
fn real_exports_with_a_flipped_byte() {
    let s = store();
    let samples = [TEXTS, "coco/instances.json", "label-studio-live/text/export/CSV.csv"];
    for (name, to) in samples.iter().zip(["flip.json", "coco.json", "flip.csv"]) {
        let whole = ours(name);
        // A fixed walk through the bytes.
        let mut at = 12_345_usize;
        for _ in 0..30 {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = (at >> 17) % whole.len();
            let mut flipped = whole.clone();
            flipped[place] ^= 1 << (at % 7);
            s.write(to, flipped);
            let before = state(&s);
            let ran = s.gloss(&format!("import {to} --dry-run"));
            assert!(matches!(ran.code, 0 | 2), "{name} byte {place}: {}", ran.err);
            assert!(!ran.err.contains("panicked"), "{name} byte {place}: {}", ran.err);
            assert!(state(&s) == before, "{name} byte {place}");
        }
    }
}
