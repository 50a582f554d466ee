//! Geometries that are not of their kind's form, and boxes that are turned inside out.

use super::*;

const WORDS: &str = "boxes with negative numbers";

/// A view of one box with these numbers, in our own columns.
fn box_of(numbers: &[f64]) -> Collected {
    let mut rows = AnnotationsBuilder::default();
    rows.push(&AnnotationRow {
        item_id: "i1",
        annotation_id: "r/1",
        source: "table",
        annotator_id: "w1",
        origin: "human",
        field: "label",
        kind: "bbox",
        geometry: Some(numbers),
        unit: Some("px"),
        status: "submitted",
        ..AnnotationRow::default()
    });
    let mut view = Collected::default();
    Sink::rows(&mut view, &ANNOTATIONS, rows.finish()).unwrap();
    view
}

#[test]
fn a_geometry_of_another_form_is_a_bad_record() {
    let none = ImportOptions::default();
    let of = |kind: &str, geometry: &str| {
        format!("item\tkind\tgeometry\ni1\tbbox\t[1,2,3,4]\ni2\t{kind}\t{geometry}\n")
    };
    for (kind, geometry, expected) in [
        ("bbox", "[1,2,3]", "a box is [x, y, width, height], not 3 numbers"),
        ("bbox", "[]", "a box is [x, y, width, height], not 0 numbers"),
        ("rotated_bbox", "[1,2,3,4]", "[x, y, width, height, degrees], not 4 numbers"),
        ("ellipse", "[1,2]", "[x, y, radius x, radius y, degrees], not 2 numbers"),
        ("span", "[1]", "a span is [start, end], not 1 numbers"),
        ("time_span", "[1,2,3]", "a span is [start, end], not 3 numbers"),
        ("polygon", "[0,0,4,0,4,3]", "these 6 numbers are not"),
        ("keypoints", "[1,2]", "x, y, visibility in turn, not 2 numbers"),
        ("polyline", "[1,2,3]", "x and y in turn, not 3 numbers"),
    ] {
        let error = refused("a.tsv", of(kind, geometry).as_bytes(), &none);
        assert!(error.starts_with("`FILE` line 3 at `geometry`: "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let (_directory, input) = written("a.tsv", of("lasso", "[1,2,3]").as_bytes());
    assert_eq!(import(&input, &none).0.table(&ANNOTATIONS).num_rows(), 2);
}

#[test]
fn every_way_into_rows_holds_geometries_against_kinds() {
    let none = ImportOptions::default();
    let three = "line 2 at `geometry`: a box is [x, y, width, height], not 3 numbers";
    let lines = small("bad/three-numbers.jsonl").head(1 << 10).unwrap();
    let error = refused("a.jsonl", &lines, &none);
    assert!(error.contains(three), "{error}");

    let csv = b"item,kind,geometry\ni1,bbox,\"[1,2,3,4]\"\n";
    let (_directory, input) = written("a.csv", csv);
    assert_eq!(import(&input, &none).0.table(&ANNOTATIONS).num_rows(), 1);
    let csv = b"item,x,y,w\ni1,1,2,3\n";
    let constant = map(&[("kind", "=bbox"), ("geometry", "x,y,w")]);
    let error = refused("a.csv", csv, &constant);
    assert!(error.contains("line 2 at `geometry`: a box is"), "{error}");

    let nested = b"{\"item\":\"a\",\"boxes\":[[1,2,3,4],{\"kind\":\"bbox\",\"bbox\":[1,2,3]}]}\n";
    let error = refused("a.jsonl", nested, &each("boxes"));
    assert!(error.contains("line 1 at `boxes[1].geometry`: a box is"), "{error}");

    let error = refused("a.parquet", &exported("parquet", &box_of(&[1.0, 2.0, 3.0])), &none);
    assert!(error.contains("`FILE` at `row 1, geometry`: a box is"), "{error}");
}

#[test]
fn an_update_holds_geometries_against_the_kinds_beside_them() {
    let head = "item_id,annotation_id,kind,geometry\n";
    let error = partial("a.csv", format!("{head}a,1,bbox,\"[1,2,3]\"\n").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("line 2 at `geometry`: a box is"), "{error}");
    for good in ["bbox,\"[1,2,3,4]\"", "bbox,", "lasso,\"[1,2,3]\""] {
        partial("a.csv", format!("{head}a,1,{good}\n").as_bytes()).unwrap();
    }
    let alone = b"item_id,annotation_id,geometry\na,1,\"[1,2,3]\"\n";
    partial("a.csv", alone).unwrap();
}

#[test]
fn boxes_with_a_negative_side_are_kept_and_counted() {
    let none = ImportOptions::default();
    let (sink, _) = import(&small("bad/negative-box.jsonl"), &none);
    assert_eq!(sink.warnings.get(WORDS), Some(&1));
    let table = sink.table(&ANNOTATIONS);
    let boxes: Vec<_> = Annotations::new(&table).iter().filter_map(|r| r.geometry).collect();
    assert_eq!(boxes, [&[1.0, 2.0, -3.0, 4.0][..]]);

    let nested = b"{\"item\":\"a\",\"boxes\":[[1,2,3,-4],[-1,-2,3,4],[1,2,-3,4]]}\n";
    let (_directory, input) = written("a.jsonl", nested);
    let (sink, _) = import(&input, &each("boxes"));
    assert_eq!(sink.warnings.get(WORDS), Some(&2));
    assert_eq!(sink.table(&ANNOTATIONS).num_rows(), 3);

    let whole = box_of(&[1.0, 2.0, 3.0, -4.0]);
    for format in ["parquet", "csv", "tsv", "jsonl"] {
        let (_directory, input) = written(&format!("a.{format}"), &exported(format, &whole));
        let (sink, _) = import(&input, &none);
        assert_eq!(sink.warnings.get(WORDS), Some(&1), "{format}");
        assert_eq!(sink.table(&ANNOTATIONS), whole.table(&ANNOTATIONS), "{format}");
    }
}
