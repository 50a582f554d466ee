//! What an import means: which row is a new version of which, and which ids are kept.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at once, damage files, and print"
)]

use glossator_store::intake::{Intake, IntakeOptions, Intaken};
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, ITEMS, ItemRow, Items, ItemsBuilder, SUBMISSIONS, SubmissionRow,
    Submissions, SubmissionsBuilder, Table,
};
use glossator_store::{Error, Result};
use glossator_testkit::{TestStore, batch, choice, for_each_annotation};

/// Takes rows and commits them.
fn take(
    test: &TestStore,
    options: IntakeOptions,
    rows: Vec<(&'static Table, arrow::array::RecordBatch)>,
) -> Result<Intaken> {
    let base = test.store.history.head()?.commit;
    let snapshot = test.store.snapshot(base, &[])?;
    let mut intake = Intake::new(&snapshot, options);
    for (table, batch) in rows {
        intake.rows(table, batch)?;
    }
    let made = intake.finish()?;
    test.commit(base, &made.layers)?;
    Ok(made)
}

fn annotations(test: &TestStore, options: IntakeOptions, rows: &[AnnotationRow<'_>]) -> [u64; 3] {
    let made = take(test, options, vec![(&ANNOTATIONS, batch(rows))]).unwrap();
    let counts = made.counts["annotations"];
    [counts.added, counts.changed, counts.removed]
}

/// `id label` of every live row, in order.
fn live(test: &TestStore) -> Vec<String> {
    let head = test.store.history.head().unwrap().commit;
    let snapshot = test.store.snapshot(head, &[]).unwrap();
    let mut found = Vec::new();
    for_each_annotation(snapshot.table(&ANNOTATIONS).unwrap().scan().unwrap(), |row| {
        found.push(format!("{} {}", row.annotation_id, row.label.unwrap_or("-")));
    })
    .unwrap();
    found
}

fn answer<'a>(submission: &'a str, field: &'a str, label: &'a str) -> AnnotationRow<'a> {
    AnnotationRow { submission_id: Some(submission), field, ..choice("item", "", label) }
}

fn region<'a>(id: Option<&'a str>, label: &'a str, geometry: &'a [f64]) -> AnnotationRow<'a> {
    AnnotationRow {
        region_id: id,
        kind: "bbox",
        geometry: Some(geometry),
        unit: Some("px"),
        ..answer("annotation/1", "box", label)
    }
}

#[test]
fn a_set_of_labels_changes_by_its_members() {
    let test = TestStore::new();
    let set = |labels: &[&'static str]| -> Vec<AnnotationRow<'static>> {
        labels.iter().map(|label| answer("annotation/1", "topics", label)).collect()
    };
    assert_eq!(annotations(&test, Default::default(), &set(&["a", "b"])), [2, 0, 0]);
    assert_eq!(live(&test), ["annotation/1/choice/topics a", "annotation/1/choice/topics/2 b"]);
    // The same set in another order is no change; one other member is one change.
    assert_eq!(annotations(&test, Default::default(), &set(&["b", "a"])), [0, 0, 0]);
    assert_eq!(annotations(&test, Default::default(), &set(&["c", "a"])), [0, 1, 0]);
    assert_eq!(live(&test), ["annotation/1/choice/topics a", "annotation/1/choice/topics/2 c"]);
    assert_eq!(annotations(&test, Default::default(), &set(&["c"])), [0, 0, 1]);
    // A number that is free again may be given again; one in use never is.
    assert_eq!(annotations(&test, Default::default(), &set(&["c", "d", "e"])), [2, 0, 0]);
    assert_eq!(
        live(&test),
        [
            "annotation/1/choice/topics d",
            "annotation/1/choice/topics/2 c",
            "annotation/1/choice/topics/3 e"
        ]
    );
}

#[test]
fn a_region_that_moved_keeps_its_id_whatever_the_tool_calls_it() {
    let test = TestStore::new();
    let (a, b) = ([0., 0., 10., 10.], [50., 50., 10., 10.]);
    let first = [region(Some("r1"), "car", &a), region(Some("r2"), "car", &b)];
    annotations(&test, Default::default(), &first);
    // New region ids, both moved by one: IoU 90/110, far over one half; listed the other way.
    let (a2, b2) = ([1., 0., 10., 10.], [51., 50., 10., 10.]);
    let moved = [region(Some("x2"), "car", &b2), region(Some("x1"), "car", &a2)];
    assert_eq!(annotations(&test, Default::default(), &moved), [0, 2, 0]);
    assert_eq!(live(&test), ["annotation/1/r1/box car", "annotation/1/r2/box car"]);
    // One far away is another region; two are left on each side, so neither pairs by default.
    let far = [500., 500., 10., 10.];
    let other = [region(Some("y1"), "car", &far), region(Some("y2"), "bus", &far)];
    assert_eq!(annotations(&test, Default::default(), &other), [2, 0, 2]);
    assert_eq!(live(&test), ["annotation/1/y1/box car", "annotation/1/y2/box bus"]);
}

#[test]
fn rows_of_a_submission_that_the_file_does_not_have_stay_unless_pruned() {
    let test = TestStore::new();
    let both = [answer("annotation/1", "f", "a"), answer("annotation/2", "f", "b")];
    annotations(&test, Default::default(), &both);
    let one = [answer("annotation/1", "f", "a")];
    assert_eq!(annotations(&test, Default::default(), &one), [0, 0, 0]);
    let prune = IntakeOptions { prune: true, ..Default::default() };
    assert_eq!(annotations(&test, prune, &one), [0, 0, 1]);
    assert_eq!(live(&test), ["annotation/1/choice/f a"]);
}

#[test]
fn a_later_answer_of_a_table_is_a_new_version_unless_appended() {
    let test = TestStore::new();
    let twice = [choice("item", "", "a"), choice("item", "", "b")];
    assert_eq!(annotations(&test, Default::default(), &twice), [2, 0, 0]);
    assert_eq!(live(&test), ["table/ann/choice/label a", "table/ann/choice/label/2 b"]);
    assert_eq!(annotations(&test, Default::default(), &twice), [0, 0, 0]);
    assert_eq!(annotations(&test, Default::default(), &[choice("item", "", "c")]), [0, 1, 0]);
    assert_eq!(live(&test), ["table/ann/choice/label c", "table/ann/choice/label/2 b"]);
    let append = IntakeOptions { append: true, ..Default::default() };
    assert_eq!(annotations(&test, append, &[choice("item", "", "c")]), [1, 0, 0]);
    assert_eq!(live(&test).len(), 3);
}

/// A file knows neither that something took the place of its answers nor under which policy they
/// were made; an edit does.
#[test]
fn what_files_do_not_know_stays() {
    let test = TestStore::new();
    let known = AnnotationRow {
        status: "superseded",
        policy: Some("p@1"),
        ..answer("annotation/1", "f", "a")
    };
    annotations(&test, Default::default(), &[known]);
    let keep = IntakeOptions { keep_ours: true, ..Default::default() };
    let file = answer("annotation/1", "f", "a");
    assert_eq!(annotations(&test, keep, std::slice::from_ref(&file)), [0, 0, 0]);
    let other = AnnotationRow { policy: Some("p@2"), ..file.clone() };
    assert_eq!(annotations(&test, keep, &[other]), [0, 1, 0], "a file that names one is heard");
    assert_eq!(annotations(&test, Default::default(), &[file]), [0, 1, 0]);
}

#[test]
fn a_place_alone_is_no_change() {
    let test = TestStore::new();
    let at = |seq| AnnotationRow { seq: Some(seq), ..choice("item", "id", "a") };
    annotations(&test, Default::default(), &[at(0)]);
    assert_eq!(annotations(&test, Default::default(), &[at(7)]), [0, 0, 0]);
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let test = TestStore::new();
    let rows = batch(&[choice("item", "id", "a"), choice("item", "id", "b")]);
    let refused = take(&test, Default::default(), vec![(&ANNOTATIONS, rows)]);
    assert!(
        matches!(&refused, Err(Error::RepeatedKey { table: "annotations", item, key })
            if item == "item" && key == "id"),
        "{refused:?}"
    );
    assert_eq!(test.store.history.head().unwrap().commit, None);
}

#[test]
fn ids_that_are_too_long_and_numbers_that_are_none_are_refused() {
    let test = TestStore::new();
    let long = "x".repeat(1_025);
    let nan = [f64::NAN];
    for row in [
        choice(&long, "id", "a"),
        choice("", "id", "a"),
        AnnotationRow { number: Some(f64::INFINITY), ..choice("item", "id", "a") },
        AnnotationRow { geometry: Some(&nan), ..choice("item", "id", "a") },
    ] {
        let refused = take(&test, Default::default(), vec![(&ANNOTATIONS, batch(&[row]))]);
        assert!(matches!(refused, Err(Error::BadRows { .. })));
    }
    // 1 KiB itself is fine, and mints an id that is no longer than that.
    let most = "x".repeat(1_024);
    let row = AnnotationRow { region_id: Some(&most), ..choice(&most, "", "a") };
    assert_eq!(annotations(&test, Default::default(), &[row]), [1, 0, 0]);
}

fn items(rows: &[ItemRow<'_>]) -> arrow::array::RecordBatch {
    let mut builder = ItemsBuilder::default();
    rows.iter().for_each(|row| builder.push(row));
    builder.finish()
}

fn stored_items(test: &TestStore) -> Vec<(String, Vec<String>, Option<i64>)> {
    let head = test.store.history.head().unwrap().commit;
    let snapshot = test.store.snapshot(head, &[]).unwrap();
    let mut found = Vec::new();
    for batch in snapshot.table(&ITEMS).unwrap().scan().unwrap() {
        let batch = batch.unwrap().project(&(0..ITEMS.columns.len()).collect::<Vec<_>>()).unwrap();
        for row in Items::new(&batch).iter() {
            let aliases = row.aliases.unwrap_or_default().into_iter().map(str::to_owned).collect();
            found.push((row.item_id.to_owned(), aliases, row.width));
        }
    }
    found
}

fn provisional<'a>(source: &'a str, id: &'a str, uri: &'a str) -> ItemRow<'a> {
    ItemRow {
        item_id: id,
        aliases: Some(vec![id, uri]),
        source: Some(source),
        uri: Some(uri),
        ..ItemRow::default()
    }
}

#[test]
fn items_take_their_uri_where_it_is_unique_and_keep_it() {
    let test = TestStore::new();
    let rows = items(&[
        provisional("ls:1", "ls:1/1", "a.png"),
        provisional("ls:1", "ls:1/2", "same.png"),
        provisional("ls:1", "ls:1/3", "same.png"),
    ]);
    let named = batch(&[choice("ls:1/1", "id", "x"), choice("ls:1/2", "id", "y")]);
    take(&test, Default::default(), vec![(&ANNOTATIONS, named), (&ITEMS, rows)]).unwrap();
    let ids = |test: &TestStore| -> Vec<String> {
        stored_items(test).into_iter().map(|(id, ..)| id).collect()
    };
    assert_eq!(ids(&test), ["a.png", "ls:1/2", "ls:1/3"]);
    assert_eq!(live(&test), ["id x", "id y"]);
    // The tool moved the file: the item is found by its number and keeps its id.
    let moved = items(&[provisional("ls:1", "ls:1/1", "b.png")]);
    take(&test, Default::default(), vec![(&ITEMS, moved)]).unwrap();
    assert_eq!(ids(&test), ["a.png", "ls:1/2", "ls:1/3"]);
    assert_eq!(stored_items(&test)[0].1, ["ls:1/1", "a.png", "b.png"]);
    // Another source names the same file: the same item, filled in and not overwritten.
    let coco = ItemRow { width: Some(64), ..provisional("coco", "coco/9", "b.png") };
    take(&test, Default::default(), vec![(&ITEMS, items(&[coco]))]).unwrap();
    let first = stored_items(&test).remove(0);
    assert_eq!(first.0, "a.png");
    assert_eq!(first.1, ["ls:1/1", "a.png", "b.png", "coco/9"]);
    assert_eq!(first.2, Some(64));
}

#[test]
fn a_file_whose_items_are_of_another_source_is_asked_about() {
    let test = TestStore::new();
    let first =
        items(&[provisional("old", "old/1", "a.png"), provisional("old", "old/2", "b.png")]);
    take(&test, Default::default(), vec![(&ITEMS, first)]).unwrap();
    let head = test.store.history.head().unwrap().commit;
    let snapshot = test.store.snapshot(head, &[]).unwrap();
    let mut intake = Intake::new(&snapshot, Default::default());
    intake.refuse_items_of(vec!["old".to_owned()]);
    let again =
        items(&[provisional("new", "new/1", "a.png"), provisional("new", "new/2", "b.png")]);
    intake.rows(&ITEMS, again).unwrap();
    let refused = intake.finish();
    let expected = |name: &str, items| name == "old" && items == 2;
    assert!(
        matches!(&refused, Err(Error::OtherSource { name, items }) if expected(name, *items)),
        "{refused:?}"
    );
}

fn submissions(rows: &[SubmissionRow<'_>]) -> arrow::array::RecordBatch {
    let mut builder = SubmissionsBuilder::default();
    rows.iter().for_each(|row| builder.push(row));
    builder.finish()
}

fn submission(extra: &str) -> SubmissionRow<'_> {
    SubmissionRow {
        item_id: "item",
        submission_id: "annotation/1",
        source: "ls:1",
        annotator_id: "1",
        origin: "human",
        state: "submitted",
        extra: Some(extra),
        ..SubmissionRow::default()
    }
}

const TOOL: IntakeOptions = IntakeOptions {
    append: false,
    prune: false,
    in_order: false,
    keep_ours: false,
    volatile: |_| &["ago"],
    unique: |_| Some("uid"),
};

#[test]
fn what_the_tool_changes_by_itself_is_kept_as_first_read() {
    let test = TestStore::new();
    let changed = |extra: &str| {
        let rows = submissions(&[submission(extra)]);
        let made = take(&test, TOOL, vec![(&SUBMISSIONS, rows)]).unwrap();
        made.counts["submissions"].added + made.counts["submissions"].changed
    };
    assert_eq!(changed(r#"{"ago":"1 minute","note":"a"}"#), 1);
    assert_eq!(changed(r#"{"ago":"2 minutes","note":"a"}"#), 0);
    assert_eq!(changed(r#"{"note":"a"}"#), 0);
    assert_eq!(changed(r#"{"stub":true}"#), 0);
    assert_eq!(changed(r#"{"ago":"9 minutes","note":"b"}"#), 1);
    let head = test.store.history.head().unwrap().commit;
    let snapshot = test.store.snapshot(head, &[]).unwrap();
    let rows = snapshot.table(&SUBMISSIONS).unwrap().scan().unwrap().next().unwrap().unwrap();
    let extra = Submissions::new(&rows).row(0).extra.unwrap().to_owned();
    let extra: serde_json::Value = serde_json::from_str(&extra).unwrap();
    assert_eq!(extra, serde_json::json!({"ago": "1 minute", "note": "b"}));
}

#[test]
fn a_file_of_another_project_with_equal_numbers_is_refused() {
    let test = TestStore::new();
    let rows = submissions(&[submission(r#"{"uid":"a"}"#)]);
    take(&test, TOOL, vec![(&SUBMISSIONS, rows)]).unwrap();
    let rows = submissions(&[submission(r#"{"uid":"b"}"#)]);
    let refused = take(&test, TOOL, vec![(&SUBMISSIONS, rows)]);
    assert!(matches!(refused, Err(Error::OtherProject { .. })), "{refused:?}");
}

fn keys(rows: &[(&str, &str)]) -> arrow::array::RecordBatch {
    let part = |take: fn(&(&str, &str)) -> String| -> arrow::array::ArrayRef {
        let texts = rows.iter().map(|key| Some(take(key)));
        std::sync::Arc::new(texts.collect::<arrow::array::StringArray>())
    };
    let columns =
        [("item_id", part(|k| k.0.to_owned())), ("annotation_id", part(|k| k.1.to_owned()))];
    arrow::array::RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn rows_come_and_go_in_one_change() {
    let test = TestStore::new();
    let base: Vec<_> = ["a", "b", "c", "d", "e"].map(|id| choice("item-1", id, "car")).to_vec();
    let head = test.import(&base).unwrap();
    let snapshot = test.store.snapshot(head, &[]).unwrap();
    let mut intake = Intake::new(&snapshot, IntakeOptions::default());
    let rows =
        [choice("item-0", "x", "bus"), choice("item-1", "b", "bus"), choice("item-1", "c", "bus")];
    intake.rows(&ANNOTATIONS, batch(&rows)).unwrap();
    // Before, between and behind the rows that come; one that is changed and goes; one of nothing.
    let gone = [("item-1", "e"), ("item-1", "a"), ("item-1", "b"), ("item-9", "z")];
    intake.remove(&keys(&gone)).unwrap();
    let made = intake.finish().unwrap();
    assert_eq!(made.missing, ["`item-9` `z`"]);
    assert_eq!(made.layers.len(), 1);
    let counts = made.counts["annotations"];
    assert_eq!((counts.added, counts.changed, counts.removed), (1, 1, 3));
    let after = test.commit(head, &made.layers).unwrap();
    assert!(after.is_some());
    assert_eq!(live(&test), ["x bus", "c bus", "d car"]);
    assert!(test.store.verify(&mut |_| {}).unwrap().findings.is_empty());
}

#[test]
fn a_key_that_goes_may_not_stand_twice() {
    let test = TestStore::new();
    let head = test.import(&[choice("item", "a", "car")]).unwrap();
    let snapshot = test.store.snapshot(head, &[]).unwrap();
    let mut intake = Intake::new(&snapshot, IntakeOptions::default());
    intake.remove(&keys(&[("item", "a")])).unwrap();
    intake.remove(&keys(&[("item", "a")])).unwrap();
    assert!(matches!(intake.finish(), Err(Error::RepeatedKey { .. })));
}
