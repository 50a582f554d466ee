//! Sample files: ours in `tests/data`, others in the shared folder beside the checkout.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::session::Session;

pub const TEXTS: &str = "label-studio-live/text/export/JSON.json";
pub const FULL_SNAPSHOT: &str = "label-studio-live/text/export/SNAPSHOT_FULL_JSON.json";
pub const IMAGES: &str = "label-studio-live/image/export/JSON.json";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of `tests/data`.
pub fn ours(name: &str) -> Vec<u8> {
    let path = root().join("tests/data").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Where a file of the shared folder is; `None`, and a word about it, where it is not. With `CI`
/// set it must be there.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
    println!("skipped: {} is missing", path.display());
    None
}

/// The files below a folder of the shared data whose names end in one of these.
pub fn shared_files(folder: &str, ends: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = shared(folder).into_iter().collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of samples") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if ends.iter().any(|end| name.ends_with(end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The bytes of a file, unpacked.
pub fn unpacked(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if path.extension().is_none_or(|end| end != "gz") {
        return bytes;
    }
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain).expect("gzip");
    plain
}

impl Session {
    /// Copies a file of `tests/data` into the directory.
    pub fn sample(&self, name: &str, to: &str) {
        self.write(to, ours(name));
    }

    /// A store with `texts.json` in a commit `texts`.
    pub fn with_texts() -> Self {
        let session = Self::new();
        session.sample(TEXTS, "texts.json");
        session.ok("import texts.json -m texts");
        session
    }

    /// As [`Self::with_texts`], and `corrected.json` in a commit `corrected`.
    pub fn with_corrections() -> Self {
        let session = Self::with_texts();
        session.write("corrected.json", corrected());
        session.ok("import corrected.json -m corrected");
        session
    }
}

/// The texts after a second round. By hand: in annotation 1 of task 1 a sentiment became
/// `neutral`, the span "Paris" [34, 39] became [34, 38] and the rating of 1 was deleted; in
/// annotation 2 of the same task a rating of 4 is new.
pub fn corrected() -> Vec<u8> {
    let mut tasks = texts();
    let results = tasks[0]["annotations"][0]["result"].as_array_mut().expect("results");
    assert_eq!(results[1]["value"]["text"], "Paris");
    results[1]["value"]["end"] = json!(38);
    results[1]["value"]["text"] = json!("Pari");
    assert_eq!(results[3]["value"]["choices"], json!(["positive"]));
    results[3]["value"]["choices"] = json!(["neutral"]);
    assert_eq!(results[4]["value"]["rating"], json!(1));
    let mut rating = results.remove(4);
    rating["value"]["rating"] = json!(4);
    let second = tasks[0]["annotations"][1]["result"].as_array_mut().expect("results");
    second.push(rating);
    serde_json::to_vec(&tasks).expect("JSON")
}

/// The tasks of [`TEXTS`].
pub fn texts() -> Value {
    serde_json::from_slice(&ours(TEXTS)).expect("the sample")
}
