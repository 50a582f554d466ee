//! Each invariant of `schemas/format-v1.md` has a store that breaks just it, and verify finds just
//! that; and no flipped bit goes unseen.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at once, and damages files"
)]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, RecordBatch, new_null_array};
use arrow::datatypes::Int32Type;
use glossator_store::canonical::{RootBuilder, Rows, Salts, leaf};
use glossator_store::change::{Meta, TableChange};
use glossator_store::schema::*;
use glossator_store::segment::{CHANGED, ORIGIN, SegmentKind, SegmentRef, segment_schema};
use glossator_store::verify::{Finding, FindingKind, VerifyReport};
use glossator_store::{CommitId, Digest, Error, Stage, Store};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use support::*;

fn verify(store: &Store) -> VerifyReport {
    store.verify(&mut |_| {}).unwrap()
}

fn broken(report: &VerifyReport) -> Vec<&'static str> {
    let mut numbers: Vec<_> = report.findings.iter().map(|f| f.invariant).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// The one finding, of the invariant expected.
#[track_caller]
fn only(store: &Store, invariant: &str, kind: FindingKind) -> Finding {
    let report = verify(store);
    assert_eq!(broken(&report), [invariant], "{report:#?}");
    assert!(report.findings.iter().all(|f| f.kind == kind), "{report:#?}");
    assert_eq!(report.ok, kind == FindingKind::Cache);
    report.findings[0].clone()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// A file's only entry that ends as given.
fn entries(dir: &Path, end: &str) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(end))
        .collect();
    paths.sort();
    paths
}

#[test]
fn a_sound_store_has_no_findings() {
    let mut bench = Bench::new();
    let report = verify(&bench.store);
    assert_eq!(report.findings, []);
    let (objects, _) = bench.store.objects().list().unwrap();
    let packs = entries(&bench.path("git/objects/pack"), "").len() as u64;
    assert!(report.ok && report.objects > objects.len() as u64 + packs, "{report:?}");
    for width in 0..40 {
        // More than 32 removals: they are folded on the way, and dead segments left out.
        bench.commit(&[(&ITEMS, items(&[("a", 100 + width)]))]);
    }
    let state = bench.store.table_state(bench.head(), &ITEMS).unwrap();
    assert!(state.removals.len() < 33, "{}", state.removals.len());
    assert_eq!(verify(&bench.store).findings, []);
    assert_eq!(verify(&Bench::empty().store).findings, []);
}

#[test]
fn f1_an_object_hashes_to_its_name() {
    let bench = Bench::new();
    let record = bench.record();
    let segment = record.tables["annotations"].added[0].segment;
    flip(&bench.store.objects().path(&segment), 50);
    let found = only(&bench.store, "F1", FindingKind::Damaged);
    let head = bench.head();
    assert_eq!(found.object, segment.to_string());
    let change = format!("{head}:change.json");
    assert_eq!(found.referrers, [change, format!("{head}:tables/annotations.jsonl")]);
    // What scripts read.
    let json = serde_json::to_value(verify(&bench.store)).unwrap();
    assert_eq!((&json["ok"], json["objects"].as_u64() > Some(0)), (&false.into(), true));
    let expected = serde_json::json!({
        "object": found.object,
        "kind": "damaged",
        "invariant": "F1",
        "detail": "its bytes do not hash to its name",
        "referrers": found.referrers,
    });
    assert_eq!(json["findings"], serde_json::json!([expected]));
    // Damage elsewhere is found as well.
    let meta = record.meta.unwrap();
    fs::write(bench.store.objects().path(&meta), "{}").unwrap();
    assert_eq!(verify(&bench.store).findings.len(), 2);
}

#[test]
fn f2_an_object_that_is_named_exists() {
    let bench = Bench::new();
    let removed = bench.record().tables["annotations"].removed.clone().unwrap().removed;
    fs::remove_file(bench.store.objects().path(&removed)).unwrap();
    let found = only(&bench.store, "F2", FindingKind::Missing);
    assert_eq!((found.object, found.referrers.len()), (removed.to_string(), 2));
}

#[test]
fn f3_git_objects_that_are_named_exist() {
    let bench = Bench::new();
    let nowhere = "0123456789012345678901234567890123456789";
    fs::write(bench.path("git/refs/heads/gone"), format!("{nowhere}\n")).unwrap();
    let found = only(&bench.store, "F3", FindingKind::Missing);
    assert_eq!((&*found.object, &*found.referrers[0]), (nowhere, "refs/heads/gone"));
    // As does what only a reflog names.
    fs::remove_file(bench.path("git/refs/heads/gone")).unwrap();
    let line = format!("{nowhere} {nowhere} T <t> 1 +0000\twhy\n");
    fs::write(bench.path("git/logs/refs/heads/main"), line).unwrap();
    assert_eq!(only(&bench.store, "F3", FindingKind::Missing).referrers, ["logs/refs/heads/main"]);
}

#[test]
fn f4_git_objects_and_packs_hash_to_their_names() {
    let bench = Bench::new();
    let pack = &entries(&bench.path("git/objects/pack"), ".pack")[0];
    flip(pack, 60);
    let found = only(&bench.store, "F4", FindingKind::Damaged);
    assert!(found.object.starts_with("git/objects/pack/pack-"), "{found:?}");
}

#[test]
fn f5_refs_and_reflogs_read() {
    let bench = Bench::new();
    fs::write(bench.path("git/refs/heads/bad"), "no id\n").unwrap();
    only(&bench.store, "F5", FindingKind::Malformed);
    fs::remove_file(bench.path("git/refs/heads/bad")).unwrap();
    fs::write(bench.path("git/HEAD"), "ref: refs/heads/other\n").unwrap();
    assert_eq!(only(&bench.store, "F5", FindingKind::Malformed).object, "git/HEAD");
    fs::write(bench.path("git/HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(bench.path("git/logs/HEAD"), "no line\n").unwrap();
    assert_eq!(only(&bench.store, "F5", FindingKind::Malformed).object, "git/logs/HEAD");
}

#[test]
fn f6_every_commit_is_of_this_store() {
    let bench = Bench::new();
    let id = bench.store.facts().store_id.clone();
    let commit = bench.reforge(|files| {
        let other = files["gloss.toml"].replace(&id, "00000000000000000000000000000000");
        files.insert("gloss.toml".to_owned(), other);
    });
    let found = only(&bench.store, "F6", FindingKind::Malformed);
    assert_eq!(found.object, format!("{commit}:gloss.toml"));
}

#[test]
fn f7_trees_hold_no_other_file() {
    for path in ["people.txt", "tables/x.jsonl", "policies/ann@example.com/policy.toml"] {
        let bench = Bench::new();
        let commit = bench.reforge(|files| drop(files.insert(path.to_owned(), String::new())));
        let found = only(&bench.store, "F7", FindingKind::Private);
        assert_eq!(found.object, format!("{commit}:{path}"));
    }
    let bench = Bench::new();
    bench.reforge(|files| {
        files.insert("policies/vehicles/policy.toml".to_owned(), String::new());
        files.insert("rights/cc-by.toml".to_owned(), String::new());
    });
    assert_eq!(verify(&bench.store).findings, []);
}

#[test]
fn f8_table_files_list_each_segment_once() {
    let edits: [fn(&str) -> String; 3] = [
        |text| format!("{text}{}\n", text.lines().next().unwrap()),
        |text| text.replacen("{\"segment\"", "{\"person\":\"x\",\"segment\"", 1),
        |text| text[..text.len() - 3].to_owned(),
    ];
    for edit in edits {
        let bench = Bench::new();
        let commit = bench.reforge(|files| {
            let text = edit(&files["tables/annotations.jsonl"]);
            files.insert("tables/annotations.jsonl".to_owned(), text);
        });
        let found = only(&bench.store, "F8", FindingKind::Malformed);
        assert_eq!(found.object, format!("{commit}:tables/annotations.jsonl"));
    }
}

/// A store with one segment of items, named as given.
fn one_segment(bench: &Bench, line: SegmentRef) {
    let rows = u64::from(line.rows);
    let counts = counts(rows, 0, 0);
    let change = TableChange { added: vec![line], counts, rows, ..Default::default() };
    bench.forge_change(&ITEMS, change);
}

#[test]
fn f9_a_segment_is_what_its_line_says() {
    let lies: [fn(&mut SegmentRef); 2] = [|line| line.bytes += 1, |line| line.rows += 1];
    for lie in lies {
        let bench = Bench::empty();
        let mut line = bench.segment(&ITEMS, SegmentKind::Rows, &items(&[("a", 1)]));
        lie(&mut line);
        one_segment(&bench, line);
        only(&bench.store, "F9", FindingKind::Malformed);
    }
    // Of another table; no Parquet at all.
    let bench = Bench::empty();
    one_segment(&bench, bench.segment(&SUBMISSIONS, SegmentKind::Rows, &submissions(true)));
    only(&bench.store, "F9", FindingKind::Malformed);
    let bench = Bench::empty();
    let line = bench.segment(&ITEMS, SegmentKind::Rows, &items(&[("a", 1)]));
    let segment = bench.store.objects().put(b"PAR1 is not enough").unwrap();
    one_segment(&bench, SegmentRef { segment, bytes: 18, ..line });
    only(&bench.store, "F9", FindingKind::Malformed);
}

/// Writes a segment as it comes, without the checks of the store's writer.
fn raw_segment(bench: &Bench, rows: &RecordBatch, seed: [u8; 32]) -> SegmentRef {
    let schema = segment_schema(&ITEMS, SegmentKind::Rows);
    let mut columns = rows.columns().to_vec();
    columns.push(new_null_array(schema.fields().last().unwrap().data_type(), rows.num_rows()));
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let fact = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(vec![
            fact("glossator.table", "items".to_owned()),
            fact("glossator.seed", Digest(seed).to_string()),
        ]))
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let (mut root, mut salts) = (RootBuilder::default(), Salts::new(&seed));
    let rows = Rows::new(&ITEMS, &batch).unwrap();
    for row in 0..rows.len() {
        root.push(leaf(&salts.next_salt(), &rows.digest(row, &mut Vec::new())));
    }
    SegmentRef {
        segment: bench.store.objects().put(&bytes).unwrap(),
        rows: rows.len() as u32,
        bytes: bytes.len() as u64,
        root: root.finish(),
        schema: 1,
    }
}

#[test]
fn f10_rows_of_a_segment_are_sorted_and_apart() {
    for rows in [&[("b", 1), ("a", 2)], &[("a", 1), ("a", 2)]] {
        let bench = Bench::empty();
        one_segment(&bench, raw_segment(&bench, &items(rows), [9; 32]));
        only(&bench.store, "F10", FindingKind::Malformed);
    }
    // Another writer's encodings are as good as ours.
    let bench = Bench::empty();
    one_segment(&bench, raw_segment(&bench, &items(&[("a", 1), ("b", 2)]), [9; 32]));
    assert_eq!(verify(&bench.store).findings, []);
}

#[test]
fn f11_the_root_is_that_of_the_rows() {
    let bench = Bench::empty();
    let line = bench.segment(&ITEMS, SegmentKind::Rows, &items(&[("a", 1), ("b", 2)]));
    one_segment(&bench, SegmentRef { root: Digest::of(b"other"), ..line });
    only(&bench.store, "F11", FindingKind::Inconsistent);
}

#[test]
fn f12_rows_keep_the_rules_of_rows() {
    let long = "x".repeat(1025);
    let rows = [
        ItemRow { item_id: "", ..ItemRow::default() },
        ItemRow { item_id: &long, ..ItemRow::default() },
        ItemRow { item_id: "a", duration: Some(f64::NAN), ..ItemRow::default() },
        ItemRow { item_id: "a", data: Some("{"), ..ItemRow::default() },
        ItemRow { item_id: "a", extra: Some("[]"), ..ItemRow::default() },
    ];
    for row in rows {
        let bench = Bench::empty();
        let mut builder = ItemsBuilder::default();
        builder.push(&row);
        one_segment(&bench, bench.segment(&ITEMS, SegmentKind::Rows, &builder.finish()));
        only(&bench.store, "F12", FindingKind::Row);
    }
}

fn with_columns(kind: SegmentKind, rows: &RecordBatch, system: &[Option<&str>]) -> RecordBatch {
    let mut columns = rows.columns().to_vec();
    for value in system {
        let values: DictionaryArray<Int32Type> = std::iter::once(*value).collect();
        columns.push(Arc::new(values) as ArrayRef);
    }
    RecordBatch::try_new(segment_schema(&ITEMS, kind), columns).unwrap()
}

#[test]
fn f13_system_columns_keep_their_form() {
    let bench = Bench::empty();
    let rows = with_columns(SegmentKind::Rows, &items(&[("a", 1)]), &[Some("me")]);
    one_segment(&bench, bench.segment(&ITEMS, SegmentKind::Rows, &rows));
    assert!(only(&bench.store, "F13", FindingKind::Row).detail.contains(ORIGIN));
    for list in ["1,7", "7,2", "7,7", "16", "x"] {
        let bench = Bench::new();
        let found = change_width(&bench, 10, list, 0);
        let findings: Vec<_> = found.findings.iter().map(|f| (f.invariant, &f.detail)).collect();
        assert!(findings.len() == 1 && findings[0].0 == "F13", "{list}: {findings:?}");
        assert!(findings[0].1.contains(CHANGED), "{findings:?}");
    }
}

/// Changes the width of the first item, with an old value, a list of columns, and a dead row.
fn change_width(bench: &Bench, old: i64, changed: &str, dead: u32) -> VerifyReport {
    let before = with_columns(SegmentKind::Before, &items(&[("a", old)]), &[None, Some(changed)]);
    let change = TableChange {
        added: vec![bench.segment(&ITEMS, SegmentKind::Rows, &items(&[("a", 11)]))],
        before: vec![bench.segment(&ITEMS, SegmentKind::Before, &before)],
        removed: bench.removal(&[(bench.first_segment(&ITEMS), dead)]),
        counts: counts(0, 1, 0),
        rows: 3,
    };
    bench.forge_change(&ITEMS, change);
    verify(&bench.store)
}

#[test]
fn f14_a_removal_decodes_to_its_count() {
    let bench = Bench::new();
    let removed = bench.record().tables["annotations"].removed.clone().unwrap().removed;
    let other = bench.store.objects().put(b"glossrm1 and more").unwrap();
    bench.reforge(|files| {
        files.values_mut().for_each(|t| *t = t.replace(&removed.to_string(), &other.to_string()));
    });
    assert_eq!(only(&bench.store, "F14", FindingKind::Malformed).object, other.to_string());
}

#[test]
fn f15_removals_name_rows_that_are_there_once() {
    // Rows 0 and 1 of the three that the first commit added are dead.
    type Rows = [(SegmentRef, u32); 2];
    type Case = (fn(&Bench) -> Rows, &'static str);
    let cases: [Case; 3] = [
        (|b| [0, 3].map(|row| (b.first_segment(&ANNOTATIONS), row)), "row 3 of"),
        (|b| [&ANNOTATIONS, &ITEMS].map(|table| (b.first_segment(table), 0)), "has not"),
        (|b| [1, 2].map(|row| (b.first_segment(&ANNOTATIONS), row)), "row 1 of"),
    ];
    for (rows, detail) in cases {
        let bench = Bench::new();
        let removed = bench.record().tables["annotations"].removed.clone().unwrap();
        let other = bench.removal(&rows(&bench)).unwrap();
        assert_eq!(other.count, removed.count);
        bench.reforge(|files| {
            let file = files.get_mut("tables/annotations.jsonl").unwrap();
            let line = file.lines().last().unwrap();
            let line = line.replace(&removed.removed.to_string(), &other.removed.to_string());
            // Beside the one that is right, so that what it names is the only fault.
            file.push_str(&format!("{line}\n"));
        });
        let found = only(&bench.store, "F15", FindingKind::Inconsistent);
        assert!(found.detail.contains(detail), "{found:?}");
    }
}

#[test]
fn f16_change_json_reads() {
    let edits: [fn(&str) -> String; 4] = [
        |text| text.replace("\"annotations\"", "\"people\""),
        |text| text.replacen('{', "{\"note\": \"by Ann\",", 1),
        |_| String::new(),
        |text| text.replacen("\"schema\": 1", "\"schema\": 9", 1),
    ];
    for edit in edits {
        let bench = Bench::new();
        let commit = bench.reforge(|files| {
            let text = edit(&files["change.json"]);
            files.insert("change.json".to_owned(), text);
        });
        let found = only(&bench.store, "F16", FindingKind::Malformed);
        assert_eq!(found.object, format!("{commit}:change.json"));
    }
}

#[test]
fn f17_the_tree_is_the_parents_with_the_change() {
    // A table that the change does not name.
    let bench = Bench::new();
    let commit = bench.reforge(|files| {
        drop(files.insert("tables/submissions.jsonl".to_owned(), String::new()));
    });
    let found = only(&bench.store, "F17", FindingKind::Inconsistent);
    assert_eq!(found.object, format!("{commit}:tables/submissions.jsonl"));
    // One that it names, without the added segment.
    let bench = Bench::new();
    bench.reforge(|files| {
        let file = files.get_mut("tables/items.jsonl").unwrap();
        *file = format!("{}\n", file.lines().next().unwrap());
    });
    only(&bench.store, "F17", FindingKind::Inconsistent);
}

#[test]
fn f18_no_key_is_live_twice() {
    let bench = Bench::new();
    let line = bench.segment(&ITEMS, SegmentKind::Rows, &items(&[("b", 5)]));
    let change =
        TableChange { added: vec![line], counts: counts(1, 0, 0), rows: 4, ..Default::default() };
    bench.forge_change(&ITEMS, change);
    assert!(only(&bench.store, "F18", FindingKind::Inconsistent).detail.contains("\"b\""));
    // Nor does it stand in two segments of one change.
    let bench = Bench::empty();
    let added = vec![
        bench.segment(&ITEMS, SegmentKind::Rows, &items(&[("a", 1), ("b", 5)])),
        bench.segment(&ITEMS, SegmentKind::Rows, &items(&[("b", 6)])),
    ];
    let change = TableChange { added, counts: counts(3, 0, 0), rows: 3, ..Default::default() };
    bench.forge_change(&ITEMS, change);
    only(&bench.store, "F18", FindingKind::Inconsistent);
}

#[test]
fn f19_old_values_are_what_was() {
    // Item `a` is row 0 and 10 wide.
    assert_eq!(change_width(&Bench::new(), 10, "7", 0).findings, []);
    let wrong = [
        (9, "7", 0),  // another old value
        (10, "7", 1), // the row of another item dies
        (11, "7", 0), // not changed at all
        (10, "8", 0), // the old value is not said to have changed
    ];
    for (old, changed, dead) in wrong {
        let bench = Bench::new();
        let report = change_width(&bench, old, changed, dead);
        assert_eq!(broken(&report), ["F19"], "{old} {changed} {dead}: {report:#?}");
    }
}

#[test]
fn f20_counts_and_totals_are_right() {
    let edits: [fn(&mut TableChange); 4] = [
        |change| change.rows += 1,
        |change| change.counts.removed += 1,
        |change| change.counts = counts(u64::MAX, u64::MAX, u64::MAX),
        |change| {
            // One changed and one removed, told as one added and two removed.
            change.counts.added += 1;
            change.counts.changed -= 1;
            change.counts.removed += 1;
        },
    ];
    for (at, edit) in edits.into_iter().enumerate() {
        let bench = Bench::new();
        let mut record = bench.record();
        edit(record.tables.get_mut("annotations").unwrap());
        let told = record.counts("annotations");
        let mut files = bench.files();
        files.insert("change.json".to_owned(), serde_json::to_string(&record).unwrap());
        let message =
            format!("x\n\nGloss-Change: +{} ~{} -{}\n", told.added, told.changed, told.removed);
        bench.forge(Some(bench.commits[0]), files, &message);
        let found = only(&bench.store, "F20", FindingKind::Inconsistent);
        assert!(found.detail.starts_with("annotations: "), "{at}: {found:?}");
    }
}

#[test]
fn f21_meta_counts_what_the_rows_say() {
    let edits: [fn(&mut Meta); 3] = [
        |meta| meta.annotators.values_mut().for_each(|c| c.added += 1),
        |meta| assert!(meta.labels.remove("truck").is_some()),
        |meta| meta.policies.extend([("Ann's own".to_owned(), counts(0, 0, 0))]),
    ];
    for edit in edits {
        let bench = Bench::new();
        let mut record = bench.record();
        let mut meta = bench.store.meta(&record).unwrap();
        edit(&mut meta);
        record.meta = Some(bench.store.objects().put(&meta.encode().unwrap()).unwrap());
        bench.reforge(|files| {
            files.insert("change.json".to_owned(), serde_json::to_string(&record).unwrap());
        });
        only(&bench.store, "F21", FindingKind::Inconsistent);
    }
}

#[test]
fn f22_the_trailer_tells_the_counts() {
    let bench = Bench::new();
    for message in ["Labels\n", "Labels\n\nGloss-Change: +1 ~1 -2\n"] {
        let commit = bench.forge(Some(bench.commits[0]), bench.files(), message);
        assert_eq!(only(&bench.store, "F22", FindingKind::Inconsistent).object, commit.to_string());
    }
}

#[test]
fn f23_git_text_names_policies_and_nobody() {
    let bench = Bench::new();
    let mut record = bench.record();
    record.policies.insert("ann@example.com".to_owned(), counts(1, 0, 0));
    bench.reforge(|files| {
        files.insert("change.json".to_owned(), serde_json::to_string(&record).unwrap());
    });
    only(&bench.store, "F23", FindingKind::Private);
}

#[test]
fn f24_rows_repeat_their_submission() {
    let bench = Bench::new();
    let own = segment_schema(&SUBMISSIONS, SegmentKind::Before);
    let mut columns = submissions(false).columns().to_vec();
    let changed: DictionaryArray<Int32Type> = std::iter::once(Some("8")).collect();
    columns.push(new_null_array(own.field(columns.len()).data_type(), 1));
    columns.push(Arc::new(changed));
    let before = RecordBatch::try_new(own, columns).unwrap();
    let change = TableChange {
        added: vec![bench.segment(&SUBMISSIONS, SegmentKind::Rows, &submissions(true))],
        before: vec![bench.segment(&SUBMISSIONS, SegmentKind::Before, &before)],
        removed: bench.removal(&[(bench.first_segment(&SUBMISSIONS), 0)]),
        counts: counts(0, 1, 0),
        rows: 1,
    };
    bench.forge_change(&SUBMISSIONS, change);
    let found = only(&bench.store, "F24", FindingKind::Row);
    assert!(found.detail.contains("annotation/1"), "{found:?}");
}

#[test]
fn f25_the_stage_reads_and_fits_its_base() {
    let bench = Bench::new();
    let layers = bench.layer(&[(&ITEMS, items(&[("d", 40), ("a", 11)]))]);
    let mut stage = Stage::new(Some(bench.head()), layers).unwrap();
    bench.store.write_stage(&stage).unwrap();
    assert_eq!(verify(&bench.store).findings, []);
    fs::write(bench.path("stage/shared.json"), "{").unwrap();
    only(&bench.store, "F25", FindingKind::Malformed);
    let id = format!("\"{}\"", bench.head());
    stage.base = serde_json::from_str(&id.replace(char::is_alphanumeric, "1")).unwrap();
    bench.store.write_stage(&stage).unwrap();
    only(&bench.store, "F25", FindingKind::Malformed);
    // What a layer says is checked as what a commit says.
    stage.base = Some(bench.head());
    stage.layers[0].tables.get_mut("items").unwrap().rows += 1;
    bench.store.write_stage(&stage).unwrap();
    assert_eq!(only(&bench.store, "F20", FindingKind::Inconsistent).object, "stage/shared.json");
}

#[test]
fn f26_the_people_file_reads() {
    let bench = Bench::new();
    bench.store.people().unwrap();
    fs::write(bench.path("private/people"), "{\"id\": 7}\n").unwrap();
    assert_eq!(only(&bench.store, "F26", FindingKind::Malformed).object, "private/people");
    fs::remove_file(bench.path("private/people")).unwrap();
    fs::write(bench.path("private/key"), "short\n").unwrap();
    assert_eq!(only(&bench.store, "F26", FindingKind::Malformed).object, "private/key");
}

#[test]
fn f27_a_bad_cache_is_no_damage_and_is_built_again() {
    let bench = Bench::new();
    for path in entries(&bench.path("cache/index"), "") {
        let sound = fs::read(&path).unwrap();
        flip(&path, sound.len() - 1);
        only(&bench.store, "F27", FindingKind::Cache);
        assert_eq!(fs::read(&path).unwrap(), sound);
        assert_eq!(verify(&bench.store).findings, []);
    }
    // Nor is one that is missing.
    fs::remove_dir_all(bench.path("cache")).unwrap();
    assert_eq!(verify(&bench.store).findings, []);
}

/// A store whose head holds its rows in segments that were written anew.
fn compacted() -> (Bench, RecordBatch) {
    let mut bench = Bench::new();
    bench.compact();
    let snapshot = bench.store.snapshot(Some(bench.head()), &[]).unwrap();
    let mut rows = snapshot.table(&ANNOTATIONS).unwrap().scan().unwrap();
    let batch = rows.next().unwrap().unwrap();
    assert!(rows.next().is_none());
    (bench, batch)
}

/// The head with these rows as the only segment of annotations.
fn with_rows(bench: &Bench, rows: &RecordBatch) -> CommitId {
    let line = bench.segment(&ANNOTATIONS, SegmentKind::Rows, rows);
    bench.reforge(|files| {
        let line = serde_json::to_string(&line).unwrap() + "\n";
        files.insert("tables/annotations.jsonl".to_owned(), line);
    })
}

#[test]
fn f28_rows_that_are_written_anew_keep_their_origin() {
    let (bench, rows) = compacted();
    assert_eq!(verify(&bench.store).findings, []);
    // Equal rows without the origins that they had.
    let columns: Vec<usize> = (0..ANNOTATIONS.columns.len()).collect();
    let commit = with_rows(&bench, &rows.project(&columns).unwrap());
    let found = only(&bench.store, "F28", FindingKind::Inconsistent);
    assert_eq!(found.object, format!("{commit}:tables/annotations.jsonl"));

    // One row less, and rows of an earlier version, are not the parent's.
    let (bench, rows) = compacted();
    with_rows(&bench, &rows.slice(1, rows.num_rows() - 1));
    only(&bench.store, "F17", FindingKind::Inconsistent);
    let (bench, _) = compacted();
    let older = bench.store.table_state(bench.commits[0], &ANNOTATIONS).unwrap();
    bench.reforge(|files| {
        let text = String::from_utf8(older.render().unwrap()).unwrap();
        files.insert("tables/annotations.jsonl".to_owned(), text);
    });
    only(&bench.store, "F17", FindingKind::Inconsistent);
}

#[test]
fn f22_the_trailer_names_tables_that_were_written_anew() {
    let (bench, _) = compacted();
    let message = bench.store.history.commit(bench.head()).unwrap().message;
    let (before, trailer) = message.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(trailer, "Gloss-Checkpoint: annotations, items");
    for wrong in [before.to_owned(), format!("{before}\nGloss-Checkpoint: items")] {
        bench.reforge_saying(&wrong, |_| {});
        only(&bench.store, "F22", FindingKind::Inconsistent);
    }
    let bench = Bench::new();
    let message = bench.store.history.commit(bench.head()).unwrap().message;
    bench.reforge_saying(&format!("{}\n{trailer}", message.trim_end()), |_| {});
    only(&bench.store, "F22", FindingKind::Inconsistent);
}

#[test]
fn f29_rows_have_the_status_that_their_reviews_give() {
    let bench = Bench::new();
    // The content of the one answer of `a` at HEAD: 22 + 2 bytes of field, kind, label, negative.
    let content = b"\x18\x08\x05class\x0a\x06choice\x0b\x05truck\x0c\x00";
    let digest = Digest::of(content).to_string();
    let forge = |decision: &str, digest: &str| {
        let mut reviews = ReviewsBuilder::default();
        reviews.push(&ReviewRow {
            item_id: "a",
            review_id: "r",
            source: "s",
            submission_id: Some("annotation/1"),
            reviewer_id: "rev",
            decision,
            digest: Some(digest),
            ..ReviewRow::default()
        });
        let added = vec![bench.segment(&REVIEWS, SegmentKind::Rows, &reviews.finish())];
        let change = TableChange { added, counts: counts(1, 0, 0), rows: 1, ..Default::default() };
        bench.forge_change(&REVIEWS, change);
    };
    forge("rejected", &digest);
    let found = only(&bench.store, "F29", FindingKind::Row);
    assert!(found.detail.contains("`rejected`"), "{found:?}");
    // One of other content says nothing of these rows.
    forge("rejected", &Digest::of(b"other").to_string());
    assert_eq!(verify(&bench.store).findings, []);
}

#[test]
fn a_segment_of_a_later_schema_is_refused_by_readers() {
    let bench = Bench::new();
    let head = bench.reforge(|files| {
        let file = files.get_mut("tables/annotations.jsonl").unwrap();
        *file = file.replacen("\"schema\":1", "\"schema\":2", 1);
    });
    let refused = [
        bench.store.table_state(head, &ANNOTATIONS).unwrap_err(),
        bench.store.snapshot(Some(head), &[]).unwrap_err(),
    ];
    for error in refused {
        assert!(
            matches!(&error, Error::NewerFormat { feature } if feature == "schema 2"),
            "{error}"
        );
    }
    assert!(bench.store.table_state(head, &ITEMS).is_ok());
}

/// SplitMix64: the same flips in every run.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What stays and what goes.
mod gc {
    use super::*;

    fn objects(bench: &Bench) -> Vec<Digest> {
        bench.store.objects().list().unwrap().0.into_iter().map(|(digest, _)| digest).collect()
    }

    #[test]
    fn what_is_reached_stays_and_the_rest_goes() {
        let bench = Bench::new();
        let before = objects(&bench);
        assert!(bench.store.plan_gc().unwrap().is_empty());
        // A layer that was never staged, and one that was.
        let lost = bench.layer(&[(&ITEMS, items(&[("lost", 1)]))]);
        let staged = bench.layer(&[(&ITEMS, items(&[("staged", 1)]))]);
        let lost = lost[0].tables["items"].added[0].segment;
        let kept = staged[0].tables["items"].added[0].segment;
        bench.store.write_stage(&Stage::new(Some(bench.head()), staged).unwrap()).unwrap();
        let plan = bench.store.plan_gc().unwrap();
        assert_eq!(plan.objects.iter().map(|o| o.object).collect::<Vec<_>>(), [lost]);
        // Its key index, its alias index and its row cache.
        assert_eq!(plan.caches.len(), 3);
        let (bytes, report) = (plan.bytes(), bench.store.run_gc(plan).unwrap());
        assert_eq!((report.objects, report.files, report.bytes), (1, 3, bytes));
        let mut after = before;
        after.push(kept);
        after.sort();
        assert_eq!(objects(&bench), after);
        assert!(bench.store.plan_gc().unwrap().is_empty());
        assert_eq!(verify(&bench.store).findings, []);
    }

    #[test]
    fn what_only_a_reflog_reaches_stays() {
        let bench = Bench::new();
        let before = objects(&bench);
        fs::write(bench.path("git/refs/heads/main"), format!("{}\n", bench.commits[0])).unwrap();
        assert!(bench.store.plan_gc().unwrap().is_empty());
        fs::remove_dir_all(bench.path("git/logs")).unwrap();
        let plan = bench.store.plan_gc().unwrap();
        assert!(!plan.objects.is_empty());
        // The commit, its tree and `tables`, `change.json`, and the files of two tables.
        assert_eq!(plan.history.len(), 6);
        let report = bench.store.run_gc(plan).unwrap();
        assert_eq!(objects(&bench).len() as u64, before.len() as u64 - report.objects);
        assert_eq!(report.history, 6);
        assert_eq!(entries(&bench.path("git/objects/pack"), "").len(), 2);
        assert_eq!(verify(&bench.store).findings, []);
    }

    #[test]
    fn what_became_reachable_after_the_plan_stays() {
        let bench = Bench::new();
        let layers = bench.layer(&[(&ITEMS, items(&[("d", 1)]))]);
        let plan = bench.store.plan_gc().unwrap();
        assert_eq!(plan.objects.len(), 1);
        bench.store.write_stage(&Stage::new(Some(bench.head()), layers).unwrap()).unwrap();
        assert_eq!(bench.store.run_gc(plan).unwrap().objects, 0);
        assert_eq!(verify(&bench.store).findings, []);
    }

    #[test]
    fn files_that_never_became_whole_go() {
        let bench = Bench::new();
        for dir in ["", "objects", "stage", "cache/index", "git", "git/objects/pack"] {
            fs::write(bench.path(dir).join("tmp-0f0f"), "left").unwrap();
        }
        // A pack that never got its index.
        let pack = fs::read(&entries(&bench.path("git/objects/pack"), ".pack")[0]).unwrap();
        fs::write(bench.path("git/objects/pack/pack-0f0f.pack"), &pack).unwrap();
        let plan = bench.store.plan_gc().unwrap();
        assert_eq!((plan.leftovers.len(), plan.bytes()), (7, 24 + pack.len() as u64));
        assert_eq!(bench.store.run_gc(plan).unwrap().files, 7);
        assert!(bench.store.plan_gc().unwrap().is_empty());
        assert_eq!(verify(&bench.store).findings, []);
    }

    #[test]
    fn nothing_goes_where_something_cannot_be_read() {
        let bench = Bench::new();
        let lost = bench.layer(&[(&ITEMS, items(&[("lost", 1)]))]);
        drop(lost);
        let plan = bench.store.plan_gc().unwrap();
        flip(&entries(&bench.path("git/objects/pack"), ".pack")[0], 60);
        let before = objects(&bench);
        assert!(bench.store.plan_gc().unwrap_err().to_string().contains("nothing was removed"));
        assert!(bench.store.run_gc(plan).is_err());
        assert_eq!(objects(&bench), before);
    }
}

#[test]
fn segments_that_hash_to_their_names_and_lie_are_no_panic() {
    let mut seed = 42;
    let bench = Bench::empty();
    let line = bench.segment(&ITEMS, SegmentKind::Rows, &items(&[("a", 1), ("b", 2)]));
    let sound = bench.store.objects().read(&line.segment).unwrap();
    let mut found = 0;
    for _ in 0..LIES {
        let mut bytes = sound.clone();
        let at = random(&mut seed) as usize % bytes.len();
        bytes[at] ^= 1 << (random(&mut seed) % 8);
        let bench = Bench::empty();
        let segment = bench.store.objects().put(&bytes).unwrap();
        one_segment(&bench, SegmentRef { segment, ..line.clone() });
        let report = verify(&bench.store);
        assert!(report.findings.iter().all(|f| f.object == segment.to_string()), "{report:#?}");
        found += usize::from(!report.ok);
    }
    // The rest hit what Parquet does not read: names of encodings, statistics.
    assert!(found > LIES / 2, "{found}");
}

/// Segments with a flipped bit under a digest of their own.
const LIES: usize = 200;

#[test]
fn numbers_that_overflow_are_findings() {
    let bench = Bench::new();
    bench.reforge(|files| {
        let file = files.get_mut("tables/annotations.jsonl").unwrap();
        *file = file.replace("\"count\":2", &format!("\"count\":{}", u64::MAX));
    });
    assert_eq!(broken(&verify(&bench.store)), ["F14"]);
}
