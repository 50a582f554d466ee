//! Tables against files whose rows are known, and each other.

#![allow(clippy::disallowed_macros, reason = "a test says why it skips")]

use std::io::Write;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, Annotations, AnnotationsBuilder, ITEMS, Items, SUBMISSIONS,
    Submissions,
};

mod shapes;

use super::*;
use crate::collect::Collected;
use crate::{exporters, importers};

/// A file of our own small data.
fn small(name: &str) -> Input {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/");
    Input::new(PathBuf::from(data).join(name))
}

/// A file of the shared data, where it is there.
fn shared(name: &str) -> Option<Input> {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let path = PathBuf::from(data).join(name);
    if path.exists() {
        return Some(Input::new(path));
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
    eprintln!("skipped: {} is missing", path.display());
    None
}

/// A file with this name and content; it lives as long as the directory.
fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, Input) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    let mut file = tempfile::NamedTempFile::new_in(directory.path()).unwrap();
    file.write_all(bytes).unwrap();
    file.persist(&path).unwrap();
    (directory, Input::new(path))
}

fn importer(input: &Input) -> &'static dyn Importer {
    let head = input.head(64 << 10).unwrap();
    let name = input.name();
    let formats: [&dyn Importer; 4] = [&Parquet, &Jsonl, &Tsv, &Csv];
    formats.into_iter().max_by_key(|format| format.detect(&name, &head)).unwrap()
}

fn import(input: &Input, options: &ImportOptions) -> (Collected, ImportReport) {
    let mut sink = Collected::default();
    let report = importer(input).import(input, options, &mut sink).unwrap();
    (sink, report)
}

/// A sink that takes bad records.
fn quarantine() -> Collected {
    let mut sink = Collected::default();
    sink.quarantine = true;
    sink
}

/// The error of an import of bytes under a name.
fn refused(name: &str, bytes: &[u8], options: &ImportOptions) -> String {
    let (_directory, input) = written(name, bytes);
    let mut sink = Collected::default();
    let error = importer(&input).import(&input, options, &mut sink).unwrap_err();
    let hint = match &error {
        Error::Input { hint, .. } | Error::Usage { hint, .. } => hint.clone(),
        _ => None,
    };
    let text = error.to_string().replace(&input.name(), "FILE");
    hint.map_or(text.clone(), |hint| format!("{text} ({hint})"))
}

fn map(pairs: &[(&str, &str)]) -> ImportOptions {
    let split = |columns: &str| columns.split(',').map(str::to_owned).collect();
    ImportOptions {
        map: pairs.iter().map(|(ours, theirs)| ((*ours).to_owned(), split(theirs))).collect(),
        ..ImportOptions::default()
    }
}

fn each(path: &str) -> ImportOptions {
    ImportOptions { each: Some(path.to_owned()), ..ImportOptions::default() }
}

/// Rows in the order of the file, as `item|annotator|field|kind|label|extra`.
fn lines(rows: &RecordBatch) -> Vec<String> {
    let view = Annotations::new(rows);
    let mut all: Vec<_> = view.iter().collect();
    all.sort_by_key(|row| row.seq);
    all.iter()
        .map(|r| {
            let extra = r.extra.unwrap_or("-");
            let label = r.label.unwrap_or("-");
            format!("{}|{}|{}|{}|{label}|{extra}", r.item_id, r.annotator_id, r.field, r.kind)
        })
        .collect()
}

fn mapped(report: &ImportReport) -> Vec<String> {
    report.mapping.iter().map(|(ours, theirs)| format!("{ours}<{theirs}")).collect()
}

/// Rows of every kind, with nulls, empty text and whatever needs quoting.
fn every_kind() -> Collected {
    let geometry: [(&str, &[f64]); 8] = [
        ("bbox", &[0.1, -0.0, 1e300, 5e-324]),
        ("rotated_bbox", &[1.0, 2.0, 3.0, 4.0, 15.5]),
        ("ellipse", &[1.0, 2.0, 3.0, 4.0, 0.0]),
        ("polygon", &[1.0, 3.0, 0.0, 0.0, 4.0, 0.0, 4.0, 3.0]),
        ("polyline", &[0.0, 0.0, 0.333_333_333_333_333_3, 1.0]),
        ("keypoints", &[1.0, 2.0, 2.0]),
        ("span", &[0.0, 12.0]),
        ("time_span", &[0.25, 1.5]),
    ];
    let mut rows = AnnotationsBuilder::default();
    let base = AnnotationRow {
        item_id: "a,b\"c\n\u{e9}",
        source: "table",
        annotator_id: "w1",
        origin: "human",
        field: "label",
        kind: "choice",
        status: "accepted",
        ..AnnotationRow::default()
    };
    let ids: Vec<String> = (0..40).map(|i| format!("r/{i:02}")).collect();
    let mut ids = ids.iter().map(String::as_str);
    let mut push = |row: AnnotationRow<'_>| {
        rows.push(&AnnotationRow { annotation_id: ids.next().unwrap(), ..row });
    };
    for (kind, numbers) in geometry {
        let unit = Some("percent");
        push(AnnotationRow { kind, geometry: Some(numbers), unit, ..base.clone() });
    }
    push(AnnotationRow { geometry: Some(&[]), refs: Some(vec![]), ..base.clone() });
    push(AnnotationRow { kind: "mask", mask: Some(&[0, 255, 16]), ..base.clone() });
    push(AnnotationRow {
        kind: "mask",
        mask: Some(&[]),
        geometry: Some(&[4.0, 6.0]),
        ..base.clone()
    });
    push(AnnotationRow { kind: "text", text: Some(""), label: Some(""), ..base.clone() });
    push(AnnotationRow { kind: "text", text: Some(" \r\n\t\"x\" null"), ..base.clone() });
    push(AnnotationRow { kind: "number", number: Some(-0.0), ..base.clone() });
    push(AnnotationRow {
        kind: "number",
        number: Some(0.1 + 0.2),
        score: Some(1.0),
        ..base.clone()
    });
    push(AnnotationRow { kind: "datetime", text: Some("2026-02-30"), ..base.clone() });
    push(AnnotationRow { kind: "ranking", refs: Some(vec!["a", "", "\"b\",c"]), ..base.clone() });
    push(AnnotationRow { kind: "pairwise", refs: Some(vec!["l", "r"]), ..base.clone() });
    push(AnnotationRow { kind: "relation", refs: Some(vec!["x"]), ..base.clone() });
    push(AnnotationRow { kind: "of our own", label: Some("null"), ..base.clone() });
    push(AnnotationRow {
        source: "label-studio:7",
        submission_id: Some("annotation/1"),
        region_id: Some("r"),
        origin: "model",
        target: Some("t"),
        label: Some("true"),
        negative: true,
        unit: Some("px"),
        frame: Some(i64::MIN),
        seq: Some(i32::MAX),
        policy: Some("vehicles@3"),
        status: "fixed",
        gold: true,
        parent_id: Some("p"),
        created_at: Some(1_763_707_254_522_445),
        updated_at: Some(-1),
        lead_time: Some(1.652),
        extra: Some(r#"{"n":1.10,"deep":{"a b":[null,true]},"t":"x\ny"}"#),
        ..base.clone()
    });
    let mut collected = Collected::default();
    Sink::rows(&mut collected, &ANNOTATIONS, rows.finish()).unwrap();
    collected
}

fn exported(format: &str, view: &Collected) -> Vec<u8> {
    let exporter = exporters().iter().find(|e| e.name() == format).unwrap();
    let mut bytes = Vec::new();
    exporter.export(view, &ExportOptions::default(), &mut bytes).unwrap();
    bytes
}

#[test]
fn our_own_columns_come_back_in_every_format() {
    let rows = every_kind();
    for format in ["csv", "tsv", "jsonl", "parquet"] {
        let bytes = exported(format, &rows);
        assert_eq!(bytes, exported(format, &rows), "{format} is not deterministic");
        let (_directory, input) = written(&format!("rows.{format}"), &bytes);
        let (again, report) = import(&input, &ImportOptions::default());
        assert_eq!(report.records, 21, "{format}");
        let (old, new) = (rows.table(&ANNOTATIONS), again.table(&ANNOTATIONS));
        let (old, new) = (Annotations::new(&old), Annotations::new(&new));
        assert_eq!(old.len(), new.len());
        for (a, b) in old.iter().zip(new.iter()) {
            // the debug form tells -0 from 0
            assert_eq!(format!("{a:?}"), format!("{b:?}"), "{format}");
        }
        assert!(again.warnings.is_empty() && again.losses.is_empty(), "{format}");
    }
}

#[test]
fn parquet_bytes_do_not_depend_on_batches() {
    let whole = every_kind();
    let batch = whole.table(&ANNOTATIONS);
    let mut parts = Collected::default();
    for from in [0, 7, 14] {
        Sink::rows(&mut parts, &ANNOTATIONS, batch.slice(from, 7)).unwrap();
    }
    assert_eq!(exported("parquet", &whole), exported("parquet", &parts));
}

#[test]
fn a_json_row_leaves_nulls_out_and_nests_extra() {
    let rows = every_kind();
    let batch = rows.table(&ANNOTATIONS);
    let mut out = Vec::new();
    JsonRows::new(&ANNOTATIONS, &batch).unwrap().write(20, &mut out).unwrap();
    // 1763707254.522445 s is 2025-11-21T06:40:54.522445Z; −1 µs is the last of 1969
    assert_eq!(
        String::from_utf8(out).unwrap(),
        concat!(
            r#"{"item_id":"a,b\"c\né","annotation_id":"r/20","source":"label-studio:7","#,
            r#""submission_id":"annotation/1","region_id":"r","annotator_id":"w1","#,
            r#""origin":"model","field":"label","target":"t","kind":"choice","label":"true","#,
            r#""negative":true,"unit":"px","frame":-9223372036854775808,"seq":2147483647,"#,
            r#""policy":"vehicles@3","status":"fixed","gold":true,"parent_id":"p","#,
            r#""created_at":"2025-11-21T06:40:54.522445Z","#,
            r#""updated_at":"1969-12-31T23:59:59.999999Z","lead_time":1.652,"#,
            r#""extra":{"n":1.10,"deep":{"a b":[null,true]},"t":"x\ny"}}"#,
        )
    );
}

#[test]
fn likely_headers_are_guessed() {
    let (sink, report) = import(&small("table/answers.csv"), &ImportOptions::default());
    assert_eq!(
        mapped(&report),
        ["item_id<question", "annotator_id<worker", "label<answer", "extra<seconds"]
    );
    assert_eq!(report.source, "table");
    assert_eq!(report.records, 4);
    assert_eq!(
        lines(&sink.table(&ANNOTATIONS)),
        [
            r#"q1|w1|answer|choice|cat|{"seconds":"3.10"}"#,
            "q1|w2|answer|choice|dog|-",
            r#"q1|w1|answer|choice|dog|{"seconds":"4"}"#,
            r#"q2, the second|p-15|answer|choice|say "cat"|{"seconds":"5"}"#,
        ]
    );
    assert_eq!(sink.people["p-15"], r#"{"email":"ann@example.com"}"#);
}

#[test]
fn map_overrides_guesses_and_takes_constants() {
    let mut options = map(&[("label", "worker"), ("annotator", "answer"), ("number", "seconds")]);
    options.map.push(("field".to_owned(), vec!["quality".to_owned()]));
    options.map.push(("kind".to_owned(), vec!["=rating".to_owned()]));
    options.values.push(("label".to_owned(), "w1".to_owned(), "one".to_owned()));
    options.source = Some("mine".to_owned());
    let (sink, report) = import(&small("table/answers.csv"), &options);
    assert_eq!(report.source, "mine");
    assert!(mapped(&report).contains(&"field<=quality".to_owned()), "{:?}", report.mapping);
    let rows = sink.table(&ANNOTATIONS);
    assert_eq!(lines(&rows)[0], "q1|cat|quality|rating|one|-");
    let numbers: Vec<_> = Annotations::new(&rows).iter().map(|r| r.number).collect();
    assert_eq!(numbers, [Some(3.1), None, Some(4.0), Some(5.0)]);
    assert!(Annotations::new(&rows).iter().all(|r| r.source == "mine"));
}

#[test]
fn gold_rows_join_the_field_that_is_named() {
    let options = ImportOptions { gold: true, ..map(&[("field", "answer")]) };
    let (sink, _) = import(&small("table/gold.csv"), &options);
    let rows = sink.table(&ANNOTATIONS);
    assert_eq!(lines(&rows), ["q1|gold|answer|choice|cat|-", "q9|gold|answer|choice|dog|-"]);
    assert!(Annotations::new(&rows).iter().all(|r| r.gold && r.origin == "human"));
}

#[test]
fn each_makes_rows_of_boxes_and_keeps_empty_submissions() {
    let (sink, report) = import(&small("table/boxes.jsonl"), &each("boxes"));
    assert_eq!(report.records, 3);
    let rows = sink.table(&ANNOTATIONS);
    let rows = Annotations::new(&rows);
    assert_eq!(rows.len(), 3);
    let first = rows.row(0);
    assert_eq!(first.submission_id, Some("annotation/58062"));
    assert_eq!((first.kind, first.unit, first.field), ("bbox", Some("px"), "boxes"));
    assert_eq!(first.geometry, Some([61.4, 330.63, 11.02, 40.93].as_slice()));
    assert_eq!(rows.row(1).geometry, Some([1.0, 2.0, 3.0, -4.0].as_slice()));
    assert_eq!((rows.row(1).seq, rows.row(1).extra), (Some(1), None));
    let submissions = sink.table(&SUBMISSIONS);
    let submissions = Submissions::new(&submissions);
    let ids: Vec<_> = submissions.iter().map(|s| s.submission_id.to_owned()).collect();
    assert_eq!(ids, ["annotation/58062", "annotation/58063", "annotation/58064"]);
    assert_eq!(submissions.row(1).annotator_id, "w2");
    assert_eq!(submissions.row(1).extra, Some(r#"{"device":"phone"}"#));
    let items = sink.table(&ITEMS);
    let facts: Vec<_> =
        Items::new(&items).iter().map(|i| (i.item_id.to_owned(), i.width, i.height)).collect();
    assert_eq!(
        facts,
        [("a.jpg".to_owned(), Some(1280), Some(720)), ("b.jpg".to_owned(), Some(640), Some(480))]
    );
}

#[test]
fn each_with_a_wildcard_takes_annotators_from_member_names() {
    let (sink, _) = import(&small("table/spans.jsonl"), &each("annotations.*,gold"));
    let rows = sink.table(&ANNOTATIONS);
    let seen: Vec<_> = Annotations::new(&rows)
        .iter()
        .map(|r| (r.annotator_id, r.field, r.label, r.geometry.map(<[f64]>::to_vec), r.gold))
        .map(|seen| format!("{seen:?}"))
        .collect();
    assert_eq!(
        seen,
        [
            r#"("w1", "annotations", Some("PER"), Some([0.0, 3.0]), false)"#,
            r#"("w1", "annotations", Some("ORG"), Some([7.0, 13.0]), false)"#,
            r#"("gold", "annotations", Some("PER"), Some([0.0, 3.0]), true)"#,
        ]
    );
    let submissions = sink.table(&SUBMISSIONS);
    let ids: Vec<_> =
        Submissions::new(&submissions).iter().map(|s| s.submission_id.to_owned()).collect();
    assert_eq!(
        ids,
        ["annotation/1/gold", "annotation/1/w1", "annotation/1/w2", "annotation/2/gold"]
    );
    let items = sink.table(&ITEMS);
    let item = Items::new(&items).row(0);
    assert_eq!(item.data, Some(r#"{"text":"Ada of \"Acme\""}"#));
    assert_eq!(item.extra, Some(r#"{"batch":7}"#));
}

#[test]
fn each_reads_entries_of_every_shape() {
    let (sink, _) = import(&small("table/objects.jsonl"), &each("objects"));
    let rows = sink.table(&ANNOTATIONS);
    let rows = Annotations::new(&rows);
    let car = rows.row(0);
    assert_eq!((car.kind, car.label, car.score), ("bbox", Some("car"), Some(0.5)));
    assert_eq!(car.geometry, Some([1.0, 2.0, 3.0, 4.0].as_slice()));
    assert_eq!(car.extra, Some(r#"{"truncated":true}"#));
    let road = rows.row(1);
    assert_eq!((road.kind, road.region_id), ("polygon", Some("r2")));
    assert_eq!(road.geometry, Some([1.0, 3.0, 0.0, 0.0, 4.0, 0.0, 4.0, 3.0].as_slice()));
    let time = rows.row(2);
    assert_eq!((time.kind, time.unit), ("time_span", Some("second")));
    assert_eq!(time.geometry, Some([1.0, 2.5].as_slice()));
    assert_eq!((rows.row(3).kind, rows.row(3).label), ("choice", Some("plain")));
}

#[test]
fn each_takes_positions_from_map() {
    let line = br#"{"item":"a","boxes":[["car",9,1,2,3,4]]}"#;
    let (_directory, input) = written("a.jsonl", line);
    let options = ImportOptions {
        each: Some("boxes".to_owned()),
        ..map(&[("geometry", "2,3,4,5"), ("label", "0"), ("score", "1")])
    };
    let (sink, _) = import(&input, &options);
    let rows = sink.table(&ANNOTATIONS);
    let row = Annotations::new(&rows).row(0);
    assert_eq!((row.label, row.score), (Some("car"), Some(9.0)));
    assert_eq!(row.geometry, Some([1.0, 2.0, 3.0, 4.0].as_slice()));
}

#[test]
fn a_table_of_pixels_is_guessed() {
    let mut options = ImportOptions { time_unit: Some("ms".to_owned()), ..Default::default() };
    options.values.push(("status".to_owned(), "approved".to_owned(), "accepted".to_owned()));
    let (sink, report) = import(&small("table/pixels.jsonl"), &options);
    assert_eq!(
        mapped(&report),
        [
            "item_id<item_id",
            "annotation_id<annotation_id",
            "annotator_id<annotator_id",
            "field<task",
            "label<label",
            "geometry<x,y,w,h",
            "score<score",
            "policy<policy_version",
            "status<status",
            "created_at<created_at",
            "lead_time<lead_time",
            "extra<review_by,meta",
        ]
    );
    let rows = sink.table(&ANNOTATIONS);
    let rows = Annotations::new(&rows);
    let (first, second) = (rows.row(0), rows.row(1));
    assert_eq!(first.geometry, Some([55.23, 66.643, 7.711, 16.424].as_slice()));
    assert_eq!((first.kind, first.unit, first.field), ("bbox", Some("px"), "bbox"));
    assert_eq!((first.policy, first.status), (Some("v3"), "accepted"));
    assert_eq!(first.created_at, Some(1_700_542_068_951_000));
    // 16 is the length of the address: the test's own way to make a pseudonym
    assert_eq!(first.extra, Some(r#"{"review_by":"p-16","meta":"{\"cam\":44}"}"#));
    assert_eq!((second.status, second.score), ("submitted", Some(0.9116)));
    assert_eq!(second.extra, Some(r#"{"meta":"{\"cam\":16}","status":"reworked"}"#));
    assert_eq!(sink.warnings.values().sum::<u64>(), 1);
}

#[test]
fn integer_times_need_a_unit() {
    let mut sink = Collected::default();
    let error = Jsonl
        .import(&small("table/pixels.jsonl"), &ImportOptions::default(), &mut sink)
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 1 at `created_at`: 1700542068951"), "{error}");
    assert!(error.contains("--time-unit"), "{error}");
}

#[test]
fn an_array_of_flat_objects_is_a_table() {
    let input = small("table/flat.json");
    let (sink, report) = import(&input, &map(&[("label", "sentiment,topics")]));
    assert_eq!(report.records, 2);
    let rows = sink.table(&ANNOTATIONS);
    assert_eq!(
        lines(&rows),
        [
            r#"21|3|sentiment|choice|positive|{"text":"one"}"#,
            "21|3|topics|choice|a|-",
            "21|3|topics|choice|b|-",
            r#"22|2|topics|choice|a|{"text":"two","ner":[{"start":0,"labels":["X Y"]}]}"#,
        ]
    );
    let first = Annotations::new(&rows).row(0);
    assert_eq!(first.submission_id, Some("annotation/53"));
    assert_eq!(first.created_at, Some(1_795_243_254_522_445));
}

#[test]
fn crowd_answers_and_gold_import_whole() {
    // (folder, file, answers, items, annotators) as each folder's README.md counts them
    let sets = [
        ("crowd-adult2-ordinal", "answers.csv.gz", 92_721, 11_040, 825),
        ("crowd-cifar10n-large", "answers.csv.gz", 150_000, 50_000, 3),
        ("crowd-dog", "answers.csv", 8_070, 807, 109),
        ("crowd-dog", "original/answer.csv", 8_070, 807, 109),
        ("crowd-dog", "original/truth.csv", 807, 807, 1),
        ("crowd-duck", "answers.csv", 4_212, 108, 39),
        ("crowd-product", "answers.csv.gz", 24_945, 8_315, 176),
        ("crowd-rte", "answers.csv", 8_000, 800, 164),
        ("crowd-rte", "original/rte.standardized.tsv.gz", 8_000, 800, 164),
        ("crowd-temp", "answers.csv", 4_620, 462, 76),
        ("crowd-trec-vuurens", "answers.csv", 17_395, 2_165, 445),
        ("crowd-valence", "answers.csv", 1_000, 100, 38),
        ("crowd-wordsim", "answers.csv", 300, 30, 10),
        ("crowd-text-wsa", "CrowdWSA2019_T1_label_anonymous.tsv", 1_000, 100, 42),
        ("crowd-text-wsa", "CrowdWSA2019_J1_label_anonymous.tsv", 2_490, 250, 70),
    ];
    for (folder, file, answers, items, annotators) in sets {
        let Some(input) = shared(&format!("{folder}/{file}")) else { return };
        let (sink, report) = import(&input, &ImportOptions::default());
        assert_eq!(report.records, answers, "{folder}/{file}");
        let rows = sink.table(&ANNOTATIONS);
        assert_eq!(rows.num_rows() as u64, answers, "{folder}/{file}");
        let view = Annotations::new(&rows);
        let count = |of: &dyn Fn(&AnnotationRow<'_>) -> String| {
            view.iter().map(|r| of(&r)).collect::<std::collections::HashSet<_>>().len()
        };
        assert_eq!(count(&|r| r.item_id.to_owned()), items, "{folder}/{file}");
        assert_eq!(count(&|r| r.annotator_id.to_owned()), annotators, "{folder}/{file}");
        assert!(sink.bad.is_empty() && sink.warnings.is_empty(), "{folder}/{file}");
    }
    for (folder, gold) in [
        ("crowd-adult2-ordinal", 1_517),
        ("crowd-cifar10n-large", 50_000),
        ("crowd-dog", 807),
        ("crowd-duck", 108),
        ("crowd-product", 8_315),
        ("crowd-rte", 800),
        ("crowd-temp", 462),
        ("crowd-trec-vuurens", 290),
        ("crowd-valence", 100),
        ("crowd-wordsim", 30),
    ] {
        let Some(input) = shared(&format!("{folder}/gold.csv")) else { return };
        let options = ImportOptions { gold: true, ..ImportOptions::default() };
        let (sink, _) = import(&input, &options);
        let rows = sink.table(&ANNOTATIONS);
        assert_eq!(rows.num_rows(), gold, "{folder}");
        let view = Annotations::new(&rows);
        assert!(view.iter().all(|r| r.gold && r.field == "label" && r.annotator_id == "gold"));
    }
}

#[test]
fn crowd_boxes_import_whole() {
    let Some(crowd) = shared("crowd-bbox-pedestrians/crowd.jsonl.gz") else { return };
    let Some(expert) = shared("crowd-bbox-pedestrians/expert.jsonl") else { return };
    // its README.md: 6762 lines, 966 images, 7875 boxes, 1234 empty, 43 annotators; 628 and 803
    for (input, lines, images, boxes, empty) in
        [(crowd, 6_762, 966, 7_875, Some(1_234)), (expert, 628, 628, 803, None)]
    {
        let (sink, report) = import(&input, &each("boxes"));
        assert_eq!(report.records, lines);
        let (rows, submissions) = (sink.table(&ANNOTATIONS), sink.table(&SUBMISSIONS));
        assert_eq!(rows.num_rows(), boxes);
        assert_eq!(submissions.num_rows() as u64, lines);
        assert_eq!(sink.table(&ITEMS).num_rows(), images);
        let rows = Annotations::new(&rows);
        let filled: std::collections::HashSet<_> =
            rows.iter().map(|r| (r.item_id, r.submission_id)).collect();
        if let Some(empty) = empty {
            assert_eq!(submissions.num_rows() - filled.len(), empty);
        }
        assert!(rows.iter().all(|r| r.kind == "bbox" && r.extra.is_none()));
        assert!(sink.warnings.is_empty());
    }
}

#[test]
fn crowd_spans_import_whole() {
    let Some(input) = shared("crowd-ner-conll/spans.jsonl.gz") else { return };
    let (sink, report) = import(&input, &each("annotations.*,gold"));
    // REFERENCE.md: 200 documents, 819 document annotations, 5299 gold and 16752 other spans
    assert_eq!(report.records, 200);
    let (rows, submissions) = (sink.table(&ANNOTATIONS), sink.table(&SUBMISSIONS));
    let rows = Annotations::new(&rows);
    assert_eq!(rows.iter().filter(|r| r.gold).count(), 5_299);
    assert_eq!(rows.iter().filter(|r| !r.gold).count(), 16_752);
    let submissions = Submissions::new(&submissions);
    assert_eq!(submissions.len(), 819 + 200);
    let annotators: std::collections::HashSet<_> =
        submissions.iter().filter(|s| !s.gold).map(|s| s.annotator_id.to_owned()).collect();
    assert_eq!(annotators.len(), 45);
    assert_eq!(sink.table(&ITEMS).num_rows(), 200);
    assert!(rows.iter().all(|r| r.kind == "span" && r.unit == Some("codepoint")));
    assert!(sink.warnings.is_empty(), "{:?}", sink.warnings);
}

#[test]
fn flat_label_studio_exports_import() {
    // its README.md: 48 rows of text (sentiment missing in one and where it was not asked)
    for (file, rows) in [
        ("text/export/JSON_MIN.json", 48),
        ("text/export/CSV.csv", 48),
        ("text/export/TSV.tsv", 48),
        ("image/export/JSON_MIN.json", 60),
        ("image/export/CSV.csv", 60),
        ("image/export/TSV.tsv", 60),
    ] {
        let input = small(&format!("label-studio-live/{file}"));
        let (sink, report) = import(&input, &ImportOptions::default());
        assert_eq!(report.records, rows, "{file}");
        let all = sink.table(&ANNOTATIONS);
        let view = Annotations::new(&all);
        assert_eq!(view.len() as u64, rows, "{file}");
        let item = if file.starts_with("image") { "/data/upload/" } else { "" };
        assert!(view.iter().all(|r| r.item_id.starts_with(item) && r.created_at.is_some()));
        assert!(view.iter().all(|r| r.lead_time.is_some() && r.annotator_id.len() == 1));
        // the answers stand in columns that only the project knows
        assert_eq!(sink.warnings.values().sum::<u64>(), rows, "{file}");
    }
    let min = small("label-studio-live/text/export/JSON_MIN.json");
    let csv = small("label-studio-live/text/export/CSV.csv");
    let [min, csv] = [min, csv].map(|input| {
        let (sink, _) = import(&input, &map(&[("label", "sentiment")]));
        let rows = sink.table(&ANNOTATIONS);
        let view = Annotations::new(&rows);
        let labels: Vec<_> = view
            .iter()
            .map(|r| format!("{} {} {:?}", r.item_id, r.annotation_id, r.label))
            .collect();
        assert!(labels.iter().any(|l| l.ends_with("Some(\"negative\")")));
        labels
    });
    assert_eq!(min, csv);
}

#[test]
fn bad_records_are_named() {
    let none = ImportOptions::default();
    let number = map(&[("number", "n")]);
    let cases: &[(&str, &[u8], &ImportOptions, &str)] = &[
        (
            "a.csv",
            b"item,label\na,b,c\n",
            &none,
            "`FILE` line 2: the record has 3 cells and the header 2",
        ),
        (
            "a.csv",
            b"item,label\n\"a\n\",b\nc,\"d\ne,f\n",
            &none,
            "line 4: a quote is opened and never closed",
        ),
        ("a.csv", b"item,label\n\"a\"b,c\n", &none, "line 2: text follows a closing quote"),
        ("a.csv", b"item,label\na,b\nc,\xff\n", &none, "line 3: the record is not UTF-8"),
        ("a.csv", b"item,label\n,b\n", &none, "line 2: the item is missing"),
        ("a.csv", b"item,item\na,b\n", &none, "line 1: two columns are called `item`"),
        ("a.csv", b"", &none, "`FILE`: the file is empty"),
        (
            "a.csv",
            b"a,b\n1,2\n",
            &none,
            "`FILE`: no column names the item; the columns are `a`, `b` (say",
        ),
        (
            "a.csv",
            b"\xff\xfei\0t\0",
            &none,
            "the file is UTF-16, not UTF-8 (convert it with `iconv",
        ),
        ("a.csv", b"item,n\na,NaN\n", &number, "line 2 at `n`: NaN is not a finite number"),
        ("a.csv", b"item,n\na,-inf\n", &number, "line 2 at `n`: -inf is not a finite number"),
        ("a.csv", b"item,n\na,1e999\n", &number, "line 2 at `n`: inf is not a finite number"),
        ("a.csv", b"item,n\na,ten\n", &number, "line 2 at `n`: \"ten\" is not a number"),
        ("a.csv", b"item,m\na,1\n", &number, "`--map number=n`: there is no such column"),
        ("a.csv", b"item,x,y,w,h\na,1,2,,4\n", &none, "some numbers of the geometry are missing"),
        (
            "a.csv",
            b"item,created_at\na,yesterday\n",
            &none,
            "at `created_at`: \"yesterday\" is not a time",
        ),
        ("a.jsonl", b"{\"item\":\"a\"}\n[1]\n", &none, "line 2: expected an object, found `[1]`"),
        (
            "a.jsonl",
            b"{\"item\":\"a\",\"item\":\"b\"}\n",
            &none,
            "line 1: the member `item` stands twice",
        ),
        ("a.jsonl", b"{\"item\":\"a\"}\n{\"item\":\"b\",\"la", &none, "line 2: EOF while parsing"),
        (
            "a.jsonl",
            b"{\"item\":\"a\"}\n{\"item\":\"\xff\"}\n",
            &none,
            "line 2: byte 10 of the line is not UTF-8",
        ),
        ("a.jsonl", b"{\"item\":NaN}\n", &none, "line 1: "),
        ("a.jsonl", b"{\"item\":[1]}\n", &none, "line 1 at `item`: expected text, found `[1]`"),
        ("a.jsonl", b"", &none, "the file is empty"),
        ("a.jsonl", b"\xfe\xff\0{", &none, "the file is UTF-16"),
        ("a.json", b"[{\"item\":\"a\"},{\"item\":\"b\"", &none, "FILE"),
        ("a.parquet", b"PAR1 and nothing else", &none, "the Parquet file is damaged or cut off"),
    ];
    for (name, bytes, options, expected) in cases {
        let error = refused(name, bytes, options);
        assert!(error.contains(expected), "{expected}\n{error}");
        assert!(error.ends_with(')'), "no next step: {error}");
    }
    let long = format!("item,label\n{},b\n", "x".repeat(1_025));
    assert!(refused("a.csv", long.as_bytes(), &none).contains("longer than 1 KiB"));
}

#[test]
fn what_is_odd_but_whole_imports() {
    let none = ImportOptions::default();
    for (bytes, rows) in [
        (b"item,label\n".as_slice(), 0),
        (b"\xef\xbb\xbfitem,label\r\na,b\r\n\r\nc,d", 2),
        (b"item,label\na,\"b\nb\"\n", 1),
    ] {
        let (_directory, input) = written("a.csv", bytes);
        let (sink, _) = import(&input, &none);
        assert_eq!(sink.table(&ANNOTATIONS).num_rows(), rows);
    }
    let (_directory, input) =
        written("a.jsonl", b"\xef\xbb\xbf\n{\"item\":\"a\",\"label\":3.10}\n\n");
    let (sink, _) = import(&input, &none);
    assert_eq!(lines(&sink.table(&ANNOTATIONS)), ["a|unknown|label|choice|3.10|-"]);
}

#[test]
fn the_quarantine_takes_bad_records_and_the_rest_imports() {
    let bytes = b"item,label\na,b\nc\n\"d\"x,e\nf,g\n";
    let (_directory, input) = written("a.csv", bytes);
    let mut sink = quarantine();
    let report = Csv.import(&input, &ImportOptions::default(), &mut sink).unwrap();
    assert_eq!((report.records, sink.bad.len()), (4, 2));
    assert_eq!(sink.table(&ANNOTATIONS).num_rows(), 2);
    assert_eq!(sink.bad[0].place.line, Some(3));
    let raw: Vec<_> = sink.bad.iter().map(|bad| bad.raw.as_str()).collect();
    assert_eq!(raw, ["c", "\"d\"x,e"]);
}

#[test]
fn the_quarantine_has_lines_as_they_stood() {
    let long = format!("{},{}", "x".repeat(1_023), "y".repeat(100));
    // the 1,024th byte is the first of a character's two
    let cut = format!("{}\u{e9},a", "x".repeat(1_023));
    for (line, raw) in [
        (b"i2,\"a,b\",\xff\r\n".as_slice(), "i2,\"a,b\",\u{fffd}"),
        (b"\r\n\n i2 ,a\"\"b,c,,\n", " i2 ,a\"\"b,c,,"),
        (b"i2,\"a\nb\"\n", "i2,\"a\nb\""),
        (long.as_bytes(), &long[..1_024]),
        (cut.as_bytes(), &cut[..1_023]),
    ] {
        let bytes = [b"item,label,text\ni1,a,b\n", line, b"\ni3,a,b"].concat();
        // wherever a read ends
        for size in [1, 7, 1 << 10] {
            let file = std::io::BufReader::with_capacity(size, std::io::Cursor::new(bytes.clone()));
            let mut reader =
                delimited::Delimited::new(Box::new(file), "f".to_owned(), b',').unwrap();
            reader.header().unwrap();
            reader.next().unwrap();
            reader.next().unwrap();
            assert_eq!(reader.raw(), raw);
        }
        let (_directory, input) = written("a.csv", &bytes);
        let mut sink = quarantine();
        Csv.import(&input, &ImportOptions::default(), &mut sink).unwrap();
        assert_eq!(sink.table(&ANNOTATIONS).num_rows(), 2);
        let found: Vec<_> = sink.bad.iter().map(|bad| bad.raw.as_str()).collect();
        assert_eq!(found, [raw]);
    }
}

#[test]
fn records_over_the_limit_are_skipped_without_being_held() {
    let long = "x".repeat(5_000);
    let text = format!("item,label\n{long},b\nc,d\n");
    let mut reader =
        delimited::Delimited::new(Box::new(std::io::Cursor::new(text)), "f".to_owned(), b',')
            .unwrap()
            .limit(2_000);
    reader.header().unwrap();
    let delimited::Next::Bad(2, reason, raw) = reader.next().unwrap() else { panic!() };
    assert!(reason.contains("over 64 MiB") && raw.len() <= 1_024 * 2);
    assert!(matches!(reader.next().unwrap(), delimited::Next::Record(3)));

    let text = format!("{{\"item\":\"a\"}}\n{{\"item\":\"{long}\"}}\n{{\"item\":\"b\"}}\n");
    let (_directory, input) = written("a.jsonl", text.as_bytes());
    let objects = jsonl::Objects::open(&input).unwrap().limit(2_000);
    let mut sink = quarantine();
    jsonl::import_from(&input, objects, &ImportOptions::default(), &mut sink).unwrap();
    assert_eq!(sink.table(&ANNOTATIONS).num_rows(), 2);
    assert_eq!(sink.bad[0].place.line, Some(2));
    assert_eq!(sink.bad[0].raw.len(), 1_024);
}

#[test]
fn cut_off_gzip_is_named() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all("item,label\n".as_bytes()).unwrap();
    for i in 0..20_000 {
        writeln!(gzip, "item {i},{}", i * 7919 % 1000).unwrap();
    }
    let bytes = gzip.finish().unwrap();
    let (_directory, input) = written("a.csv.gz", &bytes);
    assert_eq!(import(&input, &ImportOptions::default()).1.records, 20_000);
    let error = refused("a.csv.gz", &bytes[..bytes.len() / 2], &ImportOptions::default());
    assert!(error.contains("the compressed file ends too early (copy"), "{error}");
}

/// A small generator of pseudo-random numbers (xorshift), seeded.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

#[test]
fn damaged_files_never_panic() {
    let rows = every_kind();
    let mut files: Vec<(String, Vec<u8>, ImportOptions)> = ["csv", "tsv", "jsonl", "parquet"]
        .iter()
        .map(|f| (format!("rows.{f}"), exported(f, &rows), ImportOptions::default()))
        .collect();
    for (name, path) in
        [("boxes", "boxes"), ("spans", "annotations.*,gold"), ("objects", "objects")]
    {
        let bytes = small(&format!("table/{name}.jsonl")).head(1 << 20).unwrap();
        files.push((format!("{name}.jsonl"), bytes, each(path)));
    }
    let flat = small("table/flat.json").head(1 << 20).unwrap();
    files.push(("flat.json".to_owned(), flat, map(&[("label", "sentiment,topics")])));
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for (name, bytes, options) in &files {
        for round in 0..150 {
            let mut damaged = bytes.clone();
            if round % 3 == 0 {
                damaged.truncate(random(&mut state) % bytes.len());
            }
            for _ in 0..random(&mut state) % 4 {
                if let Some(at) = random(&mut state).checked_rem(damaged.len()) {
                    damaged[at] ^= 1 << (random(&mut state) % 8);
                }
            }
            let (_directory, input) = written(name, &damaged);
            let mut sink = quarantine();
            let format =
                importers().iter().find(|i| name.ends_with(i.name())).unwrap_or(&(&Jsonl as _));
            // any outcome is fine that is not a panic
            let _ = format.import(&input, options, &mut sink);
            let _ = read_partial(&input, Some(format.name()), &mut |_, _, _| Ok(()));
        }
    }
}

/// Reads a partial table as `columns: rows`.
fn partial(name: &str, bytes: &[u8]) -> Result<Vec<String>> {
    let (_directory, input) = written(name, bytes);
    let mut seen = Vec::new();
    read_partial(&input, None, &mut |columns, batch, lines| {
        assert_eq!(columns.len(), batch.num_columns());
        assert_eq!(lines.len(), batch.num_rows());
        let names: Vec<_> = columns.iter().map(|c| ANNOTATIONS.columns[*c].name).collect();
        for (column, field) in columns.iter().zip(batch.schema().fields()) {
            assert_eq!(field.data_type(), &ANNOTATIONS.columns[*column].cell.arrow());
        }
        seen.push(format!("{}: {}", names.join(","), batch.num_rows()));
        Ok(())
    })?;
    Ok(seen)
}

#[test]
fn an_update_holds_only_the_columns_that_are_there() {
    let csv = b"annotation_id,label,item_id\n1,car,a\n2,,b\n";
    assert_eq!(partial("a.csv", csv).unwrap(), ["item_id,annotation_id,label: 2"]);
    let lines = b"{\"item_id\":\"a\",\"annotation_id\":\"1\",\"label\":null}\n\
        {\"item_id\":\"a\",\"annotation_id\":\"2\",\"score\":0.5}\n\
        {\"item_id\":\"a\",\"annotation_id\":\"3\",\"label\":\"x\"}\n";
    assert_eq!(
        partial("a.jsonl", lines).unwrap(),
        ["item_id,annotation_id,label: 2", "item_id,annotation_id,score: 1"]
    );
    let parquet = exported("parquet", &every_kind());
    let names: Vec<_> = ANNOTATIONS.columns.iter().map(|c| c.name).collect();
    assert_eq!(partial("a.parquet", &parquet).unwrap(), [format!("{}: 21", names.join(","))]);
}

#[test]
fn an_update_refuses_foreign_columns_and_missing_keys() {
    for (bytes, expected) in [
        (b"item_id,label\na,b\n".as_slice(), "the column `annotation_id` is missing"),
        (b"item_id,annotation_id,labl\na,1,b\n", "`labl` is not a column of `annotations`"),
        (
            b"item_id,annotation_id\na,\n",
            "line 2 at `annotation_id`: `annotation_id` cannot be null",
        ),
        (b"item_id,annotation_id\na,\"\"\n", "line 2: `annotation_id` is missing"),
        (b"item_id,annotation_id,status\na,1,\n", "at `status`: `status` cannot be null"),
        (
            b"item_id,annotation_id,created_at\na,1,2026-01-01T00:00:00.1234567Z\n",
            "line 2 at `created_at`: a time has more digits than microseconds",
        ),
        (b"item_id,annotation_id,number\na,1,nan\n", "at `number`: NaN is not a finite number"),
    ] {
        let error = partial("a.csv", bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}\n{error}");
    }
}

/// A Parquet file of these columns, as a writer with its own types stores them.
fn parquet_of(columns: Vec<(&str, arrow::array::ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer =
        ::parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn parquet_of_other_writers_is_read() {
    use std::sync::Arc;

    use arrow::array::*;
    use arrow::datatypes::{Field, Fields, Float32Type, Float64Type, Int8Type};

    let dictionary: DictionaryArray<Int8Type> = vec![Some("w1"), Some("w2")].into_iter().collect();
    let boxes = FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(
        vec![
            Some(vec![Some(1.5), Some(2.0), Some(3.0), Some(4.0)]),
            Some(vec![Some(0.0), Some(0.0), Some(1.0), Some(1.0)]),
        ],
        4,
    );
    let notes = LargeListArray::from_iter_primitive::<Float32Type, _, _>(vec![
        Some(vec![Some(0.5), None]),
        None,
    ]);
    let device = Field::new("os", arrow::datatypes::DataType::Utf8, true);
    let device = StructArray::new(
        Fields::from(vec![device]),
        vec![Arc::new(StringArray::from(vec![Some("a\"b"), None]))],
        None,
    );
    let bytes = parquet_of(vec![
        ("image", Arc::new(LargeStringArray::from(vec!["a", "b"]))),
        ("rater", Arc::new(dictionary)),
        ("class", Arc::new(Int64Array::from(vec![Some(3), None]))),
        ("bbox", Arc::new(boxes)),
        ("created_at", Arc::new(TimestampNanosecondArray::from(vec![1_500, -1]))),
        ("updated_at", Arc::new(TimestampMillisecondArray::from(vec![1, 2]))),
        ("notes", Arc::new(notes)),
        ("device", Arc::new(device)),
        ("view", Arc::new(StringViewArray::from(vec!["x", ""]))),
        ("ok", Arc::new(BooleanArray::from(vec![true, false]))),
        ("day", Arc::new(Date32Array::from(vec![0, 1]))),
        ("big", Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
    ]);
    let (_directory, input) = written("rows.parquet", &bytes);
    let (sink, report) = import(&input, &ImportOptions::default());
    assert_eq!(report.records, 2);
    let rows = sink.table(&ANNOTATIONS);
    let view = Annotations::new(&rows);
    assert_eq!(
        lines(&rows),
        [
            concat!(
                r#"a|w1|class|bbox|3|{"notes":[0.5,null],"device":{"os":"a\"b"},"#,
                r#""view":"x","ok":true,"day":"1970-01-01","big":18446744073709551615}"#
            ),
            concat!(
                r#"b|w2|class|bbox|-|{"device":{"os":null},"ok":false,"#,
                r#""day":"1970-01-02","big":0}"#
            ),
        ]
    );
    assert_eq!(view.row(0).geometry, Some([1.5, 2.0, 3.0, 4.0].as_slice()));
    let times: Vec<_> = view.iter().map(|r| (r.created_at, r.updated_at)).collect();
    // 1,500 ns are 1.5 µs and −1 ns is −0.001 µs: both are cut, downwards
    assert_eq!(times, [(Some(1), Some(1_000)), (Some(-1), Some(2_000))]);
    assert_eq!(sink.losses.values().sum::<u64>(), 2);
}

#[test]
fn parquet_columns_that_cannot_be_read_are_named() {
    use std::sync::Arc;

    use arrow::array::*;

    let bytes = parquet_of(vec![
        ("item", Arc::new(StringArray::from(vec!["a"]))),
        ("span", Arc::new(IntervalYearMonthArray::from(vec![1]))),
    ]);
    let error = refused("a.parquet", &bytes, &ImportOptions::default());
    assert!(error.contains("the column `span` cannot be read"), "{error}");
    let bytes = parquet_of(vec![
        ("item_id", Arc::new(StringArray::from(vec!["a", "b"]))),
        ("annotation_id", Arc::new(StringArray::from(vec!["1", "2"]))),
        ("kind", Arc::new(StringArray::from(vec!["number", "number"]))),
        ("number", Arc::new(Float64Array::from(vec![1.0, f64::NAN]))),
    ]);
    let error = refused("a.parquet", &bytes, &ImportOptions::default());
    assert!(error.contains("at `row 2, number`: NaN is not a finite number"), "{error}");
}

#[test]
fn identity_columns_never_enter_rows() {
    let csv = b"item,worker,worker_email,first_name,label,checked_by\n\
        a,7,ann@example.com,Ann,x,bob@example.com\n";
    let (_directory, input) = written("a.csv", csv);
    let (sink, _) = import(&input, &ImportOptions::default());
    let rows = sink.table(&ANNOTATIONS);
    // 15 is the length of the other address
    assert_eq!(lines(&rows), [r#"a|7|label|choice|x|{"checked_by":"p-15"}"#]);
    assert_eq!(sink.people["7"], r#"{"worker_email":"ann@example.com","first_name":"Ann"}"#);
    let options = ImportOptions { gold: true, ..ImportOptions::default() };
    let (sink, _) = import(&input, &options);
    assert!(!lines(&sink.table(&ANNOTATIONS))[0].contains("example.com"));
    assert_eq!(sink.losses.len(), 1);
}

#[test]
fn facts_of_an_item_that_differ_stay_in_extra() {
    let jsonl = b"{\"item\":\"a\",\"label\":1,\"width\":5}\n\
        {\"item\":\"a\",\"label\":2,\"width\":6}\n";
    let (_directory, input) = written("a.jsonl", jsonl);
    let (sink, _) = import(&input, &ImportOptions::default());
    assert_eq!(
        lines(&sink.table(&ANNOTATIONS)),
        ["a|unknown|label|choice|1|-", r#"a|unknown|label|choice|2|{"item.width":6}"#]
    );
    let items = sink.table(&ITEMS);
    assert_eq!(Items::new(&items).row(0).width, Some(5));
    assert_eq!(sink.warnings.len(), 1);
}

/// A sink that cuts the file off as soon as it gets rows.
struct Shrinking {
    rows: Collected,
    file: std::fs::File,
}

impl Sink for Shrinking {
    fn rows(
        &mut self,
        table: &'static glossator_store::schema::Table,
        rows: RecordBatch,
    ) -> Result<()> {
        self.file.set_len(100).unwrap();
        Sink::rows(&mut self.rows, table, rows)
    }

    fn person(&mut self, person: &crate::Person<'_>) -> Result<String> {
        Sink::person(&mut self.rows, person)
    }

    fn bad(&mut self, record: crate::BadRecord) -> Result<()> {
        self.rows.bad(record)
    }

    fn warn(&mut self, kind: &str, place: &Place) {
        self.rows.warn(kind, place);
    }

    fn lost(&mut self, kind: &str, place: &Place) {
        self.rows.lost(kind, place);
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_refused() {
    let mut file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
    file.write_all(b"item,label\n").unwrap();
    for i in 0..100_000 {
        writeln!(file, "i{i:09},b").unwrap();
    }
    file.flush().unwrap();
    let input = Input::new(file.path());
    let mut sink = Shrinking { rows: quarantine(), file: file.reopen().unwrap() };
    let error = Csv.import(&input, &ImportOptions::default(), &mut sink).unwrap_err().to_string();
    // 11 bytes of header and 100,000 lines of 13
    assert!(error.contains("the file shrank from 1300011 to 100 bytes"), "{error}");
}

#[test]
fn formats_are_told_by_name_and_first_bytes() {
    let told = |name: &str, head: &[u8]| {
        let formats: [&dyn Importer; 4] = [&Parquet, &Jsonl, &Tsv, &Csv];
        formats.map(|format| format.detect(name, head))
    };
    assert_eq!(told("a.parquet", b"PAR1"), [2, 0, 0, 0]);
    assert_eq!(told("a.csv.gz", b"item,label"), [0, 0, 0, 2]);
    assert_eq!(told("a.TSV", b"item\tlabel"), [0, 0, 2, 0]);
    assert_eq!(told("a.jsonl", b"{\"a\":1}"), [0, 2, 0, 0]);
    assert_eq!(told("a.json", b" [ {\"a\":1}"), [0, 1, 0, 0]);
    assert_eq!(told("a", b"{\"a\":1}\n{"), [0, 1, 0, 0]);
    assert_eq!(told("a.json", b"{\"images\":[\n1,2]}"), [0, 0, 0, 0]);
    assert_eq!(told("votes", b"item\tlabel\na\tb,c"), [0, 0, 1, 0]);
    assert_eq!(told("a.bin", b"\0,\0"), [0, 0, 0, 0]);
}
