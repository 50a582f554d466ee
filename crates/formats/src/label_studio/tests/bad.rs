//! Hostile and broken files.

use proptest::prelude::*;

use super::*;

/// A task whose annotation has these results.
fn task(results: &str) -> String {
    format!(r#"[{{"id":1,"data":{{}},"annotations":[{{"id":1,"result":{results}}}]}}]"#)
}

/// A result of a type with that value.
fn result(type_name: &str, value: &str) -> String {
    task(&format!(r#"[{{"from_name":"f","to_name":"t","type":"{type_name}","value":{value}}}]"#))
}

fn refusal(text: &str) -> String {
    match import_text(text) {
        Err(crate::Error::Input { place, what, hint }) => {
            assert!(hint.is_some(), "{what}");
            assert!(place.file.ends_with("tasks.json"));
            format!("{}: {what}", place.path.unwrap_or_default())
        }
        other => panic!("{text:.200}: {other:?}"),
    }
}

#[test]
fn broken_tasks_are_refused_with_file_and_path() {
    let value = "[0].annotations[0].result[0].value";
    let entry = "[0].annotations[0].result";
    let long = format!("\"{}\"", "x".repeat(10_000));
    for (text, path, what) in [
        ("[1]".to_owned(), "[0]", "a task is a number"),
        (r#"[{"id":1,"ner":[]}]"#.to_owned(), "[0]", "this is no task"),
        (r#"[{"id":[],"data":{}}]"#.to_owned(), "[0].id", "an id must be a number or a text"),
        (format!(r#"[{{"id":{long},"data":{{}}}}]"#), "[0].id", "longer than 1 KiB"),
        (
            r#"[{"id":1,"annotations":{}}]"#.to_owned(),
            "[0].annotations",
            "is an object, not a list",
        ),
        (
            r#"[{"id":1,"data":{},"annotations":[]},{"id":2,"data":{},"annotations":"none"}]"#
                .to_owned(),
            "[1].annotations",
            "is a string, not a list",
        ),
        (r#"[{"id":1,"annotations":[7]}]"#.to_owned(), "[0].annotations[0]", "expected an object"),
        (
            r#"[{"id":1,"annotations":[{"id":1}]}]"#.to_owned(),
            "[0].annotations[0].result",
            "missing",
        ),
        (r#"[{"id":1,"predictions":[true]}]"#.to_owned(), "[0].predictions[0]", "a boolean"),
        (
            r#"[{"id":1,"annotations":[{"id":1,"result":[]},{"id":1,"result":[]}]}]"#.to_owned(),
            "[0].annotations[1].id",
            "two entries `annotation/1`",
        ),
        (task("{}"), entry, "not a list"),
        (task("[[]]"), "[0].annotations[0].result[0]", "a result is an array"),
        (task("[{}]"), "[0].annotations[0].result[0]", "`type` is missing"),
        (task(r#"[{"type":"choices"}]"#), "[0].annotations[0].result[0]", "`value` is missing"),
        (task(r#"[{"type":3}]"#), "[0].annotations[0].result[0].type", "expected a text"),
        (
            task(r#"[{"type":"choices","value":3}]"#),
            "[0].annotations[0].result[0]",
            "not an object",
        ),
        (
            task(r#"[{"type":"relation","from_id":"a"}]"#),
            "[0].annotations[0].result[0].to_id",
            "missing",
        ),
        (result("choices", r#"{"choices":[1]}"#), &format!("{value}.choices[0]"), "a number"),
        (result("rectanglelabels", r#"{"x":"1"}"#), &format!("{value}.x"), "found a string"),
        (result("rectangle", r#"{"x":1,"y":1}"#), &format!("{value}.width"), "missing"),
        (result("rectangle", r#"{"x":1e999,"y":1}"#), &format!("{value}.x"), "beyond"),
        (result("rectangle", r#"{"x":NaN}"#), &format!("{value}.x"), "`NaN` is not JSON"),
        (result("polygon", r#"{"points":[[1]]}"#), &format!("{value}.points[0]"), "a point"),
        (result("labels", r#"{"end":1}"#), &format!("{value}.start"), "missing"),
        (result("rating", r#"{"rating":"5"}"#), &format!("{value}.rating"), "found a string"),
        (
            result(
                "videorectangle",
                r#"{"sequence":[{"frame":1.5,"x":1,"y":1,"width":1,"height":1}]}"#,
            ),
            &format!("{value}.sequence[0].frame"),
            "whole number",
        ),
        (
            result("ranker", r#"{"ranker":{"a":[1]}}"#),
            &format!("{value}.ranker.a"),
            "list of texts",
        ),
        (r#"[{"id":1,"id":2,"data":{}}]"#.to_owned(), "[0]", "two members named \"id\""),
    ] {
        let found = refusal(&text);
        let (at, reason) = found.split_once(": ").unwrap();
        assert_eq!(at, path, "{found}");
        assert!(reason.contains(what), "{found}");
    }
    let deep = format!("[{{\"id\":1,\"data\":{}1{}}}]", "[".repeat(200), "]".repeat(200));
    assert!(refusal(&deep).contains("nested deeper"));
    for text in ["", "[{\"id\":1", "[{\"id\":1}", "nonsense"] {
        refusal(text);
    }
}

#[test]
fn good_tasks_are_taken_beside_bad_ones() {
    let text = r#"[{"id":1,"data":{}},{"id":2,"data":NaN},{"id":3},{"id":4,"data":{}}]"#;
    let (_folder, path) = file_of(text.as_bytes());
    let mut rows = quarantined();
    import_into(&path, &mut rows).unwrap();
    assert_eq!(rows.table(&ITEMS).num_rows(), 2);
    let raw: Vec<&str> = rows.bad.iter().map(|bad| bad.raw.as_str()).collect();
    assert_eq!(raw, [r#"{"id":2,"data":NaN}"#, r#"{"id":3}"#]);
}

#[test]
fn odd_but_whole_data_is_kept_and_counted() {
    let text = result("rectangle", r#"{"x":1,"y":1,"width":-2,"height":0,"rotation":0}"#);
    let rows = import_text(&text).unwrap();
    let odd = "boxes without area (width or height is zero or negative)";
    assert_eq!(rows.warnings.get(odd), Some(&1));
    let exported = export(&rows);
    assert_eq!(exported, json::parse(&text).unwrap());
    let ids = r#"[{"id":"a/b\nc","data":{},"annotations":[{"id":"../x","result":[]}]}]"#;
    assert_eq!(export(&import_text(ids).unwrap()), json::parse(ids).unwrap());
}

#[test]
fn rows_that_no_import_wrote_are_exported_without_panic() {
    let rows = import(&own().join("per-region.json"));
    let hostile = [
        r#"{"~":[1,2]}"#,
        r#"{"~n":1}"#,
        r#"{"value":{"~":[1,2]},"type":"relation","id":{"~v":1}}"#,
        r#"{"type":"ranker","~part":3,"~apart":[]}"#,
        "[]",
        "not json",
    ];
    for extra in hostile {
        for kind in ["bbox", "polygon", "mask", "span", "ranking", "relation", "time_span", "?"] {
            let changed = edited(&rows, |row| {
                row.extra = Some(extra);
                row.kind = kind;
                row.refs = None;
                true
            });
            export_with(&changed, &ExportOptions::default());
        }
    }
}

#[test]
fn truncations_never_panic() {
    let bytes = text(&live().join("text/export/SNAPSHOT_FULL_JSON.json")).into_bytes();
    for cut in (0..bytes.len()).step_by(997) {
        let (_folder, path) = file_of(&bytes[..cut]);
        assert!(import_into(&path, &mut Collected::default()).is_err(), "{cut}");
    }
}

fn survives(path: &Path, flips: &[(prop::sample::Index, u8)]) {
    let mut file = text(path).into_bytes();
    for (at, byte) in flips {
        let at = at.index(file.len());
        file[at] = *byte;
    }
    let (_folder, path) = file_of(&file);
    let mut rows = quarantined();
    if import_into(&path, &mut rows).is_ok() {
        export_with(&rows, &ExportOptions::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn flipped_bytes_of_our_samples_never_panic(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let files = task_files(&own());
        survives(&files[which.index(files.len())], &flips);
    }

    #[test]
    fn flipped_bytes_of_a_live_file_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        survives(&live().join("image/export/JSON.json"), &flips);
    }
}
