//! A reader that was written from the description of the format alone reads what we write.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::{Map, Value};

use crate::session::Session;

/// A Python that has what an oracle needs; made once, or the reason why it cannot be had.
fn python(name: &str, imports: &str, requirements: &str) -> Result<PathBuf, String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().map_err(|e| e.to_string())?;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = dir.join("bin/python");
    if run(Command::new(&python).args(["-c", &format!("import {imports}")])).is_err() {
        run(Command::new("python3").arg("-m").arg("venv").arg(&dir))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(oracles().join(requirements)))?;
    }
    Ok(python)
}

/// One that has what readers of the format need.
pub(crate) fn reader() -> Result<PathBuf, String> {
    python("oracle-python", "blake3, pyarrow", "requirements.txt")
}

/// The same; `None`, and a word about it, where it cannot be had. With `CI` set it must be.
fn python_or_skipped(name: &str, imports: &str, requirements: &str) -> Option<PathBuf> {
    match python(name, imports, requirements) {
        Ok(python) => Some(python),
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "the oracle must run here: {reason}");
            println!("skipped, the oracle needs Python with {imports}: {reason}");
            None
        }
    }
}

/// What the library of a standard reads in a file of ours; `None` where it cannot be run.
pub(crate) fn standard(kind: &str, file: &Path) -> Option<Value> {
    let imports = "mlcroissant, openlineage.client, prov, rdflib";
    let requirements = "requirements-standards.txt";
    let python = python_or_skipped("standards-python", imports, requirements)?;
    let script = oracles().join("standards.py");
    let read = run(Command::new(python).arg(script).arg(kind).arg(file)).unwrap();
    Some(serde_json::from_slice(&read).unwrap())
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
    let python = python_or_skipped("oracle-python", "blake3, pyarrow", "requirements.txt")?;
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
