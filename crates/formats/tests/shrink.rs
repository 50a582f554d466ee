//! A file that shrinks while it is read is refused: rows that are missing would read as removed.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at once, and cut files"
)]

use std::fmt::Write;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use glossator_formats::collect::Collected;
use glossator_formats::{
    BadRecord, ImportOptions, Input, Person, Place, Result, Sink, View, importers,
};
use glossator_store::schema::Table;

/// Cuts the file in half when the first rows come.
struct Cutting {
    path: PathBuf,
    cut: bool,
    inner: Collected,
}

impl Sink for Cutting {
    fn rows(&mut self, table: &'static Table, rows: RecordBatch) -> Result<()> {
        if !std::mem::replace(&mut self.cut, true) {
            let file = std::fs::OpenOptions::new().write(true).open(&self.path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }
        Sink::rows(&mut self.inner, table, rows)
    }

    fn person(&mut self, person: &Person<'_>) -> Result<String> {
        Sink::person(&mut self.inner, person)
    }

    fn bad(&mut self, record: BadRecord) -> Result<()> {
        self.inner.bad(record)
    }

    fn warn(&mut self, kind: &str, place: &Place) {
        self.inner.warn(kind, place);
    }

    fn lost(&mut self, kind: &str, place: &Place) {
        self.inner.lost(kind, place);
    }
}

/// Rows of a file; each is about 250 bytes, so that the half is far beyond what is read ahead.
const ROWS: usize = 80_000;

fn file(format: &str) -> String {
    let pad = "x".repeat(200);
    let mut text = String::new();
    match format {
        "csv" => {
            text.push_str("item,annotator,label\n");
            (0..ROWS).for_each(|i| writeln!(text, "i{i},ann,{pad}").unwrap());
        }
        "jsonl" => (0..ROWS).for_each(|i| {
            writeln!(text, r#"{{"item":"i{i}","annotator":"ann","label":"{pad}"}}"#).unwrap();
        }),
        _ => {
            let task = |i| {
                let value = r#"{"choices":["a"]}"#;
                let result = format!(
                    r#"{{"from_name":"f","to_name":"t","type":"choices","value":{value}}}"#
                );
                let answer = format!(r#"{{"id":{i},"completed_by":1,"result":[{result}]}}"#);
                format!(r#"{{"id":{i},"data":{{"text":"{pad}"}},"annotations":[{answer}]}}"#)
            };
            let tasks: Vec<String> = (0..ROWS).map(task).collect();
            text = format!("[{}]", tasks.join(","));
        }
    }
    text
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_refused() {
    for (format, name) in [("csv", "a.csv"), ("jsonl", "a.jsonl"), ("label-studio", "a.json")] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        let importer = importers().iter().find(|i| i.name() == format).unwrap();
        let mut outcomes = Vec::new();
        for cut in [true, false] {
            std::fs::write(&path, file(format)).unwrap();
            let mut sink = Cutting { path: path.clone(), cut: !cut, inner: Collected::default() };
            let done = importer.import(&Input::new(&path), &ImportOptions::default(), &mut sink);
            outcomes.push(done.is_ok());
            if !cut {
                let rows = View::rows(&sink.inner, &glossator_store::schema::ANNOTATIONS).unwrap();
                assert_eq!(rows.map(|b| b.unwrap().num_rows()).sum::<usize>(), ROWS, "{format}");
            }
        }
        assert_eq!(outcomes, [false, true], "{format}: cut, then whole");
    }
}
