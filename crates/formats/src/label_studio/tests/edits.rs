//! An export shows what the rows say now.

use glossator_store::schema::{AnnotationRow, Submissions, SubmissionsBuilder};

use super::*;

/// Exports the rows with the first row that `pick` takes edited by `edit`.
fn after(
    rows: &Collected,
    mut pick: impl FnMut(&AnnotationRow<'_>) -> bool,
    edit: impl for<'a> Fn(&mut AnnotationRow<'a>) -> bool,
) -> Value {
    let mut done = false;
    let changed = edited(rows, |row| {
        if done || !pick(row) {
            return true;
        }
        done = true;
        edit(row)
    });
    assert!(done);
    export(&changed)
}

fn results(task: &Value) -> &Vec<Value> {
    task["annotations"][0]["result"].as_array().unwrap()
}

#[test]
fn labels_boxes_texts_and_numbers_are_never_an_echo() {
    let rows = import(&own().join("per-region.json"));
    let box_ = |row: &AnnotationRow<'_>| row.field == "box" && row.label == Some("Car");
    let found = after(&rows, box_, |row| {
        row.label = Some("Bus");
        true
    });
    assert_eq!(results(&found[0])[0]["value"]["rectanglelabels"][0], "Bus");
    // Both rows of the box move, and with them what per-region answers repeat of its place.
    let moved = edited(&rows, |row| {
        if row.field == "box" {
            row.geometry = Some(&[11.0, 20.5, 30.0, 41.0]);
        }
        true
    });
    let found = export(&moved);
    for index in 0..4 {
        let value = &results(&found[0])[index]["value"];
        assert_eq!(value["x"].to_string(), "11", "{index}");
        assert_eq!(value["y"].to_string(), "20.50", "{index}: not edited, text kept");
        assert_eq!(value["height"].to_string(), "41", "{index}");
    }
    let text = |row: &AnnotationRow<'_>| row.kind == "text";
    let found = after(&rows, text, |row| {
        row.text = Some("B-ZZ 1");
        true
    });
    assert_eq!(results(&found[0])[3]["value"]["text"][0], "B-ZZ 1");
    let rating = |row: &AnnotationRow<'_>| row.kind == "number";
    let found = after(&rows, rating, |row| {
        row.number = Some(5.0);
        true
    });
    assert_eq!(results(&found[0])[2]["value"]["rating"].to_string(), "5");
    let alone = |row: &AnnotationRow<'_>| row.label == Some("alone");
    let found = after(&rows, alone, |row| {
        row.label = Some("other");
        true
    });
    assert_eq!(results(&found[0])[12]["value"]["choices"], "other");
    let path = |row: &AnnotationRow<'_>| row.label == Some("Outdoor/Street");
    let found = after(&rows, path, |row| {
        row.label = Some("Indoor/Hall");
        true
    });
    let expected = json::parse(r#"[["Indoor","Hall"],["Day"]]"#).unwrap();
    assert_eq!(results(&found[0])[8]["value"]["choices"], expected);
}

#[test]
fn a_deleted_row_is_gone_and_its_neighbours_are_not() {
    let rows = import(&own().join("per-region.json"));
    let before = results(&export(&rows)[0]).clone();
    let dirty = |row: &AnnotationRow<'_>| row.label == Some("Dirty");
    let found = after(&rows, dirty, |_| false);
    let mut expected = before.clone();
    expected[1]["value"]["choices"] = json::parse(r#"["Red"]"#).unwrap();
    assert_eq!(*results(&found[0]), expected);
    let car = |row: &AnnotationRow<'_>| row.label == Some("Car");
    let found = after(&rows, car, |_| false);
    let mut expected = before.clone();
    expected[0]["value"]["rectanglelabels"] = json::parse(r#"["Parked"]"#).unwrap();
    assert_eq!(*results(&found[0]), expected, "the other label keeps what the box says");
    let rating = |row: &AnnotationRow<'_>| row.kind == "number";
    let found = after(&rows, rating, |_| false);
    let mut expected = before;
    expected.remove(2);
    assert_eq!(*results(&found[0]), expected);
}

#[test]
fn an_added_label_joins_its_set() {
    let rows = import(&live().join("text/export/JSON.json"));
    let batch = rows.table(&ANNOTATIONS);
    let view = Annotations::new(&batch);
    let known = view.iter().find(|row| row.field == "topics" && row.status == "submitted").unwrap();
    let mut builder = AnnotationsBuilder::default();
    builder.push(&AnnotationRow {
        annotation_id: "new",
        label: Some("new"),
        seq: None,
        ..known.clone()
    });
    let mut more = edited(&rows, |_| true);
    put(&mut more, &ANNOTATIONS, builder.finish());
    let found = export(&more).to_string();
    assert!(found.contains(",\"new\"]}"), "the label is the last of its set");
    let count = |text: &str| text.matches("\"from_name\":\"topics\"").count();
    assert_eq!(count(&found), count(&export(&rows).to_string()));
}

#[test]
fn key_frames_can_be_moved_and_removed() {
    let rows = import(&own().join("moving.json"));
    let moved = edited(&rows, |row| {
        if row.frame == Some(9) {
            row.geometry = Some(&[5.0, 6.0, 7.0, 80.0, 5.5]);
        }
        true
    });
    let found = export(&moved);
    let last = &results(&found[0])[0]["value"]["sequence"][1];
    assert_eq!(last["height"].to_string(), "80");
    assert_eq!(last["time"].to_string(), "0.36");
    let found = export(&edited(&rows, |row| row.frame != Some(1)));
    let value = &results(&found[0])[0]["value"];
    assert_eq!(value["sequence"].as_array().unwrap().len(), 1);
    assert_eq!(value["framesCount"], 100);
    // A label on one of two key frames only cannot be said in one region.
    let found = export(&edited(&rows, |row| !(row.frame == Some(1) && row.label == Some("Red"))));
    let labels: Vec<&Value> =
        results(&found[0]).iter().take(2).map(|r| &r["value"]["labels"][0]).collect();
    assert_eq!(labels, ["Car", "Red"]);
}

#[test]
fn spans_and_submissions_show_their_columns() {
    let rows = import(&live().join("text/export/JSON.json"));
    let first = |row: &AnnotationRow<'_>| row.region_id == Some("sp0PER");
    let found = after(&rows, first, |row| {
        row.geometry = Some(&[1.0, 9.0]);
        row.text = Some("da Lovel");
        true
    });
    let text = found.to_string();
    assert!(text.contains(r#""value":{"start":1,"end":9,"text":"da Lovel","labels":["PER"]}"#));
    let mut changed = edited(&rows, |_| true);
    let batch = rows.table(&SUBMISSIONS);
    let mut builder = SubmissionsBuilder::default();
    for mut row in Submissions::new(&batch).iter() {
        if row.submission_id == "annotation/1" {
            row.annotator_id = "9";
            row.gold = false;
            row.lead_time = Some(1.0);
            row.created_at = Some(1_000_000);
            row.state = "skipped";
        }
        builder.push(&row);
    }
    let mut only = Collected::default();
    only.people.clone_from(&rows.people);
    for table in [&ITEMS, &SOURCES, &ANNOTATIONS] {
        put(&mut only, table, changed.table(table));
    }
    put(&mut only, &SUBMISSIONS, builder.finish());
    changed = only;
    let found = export(&changed);
    let annotation = &found[0]["annotations"][0];
    assert_eq!(annotation["completed_by"], 9);
    assert_eq!(annotation["ground_truth"], false);
    assert_eq!(annotation["was_cancelled"], true);
    assert_eq!(annotation["lead_time"].to_string(), "1.0");
    assert_eq!(annotation["created_at"], "1970-01-01T00:00:01Z");
    assert_eq!(found[0]["total_annotations"], 2);
    assert_eq!(found[0]["cancelled_annotations"], 1);
}
