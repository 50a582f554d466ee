//! Bundles for auditors, checked by the script inside them, which uses none of our code.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::json::fits;
use crate::oracle::reader;
use crate::samples::ours;
use crate::session::{Ran, Session};
use crate::signed::{deliver, key, signing};

/// A store with some of everything: two people, a model, a policy, reviews, a merge, removals,
/// segments written anew, signatures, a delivered file, a report and a run.
fn store() -> Option<Session> {
    let s = signing()?;
    s.write(".gitconfig", s.read(".gitconfig") + "[commit]\n\tgpgSign = true\n");
    s.ok("import texts.json -m first");
    s.ok("policy add places --field ner=PER,ORG,LOC,MISC");
    s.ok("branch side");
    s.ok("import corrected.json -m corrected --no-sign");
    s.write("reviews.json", ours("label-studio/reviews.json"));
    s.ok("import reviews.json -m reviews");
    s.ok("rm --where label=LOC -m 'no places'");
    s.ok("switch side");
    key(&s, "vendor", &["ed25519"]);
    let vendor = s.read("vendor.pub");
    s.write("signers", s.read("signers") + &format!("vendor@example.com {vendor}"));
    s.write("batch.csv", "item,annotator,label\nx,v1,cat\ny,v1,dog\n");
    deliver(&s, "vendor", "gloss-batch", "batch.csv");
    s.ok("import batch.csv --signed-by batch.csv.sig -m batch");
    s.ok("switch main");
    s.ok("merge side --no-ff");
    s.ok("compact");
    s.ok("tag -s -m release v1");
    s.ok("quality --save");
    s.ok(&format!("remote add origin file://{}", s.path("shared").display()));
    s.ok("push");
    s.ok("pin v1 --format csv");
    s.ok("run record --name baseline --metric f1=0.83");
    s.write("late.csv", "item,annotator,label\ny,v1,cow\nz,v2,cat\n");
    s.ok("import late.csv --source table -m late");
    Some(s)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/audit").join(name)
}

/// What the script of the repository says, in the Python that tests make; none where there is none.
pub(crate) fn checked(s: &Session, words: &[&str]) -> Option<Ran> {
    let python = match reader() {
        Ok(python) => python,
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "the check must run here: {reason}");
            println!("skipped, the check needs Python with pyarrow and blake3: {reason}");
            return None;
        }
    };
    let mut command: Command = s.program(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script("check.py")).args(words);
    Some(Ran::new(command.output().unwrap()))
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Writes the list of a bundle's files anew, as a forger would.
fn listed_anew(dir: &Path) {
    let mut text = String::new();
    let mut names: Vec<_> = files(dir)
        .into_iter()
        .map(|path| (path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned(), path))
        .filter(|(name, _)| name != "MANIFEST")
        .collect();
    names.sort();
    for (name, path) in names {
        let bytes = std::fs::read(path).unwrap();
        text.push_str(&format!("{}  {}  {name}\n", blake3::hash(&bytes).to_hex(), bytes.len()));
    }
    std::fs::write(dir.join("MANIFEST"), text).unwrap();
}

fn an_annotation(s: &Session) -> (String, String) {
    let row = &s.json("ls")[0];
    let text = |name: &str| row[name].as_str().unwrap().to_owned();
    (text("item_id"), text("annotation_id"))
}

#[test]
fn a_bundle_is_checked_without_glossator() {
    let Some(s) = store() else { return };
    let (item, annotation) = an_annotation(&s);
    let made = s.json(&format!("audit -o bundle --prove '{item}' '{annotation}'"));
    fits("audit", &made);
    assert_eq!(made[0]["commits"], s.json("log").len());
    let digest = made[0]["digest"].as_str().unwrap();
    let bundle = s.path("bundle");
    let manifest = std::fs::read(bundle.join("MANIFEST")).unwrap();
    assert_eq!(digest, blake3::hash(&manifest).to_hex().as_str());
    let Some(ran) = checked(&s, &["bundle", "--digest", digest]) else { return };
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.ends_with("every check passed\n"), "{}", ran.out);
    let parts =
        ["files", "objects", "history", "commits", "rows", "records", "signatures", "proofs"];
    for part in parts {
        assert!(ran.out.contains(&format!("ok      {part}: ")), "{part}: {}", ran.out);
    }
    assert!(ran.out.contains("1 unsigned"), "{}", ran.out);
    assert_eq!(checked(&s, &["bundle", "--digest", &"0".repeat(64)]).unwrap().code, 1);
    // The script that is in the bundle leaves nothing in it.
    let mut own = s.program(reader().unwrap());
    let ran = Ran::new(own.arg(bundle.join("check.py")).output().unwrap());
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(checked(&s, &["bundle"]).unwrap().code, 0);
    // The script in the bundle is the one of the repository, and stock git reads the history.
    for name in ["check.py", "glossator_format.py", "ssh_signature.py", "README.md"] {
        let own = std::fs::read(script(name)).unwrap();
        assert_eq!(std::fs::read(bundle.join(name)).unwrap(), own);
    }
    s.git(&format!("bundle verify {}", bundle.join("history.bundle").display()));
    let mut clone = s.program("git");
    let ran = Ran::new(clone.args(["clone", "-q", "bundle/history.bundle", "c"]).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(s.read("c/change.json"), s.git("show main:change.json"));
    // By an auditor's own word on who is known.
    assert_eq!(checked(&s, &["bundle", "--signers", "signers"]).unwrap().code, 0);
    s.write("strangers", s.read("signers").replace("ada@", "bob@"));
    let ran = checked(&s, &["bundle", "--signers", "strangers"]).unwrap();
    let begin = "FAILED  signatures: signatures.jsonl: commit ";
    assert!(ran.code == 1 && ran.out.contains(begin), "{}", ran.out);
    // Only what the later commits did.
    fits("audit", &s.json("audit v1~2..main -o part"));
    let ran = checked(&s, &["part"]).unwrap();
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("ok      commits: "), "{}", ran.out);
    let error = s.fails(2, "audit -o bundle");
    assert!(error.contains("is not empty"), "{error}");
    s.fails(2, "audit main..main -o none");
    s.fails(2, "audit -o none --prove nobody nothing");
}

#[test]
fn delivered_files_are_checked_for_each_kind_of_key() {
    let Some(s) = signing() else { return };
    for (name, kind) in [
        ("p256", &["ecdsa", "-b", "256"]),
        ("p384", &["ecdsa", "-b", "384"]),
        ("rsa", &["rsa", "-b", "2048"]),
    ] {
        key(&s, name, kind);
        let public = s.read(&format!("{name}.pub"));
        s.write("signers", s.read("signers") + &format!("{name}@vendor.example {public}"));
        let file = format!("{name}.csv");
        s.write(&file, format!("item,annotator,label\n{name},ann,x\n"));
        deliver(&s, name, "gloss-batch", &file);
        s.ok(&format!("import {file} --signed-by {file}.sig -m {name} -S"));
    }
    s.ok("audit -o bundle");
    let Some(ran) = checked(&s, &["bundle"]) else { return };
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("signatures: 6 good\n"), "{}", ran.out);
    // One vendor's word for another's.
    let text = s.read("bundle/signatures.jsonl").replacen("p384@", "p256@", 1);
    s.write("bundle/signatures.jsonl", text);
    listed_anew(&s.path("bundle"));
    let ran = checked(&s, &["bundle"]).unwrap();
    assert!(ran.out.contains("the key is not of p256@vendor.example"), "{}", ran.out);
}

#[test]
fn people_are_in_it_only_by_request() {
    let Some(s) = store() else { return };
    let people = s.read(".gloss/private/people");
    let person: Value = serde_json::from_str(people.lines().next().unwrap()).unwrap();
    let email = person["emails"][0].as_str().unwrap().as_bytes().to_owned();
    let holds = |dir: &str| {
        let found = files(&s.path(dir)).into_iter().filter(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(email.len()).any(|window| window == email)
        });
        found.map(|path| path.file_name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    s.ok("audit -o without");
    assert_eq!(holds("without"), [""; 0]);
    s.ok("audit -o with --names");
    assert_eq!(holds("with"), ["people.jsonl"]);
    assert_eq!(s.read("with/people.jsonl"), people);
    let Some(ran) = checked(&s, &["with"]) else { return };
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}

/// Of each kind of file one: a single byte is another one.
#[test]
fn one_byte_of_any_file_is_found_and_named() {
    let Some(s) = store() else { return };
    let (item, annotation) = an_annotation(&s);
    s.ok(&format!("audit -o bundle --prove '{item}' '{annotation}'"));
    let dir = s.path("bundle");
    let mut kinds = std::collections::BTreeMap::new();
    for path in files(&dir) {
        let name = path.strip_prefix(&dir).unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        let kind = match name.split_once('/') {
            // Segments, removals and meta objects begin in different ways.
            Some(("objects", _)) => format!("object {:?}", &bytes[..4]),
            Some(("policies", _)) => path.file_name().unwrap().to_string_lossy().into_owned(),
            Some((dir, _)) => dir.to_owned(),
            None => name.clone(),
        };
        kinds.entry(kind).or_insert((name, path, bytes));
    }
    assert!(kinds.len() >= 19, "{:?}", kinds.keys());
    for (kind, (name, path, bytes)) in kinds {
        let mut changed = bytes.clone();
        // A signature file may be empty, as may notes; here none is.
        let at = changed.len() / 2;
        changed[at] ^= 1;
        std::fs::write(&path, changed).unwrap();
        let Some(ran) = checked(&s, &["bundle"]) else { return };
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(ran.code, 1, "{kind}: {}", ran.out);
        let named = ran.out.lines().any(|l| l.starts_with("FAILED  files: ") && l.contains(&name));
        assert!(named, "{kind}: {}{}", ran.out, ran.err);
        assert_eq!(ran.err, "", "{kind}");
    }
    std::fs::write(dir.join("surplus"), "x").unwrap();
    assert!(checked(&s, &["bundle"]).unwrap().out.contains("surplus is not in MANIFEST"));
    std::fs::remove_file(dir.join("surplus")).unwrap();
    std::fs::remove_file(dir.join("runs.jsonl")).unwrap();
    assert!(
        checked(&s, &["bundle"])
            .unwrap()
            .out
            .contains("runs.jsonl, which MANIFEST names, is missing")
    );
}

/// A forger writes the list of files anew: then the part that it is derived from tells.
#[test]
fn what_is_told_must_be_what_the_history_says() {
    let Some(s) = store() else { return };
    let (item, annotation) = an_annotation(&s);
    s.ok(&format!("audit -o bundle --prove '{item}' '{annotation}'"));
    let dir = s.path("bundle");
    let signed = s.read("bundle/signatures.jsonl");
    let unsigned = signed.lines().find(|line| line.contains("\"unsigned\"")).unwrap();
    let batch = signed.lines().find(|line| line.contains("\"batch\"")).unwrap();
    let told = [
        ("audit.json", "\"commits\": ", "\"commits\": 1", "commits"),
        ("commits.jsonl", "\"added\":1", "\"added\":2", "records"),
        ("commits.jsonl", "\"name\":\"Ada\"", "\"name\":\"Eve\"", "records"),
        ("commits.jsonl", "\"message\":\"late", "\"message\":\"fate", "records"),
        ("annotators.jsonl", "\"rows\":1", "\"rows\":2", "rows"),
        ("annotators.jsonl", "\"human\"", "\"model\"", "rows"),
        ("reviews.jsonl", "\"fixed\"", "\"accepted\"", "rows"),
        ("reviews.jsonl", "09:00:00.000001Z", "09:00:00.000002Z", "rows"),
        ("policies/places/policy.toml", "LOC", "LAC", "records"),
        ("runs.jsonl", "0.83", "0.93", "records"),
        ("quality.jsonl", "rows", "raws", "records"),
        ("signatures.jsonl", "\"unsigned\"", "\"good\"", "signatures"),
        ("signatures.jsonl", "vendor@example.com", "ada@example.org", "signatures"),
        ("signatures.jsonl", unsigned, "", "signatures"),
        ("signatures.jsonl", batch, &batch.replace("good", "bad"), "signatures"),
        ("allowed_signers", "ada@example.org", "eve@example.org", "signatures"),
        ("proofs/1.json", "\"number\":", "\"number\":1", "proofs"),
    ];
    for (name, from, to, part) in told {
        let path = dir.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let forged = text.replacen(from, to, 1).replace("\n\n", "\n");
        assert_ne!(text, forged, "{name} has no `{from}`");
        std::fs::write(&path, forged.trim_start()).unwrap();
        listed_anew(&dir);
        let Some(ran) = checked(&s, &["bundle"]) else { return };
        std::fs::write(&path, text).unwrap();
        assert_eq!(ran.code, 1, "{name} {from}: {}", ran.out);
        let failed: Vec<&str> = ran.out.lines().filter(|l| l.starts_with("FAILED")).collect();
        assert_eq!(failed.len(), 1, "{name} {from}: {}{}", ran.out, ran.err);
        assert!(failed[0].starts_with(&format!("FAILED  {part}: ")), "{name} {from}: {failed:?}");
    }
    // Objects that are not there: segments, removals, and names that commits.jsonl tells.
    for path in files(&dir.join("objects")).into_iter().step_by(4) {
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        listed_anew(&dir);
        let ran = checked(&s, &["bundle"]).unwrap();
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(ran.code, 1, "{}: {}", path.display(), ran.out);
    }
}

#[test]
fn a_damaged_store_gives_no_bundle() {
    let s = Session::new();
    s.write("rows.csv", "item,annotator,label\na,ann,x\nb,ann,x\n");
    s.ok("import rows.csv -m first");
    let row = &s.json("ls")[0];
    let (item, id) = (row["item_id"].as_str().unwrap(), row["annotation_id"].as_str().unwrap());
    let line = s.git("show main:tables/annotations.jsonl");
    let line: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    let segment = line["segment"].as_str().unwrap();
    let path = s.path(&format!(".gloss/objects/{}/{segment}", &segment[..2]));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for line in ["audit -o bundle".to_owned(), format!("prove {item} '{id}' -o proof.json")] {
        let error = s.fails(3, &line);
        assert!(error.contains(segment), "{line}: {error}");
    }
    assert!(!s.path("bundle/MANIFEST").exists() && !s.path("proof.json").exists());
}

/// The names that a commit counts may be erased; all else is checked as before.
#[test]
fn erased_names_are_told() {
    let s = Session::new();
    s.write("rows.csv", "item,annotator,label\na,ann,x\nb,ann,x\n");
    s.ok("import rows.csv -m first");
    s.write("more.csv", "item,annotator,label\nc,bob,x\n");
    s.ok("import more.csv -m second");
    let change: Value = serde_json::from_str(&s.git("show main:change.json")).unwrap();
    let meta = change["meta"].as_str().unwrap();
    std::fs::remove_file(s.path(&format!(".gloss/objects/{}/{meta}", &meta[..2]))).unwrap();
    s.ok("audit -o bundle");
    let Some(ran) = checked(&s, &["bundle"]) else { return };
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("the names of 1 were erased"), "{}", ran.out);
}

#[test]
fn a_proof_is_checked_alone() {
    let Some(s) = store() else { return };
    let rows = s.json("ls");
    let places = [0, 1, rows.len() / 2, rows.len() - 1];
    for (number, row) in places.iter().map(|place| &rows[*place]).enumerate() {
        let (item, id) = (&row["item_id"], &row["annotation_id"]);
        let (item, id) = (item.as_str().unwrap(), id.as_str().unwrap());
        let file = format!("proof-{number}.json");
        s.ok(&format!("prove '{item}' '{id}' -o {file}"));
        fits("proof", &[serde_json::from_str(&s.read(&file)).unwrap()]);
        fits("proof", &s.json(&format!("prove '{item}' '{id}'")));
        let Some(ran) = checked(&s, &["--proof", &file]) else { return };
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        let begin = format!("ok      proof: this row was in commit {}\n", s.commit("main"));
        assert!(ran.out.starts_with(&begin), "{}", ran.out);
        let label = format!("  label: {}\n", row["label"]);
        assert!(row["label"].is_null() || ran.out.contains(&label), "{}", ran.out);
    }
    // Each member is bound: any other value of it does not pass.
    let good: Value = serde_json::from_str(&s.read("proof-1.json")).unwrap();
    let turned = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        let at = bytes.len() / 2;
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        Value::from(String::from_utf8(bytes).unwrap())
    };
    let mut pointers: Vec<String> =
        ["commit", "table_file", "tables_tree", "tree", "commit_object"]
            .iter()
            .map(|name| format!("/{name}"))
            .collect();
    pointers
        .extend(["/key/0", "/key/1", "/row/canonical", "/row/salt", "/row/path/0"].map(Into::into));
    pointers.extend(["/segment/segment", "/segment/root"].map(Into::into));
    for pointer in pointers {
        let mut bad = good.clone();
        let place = bad.pointer_mut(&pointer).unwrap_or_else(|| panic!("no {pointer}"));
        *place = turned(place.as_str().unwrap());
        s.write("bad.json", bad.to_string());
        let ran = checked(&s, &["--proof", "bad.json"]).unwrap();
        assert_eq!(ran.code, 1, "{pointer}: {}", ran.out);
        assert!(ran.out.starts_with("FAILED  proof: "), "{pointer}: {}{}", ran.out, ran.err);
    }
    let mut bad = good.clone();
    bad["row"]["number"] = (good["row"]["number"].as_u64().unwrap() + 1).into();
    s.write("bad.json", bad.to_string());
    assert_eq!(checked(&s, &["--proof", "bad.json"]).unwrap().code, 1);
    let (item, _) = an_annotation(&s);
    let error = s.fails(2, &format!("prove '{item}' none"));
    assert!(error.contains("there is no annotation `none`"), "{error}");
    assert!(error.contains("there is `"), "{error}");
    s.fails(2, "prove nobody none");
}

#[test]
fn a_removed_row_is_in_the_commits_that_had_it() {
    let s = Session::new();
    s.write("rows.csv", "item,annotator,label\na,ann,x\nb,ann,x\nc,ann,y\n");
    s.ok("import rows.csv -m first");
    let row = s.json("ls").into_iter().find(|row| row["label"] == "y").unwrap();
    let (item, id) = (row["item_id"].as_str().unwrap(), row["annotation_id"].as_str().unwrap());
    s.ok("rm --where label=y -m second");
    s.fails(2, &format!("prove {item} '{id}'"));
    s.ok(&format!("prove {item} '{id}' main~1 -o then.json"));
    let Some(ran) = checked(&s, &["--proof", "then.json"]) else { return };
    assert_eq!(ran.code, 0, "{}", ran.out);
    // With the table's file of the later commit in its place, which names a removal.
    let other = s.json("ls").into_iter().find(|row| row["label"] == "x").unwrap();
    let (item, id) = (other["item_id"].as_str().unwrap(), other["annotation_id"].as_str().unwrap());
    s.ok(&format!("prove {item} '{id}' -o now.json"));
    let then: Value = serde_json::from_str(&s.read("then.json")).unwrap();
    let mut forged: Value = serde_json::from_str(&s.read("now.json")).unwrap();
    assert_eq!(forged["removals"].as_array().unwrap().len(), 1);
    forged["row"] = then["row"].clone();
    forged["key"] = then["key"].clone();
    s.write("forged.json", forged.to_string());
    let ran = checked(&s, &["--proof", "forged.json"]).unwrap();
    assert_eq!(ran.out, "FAILED  proof: the row was removed\n");
}

#[test]
fn hostile_texts_stay_texts_in_the_page() {
    let s = Session::new();
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(2)>",
        "</td></table><h1>forged",
        "\u{202e}gpj.exe",
        "&lt;b&gt; '",
    ];
    let mut csv = "item,annotator,label\n".to_owned();
    for (at, text) in hostile.iter().enumerate() {
        csv.push_str(&format!("i{at},\"{}\",x\n", text.replace('"', "\"\"")));
    }
    s.write("rows.csv", csv);
    s.ok(&format!("import rows.csv -m '{}'", hostile[0]));
    s.write("guideline.md", hostile.join("\n"));
    s.ok("policy add p --field label=x --guideline guideline.md");
    s.ok("audit -o bundle");
    let page = s.read("bundle/index.html");
    for raw in ["<script", "<img", "<h1>forged", "\u{202e}", "onerror=alert(2)>"] {
        assert!(!page.contains(raw), "{raw}");
    }
    for shown in
        ["&lt;script&gt;alert(1)&lt;/script&gt;", r"\u{202e}gpj.exe", "&amp;lt;b&amp;gt; &#39;"]
    {
        assert!(page.contains(shown), "{shown}");
    }
    // Nothing is loaded: no address of anything.
    for word in ["http:", "https:", "src=", "href=", "url("] {
        let own = page.replace("src=x onerror", "");
        assert!(!own.contains(word), "{word}");
    }
    let Some(ran) = checked(&s, &["bundle"]) else { return };
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}
