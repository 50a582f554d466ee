//! One project in several forms of export: the same ids, and nothing changes twice.

use std::collections::BTreeMap;

use glossator_store::schema::ColumnView;

use super::*;
use crate::{BadRecord, Person, Place};

/// The store's rule of re-import, in small: a row is known by its key, seq alone is no change,
/// volatile members are kept as first read, a stub never overwrites. Annotations are paired by
/// their place in the submission, which is enough where nothing is edited.
#[derive(Default)]
struct Model {
    rows: BTreeMap<Key, (BTreeMap<String, String>, bool)>,
}

/// A table and a row's key in it.
type Key = (String, Vec<String>);

#[derive(Debug, Default, PartialEq)]
struct Counts {
    added: usize,
    changed: usize,
    missing: usize,
}

impl Model {
    fn upsert(&mut self, rows: &Collected) -> Counts {
        let mut counts = Counts::default();
        let mut seen = std::collections::BTreeSet::new();
        for table in TABLES {
            let batch = rows.table(table);
            for row in 0..batch.num_rows() {
                let mut cells: BTreeMap<String, String> = BTreeMap::new();
                for (column, array) in table.columns.iter().zip(batch.columns()) {
                    let view = ColumnView::new(array).unwrap();
                    if !view.is_null(row) {
                        let cell = format!(
                            "{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
                            view.text(row),
                            view.bool(row),
                            view.float(row),
                            view.int(row),
                            view.floats(row),
                            view.texts(row),
                            view.bytes(row)
                        );
                        cells.insert(column.name.to_owned(), cell);
                    }
                }
                let extra = ColumnView::new(&batch.columns()[table.columns.len() - 1]).unwrap();
                let extra = super::super::extra_of(extra.text(row));
                let stub = extra.get("stub") == Some(&Value::Bool(true));
                let mut lasting = extra;
                lasting.retain(|name, _| !LabelStudio.volatile(table).contains(&name.as_str()));
                let mut lasting: Vec<_> =
                    lasting.into_iter().map(|(k, v)| (k, v.to_string())).collect();
                lasting.sort();
                cells.insert("extra".to_owned(), format!("{lasting:?}"));
                let mut key: Vec<String> = Vec::new();
                if table == &ANNOTATIONS {
                    cells.remove("annotation_id");
                    for name in ["item_id", "submission_id", "seq"] {
                        key.push(cells[name].clone());
                    }
                } else {
                    key.extend(
                        table.columns[..table.key_len].iter().map(|c| cells[c.name].clone()),
                    );
                }
                cells.remove("seq");
                let key = (table.name.to_owned(), key);
                seen.insert(key.clone());
                match self.rows.get(&key) {
                    None => counts.added += 1,
                    Some((known, _)) if *known == cells => continue,
                    Some(_) if stub => continue,
                    Some(_) => counts.changed += 1,
                }
                self.rows.insert(key, (cells, stub));
            }
        }
        // Rows that the store has of submissions that this file holds with a body.
        for (key, (cells, _)) in &self.rows {
            if key.0 == "annotations" && !seen.contains(key) {
                let submission = (
                    "submissions".to_owned(),
                    vec![cells["item_id"].clone(), cells["submission_id"].clone()],
                );
                let held = seen.contains(&submission) && {
                    let name = cells["submission_id"].trim_start_matches("Some(\"");
                    let name = name.split('"').next().unwrap();
                    !is_stub(rows, name)
                };
                counts.missing += usize::from(held);
            }
        }
        counts
    }
}

fn is_stub(rows: &Collected, submission: &str) -> bool {
    let batch = rows.table(&SUBMISSIONS);
    glossator_store::schema::Submissions::new(&batch).iter().any(|row| {
        row.submission_id == submission && row.extra.is_some_and(|extra| extra.contains("\"stub\""))
    })
}

#[test]
fn after_each_form_once_nothing_changes_any_more() {
    let rows = |name: &str| import(&live().join(format!("text/export/{name}.json")));
    let mut model = Model::default();
    let first = model.upsert(&rows("JSON"));
    assert!(first.added > 0);
    assert_eq!((first.changed, first.missing), (0, 0));
    // The full snapshot brings the bodies of the 20 predictions, which were ids.
    let second = model.upsert(&rows("SNAPSHOT_FULL_JSON"));
    assert_eq!((second.changed, second.missing), (20, 0));
    for name in ["JSON", "SNAPSHOT_JSON", "JSON_all_tasks", "SNAPSHOT_FULL_JSON", "JSON"] {
        assert_eq!(model.upsert(&rows(name)), Counts::default(), "{name}");
    }
    // The other way round, a form with fewer bodies takes nothing away.
    let mut model = Model::default();
    model.upsert(&rows("SNAPSHOT_FULL_JSON"));
    for name in ["SNAPSHOT_JSON", "JSON", "SNAPSHOT_FULL_JSON"] {
        assert_eq!(model.upsert(&rows(name)), Counts::default(), "{name}");
    }
}

#[test]
fn an_edit_of_the_file_is_a_change_for_the_model() {
    // The model must be able to fail.
    let path = live().join("text/export/JSON.json");
    let mut model = Model::default();
    model.upsert(&import(&path));
    let edited = text(&path).replacen("\"PER\"", "\"ORG\"", 1);
    assert_eq!(model.upsert(&import_text(&edited).unwrap()).changed, 1);
    let later = text(&path).replace("\"total_predictions\":1", "\"total_predictions\":2");
    assert!(later != text(&path));
    // The edit is undone; the count of predictions is the tool's own and no change.
    assert_eq!(model.upsert(&import_text(&later).unwrap()).changed, 1);
}

#[test]
fn all_forms_of_a_project_give_the_same_ids() {
    let ids = |name: &str| {
        let rows = import(&live().join(format!("text/export/{name}.json")));
        let batch = rows.table(&SUBMISSIONS);
        let view = glossator_store::schema::Submissions::new(&batch);
        let stub = |extra: Option<&str>| extra.is_some_and(|extra| extra.contains("\"stub\""));
        view.iter()
            .map(|s| {
                let annotator = (!stub(s.extra)).then(|| s.annotator_id.to_owned());
                (s.item_id.to_owned(), s.submission_id.to_owned(), annotator)
            })
            .collect::<Vec<_>>()
    };
    let full = ids("SNAPSHOT_FULL_JSON");
    // 49 annotations, 20 predictions and a draft.
    assert_eq!(full.len(), 70);
    assert_eq!(full[0].0, "label-studio:1/1");
    for name in ["JSON", "SNAPSHOT_JSON", "JSON_all_tasks"] {
        let found = ids(name);
        assert_eq!(found.len(), full.len());
        for (found, full) in found.iter().zip(&full) {
            assert_eq!((&found.0, &found.1), (&full.0, &full.1));
            assert!(found.2.is_none() || found.2 == full.2, "{found:?} {full:?}");
        }
    }
}

/// A sink that knows people by number and by address, as the store's people file does.
#[derive(Default)]
struct Directory {
    rows: Collected,
    emails: BTreeMap<String, String>,
}

impl Sink for Directory {
    fn rows(&mut self, table: &'static Table, rows: RecordBatch) -> Result<()> {
        Sink::rows(&mut self.rows, table, rows)
    }

    fn person(&mut self, person: &Person<'_>) -> Result<String> {
        let known = person.email.and_then(|email| self.emails.get(email).cloned());
        let id = match known {
            Some(id) => id,
            None => Sink::person(&mut self.rows, &Person { facts: None, ..person.clone() })?,
        };
        if let Some(email) = person.email {
            self.emails.insert(email.to_owned(), id.clone());
        }
        if let Some(facts) = person.facts {
            self.rows.people.insert(id.clone(), facts.to_owned());
        }
        Ok(id)
    }

    fn bad(&mut self, record: BadRecord) -> Result<()> {
        self.rows.bad(record)
    }

    fn warn(&mut self, kind: &str, place: &Place) {
        self.rows.warn(kind, place);
    }

    fn lost(&mut self, kind: &str, place: &Place) {
        self.rows.lost(kind, place);
    }
}

/// A sink under which every person has a pseudonym.
#[derive(Default)]
struct Pseudonyms(Collected);

impl Sink for Pseudonyms {
    fn rows(&mut self, table: &'static Table, rows: RecordBatch) -> Result<()> {
        Sink::rows(&mut self.0, table, rows)
    }

    fn person(&mut self, person: &Person<'_>) -> Result<String> {
        let name = person.id.or(person.email).unwrap_or("nobody");
        let id = format!("p-{}", &blake3::hash(name.as_bytes()).to_hex()[..16]);
        if let Some(facts) = person.facts {
            self.0.people.insert(id.clone(), facts.to_owned());
        }
        Ok(id)
    }

    fn bad(&mut self, record: BadRecord) -> Result<()> {
        self.0.bad(record)
    }

    fn warn(&mut self, kind: &str, place: &Place) {
        self.0.warn(kind, place);
    }

    fn lost(&mut self, kind: &str, place: &Place) {
        self.0.lost(kind, place);
    }
}

#[test]
fn under_pseudonyms_user_ids_leave_the_rows_and_come_back() {
    for path in [own().join("reviews.json"), live().join("text/export/JSON.json")] {
        let mut sink = Pseudonyms::default();
        import_into(&path, &mut sink).unwrap();
        assert_eq!(export(&sink.0), value(&path), "{}", path.display());
        for table in [&ITEMS, &SUBMISSIONS, &REVIEWS] {
            for cell in cells(&sink.0, table) {
                assert!(!cell.contains("\"updated_by\":") || cell.contains("~p"), "{cell}");
                assert!(!cell.contains("\"id\":5"), "{cell}");
            }
        }
    }
}

#[test]
fn people_are_the_same_as_number_object_and_address() {
    let task = |who: &str| {
        format!(
            r#"[{{"id":1,"project":1,"data":{{}},"annotations":[{{"id":1,"completed_by":{who},
            "was_cancelled":false,"result":[]}}]}}]"#
        )
    };
    let forms = [
        r#"{"id": 2, "email": "ann1@example.com", "first_name": "", "last_name": ""}"#,
        "2",
        "\"ann1@example.com\"",
        r#"{"email": "ann1@example.com"}"#,
        r#"{"last_name": "x", "id": 2, "email": "ann1@example.com"}"#,
    ];
    let mut emails = BTreeMap::new();
    let mut model = Model::default();
    for (i, form) in forms.into_iter().enumerate() {
        let (_folder, path) = file_of(task(form).as_bytes());
        let mut sink = Directory { emails: emails.clone(), ..Directory::default() };
        import_into(&path, &mut sink).unwrap();
        let batch = sink.rows.table(&SUBMISSIONS);
        let view = glossator_store::schema::Submissions::new(&batch);
        assert_eq!(view.annotator_id(0), "2", "{form}");
        assert_eq!(export(&sink.rows), value(&path), "{form}");
        if i > 0 {
            assert_eq!(model.upsert(&sink.rows), Counts::default(), "{form}");
        } else {
            model.upsert(&sink.rows);
        }
        emails = sink.emails;
    }
}
