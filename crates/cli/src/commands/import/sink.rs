//! Where importers hand their rows: the store's intake, the people file, the quarantine.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::Int32Type;
use glossator_formats::{BadRecord, Error as FormatError, Person, Place, Result as FormatResult};
use glossator_formats::{JsonRows, Sink};
use glossator_lineage::policy::{Mapping, Policy};
use glossator_store::Result as StoreResult;
use glossator_store::change::SourceFile;
use glossator_store::fs::{OutputFile, output_file};
use glossator_store::intake::{Intake, Intaken};
use glossator_store::key_index::KeyHasher;
use glossator_store::people::People;
use glossator_store::schema::{
    ANNOTATIONS, ANNOTATORS, Annotations, AnnotatorRow, AnnotatorsBuilder, ColumnView, SOURCES,
    SUBMISSIONS, SourceRow, SourcesBuilder, Table,
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::Result;
use crate::policies::{Unknown, named, note_unknown, refused};

/// Names of policies that a warning lists at most.
const POLICIES_TOLD_MAX: usize = 20;

/// What importers said besides rows.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub warnings: BTreeMap<String, u64>,
    pub losses: BTreeMap<String, u64>,
    pub quarantined: u64,
}

impl Told {
    /// Gold rows are kept whether or not anybody answered.
    pub(crate) fn gold_without_answers(&mut self, intaken: &Intaken) {
        let count = intaken.gold_without_answers;
        if count > 0 {
            self.warnings.insert("items with gold that nobody answered".to_owned(), count);
        }
    }
}

/// A sink into the store.
pub(crate) struct StoreSink<'s> {
    intake: Intake<'s>,
    people: People,
    told: Told,
    quarantine: Option<(PathBuf, OutputFile)>,
    progress: ProgressBar,
    /// The file that is read.
    file: String,
    /// On which lines the annotations of the next batch stand; filled for a quarantine only.
    lines: Vec<u64>,
    /// Keys so far; filled for a quarantine only.
    keys: HashSet<(u64, [u8; 12])>,
    hasher: KeyHasher,
    /// Policies that annotations name and the store does not know.
    policies: BTreeSet<String>,
    /// Policies that it knows.
    known: BTreeMap<String, Policy>,
    /// How it reads labels, and those that it does not know.
    mapping: Mapping,
    unknown: Unknown,
    /// The policy of rows that name none.
    made_under: Option<String>,
    /// Sources that annotations have so far.
    sources: HashSet<String>,
}

impl<'s> StoreSink<'s> {
    pub(crate) fn new(
        intake: Intake<'s>,
        people: People,
        quarantine: Option<PathBuf>,
        interactive: bool,
    ) -> Result<Self> {
        let quarantine = match quarantine {
            Some(path) => {
                let file = output_file(&path)?;
                Some((path, file))
            }
            None => None,
        };
        let progress = if interactive { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{spinner} {human_pos} rows read, {per_sec}");
        progress.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        progress.enable_steady_tick(Duration::from_millis(100));
        let (told, file, lines, keys, hasher, policies, sources) = Default::default();
        let (known, mapping, unknown) = Default::default();
        Ok(Self {
            intake,
            people,
            told,
            quarantine,
            progress,
            file,
            lines,
            keys,
            hasher,
            policies,
            known,
            mapping,
            unknown,
            made_under: None,
            sources,
        })
    }

    /// Names the policies that need no warning.
    pub(crate) fn know(&mut self, policies: BTreeMap<String, Policy>) {
        self.mapping = Mapping::new(policies.values().cloned().collect(), None);
        self.known = policies;
    }

    /// Says under which policy rows were made that name none.
    pub(crate) fn made_under(&mut self, policy: String) {
        self.made_under = Some(policy);
    }

    /// The rows with the policy that they were made under.
    fn with_policy(&self, table: &'static Table, rows: RecordBatch) -> FormatResult<RecordBatch> {
        let stated = [&ANNOTATIONS, &SUBMISSIONS].contains(&table);
        let column = table.column("policy").filter(|_| stated);
        let (Some(policy), Some(at)) = (&self.made_under, column) else { return Ok(rows) };
        let said = rows.column(at);
        let Some(view) = ColumnView::new(said) else { return Ok(rows) };
        let all: StringArray =
            (0..rows.num_rows()).map(|row| Some(view.text(row).unwrap_or(policy))).collect();
        let mut columns = rows.columns().to_vec();
        let error = glossator_store::Error::from;
        columns[at] = cast(&all, said.data_type()).map_err(error)?;
        Ok(RecordBatch::try_new(rows.schema(), columns).map_err(error)?)
    }

    fn knows(&self, policy: &str) -> bool {
        named(policy).is_ok_and(|(name, version)| {
            self.known.get(&name).is_some_and(|policy| version <= policy.version)
        })
    }

    /// Records the source of a table, where any row is of it: rows may state their own.
    pub(crate) fn table_source(&mut self, source: &str) -> Result<()> {
        if !self.sources.contains(source) {
            return Ok(());
        }
        let mut builder = SourcesBuilder::default();
        builder.push(&SourceRow { source, format: "table", ..SourceRow::default() });
        Ok(self.intake.rows(&SOURCES, builder.finish())?)
    }

    pub(crate) fn file(&mut self, file: SourceFile) {
        self.intake.source_file(file);
    }

    /// Removes the annotations that have these keys.
    pub(crate) fn remove(&mut self, keys: &RecordBatch) -> FormatResult<()> {
        Ok(self.intake.remove(keys)?)
    }

    /// Sets rows aside whose key the import had before, and those that a strict policy would
    /// refuse. Only for a quarantine: else the intake finds the first without remembering every
    /// key, and the commit the others.
    fn without_bad(&mut self, rows: RecordBatch) -> FormatResult<RecordBatch> {
        let annotations = Annotations::new(&rows);
        let json = JsonRows::new(&ANNOTATIONS, &rows)?;
        let (mut keep, mut bad) = (Vec::new(), Vec::new());
        for row in 0..annotations.len() {
            let (item, id) = (annotations.item_id(row), annotations.annotation_id(row));
            let reason = match refused(&self.mapping, &annotations.row(row)) {
                Some((policy, label)) => {
                    let (field, name) = (annotations.field(row), policy.full_name());
                    format!("`{label}` is no label of `{field}` in {name}, which is strict")
                }
                None if id.is_empty() || self.keys.insert(self.hasher.hash(item, id)) => {
                    keep.push(row as u32);
                    continue;
                }
                None => format!("the key stands twice in the import: `{item}` `{id}`"),
            };
            let mut raw = Vec::new();
            json.write(row, &mut raw)?;
            bad.push(BadRecord {
                place: Place { line: self.lines.get(row).copied(), ..Place::file(&self.file) },
                reason,
                raw: String::from_utf8_lossy(&raw).into_owned(),
            });
        }
        for record in bad {
            self.bad(record)?;
        }
        let rows = take_record_batch(&rows, &UInt32Array::from(keep));
        Ok(rows.map_err(glossator_store::Error::from)?)
    }

    /// Says which file is read from here on.
    pub(crate) fn begin(&mut self, file: String) {
        self.file = file;
    }

    /// Says that the files have all rows of a source.
    pub(crate) fn complete(&mut self, source: &str) {
        self.intake.complete(source.to_owned());
    }

    /// Ends the import: what it made, the people, and what was told.
    pub(crate) fn finish(mut self) -> StoreResult<(Intaken, People, Told)> {
        self.progress.finish_and_clear();
        let mut aliases = AnnotatorsBuilder::default();
        for (alias, of) in &self.people.aliases {
            aliases.push(&AnnotatorRow { annotator_id: alias, alias_of: Some(of), extra: None });
        }
        if !aliases.is_empty() {
            self.intake.rows(&ANNOTATORS, aliases.finish())?;
        }
        if !self.policies.is_empty() {
            let names: Vec<&str> = self.policies.iter().map(String::as_str).collect();
            let what = format!("policies that the store does not know: {}", names.join(", "));
            self.told.warnings.insert(what, names.len() as u64);
        }
        let (known, more) = (self.unknown.len().min(POLICIES_TOLD_MAX), self.unknown.len());
        for ((policy, field, label), rows) in self.unknown.iter().take(known) {
            let what = format!("`{label}` is no label of `{field}` in {policy}");
            self.told.warnings.insert(what, *rows);
        }
        if more > known {
            let what = "further labels that policies do not know".to_owned();
            self.told.warnings.insert(what, (more - known) as u64);
        }
        let intaken = self.intake.finish()?;
        if let Some((_, file)) = self.quarantine {
            file.persist()?;
        }
        Ok((intaken, self.people, self.told))
    }
}

/// The values that rows of a dictionary column have, in order of first appearance.
fn distinct<'r>(annotations: &'r RecordBatch, column: &str) -> Vec<&'r str> {
    let array = ANNOTATIONS.column(column).map(|index| annotations.column(index));
    let Some(dict) = array.and_then(|a| a.as_dictionary_opt::<Int32Type>()) else {
        return Vec::new();
    };
    let values = dict.values().as_string::<i32>();
    let (mut seen, mut found) = (vec![false; values.len()], Vec::new());
    for key in dict.keys_iter().flatten() {
        if !std::mem::replace(&mut seen[key], true) {
            found.push(values.value(key));
        }
    }
    found
}

impl Sink for StoreSink<'_> {
    fn lines(&mut self, lines: &[u64]) {
        if self.quarantine.is_some() {
            self.lines = lines.to_vec();
        }
    }

    fn rows(&mut self, table: &'static Table, rows: RecordBatch) -> FormatResult<()> {
        let rows = self.with_policy(table, rows)?;
        let rows = if table == &ANNOTATIONS && self.quarantine.is_some() {
            self.without_bad(rows)?
        } else {
            rows
        };
        if table == &ANNOTATIONS {
            self.progress.inc(rows.num_rows() as u64);
            for source in distinct(&rows, "source") {
                if !self.sources.contains(source) {
                    self.sources.insert(source.to_owned());
                }
            }
            if !self.known.is_empty() {
                note_unknown(&self.mapping, &rows, &mut self.unknown);
            }
            for policy in distinct(&rows, "policy") {
                let more = self.policies.len() < POLICIES_TOLD_MAX;
                if more && !self.policies.contains(policy) && !self.knows(policy) {
                    self.policies.insert(policy.to_owned());
                }
            }
        }
        Ok(self.intake.rows(table, rows)?)
    }

    fn person(&mut self, person: &Person<'_>) -> FormatResult<String> {
        Ok(self.people.identify(person.id, person.email, person.facts))
    }

    fn bad(&mut self, record: BadRecord) -> FormatResult<()> {
        let Some((path, file)) = &mut self.quarantine else {
            return Err(FormatError::input(record.place, record.reason)
                .hint("mend the record, or take the others with `--quarantine FILE`"));
        };
        let line = serde_json::json!({
            "file": record.place.file,
            "line": record.place.line,
            "path": record.place.path,
            "reason": record.reason,
            "record": record.raw,
        });
        writeln!(file, "{line}")
            .map_err(|source| FormatError::Io { file: path.display().to_string(), source })?;
        self.told.quarantined += 1;
        Ok(())
    }

    fn warn(&mut self, kind: &str, _place: &Place) {
        *self.told.warnings.entry(kind.to_owned()).or_default() += 1;
    }

    fn lost(&mut self, kind: &str, _place: &Place) {
        *self.told.losses.entry(kind.to_owned()).or_default() += 1;
    }
}
