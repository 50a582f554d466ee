//! Cases at the edges of import, edit and look-up: each test says what holds.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at once, damage files, and print"
)]

use std::collections::BTreeMap;

use glossator_store::intake::{Intake, IntakeOptions, Intaken};
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, ITEMS, ItemRow, Items, ItemsBuilder, SUBMISSIONS, SubmissionRow,
    Submissions, SubmissionsBuilder, Table,
};
use glossator_store::{Error, Result};
use glossator_testkit::{TestStore, batch, choice, for_each_annotation};

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

fn annotations(test: &TestStore, rows: &[AnnotationRow<'_>]) -> [u64; 3] {
    let made = take(test, IntakeOptions::default(), vec![(&ANNOTATIONS, batch(rows))]).unwrap();
    let counts = made.counts["annotations"];
    [counts.added, counts.changed, counts.removed]
}

/// What every live row says, by id.
fn live(test: &TestStore, say: impl Fn(&AnnotationRow<'_>) -> String) -> BTreeMap<String, String> {
    let head = test.store.history.head().unwrap().commit;
    let snapshot = test.store.snapshot(head, &[]).unwrap();
    let mut found = BTreeMap::new();
    for_each_annotation(snapshot.table(&ANNOTATIONS).unwrap().scan().unwrap(), |row| {
        found.insert(row.annotation_id.to_owned(), say(&row));
    })
    .unwrap();
    found
}

/// A box of a source whose regions have no ids.
fn plain_box<'a>(geometry: &'a [f64]) -> AnnotationRow<'a> {
    AnnotationRow {
        kind: "bbox",
        geometry: Some(geometry),
        unit: Some("px"),
        field: "box",
        ..choice("item", "", "car")
    }
}

fn x(row: &AnnotationRow<'_>) -> String {
    row.geometry.unwrap()[0].to_string()
}

#[test]
fn boxes_without_region_ids_pair_by_overlap_not_by_place() {
    let test = TestStore::new();
    let (a, b) = ([0., 0., 10., 10.], [500., 500., 10., 10.]);
    annotations(&test, &[plain_box(&a), plain_box(&b)]);
    let before = live(&test, x);
    // The second moves by one pixel and is listed first; the first stays as it is.
    let b2 = [501., 500., 10., 10.];
    let counts = annotations(&test, &[plain_box(&b2), plain_box(&a)]);
    let after = live(&test, x);
    println!("{before:?}\n{after:?}");
    assert_eq!(counts, [0, 1, 0]);
}

#[test]
fn a_box_that_is_gone_does_not_shift_the_others() {
    let test = TestStore::new();
    let of =
        |geometry| AnnotationRow { submission_id: Some("annotation/1"), ..plain_box(geometry) };
    let (a, b) = ([0., 0., 10., 10.], [500., 500., 10., 10.]);
    annotations(&test, &[of(&a), of(&b)]);
    let before = live(&test, x);
    let b2 = [501., 500., 10., 10.];
    annotations(&test, &[of(&b2)]);
    let after = live(&test, x);
    println!("{before:?}\n{after:?}");
    let id_of_b = before.iter().find(|(_, x)| *x == "500").unwrap().0;
    assert_eq!(after.get(id_of_b).map(String::as_str), Some("501"));
}

#[test]
fn targets_are_told_apart() {
    let test = TestStore::new();
    let of = |target, at| AnnotationRow {
        submission_id: Some("annotation/1"),
        target: Some(target),
        updated_at: Some(at),
        ..choice("item", "", "good")
    };
    annotations(&test, &[of("m1", 1), of("m2", 1)]);
    let before = live(&test, |row| row.target.unwrap().to_owned());
    annotations(&test, &[of("m2", 2)]);
    let after = live(&test, |row| row.target.unwrap().to_owned());
    println!("{before:?}\n{after:?}");
    let (id, _) = before.iter().find(|(_, target)| *target == "m2").unwrap();
    assert!(after.contains_key(id));
}

#[test]
fn pairing_does_not_depend_on_where_rows_lie() {
    let test = TestStore::new();
    let say = |row: &AnnotationRow<'_>| row.label.unwrap().to_owned();
    annotations(&test, &[choice("item", "", "cat"), choice("item", "", "dog")]);
    annotations(&test, &[choice("item", "", "fish"), choice("item", "", "dog")]);
    let before = live(&test, say);
    annotations(&test, &[choice("item", "", "horse"), choice("item", "", "cow")]);
    let after = live(&test, say);
    println!("{before:?}\n{after:?}");
    assert_eq!(after["table/ann/choice/label"], "horse");
}

fn submissions(rows: &[SubmissionRow<'_>]) -> arrow::array::RecordBatch {
    let mut builder = SubmissionsBuilder::default();
    rows.iter().for_each(|row| builder.push(row));
    builder.finish()
}

#[test]
fn equal_submission_ids_of_two_sources_do_not_overwrite() {
    let test = TestStore::new();
    let of = |source, who| SubmissionRow {
        item_id: "img.jpg",
        submission_id: "annotation/12",
        source,
        annotator_id: who,
        origin: "human",
        state: "submitted",
        ..SubmissionRow::default()
    };
    let of_ann = |source, who| AnnotationRow {
        source,
        annotator_id: who,
        submission_id: Some("annotation/12"),
        ..choice("img.jpg", "", "cat")
    };
    for (source, who) in [("ls:1", "1"), ("ls:2", "1")] {
        let rows = vec![
            (&ANNOTATIONS, batch(&[of_ann(source, who)])),
            (&SUBMISSIONS, submissions(&[of(source, who)])),
        ];
        match take(&test, IntakeOptions::default(), rows) {
            Ok(made) => println!("{source}: {:?}", made.counts),
            Err(e) => return println!("refused: {e}"),
        }
    }
    let head = test.store.history.head().unwrap().commit;
    let snapshot = test.store.snapshot(head, &[]).unwrap();
    let mut sources = Vec::new();
    for batch in snapshot.table(&SUBMISSIONS).unwrap().scan().unwrap() {
        for row in Submissions::new(&batch.unwrap()).iter() {
            sources.push(row.source.to_owned());
        }
    }
    assert_eq!(sources, ["ls:1", "ls:2"], "ann's submission was overwritten");
}

fn items(rows: &[ItemRow<'_>]) -> arrow::array::RecordBatch {
    let mut builder = ItemsBuilder::default();
    rows.iter().for_each(|row| builder.push(row));
    builder.finish()
}

fn task<'a>(id: &'a str, uri: &'a str, source: &'a str) -> ItemRow<'a> {
    ItemRow {
        item_id: id,
        aliases: Some(vec![id, uri]),
        uri: Some(uri),
        source: Some(source),
        ..ItemRow::default()
    }
}

fn item_ids(test: &TestStore) -> Vec<String> {
    let head = test.store.history.head().unwrap().commit;
    let snapshot = test.store.snapshot(head, &[]).unwrap();
    let mut found = Vec::new();
    for batch in snapshot.table(&ITEMS).unwrap().scan().unwrap() {
        for row in Items::new(&batch.unwrap()).iter() {
            found.push(format!("{} {:?}", row.item_id, row.uri));
        }
    }
    found
}

#[test]
fn two_tasks_of_one_file_never_become_one_item() {
    let test = TestStore::new();
    take(
        &test,
        IntakeOptions::default(),
        vec![(&ITEMS, items(&[task("ls:1/5", "u.jpg", "ls:1")]))],
    )
    .unwrap();
    // Task 5 got another picture, and a new task 9 has the picture that task 5 had.
    let file = [task("ls:1/5", "v.jpg", "ls:1"), task("ls:1/9", "u.jpg", "ls:1")];
    let made = take(&test, IntakeOptions::default(), vec![(&ITEMS, items(&file))]).unwrap();
    println!("{:?} {:?}", made.counts, item_ids(&test));
    assert_eq!(item_ids(&test).len(), 2);
}

#[test]
fn pruning_one_source_keeps_items_that_another_answers() {
    let test = TestStore::new();
    let of = |item, source| AnnotationRow {
        source,
        submission_id: Some("annotation/1"),
        ..choice(item, "", "cat")
    };
    let take = |options, names: &[(&'static str, &'static str)], source| {
        let tasks: Vec<_> = names.iter().map(|(id, uri)| task(id, uri, source)).collect();
        let rows: Vec<_> = names.iter().map(|(id, _)| of(*id, source)).collect();
        take(&test, options, vec![(&ITEMS, items(&tasks)), (&ANNOTATIONS, batch(&rows))]).unwrap()
    };
    take(IntakeOptions::default(), &[("ls:1/1", "u.jpg"), ("ls:1/2", "v.jpg")], "ls:1");
    take(IntakeOptions::default(), &[("ls:2/7", "u.jpg")], "ls:2");
    let prune = IntakeOptions { prune: true, ..Default::default() };
    take(prune, &[("ls:1/2", "v.jpg")], "ls:1");
    println!("{:?} {:?}", item_ids(&test), live(&test, |row| row.source.to_owned()));
    assert_eq!(item_ids(&test).len(), 2, "ls:2 still answers u.jpg");
}

#[test]
fn two_processes_that_begin_agree_on_the_key_of_pseudonyms() {
    for _ in 0..20 {
        let test = TestStore::new();
        let ids: Vec<String> = std::thread::scope(|scope| {
            let root = test.store.root().to_owned();
            let run = move || {
                let disk = glossator_store::fs::Disk::default();
                let store = glossator_store::Store::open(&disk, &root).unwrap();
                store.people().unwrap().identify(None, Some("ann@example.com"), None)
            };
            let threads = [scope.spawn(run.clone()), scope.spawn(run)];
            threads.map(|thread| thread.join().unwrap()).to_vec()
        });
        assert_eq!(ids[0], ids[1]);
    }
}

#[test]
fn two_imports_do_not_lose_each_others_people() {
    let test = TestStore::new();
    let (mut one, mut two) = (test.store.people().unwrap(), test.store.people().unwrap());
    one.identify(Some("1"), Some("ann@example.com"), Some("{}"));
    two.identify(Some("2"), Some("bob@example.com"), Some("{}"));
    test.store.save_people(&mut one).unwrap();
    test.store.save_people(&mut two).unwrap();
    let people = test.store.people().unwrap();
    assert!(people.facts("1").is_some() && people.facts("2").is_some());
}

#[test]
fn an_index_that_points_beyond_its_segment_is_no_panic() {
    let test = TestStore::new();
    test.import(&[choice("i", "a", "x")]).unwrap();
    let dir = test.store.root().join("cache/index");
    let mut paths = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
    let path = paths.find(|path| path.extension().is_some_and(|e| e == "idx")).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    // One block of 1,024 bytes: a check of 16, then the entry, whose row follows 20 bytes.
    let block = bytes.len() - 1_024;
    let entry = block + 16;
    bytes[entry + 20..entry + 24].copy_from_slice(&77_u32.to_le_bytes());
    let mut hasher = blake3::Hasher::new();
    let segment: [u8; 32] = bytes[24..56].try_into().unwrap();
    hasher.update(&segment).update(&0_u64.to_le_bytes()).update(&bytes[entry..entry + 40]);
    let sum = hasher.finalize();
    bytes[block..entry].copy_from_slice(&sum.as_bytes()[..16]);
    std::fs::write(&path, bytes).unwrap();
    let head = test.store.history.head().unwrap().commit;
    let store = test.reopen().unwrap();
    let snapshot = store.snapshot(head, &[]).unwrap();
    let table = snapshot.table(&ANNOTATIONS).unwrap();
    let found = table.locate_item("i").unwrap();
    assert_eq!(found[0].row, 77);
    assert!(matches!(table.fetch(&found), Err(Error::Damaged { .. })));
}

#[test]
fn an_item_that_kept_its_number_is_not_joined_by_another_task() {
    let test = TestStore::new();
    let take = |options, tasks: &[ItemRow<'_>]| {
        take(&test, options, vec![(&ITEMS, items(tasks))]).unwrap();
        item_ids(&test)
    };
    // Two tasks of one picture keep their numbers as ids; then one of them is gone.
    let both = [task("ls:1/5", "u.jpg", "ls:1"), task("ls:1/6", "u.jpg", "ls:1")];
    take(IntakeOptions::default(), &both);
    let prune = IntakeOptions { prune: true, ..Default::default() };
    take(prune, &both[..1]);
    let next = [task("ls:1/5", "v.jpg", "ls:1"), task("ls:1/9", "u.jpg", "ls:1")];
    let found = take(IntakeOptions::default(), &next);
    println!("{found:?}");
    assert_eq!(found.len(), 2, "task 9 became task 5");
}

#[test]
fn pruning_one_source_keeps_items_that_another_answered_with_nothing() {
    let test = TestStore::new();
    let empty = |source| {
        submissions(&[SubmissionRow {
            item_id: "ls:2/7",
            submission_id: "annotation/77",
            source,
            annotator_id: "1",
            origin: "human",
            state: "submitted",
            ..SubmissionRow::default()
        }])
    };
    let one = [task("ls:1/1", "u.jpg", "ls:1"), task("ls:1/2", "v.jpg", "ls:1")];
    take(&test, IntakeOptions::default(), vec![(&ITEMS, items(&one))]).unwrap();
    let two =
        vec![(&ITEMS, items(&[task("ls:2/7", "u.jpg", "ls:2")])), (&SUBMISSIONS, empty("ls:2"))];
    take(&test, IntakeOptions::default(), two).unwrap();
    let prune = IntakeOptions { prune: true, ..Default::default() };
    take(&test, prune, vec![(&ITEMS, items(&one[1..]))]).unwrap();
    assert_eq!(item_ids(&test).len(), 2, "ls:2 found nothing on u.jpg: that is an answer");
}

#[test]
fn a_person_who_was_a_pseudonym_keeps_one_id() {
    let test = TestStore::new();
    let import = |rows: &[AnnotationRow<'_>]| annotations(&test, rows);
    let mut people = test.store.people().unwrap();
    let first = people.identify(None, Some("ann@example.com"), None);
    import(&[AnnotationRow { annotator_id: &first, ..choice("i", "", "cat") }]);
    test.store.save_people(&mut people).unwrap();
    people.identify(Some("2"), Some("ann@example.com"), Some("{}"));
    let again = people.identify(None, Some("ann@example.com"), None);
    // The same table again.
    let counts = import(&[AnnotationRow { annotator_id: &again, ..choice("i", "", "cat") }]);
    assert_eq!(counts, [0, 0, 0], "{first} became {again}, and every vote stands twice");
}

#[test]
fn a_feature_of_writers_that_is_not_known_refuses_writes() {
    let test = TestStore::new();
    test.import(&[choice("i", "a", "x")]).unwrap();
    let path = test.store.root().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("write = []", "write = [\"redaction\"]")).unwrap();
    let store = test.reopen().unwrap();
    let head = store.history.head().unwrap().commit;
    let snapshot = store.snapshot(head, &[]).unwrap();
    let mut intake = Intake::new(&snapshot, IntakeOptions::default());
    intake.rows(&ANNOTATIONS, batch(&[choice("i", "b", "x")])).unwrap();
    let made = intake.finish().unwrap();
    assert!(glossator_testkit::commit(&store, head, &made.layers).is_err());
}

#[test]
fn a_commit_whose_reflog_cannot_be_written_is_not_called_a_failure() {
    let test = TestStore::new();
    test.import(&[choice("i", "a", "x")]).unwrap();
    let log = test.store.root().join("git/logs/refs/heads/main");
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    let before = test.store.history.head().unwrap().commit;
    let told = test.import(&[choice("i", "a", "y")]);
    let moved = test.store.history.head().unwrap().commit != before;
    assert_eq!(told.is_ok(), moved, "{told:?}, and the branch moved: {moved}");
}

#[test]
fn two_files_of_edits_to_one_row_both_apply() {
    use glossator_store::intake::{Edit, Edits};
    let test = TestStore::new();
    test.import(&[choice("i", "a", "x")]).unwrap();
    let head = test.store.history.head().unwrap().commit;
    let (snapshot, base) =
        (test.store.snapshot(head, &[]).unwrap(), test.store.snapshot(head, &[]).unwrap());
    let mut edits = Edits::new(&snapshot, Some(&base), Edit::Update);
    for (name, value) in [("label", "y"), ("status", "accepted")] {
        let column = ANNOTATIONS.column(name).unwrap();
        let row = AnnotationRow { label: Some(value), status: value, ..choice("i", "a", value) };
        edits.push(&[0, 1, column], batch(&[row]).project(&[0, 1, column]).unwrap()).unwrap();
    }
    let (_, refused) = edits.finish().unwrap();
    assert_eq!(refused.changed_since, Vec::<String>::new());
}

#[test]
fn a_row_that_is_gone_since_the_base_changed_since() {
    use glossator_store::intake::{Edit, Edits};
    let test = TestStore::new();
    let base = test.import(&[choice("i", "a", "x"), choice("i", "b", "x")]).unwrap();
    let gone = {
        let snapshot = test.store.snapshot(base, &[]).unwrap();
        let mut edits = Edits::new(&snapshot, None, Edit::Remove);
        let keys = batch(&[choice("i", "a", "x")]).project(&[0, 1]).unwrap();
        edits.push(&[0, 1], keys).unwrap();
        edits.finish().unwrap().0.layers
    };
    let head = test.commit(base, &gone).unwrap();
    let (snapshot, then) =
        (test.store.snapshot(head, &[]).unwrap(), test.store.snapshot(base, &[]).unwrap());
    let mut edits = Edits::new(&snapshot, Some(&then), Edit::Update);
    let rows = batch(&[choice("i", "a", "y"), choice("i", "b", "y")]);
    edits.push(&[0, 1, 10], rows.project(&[0, 1, 10]).unwrap()).unwrap();
    let (_, refused) = edits.finish().unwrap();
    assert_eq!((refused.missing.len(), refused.changed_since.len()), (0, 1));
}

#[test]
fn policies_in_git_text_are_those_with_a_version() {
    let test = TestStore::new();
    let row = AnnotationRow { policy: Some("patient-0042"), ..choice("i", "a", "x") };
    let commit = test.import(&[row]).unwrap().unwrap();
    let record = test.store.change(commit).unwrap();
    assert!(!record.policies.contains_key("patient-0042"), "{:?}", record.policies);
}

#[test]
fn a_bad_block_of_an_index_is_rebuilt_once() {
    let test = TestStore::new();
    let items: Vec<String> = (0..30_000).map(|i| format!("item-{i}")).collect();
    let rows: Vec<AnnotationRow<'_>> = items.iter().map(|i| choice(i, "a", "x")).collect();
    let head = test.import(&rows).unwrap();
    for entry in std::fs::read_dir(test.store.root().join("cache/index")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let indexed = path.extension().is_some_and(|e| e == "idx");
        // 25 entries a block of 1,024 bytes; the source has an index of its own, of one block.
        let Some(head) = bytes.len().checked_sub(1_200 * 1_024).filter(|_| indexed) else {
            continue;
        };
        for block in (head..bytes.len()).step_by(1_024 * 4) {
            bytes[block + 100] ^= 1;
        }
        std::fs::write(&path, bytes).unwrap();
    }
    let store = test.reopen().unwrap();
    let snapshot = store.snapshot(head, &[]).unwrap();
    let table = snapshot.table(&ANNOTATIONS).unwrap();
    let found = table.locate(items[..100].iter().map(|i| (i.as_str(), "a"))).unwrap();
    assert!(found.iter().all(Option::is_some));
    let read = store.disk().work.counts()[2];
    assert!(read <= 60_000, "100 look-ups read {read} rows of a table of 30,000");
}

#[test]
fn rows_of_large_cells_do_not_add_up_in_memory() {
    use glossator_store::limits::BATCH_ROWS;
    let test = TestStore::new();
    let data = format!("\"{}\"", "x".repeat(100_000));
    let ids: Vec<String> = (0..1_000).map(|i| format!("i{i:04}")).collect();
    let batches = ids.chunks(100).map(|ids| {
        let row = |id| ItemRow { item_id: id, data: Some(data.as_str()), ..ItemRow::default() };
        let rows: Vec<ItemRow<'_>> = ids.iter().map(|id| row(id.as_str())).collect();
        items(&rows)
    });
    let head = test.import_batches(&ITEMS, batches).unwrap();
    let snapshot = test.store.snapshot(head, &[]).unwrap();
    let scan = snapshot.table(&ITEMS).unwrap().scan().unwrap();
    let most = scan.map(|batch| batch.unwrap().get_array_memory_size()).max().unwrap();
    // At 8,192 rows a batch, 262,144 bytes a cell overflow the 32-bit offsets of a batch.
    assert!(most < 64 << 20, "a batch of {most} bytes; {BATCH_ROWS} such rows hold 800 MB");
}
