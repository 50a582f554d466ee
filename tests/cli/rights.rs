//! What may be done with items.

use serde_json::json;

use crate::json::fits;
use crate::session::Session;

/// Items of two patients, of which one is in both splits.
fn store() -> Session {
    let s = Session::new();
    s.write(
        "rows.jsonl",
        ["p1/a", "p1/b", "p2/a"]
            .map(|item| json!({"item_id": item, "annotator_id": "w", "label": "x"}).to_string())
            .join("\n"),
    );
    s.ok("import rows.jsonl -m rows");
    s
}

#[test]
fn records_cover_items_and_say_what_may_be_done() {
    let s = store();
    s.write(
        "clinic.toml",
        "licence = \"CC-BY-4.0\"\nlegal_basis = \"consent\"\nresidency = [\"EU\"]\n",
    );
    fits("rights-add", &s.json("rights add clinic clinic.toml"));
    let done = s.json("rights assign clinic --item p1/a --item p2/a");
    fits("rights-assign", &done);
    assert_eq!(done[0]["items"], 2);
    let listed = s.json("rights list");
    fits("rights-list", &listed);
    assert_eq!((listed.len(), &listed[0]["items"]), (1, &json!(2)));
    assert!(s.ok("rights list").contains("1 item(s) name no record"));
    // Where they may be is limited, so it must be said.
    let ran = s.gloss("rights check --json");
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    fits("rights-check", std::slice::from_ref(&told));
    assert_eq!(ran.code, 1);
    let against = json!([{"why": "residency", "rights": "clinic", "items": 2, "such_as": "p1/a"}]);
    assert_eq!(told["hindrances"], against);
    s.ok("rights check --region EU");
    let ran = s.gloss("export --format csv");
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("clinic: 2 item(s), such as `p1/a`, may not be there"), "{}", ran.err);
    assert_eq!(s.ok("export --format csv --region EU").lines().count(), 4);
    assert_eq!(s.ok("export --format csv --item p1/b").lines().count(), 2);
    // Consent is withdrawn; the clock of the machine is after that day.
    s.write("clinic.toml", "legal_basis = \"consent\"\nwithdrawn = 2020-02-01\n");
    s.ok("rights add clinic clinic.toml");
    let ran = s.gloss("export --format csv --region EU");
    assert!(ran.err.contains("covered by consent that was withdrawn"), "{}", ran.err);
    // An earlier commit is as it was.
    s.ok("rights check main~1 --region EU");
    s.ok("verify");
}

#[test]
fn a_group_in_several_splits_is_found() {
    let s = Session::new();
    s.write("columns.csv", "item_id,annotator_id,label\na,w,x\nb,w,x\nc,w,x\n");
    s.ok("import columns.csv -m rows");
    s.ok("rights check");
    s.write("wrong.toml", "person = \"Ann\"\n");
    let ran = s.gloss("rights add x wrong.toml");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("wrong.toml") && ran.err.contains("unknown field"), "{}", ran.err);
    let ran = s.gloss("rights assign gone --all");
    assert!(ran.err.contains("there is no record `gone`"), "{}", ran.err);
    assert_eq!(s.gloss("rights add ../x wrong.toml").code, 2);
}
