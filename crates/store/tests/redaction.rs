//! Rows that were erased are nowhere, and everything else is what it was.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at once, and looks at files"
)]

#[allow(dead_code, reason = "helpers of several tests")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::{BooleanArray, RecordBatch};
use glossator_store::fs::Disk;
use glossator_store::history::{Identity, NewCommit};
use glossator_store::redaction::{Erase, Grounds, REDACTIONS_REF, RedactionReport};
use glossator_store::remote::{self, Remote};
use glossator_store::schema::*;
use glossator_store::segment::{SegmentKind, SegmentReader, segment_schema};
use glossator_store::{CommitId, Error, Store};
use support::{Bench, who};

const SECRET: &str = "patient-4711";

fn grounds() -> Grounds {
    let (ground, reason) = ("erasure-request".to_owned(), "request 17".to_owned());
    Grounds { ground, reason, who: Identity { seconds: 1_700_000_100, ..who() } }
}

fn redact(bench: &Bench, erase: &Erase<'_>) -> RedactionReport {
    let mut allow = |_: &_| Ok::<_, Error>(true);
    bench.store.redact(erase, &grounds(), &mut allow).unwrap().unwrap()
}

fn items_of(ids: &[&str]) -> Erase<'static> {
    Erase::Items(ids.iter().map(|id| (*id).to_owned()).collect())
}

fn annotation<'a>(item: &'a str, id: &'a str, who: &'a str, label: &'a str) -> AnnotationRow<'a> {
    AnnotationRow {
        item_id: item,
        annotation_id: id,
        source: "s",
        annotator_id: who,
        origin: "human",
        field: "class",
        kind: "choice",
        label: Some(label),
        status: "submitted",
        ..AnnotationRow::default()
    }
}

fn rows(rows: &[AnnotationRow<'_>]) -> RecordBatch {
    let mut builder = AnnotationsBuilder::default();
    rows.iter().for_each(|row| builder.push(row));
    builder.finish()
}

fn named_items(ids: &[&str]) -> RecordBatch {
    let mut builder = ItemsBuilder::default();
    for id in ids {
        builder.push(&ItemRow { item_id: id, ..ItemRow::default() });
    }
    builder.finish()
}

/// Three commits about three items: rows, a change of each and a new one, and a removal.
fn history() -> Bench {
    let mut bench = Bench::empty();
    bench.commit(&[
        (
            &ANNOTATIONS,
            rows(&[
                annotation("a", "1", "ann", "car"),
                annotation("b", "1", "bob", "bus"),
                annotation(SECRET, "1", "ann", "ill"),
                annotation(SECRET, "2", "zoe-the-annotator", "ill"),
            ]),
        ),
        (&ITEMS, named_items(&["a", "b", SECRET])),
    ]);
    bench.commit(&[
        (
            &ANNOTATIONS,
            rows(&[
                annotation("a", "1", "ann", "truck"),
                annotation("a", "2", "zoe-the-annotator", "truck"),
                annotation(SECRET, "1", "ann", "well"),
            ]),
        ),
        (&ITEMS, named_items(&["c"])),
    ]);
    bench.compact();
    bench
}

/// Item, key and label of the annotations of a commit.
fn labels(store: &Store, commit: CommitId) -> BTreeSet<(String, String, String)> {
    let snapshot = store.snapshot(Some(commit), &[]).unwrap();
    let own: Vec<usize> = (0..ANNOTATIONS.columns.len()).collect();
    let mut found = BTreeSet::new();
    for batch in snapshot.table(&ANNOTATIONS).unwrap().scan().unwrap() {
        let batch = batch.unwrap().project(&own).unwrap();
        let rows = Annotations::new(&batch);
        for row in 0..batch.num_rows() {
            let text = |text: &str| text.to_owned();
            let (item, id) = (text(rows.item_id(row)), text(rows.annotation_id(row)));
            found.insert((item, id, text(rows.label(row).unwrap())));
        }
    }
    found
}

/// The net changes of a commit, as keys with old and new labels.
fn changes(store: &Store, commit: CommitId) -> BTreeMap<(String, String), (String, String)> {
    let record = store.change(commit).unwrap();
    let Some(change) = record.tables.get("annotations") else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    let read = glossator_store::change::read_change(store.objects(), &ANNOTATIONS, change);
    for delta in read.unwrap() {
        let delta = delta.unwrap();
        let at = ANNOTATIONS.column("label").unwrap();
        let text = |batch: &RecordBatch, column: usize, row: Option<u32>| {
            let view = ColumnView::new(batch.column(column)).unwrap();
            row.and_then(|row| view.text(row as usize)).unwrap_or("-").to_owned()
        };
        for change in &delta.changes {
            let side = if change.new.is_some() { &delta.new } else { &delta.old };
            let row = change.new.or(change.old);
            let key = (text(side, 0, row), text(side, 1, row));
            let labels = (text(&delta.old, at, change.old), text(&delta.new, at, change.new));
            found.insert(key, labels);
        }
    }
    found
}

/// Every file below a directory.
fn files(dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
}

/// The files that hold a text: as it is, in the pages of Parquet, in zstd frames or in git objects.
fn holders(store: &Store, secret: &str) -> Vec<String> {
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    let mut all = Vec::new();
    files(store.root(), &mut all);
    let mut found = Vec::new();
    for (name, bytes) in all {
        let unpacked = match &bytes[..] {
            [b'P', b'A', b'R', b'1', ..] => every_value(&bytes),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::decode_all(&bytes[..]).unwrap(),
            _ => Vec::new(),
        };
        if holds(&bytes) || holds(&unpacked) {
            found.push(name);
        }
    }
    let git = std::process::Command::new("git")
        .args(["cat-file", "--batch", "--batch-all-objects"])
        .current_dir(store.root().join("git"))
        .output()
        .unwrap();
    assert!(git.status.success());
    found.extend(holds(&git.stdout).then(|| "git".to_owned()));
    found
}

/// Every text of a Parquet file, as stock parquet reads it: dictionaries with all their values.
fn every_value(bytes: &[u8]) -> Vec<u8> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(bytes::Bytes::copy_from_slice(bytes)).unwrap();
    let mut all = Vec::new();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).unwrap();
        for column in 0..group.num_columns() {
            let mut pages = group.get_column_page_reader(column).unwrap();
            while let Some(page) = pages.get_next_page().unwrap() {
                all.extend_from_slice(page.buffer());
            }
        }
    }
    all
}

/// The seed of the first segment of annotations, as its file says it.
fn seed_of(store: &Store, commit: CommitId) -> String {
    let line = store.table_state(commit, &ANNOTATIONS).unwrap().segments[0].clone();
    let (objects, kind) = (store.objects(), SegmentKind::Rows);
    let reader = SegmentReader::open(objects, &ANNOTATIONS, kind, &line).unwrap();
    glossator_store::Digest(reader.seed().unwrap()).to_string()
}

fn sound(store: &Store) -> u64 {
    let report = store.verify(&mut |_| {}).unwrap();
    assert_eq!(report.findings, []);
    report.redacted
}

#[test]
fn an_item_is_nowhere_after_its_redaction_and_commits_are_what_they_were() {
    let bench = history();
    let before: Vec<_> = bench.commits.iter().map(|c| labels(&bench.store, *c)).collect();
    assert!(!holders(&bench.store, SECRET).is_empty());
    assert_eq!(sound(&bench.store), 0);
    // With the seed of its salts, a guess at an erased row could be confirmed.
    let seed = seed_of(&bench.store, bench.commits[0]);
    assert!(!holders(&bench.store, &seed).is_empty());
    let report = redact(&bench, &items_of(&[SECRET]));
    assert_eq!(report.rows, BTreeMap::from([("annotations", 2), ("items", 1)]));
    let store = Store::open(&Disk::default(), bench.store.root()).unwrap();
    assert_eq!(holders(&store, SECRET), Vec::<String>::new());
    assert_eq!(holders(&store, &seed), Vec::<String>::new());
    assert_eq!(store.history.head().unwrap().commit, Some(bench.head()));
    for (commit, mut before) in bench.commits.iter().zip(before) {
        before.retain(|(item, _, _)| item != SECRET);
        assert_eq!(labels(&store, *commit), before);
    }
    let text = |text: &str| text.to_owned();
    let key = |item: &str, id: &str| (text(item), text(id));
    let changed = BTreeMap::from([
        (key("a", "1"), (text("car"), text("truck"))),
        (key("a", "2"), (text("-"), text("truck"))),
    ]);
    assert_eq!(changes(&store, bench.commits[1]), changed);
    // Of annotations: two in the first segment; the change and its old value; two where the head
    // was written anew. Of items: one in the first segment, one where they were written anew.
    assert_eq!(sound(&store), 2 + 2 + 2 + 2);
    let head = store.snapshot(Some(bench.head()), &[]).unwrap();
    let annotations = head.table(&ANNOTATIONS).unwrap();
    assert_eq!(annotations.locate_item(SECRET).unwrap(), []);
    assert_eq!(annotations.locate_item("").unwrap(), []);
    let found = annotations.locate_item("a").unwrap();
    assert_eq!(annotations.fetch(&found).unwrap().num_rows(), 2);
}

#[test]
fn an_annotator_goes_with_their_rows_reviews_and_name() {
    let mut bench = history();
    let mut reviews = ReviewsBuilder::default();
    for (item, review, of, by) in
        [("a", "r1", "2", "bob"), ("a", "r2", "1", "zoe-the-annotator"), ("b", "r3", "1", "ann")]
    {
        reviews.push(&ReviewRow {
            item_id: item,
            review_id: review,
            annotation_id: Some(of),
            reviewer_id: by,
            decision: "accepted",
            ..ReviewRow::default()
        });
    }
    bench.commit(&[(&REVIEWS, reviews.finish())]);
    let zoe = "zoe-the-annotator";
    let erase = Erase::Annotators(vec![zoe.to_owned()]);
    let report = redact(&bench, &erase);
    // Her two annotations, the review of one of them, and the review that she made.
    assert_eq!(report.rows, BTreeMap::from([("annotations", 2), ("reviews", 2)]));
    let store = Store::open(&Disk::default(), bench.store.root()).unwrap();
    assert_eq!(holders(&store, zoe), Vec::<String>::new());
    assert!(sound(&store) > 0);
    let meta = store.meta(&store.change(bench.commits[0]).unwrap()).unwrap();
    let names: Vec<&str> = meta.annotators.keys().map(String::as_str).collect();
    assert_eq!(names, ["(redacted)", "ann", "bob"]);
    let head = store.snapshot(Some(bench.head()), &[]).unwrap();
    let left = head.table(&REVIEWS).unwrap().scan().unwrap();
    assert_eq!(left.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 1);
}

#[test]
fn what_was_redacted_can_be_redacted_again_and_work_goes_on() {
    let mut bench = history();
    let _ = redact(&bench, &items_of(&[SECRET]));
    let pick = |batch: &RecordBatch| -> BooleanArray {
        let label = ANNOTATIONS.column("label").unwrap();
        let label = ColumnView::new(batch.column(label)).unwrap();
        (0..batch.num_rows()).map(|row| Some(label.text(row) == Some("bus"))).collect()
    };
    bench.store = Store::open(&Disk::default(), bench.store.root()).unwrap();
    let report = redact(&bench, &Erase::Rows(&pick));
    assert_eq!(report.rows, BTreeMap::from([("annotations", 1)]));
    bench.store = Store::open(&Disk::default(), bench.store.root()).unwrap();
    assert_eq!(holders(&bench.store, SECRET), Vec::<String>::new());
    sound(&bench.store);
    // The item may come again, and others change.
    bench.commit(&[(
        &ANNOTATIONS,
        rows(&[annotation(SECRET, "1", "ann", "new"), annotation("a", "1", "ann", "van")]),
    )]);
    bench.compact();
    sound(&bench.store);
    let text = |text: &str| text.to_owned();
    let expected = [("a", "1", "van"), ("a", "2", "truck"), (SECRET, "1", "new")];
    let expected = expected.map(|(item, id, label)| (text(item), text(id), text(label)));
    assert_eq!(labels(&bench.store, bench.head()), BTreeSet::from(expected));
    let none =
        bench.store.redact(&items_of(&["no such item"]), &grounds(), &mut |_| Ok::<_, Error>(true));
    assert_eq!(none.unwrap(), None);
}

#[test]
fn it_waits_for_no_stage_and_asks_first() {
    let bench = history();
    let layers = bench.layer(&[(&ANNOTATIONS, rows(&[annotation("d", "1", "ann", "car")]))]);
    let mut refuse = |_: &_| Err(Error::NoIdentity);
    let refused = bench.store.redact(&items_of(&["a"]), &grounds(), &mut refuse);
    assert!(matches!(refused, Err(Error::NoIdentity)));
    let mut only_asked = |plan: &glossator_store::redaction::Plan| {
        assert!(plan.touches("a") && !plan.touches("b"));
        Ok::<_, Error>(false)
    };
    assert_eq!(bench.store.redact(&items_of(&["a"]), &grounds(), &mut only_asked).unwrap(), None);
    assert_eq!(sound(&bench.store), 0);
    let stage = glossator_store::Stage::new(Some(bench.head()), layers).unwrap();
    {
        let _lock = bench.store.lock_stage().unwrap();
        bench.store.write_stage(&stage).unwrap();
    }
    let mut allow = |_: &_| Ok::<_, Error>(true);
    let waits = bench.store.redact(&items_of(&["a"]), &grounds(), &mut allow);
    assert!(matches!(waits, Err(Error::Stage(_))));
}

#[test]
fn a_segment_that_stands_for_another_with_other_rows_is_found() {
    let bench = history();
    let _ = redact(&bench, &items_of(&[SECRET]));
    let store = Store::open(&Disk::default(), bench.store.root()).unwrap();
    let tip = store.history.resolve(REDACTIONS_REF).unwrap();
    let path = bench.head().to_string();
    let note = String::from_utf8(store.history.file(tip, &path).unwrap().unwrap()).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&note).unwrap();
    let old = store.table_state(bench.commits[0], &ANNOTATIONS).unwrap().segments[0].clone();
    // The same rows, erased ones too, with another label in a row that was kept.
    let mut forged = rows(&[
        annotation("a", "1", "ann", "tank"),
        annotation("b", "1", "bob", "bus"),
        annotation("c", "1", "ann", "x"),
        annotation("d", "2", "ann", "x"),
    ]);
    assert_eq!(forged.num_rows(), old.rows as usize);
    let origin = segment_schema(&ANNOTATIONS, SegmentKind::Rows);
    let mut columns = forged.columns().to_vec();
    columns.push(arrow::array::new_null_array(
        origin.field(columns.len()).data_type(),
        forged.num_rows(),
    ));
    forged = RecordBatch::try_new(origin, columns).unwrap();
    let line = bench.segment(&ANNOTATIONS, SegmentKind::Rows, &forged);
    for object in record["objects"].as_array_mut().unwrap() {
        if object["old"] == old.segment.to_string() {
            object["new"] = line.segment.to_string().into();
            object["bytes"] = line.bytes.into();
        }
    }
    let commit = store
        .history
        .write_commit(&NewCommit {
            parents: &[tip],
            files: vec![(path, Some(format!("{record}\n").into_bytes()))],
            author: who(),
            committer: who(),
            message: "Forged\n".to_owned(),
            signer: None,
        })
        .unwrap();
    std::fs::write(bench.path("git").join(REDACTIONS_REF), format!("{commit}\n")).unwrap();
    let store = Store::open(&Disk::default(), store.root()).unwrap();
    let report = store.verify(&mut |_| {}).unwrap();
    let of_root = report.findings.iter().find(|found| found.invariant == "F11").unwrap();
    assert_eq!(of_root.object, old.segment.to_string());
    // Nobody takes it from a remote.
    let shared = tempfile::tempdir().unwrap();
    let address = format!("file://{}", shared.path().join("remote").display());
    let remote = Remote::open(&Disk::default(), &address).unwrap();
    let request = remote::PushRequest {
        remote: "origin".to_owned(),
        branches: vec!["main".parse().unwrap()],
        delete: Vec::new(),
        tags: false,
        force: false,
        people: false,
        dry_run: false,
        who: who(),
    };
    remote.push(&store, &request, &remote::Silent).unwrap();
    let clone =
        remote::CloneRequest { name: "origin", branch: None, rows_stay: false, with_people: false };
    let dir = shared.path().join("copy");
    let made =
        remote::clone_store(&Disk::default(), &dir, &remote, &clone, &who(), &remote::Silent);
    let told = made.unwrap_err().to_string();
    assert!(told.contains(&old.segment.to_string()), "{told}");
    assert!(told.contains("other empty rows than its proof"), "{told}");
}
