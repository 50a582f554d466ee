//! What was imported comes out again.

use flate2::Compression;
use flate2::write::GzEncoder;
use glossator_store::schema::{
    Items, ItemsBuilder, REVIEWS, Reviews, SourceRow, SourcesBuilder, Submissions,
};

use super::*;

/// Says where two values differ first, so that a failure of a large file can be read.
fn difference(a: &Value, b: &Value, path: &str) -> Option<String> {
    match (a, b) {
        _ if a == b => None,
        (Value::Object(x), Value::Object(y)) => {
            let names = x.keys().chain(y.keys().filter(|name| !x.contains_key(*name)));
            names.map(|name| (name, x.get(name), y.get(name))).find_map(|(name, x, y)| {
                match (x, y) {
                    (Some(x), Some(y)) => difference(x, y, &format!("{path}.{name}")),
                    (x, y) => Some(format!("{path}.{name}: {x:?} {y:?}")),
                }
            })
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => x
            .iter()
            .zip(y)
            .enumerate()
            .find_map(|(i, (x, y))| difference(x, y, &format!("{path}[{i}]"))),
        _ => Some(format!("{path}: {a:.300} {b:.300}")),
    }
}

fn assert_trip(path: &Path) {
    let rows = import(path);
    let (source, found) = (value(path), export(&rows));
    if let Some(difference) = difference(&source, &found, "") {
        panic!("{}: {difference}", path.display());
    }
    assert_eq!(source, found);
}

#[test]
fn our_samples_come_back() {
    let files = task_files(&own());
    assert_eq!(files.len(), 6);
    files.iter().for_each(|path| assert_trip(path));
}

#[test]
fn live_exports_come_back() {
    let files = task_files(&live());
    // JSON, JSON_all_tasks and two snapshots of the texts; JSON and JSON_all_tasks of the images.
    assert_eq!(files.len(), 6);
    files.iter().for_each(|path| assert_trip(path));
}

#[test]
fn files_of_the_tools_test_suites_come_back() {
    let Some(folder) = suites() else { return };
    let files = task_files(&folder);
    // 33 in the table of the folder's README and 3 that it names in `server-tests`.
    assert_eq!(files.len(), 36);
    files.iter().for_each(|path| assert_trip(path));
}

#[test]
fn a_gzipped_file_comes_back() {
    let plain = live().join("text/export/JSON.json");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text(&plain).as_bytes()).unwrap();
    let (_folder, path) = file_of(&gzip.finish().unwrap());
    assert_eq!(export(&import(&path)), value(&plain));
}

#[test]
fn no_result_of_the_live_exports_is_lost() {
    // The tool's region ids are used again on other annotations of a task: 222 results have far
    // fewer distinct ids.
    for name in ["JSON", "SNAPSHOT_JSON", "SNAPSHOT_FULL_JSON"] {
        let path = live().join(format!("text/export/{name}.json"));
        let rows = import(&path);
        let exported = export(&rows);
        let annotations = exported.as_array().unwrap().iter();
        let results = annotations
            .flat_map(|task| task["annotations"].as_array().unwrap())
            .map(|annotation| annotation["result"].as_array().unwrap().len());
        assert_eq!(results.sum::<usize>(), 222, "{name}");
    }
}

#[test]
fn extra_is_a_small_part_of_the_live_exports() {
    for path in task_files(&live()) {
        let rows = import(&path);
        let mut extra = 0;
        for table in TABLES {
            let batch = rows.table(table);
            let column = batch.column(table.column("extra").unwrap());
            let column = glossator_store::schema::ColumnView::new(column).unwrap();
            extra +=
                (0..batch.num_rows()).filter_map(|i| column.text(i)).map(str::len).sum::<usize>();
        }
        let share = extra as f64 / text(&path).len() as f64;
        eprintln!("{}: {extra} bytes of extra, {:.1} %", path.display(), share * 100.0);
        assert!(share < 0.2, "{}: {share}", path.display());
    }
}

#[test]
fn every_task_has_the_source_of_its_project() {
    let path = own().join("mixed-projects.json");
    let mut rows = Collected::default();
    let source = import_into(&path, &mut rows).unwrap();
    assert_eq!(
        source,
        "label-studio:8, label-studio:9, label-studio:mixed-projects, label-studio:named"
    );
    let batch = rows.table(&ITEMS);
    let ids: Vec<&str> = Items::new(&batch).iter().map(|item| item.item_id).collect();
    // b3sum of {"text":"no id"}, first 16 digits; the second has the same data.
    let digest = blake3::hash(br#"{"text":"no id"}"#).to_hex();
    let unnamed = format!("label-studio:mixed-projects/@{}", &digest[..16]);
    let mut expected = vec![
        "label-studio:8/1".to_owned(),
        "label-studio:9/1".to_owned(),
        unnamed.clone(),
        format!("{unnamed}/2"),
        "label-studio:named/7".to_owned(),
    ];
    expected.sort();
    assert_eq!(ids, expected);
    let options = ExportOptions { source: Some("label-studio:9".into()), ..Default::default() };
    assert_eq!(export_with(&rows, &options).0, Value::from_iter([value(&path)[1].clone()]));
    let options = ImportOptions { source: Some("mine".into()), ..Default::default() };
    let mut rows = Collected::default();
    let report = LabelStudio.import(&Input::new(&path), &options, &mut rows).unwrap();
    assert_eq!((report.source.as_str(), report.records), ("mine", 5));
}

#[test]
fn people_stay_out_of_rows_and_come_back_with_their_facts() {
    let mut files = vec![own().join("reviews.json"), live().join("text/export/JSON.json")];
    if let Some(folder) = suites() {
        files.push(folder.join("sdk/test_export_csv/csv_test.json"));
        files.push(folder.join("sdk/test_export_csv/csv_test_history.json"));
        files.push(folder.join("label-studio-evalme/test_data/test_bbox.json"));
    }
    for path in files {
        let rows = import(&path);
        let data = |cell: &String| cell.starts_with('{') && cell.contains("\"mail\"");
        for cell in all_cells(&rows).iter().filter(|cell| !data(cell)) {
            let meta = cell.replace("desk@example.com", "");
            assert!(!meta.contains("@example.com"), "{}: {cell}", path.display());
        }
        let options = ExportOptions { without_people: true, ..Default::default() };
        let without = export_with(&rows, &options).0.to_string();
        let without = without.replace("someone@example.com", "").replace("desk@example.com", "");
        assert!(!without.contains("@example.com"), "{}", path.display());
    }
}

#[test]
fn reviews_set_the_state_and_skipped_answers_are_skipped() {
    let rows = import(&own().join("reviews.json"));
    let batch = rows.table(&REVIEWS);
    let reviews: Vec<_> = Reviews::new(&batch)
        .iter()
        .map(|r| (r.review_id, r.round.unwrap(), r.reviewer_id, r.decision, r.seq.unwrap()))
        .collect();
    assert_eq!(reviews, [("31", 1, "6", "rejected", 1), ("32", 2, "7", "fixed", 0)]);
    let batch = rows.table(&SUBMISSIONS);
    let states: Vec<_> = Submissions::new(&batch)
        .iter()
        .map(|s| (s.submission_id, s.annotator_id, s.state, s.gold, s.parent_id))
        .collect();
    assert_eq!(
        states,
        [
            ("annotation/21", "5", "fixed", true, None),
            ("annotation/22", "6", "skipped", false, Some("annotation/21")),
        ]
    );
}

#[test]
fn a_single_task_comes_back_as_an_object_until_there_are_two() {
    let one = r#"{"id":1,"project":2,"data":{"text":"a"},"annotations":[]}"#;
    let two = r#"[{"id":2,"project":2,"data":{"text":"b"},"annotations":[]}]"#;
    let first = import_text(one).unwrap();
    assert_eq!(export(&first), json::parse(one).unwrap());
    let mut both = import_text(two).unwrap();
    for table in [&ITEMS, &SOURCES] {
        put(&mut both, table, first.table(table));
    }
    assert_eq!(export(&both).as_array().unwrap().len(), 2);
    let empty = import_text("[]").unwrap();
    assert_eq!(export(&empty), json::parse("[]").unwrap());
}

#[test]
fn rows_of_other_formats_are_written_in_percent() {
    let mut rows = Collected::default();
    let mut items = ItemsBuilder::default();
    items.push(&glossator_store::schema::ItemRow {
        item_id: "a.png",
        uri: Some("a.png"),
        source: Some("coco"),
        width: Some(200),
        height: Some(50),
        ..Default::default()
    });
    put(&mut rows, &ITEMS, items.finish());
    let mut sources = SourcesBuilder::default();
    sources.push(&SourceRow { source: "coco", format: "coco", ..Default::default() });
    put(&mut rows, &SOURCES, sources.finish());
    let mut builder = AnnotationsBuilder::default();
    let row = glossator_store::schema::AnnotationRow {
        item_id: "a.png",
        source: "coco",
        annotator_id: "ann",
        origin: "human",
        field: "category",
        kind: "bbox",
        label: Some("cat"),
        geometry: Some(&[20.0, 5.0, 100.0, 25.0]),
        unit: Some("px"),
        status: "submitted",
        ..Default::default()
    };
    builder.push(&row);
    builder.push(&glossator_store::schema::AnnotationRow { negative: true, ..row });
    put(&mut rows, &ANNOTATIONS, builder.finish());
    let (found, losses) = export_with(&rows, &ExportOptions::default());
    // 20 of 200 is 10 %, 5 of 50 is 10 %, 100 of 200 is 50 %, 25 of 50 is 50 %.
    let expected =
        r#"{"x":10,"y":10,"width":50,"height":50,"rotation":0,"rectanglelabels":["cat"]}"#;
    assert_eq!(found[0]["data"], json::parse(r#"{"image":"a.png"}"#).unwrap());
    let annotation = &found[0]["annotations"][0];
    assert_eq!(annotation["completed_by"], "ann");
    assert_eq!(annotation["result"][0]["value"], json::parse(expected).unwrap());
    assert_eq!(annotation["result"][0]["original_width"], 200);
    assert_eq!(losses, [("rows that say a label is absent (`negative`)".to_owned(), 1)]);
}
