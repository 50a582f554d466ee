//! A reader that was written from the description of the format alone reads what we write.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::session::Session;

/// A Python that has what the oracle needs; made once, or the reason why it cannot be had.
pub(crate) fn python() -> Result<&'static Path, String> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = PYTHON.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle-python");
        let python = dir.join("bin/python");
        let ready = "import blake3, pyarrow";
        if run(Command::new(&python).args(["-c", ready])).is_err() {
            run(Command::new("python3").arg("-m").arg("venv").arg(&dir))?;
            run(Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--requirement"])
                .arg(oracles().join("requirements.txt")))?;
        }
        Ok(python)
    });
    made.as_deref().map_err(Clone::clone)
}

fn run(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

fn oracles() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracles")
}

/// What the oracle says of a store at a commit, a row a line; `None` where it cannot be run.
fn oracle(store: &Path, commit: &str) -> Option<Vec<Map<String, Value>>> {
    let python = match python() {
        Ok(python) => python,
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "the oracle must run here: {reason}");
            println!("skipped, the oracle needs Python with pyarrow and blake3: {reason}");
            return None;
        }
    };
    let reader = oracles().join("read_store.py");
    let read = run(Command::new(python).arg(reader).arg(store).arg(commit)).unwrap();
    let lines = String::from_utf8(read).unwrap();
    Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Rows of one table as the oracle prints them, with times and JSON columns as we write them.
pub(crate) fn of_table(rows: &[Map<String, Value>], table: &str) -> Vec<Value> {
    let rows = rows.iter().filter(|row| row["table"] == table).cloned();
    rows.map(|mut row| {
        row.remove("table");
        for name in ["created_at", "updated_at"] {
            if let Some(micros) = row.get(name).and_then(Value::as_i64) {
                let time = jiff::Timestamp::from_microsecond(micros).unwrap();
                row.insert(name.to_owned(), format!("{time:.6}").into());
            }
        }
        for name in ["data", "extra"] {
            if let Some(text) = row.get(name).and_then(Value::as_str) {
                let nested = serde_json::from_str(text).unwrap();
                row.insert(name.to_owned(), nested);
            }
        }
        Value::Object(row)
    })
    .collect()
}

#[test]
fn an_independent_reader_finds_the_rows_of_every_commit() {
    let s = Session::empty();
    s.ok("demo labels");
    let store = s.path("labels");
    let log = s.json("-C labels log");
    assert_eq!(log.len(), 3);
    for commit in log.iter().map(|commit| commit["commit"].as_str().unwrap()) {
        let Some(rows) = oracle(&store, commit) else { return };
        let annotations = s.json(&format!("-C labels ls --at {commit}"));
        assert!(!annotations.is_empty());
        assert_eq!(of_table(&rows, "annotations"), annotations, "{commit}");
        let mut items = s.json(&format!("-C labels items --at {commit}"));
        for item in &mut items {
            let id = item["item_id"].clone();
            let count = annotations.iter().filter(|row| row["item_id"] == id).count();
            assert_eq!(item.as_object_mut().unwrap().remove("annotations").unwrap(), count);
        }
        assert_eq!(of_table(&rows, "items"), items, "{commit}");
    }
}
