//! Rows are erased from every commit by the real binary.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::json::fits;
use crate::remote::Place;
use crate::session::Session;

const SECRET: &str = "patient-4711";

/// Two commits in which a patient, and two annotators, have rows.
fn store() -> Session {
    let s = Session::new();
    s.write(
        "first.csv",
        format!("item_id,annotator_id,label\na,w1,cat\na,w2,dog\n{SECRET},w1,ill\nb,w2,cat\n"),
    );
    s.ok("import first.csv -m first");
    s.write("second.csv", format!("item_id,annotator_id,label\n{SECRET},w1,well\n"));
    s.ok("import second.csv -m second");
    s
}

/// Files of the store in which a text stands as it is.
fn holders(dir: &Path, text: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holders(&path, text, found);
        } else {
            let bytes = fs::read(&path).unwrap();
            let here = |part: &[u8]| part == text.as_bytes();
            if text.is_empty() || bytes.windows(text.len()).any(here) {
                found.push(path.display().to_string());
            }
        }
    }
}

#[test]
fn an_item_is_erased_from_every_commit() {
    let s = store();
    let log = s.git("log --format=%H main");
    let planned = s.json(&format!("redact --item {SECRET} --reason test --dry-run"));
    fits("redact", &planned);
    assert_eq!(planned[0]["planned"]["rows"], json!({"annotations": 1}));
    assert_eq!(planned[0]["done"], json!(null));
    assert_eq!(s.json(&format!("ls --item {SECRET}")).len(), 1);
    let done = s.json(&format!("redact --item {SECRET} --reason 'request 17'"));
    fits("redact", &done);
    let mut found = Vec::new();
    holders(&s.path(".gloss"), SECRET, &mut found);
    assert_eq!(found, Vec::<String>::new());
    // The same commits, with what is left of their rows.
    assert_eq!(s.git("log --format=%H main"), log);
    assert_eq!(s.json("ls").len(), 3);
    assert_eq!(s.json("ls --at main~1").len(), 3);
    assert_eq!(s.json("diff main~1 main").len(), 0);
    let told = s.json("verify");
    fits("verify", &told);
    // The annotation of the first commit, and its new and its old label in the second.
    assert_eq!((&told[0]["ok"], &told[0]["redacted"]), (&json!(true), &json!(3)));
    assert!(s.ok("verify").contains("3 rows of objects were erased, as records say"));
    let note = s.git("notes --ref=gloss-redactions show main");
    fits("redaction-record", &[serde_json::from_str(note.trim()).unwrap()]);
    assert!(note.contains("\"reason\":\"request 17\"") && note.contains("erasure-request"));
    s.git("fsck --strict");
    // Work goes on; nothing is left to erase.
    s.ok("import second.csv -m again");
    s.ok("verify");
    assert!(s.ok("redact --item nobody --reason none").contains("there is nothing to erase"));
}

#[test]
fn an_annotator_is_erased_and_forgotten() {
    let s = Session::new();
    s.write("rows.csv", "item_id,annotator_id,label\na,eve@example.org,cat\na,w2,dog\n");
    s.ok("import rows.csv -m rows");
    let annotators = s.json("annotator list");
    let id = annotators.iter().map(|a| a["annotator_id"].as_str().unwrap());
    let id = id.into_iter().find(|id| id.starts_with("p-")).unwrap().to_owned();
    assert!(s.read(".gloss/private/people").contains("eve@example.org"));
    s.ok(&format!("redact --annotator {id} --forget --reason left --ground consent-withdrawn"));
    for text in ["eve@example.org", &id] {
        let mut found = Vec::new();
        holders(&s.path(".gloss"), text, &mut found);
        assert_eq!(found, Vec::<String>::new(), "{text}");
    }
    let left = s.json("ls");
    assert_eq!((left.len(), &left[0]["annotator_id"]), (1, &json!("w2")));
    let ran = s.gloss("redact --reason nothing");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("nothing says what to erase"), "{}", ran.err);
}

#[test]
fn what_is_held_or_staged_is_not_erased() {
    let s = store();
    s.write("hold.toml", "legal_hold = true\n");
    s.ok("rights add case-9 hold.toml");
    s.ok(&format!("rights assign case-9 --item {SECRET}"));
    let ran = s.gloss(&format!("redact --where annotator={} --reason test", "w1"));
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("is under a legal hold by `rights/case-9.toml`"), "{}", ran.err);
    assert_eq!(s.json(&format!("ls --item {SECRET}")).len(), 1);
    // Others may go.
    s.ok("redact --item b --reason test");
    s.write("free.toml", "legal_hold = false\n");
    s.ok("rights add case-9 free.toml");
    s.ok("import first.csv");
    let ran = s.gloss(&format!("redact --item {SECRET} --reason test"));
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("what waits for a commit may hold what shall be erased"));
    s.ok("restore --staged");
    s.ok(&format!("redact --item {SECRET} --reason test"));
    s.ok("verify");
}

/// Whether a file of a directory holds a text as it is.
fn holds(dir: &Path, text: &str) -> bool {
    let mut all = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { dirs.push(path) } else { all.push(path) }
        }
    }
    assert!(!all.is_empty());
    all.iter().any(|path| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    })
}

#[test]
fn what_was_erased_leaves_the_remote_and_other_copies_and_does_not_come_back() {
    let shared = Session::empty();
    let place = Place::directory(&shared);
    let here = store();
    place.ok(&here, &format!("remote add origin {}", place.url));
    place.ok(&here, "push");
    here.ok("pin --format csv");
    let there = Session::empty();
    place.ok(&there, &format!("clone {} copy", place.url));
    assert!(holds(&shared.path("shared"), SECRET));

    // The copy has a commit of its own about the patient, which was not pushed.
    there.write("copy/more.csv", format!("item_id,annotator_id,label\n{SECRET},w2,mine\n"));
    place.ok(&there, "-C copy import more.csv -m more");
    here.ok(&format!("redact --item {SECRET} --reason 'request 17'"));
    let told = place.json(&here, "push", "push");
    assert!(told["erased"].as_u64() > Some(0), "{told}");
    assert!(!holds(&shared.path("shared"), SECRET));
    assert_eq!(place.json(&here, "verify-remote", "verify --remote")["ok"], json!(true));

    let told = place.fails(1, &there, "-C copy push");
    assert!(told.contains("rows were erased there since"), "{told}");
    assert!(told.contains("`gloss fetch`"), "{told}");
    assert!(holds(&there.path("copy/.gloss"), SECRET));
    place.ok(&there, "-C copy fetch");
    assert!(!holds(&there.path("copy/.gloss"), SECRET));
    place.ok(&there, "-C copy verify");
    place.ok(&there, "-C copy push");
    assert!(!holds(&shared.path("shared"), SECRET));
    place.ok(&there, "-C copy verify --remote");
    // The row that the copy had of its own went as well; others are there.
    assert!(!place.ok(&there, "-C copy ls --json").contains("mine"));

    let fresh = Session::empty();
    place.ok(&fresh, &format!("clone {} copy", place.url));
    assert!(place.ok(&fresh, "-C copy verify").contains("rows of objects were erased"));
    assert_eq!(place.ok(&fresh, "-C copy ls --json").lines().count(), 3);

    // A pin says what became of it, in the store and without one.
    for at in [&here, &Session::empty()] {
        at.write("gloss.lock", here.read("gloss.lock"));
        let told = place.fails(1, at, "checkout gloss.lock -o taken.csv");
        assert!(told.contains("1 rows of"), "{told}");
        assert!(told.contains("were erased since it was pinned"), "{told}");
        assert!(!at.path("taken.csv").exists());
        let told = place.ok(at, "checkout gloss.lock --redacted -o taken.csv");
        assert!(told.contains("3 annotations"), "{told}");
        assert!(told.contains("what is left of what was pinned"), "{told}");
        assert_eq!(at.read("taken.csv").lines().count(), 1 + 3);
    }
}

#[test]
fn audits_and_proofs_hold_for_what_is_left() {
    let s = store();
    s.ok(&format!("redact --item {SECRET} --reason 'request 17'"));
    s.ok("compact");
    let rows = s.json("ls --item b");
    let id = rows[0]["annotation_id"].as_str().unwrap();
    s.ok(&format!("prove b {id} main~2 -o proof.json"));
    s.ok("audit -o bundle");
    let Some(ran) = crate::audit::checked(&s, &["--proof", "proof.json"]) else { return };
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let ran = crate::audit::checked(&s, &["bundle"]).unwrap();
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("ok      redactions: 1 records, 3 rows of objects are empty"),
        "{}",
        ran.out
    );
    assert!(!holds(&s.path("bundle"), SECRET));
    // A record that says less than was erased is found.
    let erased = s.git("notes --ref=gloss-redactions show main~1");
    let record: serde_json::Value = serde_json::from_str(erased.trim()).unwrap();
    let object = record["erased"]["removed"].as_str().unwrap();
    let path = s.path(&format!("bundle/objects/{}/{object}", &object[..2]));
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let ran = crate::audit::checked(&s, &["bundle"]).unwrap();
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("FAILED  redactions: "), "{}", ran.out);
}

/// A clone of what a place has.
fn copy_of(place: &Place) -> Session {
    let there = Session::empty();
    place.ok(&there, &format!("clone {} copy", place.url));
    there
}

fn store_of(rows: &str) -> (Session, Session, Place) {
    let (shared, s) = (Session::empty(), Session::new());
    s.write("rows.csv", format!("item_id,annotation_id,annotator_id,label\n{rows}"));
    s.ok("import rows.csv -m rows");
    let place = Place::directory(&shared);
    place.ok(&s, &format!("remote add origin {}", place.url));
    place.ok(&s, "push");
    (s, shared, place)
}

/// A row goes with all its versions, of which somebody else made one: their other rows stay, though
/// a copy that followed once erased these as well.
#[test]
fn who_corrected_an_erased_row_keeps_the_others() {
    let (s, _shared, place) = store_of("i1,a,w1,cat\ni2,b,w3,cat\ni3,c,w3,dog\n");
    s.write("more.csv", "item_id,annotation_id,annotator_id,label\ni1,a,w3,dog\n");
    s.ok("import more.csv -m corrected");
    place.ok(&s, "push");
    let there = copy_of(&place);
    s.ok("redact --annotator w1 --reason left");
    place.ok(&s, "push");
    place.ok(&there, "-C copy fetch");
    place.ok(&there, "-C copy push");
    place.ok(&s, "fetch");
    for (at, line) in [(&s, "ls"), (&there, "-C copy ls")] {
        assert_eq!(at.json(line).len(), 2, "{line}");
    }
    s.ok("verify");
    place.ok(&there, "-C copy verify");
}

/// Two erasures of one segment, each pushed and followed.
#[test]
fn one_segment_is_erased_from_twice() {
    let (s, shared, place) = store_of("first-4711,a,w,cat\nsecond-4712,b,w,cat\nkept,c,w,dog\n");
    let there = copy_of(&place);
    for item in ["first-4711", "second-4712"] {
        s.ok(&format!("redact --item {item} --reason test"));
        place.ok(&s, "push");
        assert!(!holds(&shared.path("shared"), item), "{item} is at the remote");
        place.ok(&there, "-C copy fetch");
        assert!(!holds(&there.path("copy/.gloss"), item), "{item} is in the copy");
        place.ok(&there, "-C copy verify");
        place.ok(&s, "verify --remote");
    }
    assert_eq!(there.json("-C copy ls").len(), 1);
    place.ok(&there, "-C copy push");
    assert_eq!(copy_of(&place).json("-C copy ls").len(), 1);
}

/// Two copies erase other rows of one segment before they know of each other.
#[test]
fn what_two_copies_erase_apart_goes_in_both() {
    let (s, shared, place) = store_of("first-4711,a,w,cat\nsecond-4712,b,w,cat\nkept,c,w,dog\n");
    let there = copy_of(&place);
    s.ok("redact --item first-4711 --reason test");
    there.ok("-C copy redact --item second-4712 --reason test");
    place.ok(&s, "push");
    place.ok(&there, "-C copy fetch");
    place.ok(&there, "-C copy push");
    place.ok(&s, "fetch");
    place.ok(&s, "push");
    for item in ["first-4711", "second-4712"] {
        for dir in [shared.path("shared"), s.path(".gloss"), there.path("copy/.gloss")] {
            assert!(!holds(&dir, item), "{item} is in {}", dir.display());
        }
    }
    s.ok("verify");
    place.ok(&there, "-C copy verify");
    place.ok(&s, "verify --remote");
    assert_eq!(s.json("ls").len(), 1);
}

/// Somebody left the first record without an end of line: the second once ran on in its line.
#[test]
fn a_record_after_a_note_without_an_end_of_line_is_a_line() {
    let s = store();
    s.ok(&format!("redact --item {SECRET} --reason test"));
    let note = s.git("notes --ref=gloss-redactions show main");
    s.write("note", note.trim_end());
    let blob = s.git(&format!("hash-object -w {}", s.path("note").display()));
    s.git(&format!("notes --ref=gloss-redactions add -f -C {} main", blob.trim()));
    assert!(!s.git("notes --ref=gloss-redactions show main").ends_with('\n'));
    s.ok("redact --item b --reason test");
    let notes = s.git("notes --ref=gloss-redactions show main");
    assert_eq!(notes.lines().next(), Some(note.trim_end()));
    assert_eq!(notes.lines().count(), 2);
    s.ok("verify");
    assert_eq!(s.json("ls").len(), 2);
}

/// A record that cannot be read names objects that nothing else does: once gc removed these.
#[test]
fn nothing_is_removed_while_a_record_cannot_be_read() {
    let s = store();
    s.ok(&format!("redact --item {SECRET} --reason test"));
    s.git("-c core.commentChar=! notes --ref=gloss-redactions append -m 'by hand' main");
    let objects = |dir: &Path| {
        let mut found = Vec::new();
        holders(dir, "", &mut found);
        found.len()
    };
    let before = objects(&s.path(".gloss/objects"));
    let ran = s.gloss("gc");
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("gloss-redactions"), "{}", ran.err);
    assert_eq!(objects(&s.path(".gloss/objects")), before);
    assert!(s.gloss("verify").out.contains("gloss-redactions"));
    s.git("update-ref refs/notes/gloss-redactions refs/notes/gloss-redactions^");
    s.ok("verify");
    assert_eq!(s.json("ls").len(), 3);
}
