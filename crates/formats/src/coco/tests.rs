//! Tests of the COCO importer and exporter.

#![allow(clippy::disallowed_macros, reason = "a test says why it skips")]

use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::{AsArray, RecordBatch, StringArray};
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, Annotations, AnnotationsBuilder, ITEMS, ItemRow, Items,
    ItemsBuilder, SOURCES, SUBMISSIONS, Sources, Table,
};
use serde_json::{Value, json};

use super::*;
use crate::Error;
use crate::collect::Collected;
use crate::json::parse;

/// The samples of other projects, which are no part of this repository.
fn shared() -> Option<PathBuf> {
    let path =
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join("fmt-coco");
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "the samples are missing");
    eprintln!("skipped: no shared samples");
    None
}

fn own(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/coco")).join(name)
}

fn temporary(text: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    file.write_all(text.as_ref()).unwrap();
    file
}

fn collect(path: &Path, options: &ImportOptions) -> Result<Collected> {
    let mut sink = Collected::default();
    Coco.import(&Input::new(path), options, &mut sink).map(|_| sink)
}

fn given(images: Option<PathBuf>) -> ImportOptions {
    ImportOptions { images, source: Some("set".to_owned()), ..ImportOptions::default() }
}

/// Imports a text as the source `set`.
fn taken(text: &str) -> Collected {
    collect(temporary(text).path(), &given(None)).unwrap()
}

fn refused(text: &str) -> String {
    let error = collect(temporary(text).path(), &given(None)).map(|_| ()).unwrap_err();
    error.to_string()
}

fn exported_with_losses(view: &Collected) -> (Value, Vec<Loss>) {
    let mut out = Vec::new();
    let losses = Coco.export(view, &ExportOptions::default(), &mut out).unwrap();
    (parse(std::str::from_utf8(&out).unwrap()).unwrap(), losses)
}

fn exported(view: &Collected) -> Value {
    exported_with_losses(view).0
}

fn read_json(path: &Path) -> Value {
    let mut text = String::new();
    let mut file = Input::new(path).open().unwrap();
    std::io::Read::read_to_string(&mut file, &mut text).unwrap();
    parse(&text).unwrap()
}

/// The JSON files below a folder.
fn files_under(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in path.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_under(&path));
        } else if path.to_string_lossy().contains(".json") {
            files.push(path);
        }
    }
    files
}

#[test]
fn every_sample_round_trips() {
    let Some(root) = shared() else { return };
    let mut files = 0;
    for path in files_under(&root) {
        let results = path.components().any(|part| part.as_os_str() == "results");
        let source = read_json(&path);
        let images = results.then(|| images_of(&source));
        let options = given(images.as_ref().map(|file| file.path().to_owned()));
        let view = collect(&path, &options).unwrap();
        let (written, losses) = exported_with_losses(&view);
        assert_eq!(written, source, "{}", path.display());
        assert_eq!(losses, [], "{}", path.display());
        files += 1;
    }
    assert_eq!(files, 15);
}

/// An image file for detections: nothing but the ids and names that they need.
fn images_of(results: &Value) -> tempfile::NamedTempFile {
    let rows = results.as_array().unwrap();
    let mut ids: Vec<u64> = rows.iter().filter_map(|row| row["image_id"].as_u64()).collect();
    ids.sort_unstable();
    ids.dedup();
    let images: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "file_name": format!("{id:012}.jpg"), "width": 640}))
        .collect();
    let categories: Vec<Value> =
        (1..=90).map(|id| json!({"id": id, "name": format!("category {id}")})).collect();
    temporary(json!({"images": images, "annotations": [], "categories": categories}).to_string())
}

/// Our own samples, as `(file, images)`.
const SAMPLES: [(&str, Option<&str>); 6] = [
    ("instances.json", None),
    ("keypoints.json", None),
    ("captions.json", None),
    ("panoptic.json", None),
    ("repeated_images.json", None),
    ("results.json", Some("instances.json")),
];

fn sample(name: &str) -> Collected {
    let images = SAMPLES.iter().find(|(file, _)| *file == name).and_then(|(_, images)| *images);
    collect(&own(name), &given(images.map(own))).unwrap()
}

#[test]
fn own_samples_round_trip() {
    for (name, _) in SAMPLES {
        let (written, losses) = exported_with_losses(&sample(name));
        assert_eq!(written, read_json(&own(name)), "{name}");
        assert_eq!(losses, [], "{name}");
    }
}

fn put(view: &mut Collected, table: &'static Table, rows: RecordBatch) {
    Sink::rows(view, table, rows).unwrap();
}

/// The annotations after an edit; rows for which it returns false are removed.
fn edited(view: &Collected, edit: impl for<'a> Fn(&mut AnnotationRow<'a>) -> bool) -> Collected {
    let mut edited = Collected::default();
    for table in [&ITEMS, &SOURCES, &SUBMISSIONS] {
        put(&mut edited, table, view.table(table));
    }
    let batch = view.table(&ANNOTATIONS);
    let mut rows = AnnotationsBuilder::default();
    for mut row in Annotations::new(&batch).iter() {
        if edit(&mut row) {
            rows.push(&row);
        }
    }
    put(&mut edited, &ANNOTATIONS, rows.finish());
    edited
}

fn with_row(view: &Collected, row: &AnnotationRow<'_>) -> Collected {
    let mut more = edited(view, |_| true);
    let mut rows = AnnotationsBuilder::default();
    rows.push(row);
    put(&mut more, &ANNOTATIONS, rows.finish());
    more
}

/// A row as it stands in the instances sample.
fn new_row<'a>(item_id: &'a str, kind: &'a str) -> AnnotationRow<'a> {
    AnnotationRow {
        item_id,
        source: "set",
        annotator_id: "unknown",
        origin: "human",
        field: "instances",
        kind,
        status: "submitted",
        ..AnnotationRow::default()
    }
}

/// The annotations of an export with that id.
fn with_id(file: &Value, id: &Value) -> Vec<Value> {
    let list = file["annotations"].as_array().unwrap();
    list.iter().filter(|a| a["id"] == *id).cloned().collect()
}

fn one(file: &Value, id: impl Into<Value>) -> Value {
    let mut found = with_id(file, &id.into());
    assert_eq!(found.len(), 1, "{file}");
    found.remove(0)
}

fn text(value: &Value) -> String {
    value.to_string()
}

#[test]
fn rows_hold_the_parts_that_say_something() {
    let view = sample("instances.json");
    let batch = view.table(&ANNOTATIONS);
    let rows = Annotations::new(&batch);
    let mut seen: Vec<_> = rows
        .iter()
        .map(|r| {
            (r.seq.unwrap(), r.region_id.unwrap(), r.kind, r.field, r.label.unwrap(), r.item_id)
        })
        .collect();
    seen.sort_unstable();
    // The boxes of 7, 8 and 900100000001 are those around their shapes; that of 9 is not.
    let expected = [
        (0, "11", "bbox", "instances", "car", "set/2"),
        (1, "7", "polygon", "instances", "cat", "set/1"),
        (2, "8", "polygon", "instances", "car", "set/1"),
        (3, "900100000001", "mask", "instances", "cat", "set/1"),
        (4, "9", "bbox", "instances", "cat", "set/1"),
        (4, "9", "mask", "instances", "cat", "set/1"),
        (5, "10", "bbox", "instances", "car", "set/2"),
        (6, "eleven", "choice", "labels", "empty", "set/2"),
    ];
    assert_eq!(seen, expected);
    let find = |id| rows.iter().find(|r| r.region_id == Some(id)).unwrap();
    let rings: &[f64] =
        &[2., 4., 0., 0., 4., 0., 4., 4., 0., 4., 4., 6., 0., 8., 0., 8., 2., 6., 2.];
    assert_eq!(find("8").geometry, Some(rings));
    assert_eq!(find("900100000001").geometry, Some(&[10.0, 5.0][..]));
    assert_eq!(find("900100000001").mask, Some(&b"<3b0OM"[..]));
    assert_eq!(find("10").score, Some(0.75));
    assert_eq!(find("7").extra, None, "area and box are computed");
    assert_eq!(
        (find("7").annotator_id, find("7").origin, find("7").unit),
        ("unknown", "human", Some("px"))
    );
}

#[test]
fn images_become_items_and_the_rest_the_source() {
    let view = sample("instances.json");
    let batch = view.table(&ITEMS);
    let items: Vec<_> = Items::new(&batch).iter().collect();
    assert_eq!(items[0].aliases, Some(vec!["set/1", "a.png"]));
    assert_eq!(
        (items[0].uri, items[0].width, items[0].height, items[0].seq),
        (Some("a.png"), Some(5), Some(10), Some(0))
    );
    assert_eq!(items[0].extra, Some(r#"{"license":4,"date_captured":"2013-11-14 17:02:52"}"#));
    assert_eq!(items[1].extra, Some(r#"{"width":{"~n":640.0}}"#));
    assert_eq!((items[2].item_id, items[2].uri, items[2].width), ("set/3", None, None));
    let batch = view.table(&SOURCES);
    let sources = Sources::new(&batch);
    let data = parse(sources.row(0).data.unwrap()).unwrap();
    assert_eq!((sources.row(0).source, sources.row(0).format), ("set", "coco"));
    let names: Vec<_> = data.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["info", "annotations", "images", "licenses", "x_tool", "categories"]);
    assert_eq!(data["annotations"], Value::Null);
}

#[test]
fn repeated_images_keep_an_item_each() {
    let view = sample("repeated_images.json");
    let batch = view.table(&ITEMS);
    let ids: Vec<_> = Items::new(&batch).iter().map(|i| i.item_id.to_owned()).collect();
    assert_eq!(ids, ["set/0", "set/1", "set/2"]);
}

#[test]
fn results_are_rows_of_a_model_on_the_image_files_items() {
    let view = sample("results.json");
    let batch = view.table(&ANNOTATIONS);
    for row in Annotations::new(&batch).iter() {
        assert_eq!((row.annotator_id, row.origin, row.source), ("results", "model", "set"));
        assert!(row.item_id.starts_with("instances/"), "{}", row.item_id);
        assert_eq!(row.region_id, None);
    }
    let rows = Annotations::new(&batch);
    let mut kinds: Vec<_> = rows.iter().map(|r| (r.seq.unwrap(), r.kind)).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [(0, "bbox"), (1, "bbox"), (1, "mask"), (2, "keypoints"), (3, "bbox")]);
    let batch = view.table(&ITEMS);
    let ids: Vec<_> = Items::new(&batch).iter().map(|i| i.item_id.to_owned()).collect();
    assert_eq!(ids, ["instances/1", "instances/2"], "the third image has no detections");
}

#[test]
fn results_without_an_image_file_name_the_next_step() {
    let error = collect(&own("results.json"), &given(None)).unwrap_err();
    let Error::Usage { what, hint } = error else { panic!("{error}") };
    assert!(what.contains("COCO results file"), "{what}");
    assert!(hint.unwrap().contains("--images FILE"));
    let error = collect(&own("results.json"), &given(Some(own("results.json")))).unwrap_err();
    assert!(error.to_string().contains("has no images"), "{error}");
}

#[test]
fn a_changed_label_shows_and_the_rest_stays() {
    let view = edited(&sample("instances.json"), |row| {
        if row.region_id == Some("10") {
            row.label = Some("cat");
        }
        if row.region_id == Some("11") {
            row.label = Some("truck");
        }
        true
    });
    let file = exported(&view);
    // 10 was the second category of the name `car`, which its `extra` must not bring back.
    assert_eq!(one(&file, 10)["category_id"], 1);
    assert_eq!(text(&one(&file, 10)["area"]), "702.1057499999998");
    assert_eq!(one(&file, 11)["category_id"], 6);
    assert_eq!(one(&file, 11)["attributes"]["occluded"], true);
    assert_eq!(file["categories"][4], json!({"id": 6, "name": "truck"}));
}

#[test]
fn a_changed_shape_changes_what_is_computed_from_it() {
    let view = edited(&sample("instances.json"), |row| {
        match (row.region_id, row.kind) {
            (Some("7"), "polygon") => {
                row.geometry = Some(&[1., 4., 0., 0., 2., 0., 2., 3., 0., 3.])
            }
            (Some("10"), "bbox") => row.geometry = Some(&[1.5, 20.0, 3.1, 4.2]),
            // Runs 30, 2, 18: pixels 30 and 31 are column 3, rows 0 and 1.
            (Some("900100000001"), _) => row.mask = Some(b"n02b0"),
            (Some("9"), "bbox") => return false,
            _ => {}
        }
        true
    });
    let file = exported(&view);
    let seven = one(&file, 7);
    assert_eq!(text(&seven["segmentation"]), "[[0.0,0.0,2.0,0.0,2.0,3.0,0.0,3.0]]");
    assert_eq!(text(&seven["bbox"]), "[0.0,0.0,2.0,3.0]");
    assert_eq!(text(&seven["area"]), "6.0");
    // The two numbers that were left alone keep their text. 3.1 * 4.2 = 13.02; the area that the
    // file stated belonged to the old box.
    assert_eq!(text(&one(&file, 10)["bbox"]), "[1.50,2e+1,3.1,4.2]");
    assert_eq!(text(&one(&file, 10)["area"]), "13.02");
    let crowd = one(&file, 900_100_000_001_i64);
    assert_eq!(text(&crowd["segmentation"]["counts"]), "[30,2,18]");
    assert_eq!(
        (text(&crowd["bbox"]), text(&crowd["area"])),
        ("[3,0,1,2]".to_owned(), "2".to_owned())
    );
    assert_eq!(crowd["iscrowd"], 1);
    assert_eq!(text(&one(&file, 9)["bbox"]), "[1,2,3,3]", "the box around the mask");
}

#[test]
fn changed_captions_keypoints_and_removed_rows_show() {
    let view = edited(&sample("captions.json"), |row| {
        row.text = row.text.filter(|text| text.is_empty()).or(Some("A cat."));
        row.region_id != Some("67")
    });
    let file = exported(&view);
    assert_eq!(file["annotations"], json!([{"id": 48, "image_id": 1, "caption": "A cat."}]));
    let view = edited(&sample("keypoints.json"), |row| {
        if row.kind == "keypoints" {
            row.geometry = Some(&[1., 2., 2., 0., 0., 0., 0., 0., 0.]);
        }
        row.region_id != Some("2")
    });
    let file = exported(&view);
    assert_eq!(file["annotations"].as_array().unwrap().len(), 2);
    assert_eq!(text(&one(&file, 1)["keypoints"]), "[1,2,2,0,0,0,0,0,0]");
    assert_eq!(one(&file, 1)["num_keypoints"], 1);
    assert_eq!(
        one(&file, 3),
        json!({
            "id": 3, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2, 0, 0, 0, 0, 0, 0]
        })
    );
}

#[test]
fn changed_segments_show() {
    let view = edited(&sample("panoptic.json"), |row| {
        if row.region_id == Some("3937500") {
            row.label = Some("sky");
            row.geometry = Some(&[0., 0., 3., 2.]);
        }
        row.region_id != Some("9")
    });
    let file = exported(&view);
    let segments = json!([
        {"id": 3937500, "category_id": 1, "area": 6, "bbox": [0, 0, 3, 2], "iscrowd": 0},
        read_json(&own("panoptic.json"))["annotations"][1]["segments_info"][1].clone(),
    ]);
    assert_eq!(file["annotations"][1]["segments_info"], segments);
    assert_eq!(file["annotations"][0]["segments_info"], json!([]));
    assert_eq!(file["annotations"].as_array().unwrap().len(), 4);
}

#[test]
fn a_new_box_is_a_whole_annotation() {
    let row = AnnotationRow {
        label: Some("cat"),
        geometry: Some(&[1.0, 2.0, 3.5, 2.0]),
        unit: Some("px"),
        ..new_row("set/2", "bbox")
    };
    let file = exported(&with_row(&sample("instances.json"), &row));
    // One more than the largest id of the file.
    let new = one(&file, 900_100_000_002_i64);
    let expected = concat!(
        r#"{"id":900100000002,"image_id":2,"category_id":1,"segmentation":[],"area":7.0,"#,
        r#""bbox":[1.0,2.0,3.5,2.0],"iscrowd":0}"#
    );
    assert_eq!(text(&new), expected);
    assert_eq!(file["annotations"].as_array().unwrap().last(), Some(&new));
}

#[test]
fn parts_of_one_region_that_disagree_are_two_annotations() {
    let view = edited(&sample("instances.json"), |row| {
        if row.region_id == Some("9") && row.kind == "bbox" {
            row.label = Some("car");
        }
        true
    });
    let file = exported(&view);
    assert_eq!(one(&file, 9)["category_id"], 1);
    assert_eq!(text(&one(&file, 9)["bbox"]), "[1,2,3,3]");
    let new = one(&file, 900_100_000_002_i64);
    assert_eq!(
        (&new["category_id"], text(&new["bbox"])),
        (&json!(3), "[0.5,1.5,4.0,4.0]".to_owned())
    );
}

#[test]
fn rows_that_coco_cannot_carry_are_counted() {
    let mut view = sample("instances.json");
    for kind in ["span", "span", "ellipse"] {
        view = with_row(&view, &new_row("set/1", kind));
    }
    let row = AnnotationRow {
        gold: true,
        status: "accepted",
        annotator_id: "7",
        geometry: Some(&[0.0, 0.0, 1.0, 1.0]),
        ..new_row("set/1", "bbox")
    };
    view = with_row(&view, &row);
    view = with_row(&view, &AnnotationRow { negative: true, ..row.clone() });
    view = with_row(&view, &AnnotationRow { geometry: Some(&[1.0]), ..new_row("set/1", "bbox") });
    let (file, losses) = exported_with_losses(&view);
    let losses: Vec<_> = losses.iter().map(|l| (l.kind.as_str(), l.count)).collect();
    let expected = [
        ("annotators", 2),
        ("geometry that does not fit its kind", 1),
        ("gold marks", 2),
        ("kind `ellipse`", 1),
        ("kind `span`", 2),
        ("rows that verify absence", 1),
        ("statuses other than submitted", 2),
    ];
    assert_eq!(losses, expected);
    assert_eq!(file["annotations"].as_array().unwrap().len(), 8);
}

#[test]
fn a_store_of_another_format_exports() {
    let mut items = ItemsBuilder::default();
    for (item_id, uri) in [("b.png", None), ("a", Some("s3://x/a.png"))] {
        let (width, height) = (Some(200), Some(100));
        items.push(&ItemRow {
            item_id,
            uri,
            width,
            height,
            source: Some("label-studio:1"),
            ..Default::default()
        });
    }
    let mut view = Collected::default();
    put(&mut view, &ITEMS, items.finish());
    let row = |item_id, annotator_id, label| AnnotationRow {
        source: "label-studio:1",
        submission_id: Some("annotation/1"),
        region_id: Some("xY"),
        annotator_id,
        label: Some(label),
        geometry: Some(&[10.0, 10.0, 20.0, 50.0]),
        unit: Some("percent"),
        seq: Some(0),
        extra: Some(r#"{"rotation":0}"#),
        ..new_row(item_id, "bbox")
    };
    for row in [row("a", "1", "van"), row("a", "2", "car"), row("b.png", "1", "car")] {
        view = with_row(&view, &row);
    }
    view = with_row(&view, &AnnotationRow { kind: "choice", ..row("a", "1", "day") });
    let (file, losses) = exported_with_losses(&view);
    let boxed = |id: u32, image: u32, category: u32| {
        json!({
            "id": id, "image_id": image, "category_id": category, "segmentation": [],
            // 10 % of 200 x 100, 20 % of 200, 50 % of 100.
            "area": parse("2000.0").unwrap(), "iscrowd": 0,
            "bbox": parse("[20.0, 10.0, 40.0, 50.0]").unwrap()
        })
    };
    let expected = json!({
        "images": [
            {"id": 1, "file_name": "s3://x/a.png", "width": 200, "height": 100},
            {"id": 2, "file_name": "b.png", "width": 200, "height": 100},
        ],
        "annotations": [boxed(1, 1, 2), boxed(2, 1, 1), boxed(3, 2, 1)],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "van"}],
    });
    assert_eq!(file, expected);
    let losses: Vec<_> = losses.iter().map(|l| (l.kind.as_str(), l.count)).collect();
    assert_eq!(losses, [("annotators", 4), ("kind `choice`", 1)]);
}

#[test]
fn renamed_items_export_alike() {
    let view = sample("instances.json");
    let name = |id: &str| match id {
        "set/1" => "a.png".to_owned(),
        "set/2" => "b/2.png".to_owned(),
        other => other.to_owned(),
    };
    let mut renamed = Collected::default();
    put(&mut renamed, &SOURCES, view.table(&SOURCES));
    for table in [&ITEMS, &ANNOTATIONS] {
        let batch = view.table(table);
        let ids = batch.column(0).as_string::<i32>();
        let ids: StringArray = ids.iter().map(|id| id.map(name)).collect();
        let mut columns = batch.columns().to_vec();
        columns[0] = std::sync::Arc::new(ids);
        let batch = RecordBatch::try_new(batch.schema(), columns).unwrap();
        put(&mut renamed, table, batch);
    }
    assert_eq!(exported(&renamed), read_json(&own("instances.json")));
}

#[test]
fn one_source_a_file() {
    let mut view = sample("instances.json");
    let mut other = Collected::default();
    let options = ImportOptions { source: Some("other".to_owned()), ..given(None) };
    Coco.import(&Input::new(own("captions.json")), &options, &mut other).unwrap();
    for table in [&ITEMS, &SOURCES, &ANNOTATIONS] {
        put(&mut view, table, other.table(table));
    }
    let error = Coco.export(&view, &ExportOptions::default(), &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "a COCO file holds one source, the rows have `other`, `set`");
    for (source, name) in [("set", "instances.json"), ("other", "captions.json")] {
        let options = ExportOptions { source: Some(source.to_owned()), ..Default::default() };
        let mut out = Vec::new();
        assert_eq!(Coco.export(&view, &options, &mut out).unwrap(), []);
        assert_eq!(parse(std::str::from_utf8(&out).unwrap()).unwrap(), read_json(&own(name)));
    }
    let stray = AnnotationRow { source: "table", ..new_row("set/1", "bbox") };
    let error = Coco.export(
        &with_row(&sample("instances.json"), &stray),
        &ExportOptions::default(),
        &mut Vec::new(),
    );
    assert!(error.unwrap_err().to_string().contains("`set`, `table`"));
}

#[test]
fn members_of_another_formats_items_stay_out_of_images() {
    let view = sample("captions.json");
    let batch = view.table(&ITEMS);
    let row = Items::new(&batch).row(0);
    let mut items = ItemsBuilder::default();
    let extra = Some(r#"{"inner_id":3}"#);
    items.push(&ItemRow { source: Some("label-studio:1"), extra, ..row });
    let mut merged = Collected::default();
    put(&mut merged, &ITEMS, items.finish());
    for table in [&ANNOTATIONS, &SOURCES] {
        put(&mut merged, table, view.table(table));
    }
    let (file, losses) = exported_with_losses(&merged);
    assert_eq!(file, read_json(&own("captions.json")));
    assert_eq!(losses.len(), 1, "{losses:?}");
    assert!(losses[0].kind.contains("another source"));
}

/// A dataset with one image and one category around one annotation.
fn around(annotation: &str) -> String {
    format!(
        r#"{{"images": [{{"id": 1, "file_name": "a.png"}}],
        "categories": [{{"id": 1, "name": "car"}}],
        "annotations": [{annotation}]}}"#
    )
}

#[test]
fn bad_annotations_are_refused_with_their_place() {
    let cases = [
        (r#"7"#, "`annotations[0]`: expected an object, found a number"),
        (r#"{"id": 1}"#, "`annotations[0]`: no `image_id` says which image it belongs to"),
        (r#"{"id": 1, "image_id": 9}"#, "`annotations[0].image_id`: no image has the id 9"),
        (
            r#"{"id": 1, "image_id": 1.5}"#,
            ".image_id`: expected a whole number or a text, found a number",
        ),
        (r#"{"id": null, "image_id": 1}"#, ".id`: expected a whole number or a text, found null"),
        (
            r#"{"id": 1, "image_id": 1, "category_id": 2}"#,
            ".category_id`: no category has the id 2",
        ),
        (
            r#"{"id": 1, "image_id": 1, "bbox": [1, 2, 3]}"#,
            ".bbox`: a box is [x, y, width, height], not 3 numbers",
        ),
        (
            r#"{"id": 1, "image_id": 1, "bbox": [1, 2, 3, 1e999]}"#,
            ".bbox[3]`: 1e+999 is too large a number",
        ),
        (r#"{"id": 1, "image_id": 1, "bbox": [1, 2, NaN, 4]}"#, ".bbox[2]`: `NaN` is not JSON"),
        (
            r#"{"id": 1, "image_id": 1, "bbox": "1 2 3 4"}"#,
            ".bbox`: expected an array of numbers, found a string",
        ),
        (
            r#"{"id": 1, "image_id": 1, "segmentation": [[1, 2, 3, 4, 5]]}"#,
            ".segmentation[0]`: a polygon has x and y in turn, not 5 numbers",
        ),
        (
            r#"{"id": 1, "image_id": 1, "segmentation": [1, 2, 3, 4]}"#,
            ".segmentation[0]`: expected a polygon",
        ),
        (
            r#"{"id": 1, "image_id": 1, "segmentation": [[1, 2, "3", 4]]}"#,
            ".segmentation[0][2]`: expected a number, found a string",
        ),
        (
            r#"{"id": 1, "image_id": 1, "segmentation": {"counts": [1]}}"#,
            ".segmentation.size`: a mask has a `size` of [height, width]",
        ),
        (
            r#"{"id": 1, "image_id": 1, "segmentation": {"size": [-1, 1], "counts": [1]}}"#,
            ".segmentation.size`: -1 is not a size in pixels",
        ),
        (
            r#"{"id": 1, "image_id": 1, "segmentation": {"size": [1, 1], "counts": [-1, 2]}}"#,
            ".segmentation.counts`: a run is a whole number",
        ),
        (
            r#"{"id": 1, "image_id": 1, "segmentation": {"size": [1, 1], "counts": "~~"}}"#,
            ".segmentation.counts`: the text is not COCO's run-length code",
        ),
        (
            r#"{"id": 1, "image_id": 1, "keypoints": [1, 2]}"#,
            ".keypoints`: keypoints are x, y, visibility in turn, not 2 numbers",
        ),
        (r#"{"id": 1, "image_id": 1, "caption": 5}"#, ".caption`: expected text, found a number"),
        (
            r#"{"id": 1, "image_id": 1, "score": "high"}"#,
            ".score`: expected a number, found a string",
        ),
        (
            r#"{"image_id": 1, "segments_info": [{"id": 1}, {"id": 2, "bbox": [1]}]}"#,
            ".segments_info[1].bbox`: a box is",
        ),
        (r#"{"id": 1, "image_id": 1, "id": 2}"#, "two members named"),
    ];
    for (annotation, expected) in cases {
        let message = refused(&around(annotation));
        assert!(message.contains(expected), "{annotation}: {message}");
        assert!(message.contains(".json`"), "{message}");
    }
}

#[test]
fn bad_files_are_refused_with_their_place() {
    let cases = [
        ("", "the file is empty"),
        ("7", "expected a JSON array or object"),
        ("{}", "it is not COCO"),
        (r#"{"images": {}}"#, "`images`: expected an array"),
        (r#"{"images": [], "images": []}"#, "the file has two members named"),
        (r#"{"images": [{"file_name": "a"}]}"#, "`images[0]`: an image without an `id`"),
        (r#"{"images": [{"id": 1}, {"id": "1"}]}"#, "`images[1].id`: another image has the id 1"),
        (
            r#"{"images": [{"id": 1, "file_name": 7}]}"#,
            "`images[0].file_name`: expected a text, found a number",
        ),
        (
            r#"{"images": [{"id": 1, "width": "6"}]}"#,
            "`images[0].width`: expected a number of pixels",
        ),
        (
            r#"{"images": [], "categories": [{"id": 1}]}"#,
            "`categories[0]`: a category without a `name`",
        ),
        (r#"{"images": [], "categories": 7}"#, "`categories`: expected an array, found a number"),
        (r#"{"images": [{"id": 1}"#, "ends"),
        (r#"{"images": []} {"images": []}"#, "more text follows"),
    ];
    for (text, expected) in cases {
        let message = refused(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
    let long = format!(r#"{{"images": [{{"id": 1, "file_name": "{}"}}]}}"#, "x".repeat(10_000));
    assert!(refused(&long).contains("longer than 1024 bytes"));
}

#[test]
fn what_is_odd_but_whole_is_kept_and_counted() {
    let odd = around(
        r#"{"id": 1, "image_id": 1, "bbox": [-1.0, 2.0, 3.0, -4.0], "iscrowd": 0},
        {"id": 1, "image_id": 1, "segmentation": [[1.0, 2.0, 3.0, 4.0], []]},
        {"id": 2, "image_id": 1, "segmentation": {"size": [4294967295, 4294967295], "counts": [5]}},
        {"image_id": 1, "caption": "no id"},
        {"image_id": 1, "bbox": [], "keypoints": [], "caption": null}"#,
    );
    let view = taken(&odd);
    let warnings: Vec<_> = view.warnings.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
    let expected = [
        ("annotations with an id that another has", 1),
        ("annotations without an `id`", 2),
        ("boxes with negative numbers", 1),
        ("masks whose runs do not fill their size", 1),
        ("polygons of less than three points", 2),
    ];
    assert_eq!(warnings, expected);
    assert_eq!(exported(&view), parse(&odd).unwrap());
}

#[test]
fn what_stands_beside_the_lists_is_refused_with_a_next_step() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for (member, what) in [(deep.as_str(), "nested deeper than 128 levels"), ("NaN", "NaN")] {
        let file = temporary(format!("{{\"images\": [], \"x\": {{\"a\": {member}}}}}"));
        let mut sink = Collected::default();
        let error = Coco.import(&Input::new(file.path()), &given(None), &mut sink).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        let Error::Input { hint, .. } = error else { panic!("{error}") };
        assert!(hint.unwrap().contains("export it again"));
    }
}

#[test]
fn quarantine_takes_the_good_annotations() {
    let text = around(
        r#"{"id": 1, "image_id": 1, "caption": "good"}, {"id": 2},
        {"id": 3, "image_id": 1, "caption": "too"}"#,
    );
    let mut sink = Collected::default();
    sink.quarantine = true;
    let file = temporary(&text);
    Coco.import(&Input::new(file.path()), &given(None), &mut sink).unwrap();
    assert_eq!(sink.bad.len(), 1);
    assert_eq!(sink.bad[0].raw, r#"{"id": 2}"#);
    assert_eq!(exported(&sink)["annotations"].as_array().unwrap().len(), 2);
}

#[test]
fn a_broken_extra_is_an_error_with_the_row() {
    let view = edited(&sample("instances.json"), |row| {
        row.extra = row.extra.map(|_| "{");
        true
    });
    let error = Coco.export(&view, &ExportOptions::default(), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("JSON cell of the row is broken"), "{error}");
}

#[test]
fn files_are_told_apart() {
    for (name, _) in SAMPLES {
        let text = read_json(&own(name)).to_string();
        let head = text.as_bytes().get(..4096).unwrap_or(text.as_bytes());
        assert_eq!(Coco.detect(name, head), 2, "{name}");
    }
    for other in [
        r#"[{"id": 1, "annotations": [{"id": 2, "completed_by": 1}], "data": {"image": "a.png"}}]"#,
        r#"{"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": []}]}"#,
        r#"{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]}"#,
        "item,label\na,b\n",
        "",
    ] {
        assert_eq!(Coco.detect("x.json", other.as_bytes()), 0, "{other}");
    }
}

/// Truncations and changed bytes, from a fixed seed.
#[test]
fn damaged_files_never_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below.max(1) as u64) as usize
    };
    for (name, images) in SAMPLES {
        let mut whole = Vec::new();
        std::io::Read::read_to_end(&mut Input::new(own(name)).open().unwrap(), &mut whole).unwrap();
        for _ in 0..300 {
            let mut bytes = whole.clone();
            if random(3) == 0 {
                bytes.truncate(random(whole.len()));
            }
            for _ in 0..random(4) {
                let at = random(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    let bytes = b"0123456789-.e[]{},:\"truefalsn\xff\0";
                    *byte = bytes[random(bytes.len())];
                }
            }
            let mut sink = Collected::default();
            sink.quarantine = true;
            let file = temporary(&bytes);
            let done = Coco.import(&Input::new(file.path()), &given(images.map(own)), &mut sink);
            if done.is_ok() {
                Coco.export(&sink, &ExportOptions::default(), &mut Vec::new()).unwrap();
            }
        }
    }
}
