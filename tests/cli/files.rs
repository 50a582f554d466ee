//! Every JSON file that the store writes fits its schema.

use std::fs;

use serde_json::Value;

use crate::json::fits;
use crate::samples::{IMAGES, TEXTS};
use crate::session::Session;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[test]
fn every_file_of_a_store_fits_its_schema() {
    let s = Session::with_corrections();
    s.ok("annotator alias 3 2");
    s.ok("rm --where label=negative -m less");
    s.ok("revert HEAD");
    let mut tables = Vec::new();
    let mut changes = Vec::new();
    for commit in s.git("log --all --format=%H").lines() {
        for path in s.git(&format!("ls-tree -r --name-only {commit}")).lines() {
            let text = s.git(&format!("cat-file blob {commit}:{path}"));
            match path {
                "gloss.toml" => assert!(text.starts_with("format = 1\n"), "{text}"),
                "change.json" => changes.push(serde_json::from_str(&text).expect("JSON")),
                path if path.starts_with("tables/") => tables.extend(lines(&text)),
                path => panic!("{path} has no schema"),
            }
        }
    }
    fits("table-line", &tables);
    fits("change", &changes);
    let metas: Vec<Value> = changes
        .iter()
        .map(|change| {
            let digest = change["meta"].as_str().expect("each commit has one");
            let path = s.path(&format!(".gloss/objects/{}/{digest}", &digest[..2]));
            let frame = fs::read(path).expect("it is there");
            let text = zstd::stream::decode_all(&frame[..]).expect("a zstd frame");
            serde_json::from_slice(&text).expect("JSON")
        })
        .collect();
    fits("meta", &metas);
    fits("people-line", &lines(&s.read(".gloss/private/people")));

    s.sample(TEXTS, "again.json");
    s.sample(IMAGES, "more.json");
    s.ok("import again.json");
    s.ok("import more.json");
    fits("stage", &lines(&s.read(".gloss/stage/shared.json")));
}
