//! Tests of reading, cutting and residuals.

use std::io::{BufReader, Cursor};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn value(text: &str) -> Value {
    parse(text).unwrap()
}

fn reader(text: &[u8], buffer: usize) -> crate::Result<Reader> {
    let input = BufReader::with_capacity(buffer, Cursor::new(text.to_vec()));
    Reader::new(Box::new(input), "f.json".to_owned())
}

/// Sections as `name:`, records as `path=value`.
fn events(text: &str, buffer: usize) -> crate::Result<Vec<String>> {
    let mut reader = reader(text.as_bytes(), buffer)?;
    let mut out = Vec::new();
    while let Some(event) = reader.next()? {
        out.push(match event {
            Event::Section { name, list } => format!("{name}: {list}"),
            Event::Record(record) => {
                let value = record.value().map_or_else(|bad| bad.reason, |value| value.to_string());
                format!("{}={value}", record.place.path.clone().unwrap())
            }
        });
    }
    Ok(out)
}

#[test]
fn numbers_keep_their_text_and_order_is_kept() {
    let text = r#"{"b":10.0,"a":-0,"c":50.763073639274279,"d":1e+16,"e":[1.50]}"#;
    assert_eq!(value(text).to_string(), text);
}

#[test]
fn malformed_values_say_where_and_why() {
    let deep = "[".repeat(parse::DEPTH_MAX + 2);
    for (text, path, what) in [
        (r#"{"a":[1,{"b":NaN}]}"#, ".a[1].b", "`NaN` is not JSON"),
        (r#"{"a":-Infinity}"#, ".a", "`-Infinity` is not JSON"),
        (r#"{"a":1,"a":2}"#, "", "two members named \"a\""),
        (r#"{"a":1,"\u0061":2}"#, "", "two members named \"a\""),
        (r#"{"a":01}"#, ".a", "`01` is not a number"),
        (r#"{"a":1.}"#, ".a", "`1.` is not a number"),
        (r#"[1 2]"#, "", "expected `,` or `]`, found '2'"),
        (r#"{"a":"x"#, ".a", "no end"),
        (r#"{"a":"\ud800"}"#, ".a", "bad text in quotes"),
        ("\"a\nb\"", "", "bad text in quotes"),
        (r#"[tru]"#, "[0]", "`tru` is not a JSON value"),
        (r#"[é]"#, "[0]", "expected a value, found 'é'"),
        ("{} {}", "", "more text follows"),
        ("", "", "the text ends"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.path, path, "{text}");
        assert!(error.what.contains(what), "{text}: {}", error.what);
    }
    assert!(parse(&deep).unwrap_err().what.contains("nested deeper"));
    let error = parse("{\n  \"a\": oops}").unwrap_err();
    assert_eq!((error.line, error.column), (2, 8));
}

#[test]
fn a_member_that_stands_twice_is_found_among_many() {
    for count in [2, 20, 30, 100] {
        let members: Vec<String> = (0..count).map(|i| format!("\"m{i}\":{i}")).collect();
        assert!(parse(&format!("{{{}}}", members.join(","))).is_ok());
        let last = format!("\"m{}\":0", count - 1);
        let error = parse(&format!("{{{},{last}}}", members.join(","))).unwrap_err();
        assert!(error.what.contains(&format!("two members named \"m{}\"", count - 1)));
    }
}

#[test]
fn the_order_of_members_does_not_count() {
    let node = |text| parse::parse_node(text).unwrap();
    assert_eq!(node(r#"{"a":1,"b":{"c":2,"d":3}}"#), node(r#"{"b":{"d":3,"c":2},"a":1}"#));
    assert_ne!(node(r#"{"a":1,"b":2}"#), node(r#"{"b":1,"a":2}"#));
    assert_ne!(node(r#"{"a":1,"b":2}"#), node(r#"{"a":1,"c":2}"#));
}

#[test]
fn files_are_cut_into_records_whatever_the_buffer() {
    let list = " [ {\"a\": \"]}\\\"\"} , 1,\"x\",[[]] ]\n";
    let sections = "\u{feff}{\"info\": {\"v\": [1]}, \"images\": [{\"id\":1},\n\
        {\"id\":2}], \"n\": 3, \"e\": []}";
    for buffer in 1..12 {
        assert_eq!(
            events(list, buffer).unwrap(),
            [r#"[0]={"a":"]}\""}"#, "[1]=1", r#"[2]="x""#, "[3]=[[]]"]
        );
        // The byte order mark is looked for in the first buffer only.
        let sections = if buffer < 3 { &sections[3..] } else { sections };
        assert_eq!(
            events(sections, buffer).unwrap(),
            [
                "info: false",
                r#"info={"v":[1]}"#,
                "images: true",
                r#"images[0]={"id":1}"#,
                r#"images[1]={"id":2}"#,
                "n: false",
                "n=3",
                "e: true",
            ]
        );
    }
    assert_eq!(events("[]", 64).unwrap(), Vec::<String>::new());
    assert_eq!(events("{}", 64).unwrap(), Vec::<String>::new());
}

#[test]
fn broken_files_are_refused_with_the_line() {
    for (text, line, what) in [
        ("", Some(1), "empty"),
        ("  \n", Some(2), "empty"),
        ("hello", Some(1), "expected a JSON array or object, found `h`"),
        ("[1,\n{\"a\":", Some(2), "ends in the middle"),
        ("[1", Some(1), "expected `,` or `]`, but the file ends"),
        ("[1,]", Some(1), "expected a value, found `]`"),
        ("[1}", Some(1), "expected `,` or `]`"),
        ("{\"a\" 1}", Some(1), "expected `:`"),
        ("{a:1}", Some(1), "expected a member name"),
        ("{\"a\":1,\"a\":2}", Some(1), "two members named \"a\""),
        ("[]\n[]", Some(2), "more text follows"),
        ("\u{fffe}", Some(1), "expected a JSON array"),
    ] {
        match events(text, 64) {
            Err(crate::Error::Input { place, what: found, .. }) => {
                assert_eq!(place.line, line, "{text}");
                assert!(found.contains(what), "{text}: {found}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(reader(b"\xff\xfe[\0]\0", 64).unwrap_err().to_string().contains("UTF-16"));
}

#[test]
fn a_broken_record_leaves_the_others_readable() {
    let text = b"[{\"a\":NaN},\n{\"a\":\n \"\xff\"},{\"a\":{\"b\":oops}},4]";
    let mut reader = reader(text, 64).unwrap();
    let mut seen = Vec::new();
    while let Some(event) = reader.next().unwrap() {
        let Event::Record(record) = event else { panic!("no sections here") };
        seen.push(match record.value() {
            Ok(value) => value.to_string(),
            Err(bad) => format!("{} {}", bad.place, bad.reason),
        });
    }
    assert_eq!(
        seen,
        [
            "`f.json` line 1 at `[0].a` `NaN` is not JSON; write null or leave the member out \
             (column 6)",
            "`f.json` line 2 at `[1]` invalid UTF-8 at byte 8 of the record",
            "`f.json` line 3 at `[2].a.b` `oops` is not a JSON value (column 11)",
            "4",
        ]
    );
}

#[test]
fn a_record_over_the_limit_is_skipped_not_held() {
    let mut text = b"[\"".to_vec();
    text.resize(crate::RECORD_BYTES_MAX + 10, b'x');
    text.extend_from_slice(b"\", 2]");
    let mut reader = reader(&text, 1 << 16).unwrap();
    let Some(Event::Record(large)) = reader.next().unwrap() else { panic!("a record") };
    assert!(large.value().unwrap_err().reason.contains("larger than 64 MiB"));
    let Some(Event::Record(next)) = reader.next().unwrap() else { panic!("a record") };
    assert_eq!(next.value().unwrap(), json!(2));
}

#[test]
fn residuals_are_compact_and_named_by_the_source() {
    for (rendered, source, expected) in [
        (r#"{"a":1}"#, r#"{"a":1,"b":null}"#, r#"{"b":null}"#),
        (r#"{"a":1,"b":null}"#, r#"{"a":1}"#, r#"{"b":{"~":[null]}}"#),
        (r#"{"a":10}"#, r#"{"a":10.0}"#, r#"{"a":{"~n":10.0}}"#),
        (r#"{"a":"x"}"#, r#"{"a":"y"}"#, r#"{"a":{"~":["x","y"]}}"#),
        (r#"{"a":["x"]}"#, r#"{"a":"x"}"#, r#"{"a":{"~1":true}}"#),
        (r#"{"a":["x/y"]}"#, r#"{"a":[["x","y"]]}"#, r#"{"a":{"~a":[1,{"0":{"~/":true}}]}}"#),
        (r#"{"v":{"x":1}}"#, r#"{"v":{"x":1,"r":0}}"#, r#"{"v":{"~o":{"r":0}}}"#),
        (
            r#"{"p":[1,[2,3]]}"#,
            r#"{"p":[1,[2.0,3]]}"#,
            r#"{"p":{"~a":[2,{"1":{"~a":[2,{"0":{"~n":2.0}}]}}]}}"#,
        ),
        (r#"{}"#, r#"{"~":1,"a":{"~":[1]}}"#, r#"{"~~":1,"a":{"~v":{"~":[1]}}}"#),
    ] {
        let found = residual(&value(rendered), &value(source)).unwrap();
        assert_eq!(found.to_string(), expected);
        assert_eq!(restore(value(rendered), &found), value(source));
    }
    assert_eq!(residual(&value("[1]"), &value("[1]")), None);
}

#[test]
fn an_edit_shows_and_is_never_an_echo() {
    let long = "l".repeat(100);
    let rendered = json!({"x": 10, "t": "a", "n": null, "l": long, "p": [1, 2]});
    let source = value(r#"{"x":10.0,"t":["a"],"l":"short","p":[1.0,2],"more":true}"#);
    let kept = residual(&rendered, &source).unwrap();
    assert_eq!(restore(rendered.clone(), &kept), source);
    let mut edited = rendered;
    edited["x"] = json!(11);
    edited["t"] = json!("b");
    edited["n"] = json!(5);
    edited["l"] = json!("L".repeat(100));
    edited["p"] = json!([3, 2, 1]);
    edited["more"] = json!(false);
    let mut expected = edited.clone();
    // That the source has a list of the parts is its shape, which outlives the edit.
    expected["t"] = json!(["b"]);
    assert_eq!(restore(edited, &kept), expected);
}

#[test]
fn large_integers_are_compared_by_their_text() {
    // Both are 9007199254740992.0 as floats; an edit from one to the other must show.
    let kept = residual(&value("[9007199254740992]"), &value("[9007199254740992.0]")).unwrap();
    let edited = value("[9007199254740993]");
    assert_eq!(restore(edited.clone(), &kept), edited);
}

#[test]
fn floats_are_written_as_tools_write_them() {
    for (float, text) in [(10.0, "10"), (-0.0, "0"), (33.333333, "33.333333"), (1e16, "1e+16")] {
        assert_eq!(number(float).to_string(), text);
    }
    assert_eq!(number(f64::NAN), Value::Null);
}

fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof!["~{0,3}[ovanh]?", "[a-c]"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof!["0", "1", "1\\.0", "1e\\+0", "2\\.50"].prop_map(|t| value(&t)),
        "[a-c~]{0,3}".prop_map(Value::from),
        Just(Value::from("a long text that is more than forty bytes long")),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..4).prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #[test]
    fn values_are_read_and_written_as_serde_json_does(value in any_json(), text in ".{0,12}") {
        let value = json!([value, text]);
        let written = value.to_string();
        let node = parse::parse_node(&written).unwrap();
        prop_assert_eq!(node.to_text(), written.as_str());
        prop_assert_eq!(Node::from(&value).to_text(), written.as_str());
        prop_assert_eq!(Value::from(node), value);
    }

    #[test]
    fn restore_inverts_residual(rendered in any_json(), source in any_json()) {
        match residual(&rendered, &source) {
            None => prop_assert_eq!(rendered, source),
            Some(kept) => {
                let kept = value(&kept.to_string());
                prop_assert_eq!(restore(rendered, &kept), source);
            }
        }
    }

    #[test]
    fn restore_takes_any_residual(rendered in any_json(), residual in any_json()) {
        restore(rendered, &residual);
    }

    #[test]
    fn parse_takes_any_text(text in "[\\[\\]{}\",:0-9a-z\\\\ .+-]{0,40}") {
        let _ = parse(&text);
        let _ = events(&text, 3);
    }
}
