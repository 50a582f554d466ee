//! Label Studio JSON: tasks with annotations, predictions, drafts and reviews.
//!
//! A task is an item, an annotation (prediction, draft) a submission, each label of each of its
//! results a row. Files are a list of tasks or a single task, from the tool's export, a snapshot,
//! or written for import.
//!
//! # Guarantees
//! - The export equals what was imported as JSON values with equal number text, and shows every
//!   edit of a column.
//! - A project gives the same item, submission and annotator ids in whatever form it was exported:
//!   with bodies or ids of predictions and drafts, with people as numbers, objects or addresses.
//!
//! # Limitations
//! - Regions of types that are not known are kept whole in `extra`, but for their labels.
//! - Tasks without an id are known by their data: each takes 12 bytes of memory.
//! - A brush mask takes about thirty times its text in memory while its task is read or written.

mod export;
mod people;
mod result;
mod review;
mod row;
mod submission;
mod task;
#[cfg(test)]
mod tests;
mod time;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use glossator_store::schema::{
    ANNOTATIONS, ITEMS, REVIEWS, SOURCES, SUBMISSIONS, SourceRow, SourcesBuilder, Table,
};
use serde_json::{Map, Value};

use self::people::People;
use self::task::Builders;
use crate::json::{Event, Member, Node, Reader, Record, Top, members};
use crate::{Error, ImportOptions, ImportReport, Importer, Input, Result, Sink};

/// A member of an item's `extra`: its task has only the members that it needs, as import files
/// have.
pub const PLAIN_TASK: &str = "~bare";
/// The longest id, in bytes.
const ID_BYTES_MAX: usize = 1024;
/// What a source begins with that is named after the tool's project.
const SOURCE_PREFIX: &str = "label-studio:";
/// How many rows are handed over at once.
const BATCH_ROWS: usize = 8192;
/// How many bytes of tasks are held before their rows are handed over.
const BATCH_BYTES: usize = 32 << 20;
/// How many sources the report of an import names.
const SOURCES_SHOWN_MAX: usize = 8;

/// Label Studio JSON.
#[derive(Debug)]
pub struct LabelStudio;

/// What is wrong with a task, by its path in the task.
#[derive(Debug)]
struct Fault {
    path: String,
    what: String,
}

impl Fault {
    fn new(path: &str, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), what: what.into() }
    }
}

/// Why a task was not read: it is bad, or the sink stopped.
#[derive(Debug)]
enum Stop {
    Fault(Fault),
    Error(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

type Check<T, E = Fault> = Result<T, E>;

/// Whether one of the objects at the top of a file, or in the list at its top, has `data` beside a
/// list of what people or models answered. The text may be cut off.
fn holds_tasks(text: &str) -> bool {
    const ANSWERS: [&str; 4] = ["annotations", "predictions", "drafts", "completions"];
    let bytes = text.as_bytes();
    let level = if bytes.first() == Some(&b'[') { 2 } else { 1 };
    let (mut depth, mut at, mut data, mut answers) = (0_usize, 0, false, false);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth == level {
                    (data, answers) = (false, false);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let from = at;
                while bytes.get(at).is_some_and(|b| *b != b'"') {
                    at += if bytes.get(at) == Some(&b'\\') { 2 } else { 1 };
                }
                let string = bytes.get(from..at).unwrap_or_default();
                at += 1;
                let mut after = bytes.iter().skip(at).filter(|b| !b.is_ascii_whitespace());
                if depth == level && after.next() == Some(&b':') {
                    data |= string == b"data";
                    answers |= ANSWERS.iter().any(|name| string == name.as_bytes());
                }
                if data && answers {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

impl Importer for LabelStudio {
    fn name(&self) -> &'static str {
        "label-studio"
    }

    fn detect(&self, file_name: &str, head: &[u8]) -> u8 {
        if !crate::json::begins(head) {
            return 0;
        }
        let text = String::from_utf8_lossy(head);
        let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        let has = |member: &str| text.contains(&format!("\"{member}\""));
        let lists = ["annotations", "predictions", "drafts"].map(has);
        let some = lists.contains(&true);
        if holds_tasks(text) {
            return 2;
        }
        if some && (has("result") || (has("data") && lists.iter().filter(|&&l| l).count() > 1)) {
            return 2;
        }
        let name = file_name.strip_suffix(".gz").unwrap_or(file_name);
        let cut_off = text.starts_with('[') && has("data") && name.ends_with(".json");
        u8::from((some && has("data")) || cut_off)
    }

    fn import(
        &self,
        input: &Input,
        options: &ImportOptions,
        sink: &mut dyn Sink,
    ) -> Result<ImportReport> {
        let mut reader = Reader::open(input)?;
        let mut import = Import {
            stem: input.stem(),
            stated: options.source.clone(),
            list: reader.top() == Top::Array,
            people: People::new(sink),
            builders: Builders::default(),
            sources: BTreeSet::new(),
            unnamed: HashMap::new(),
            records: 0,
            bytes: 0,
        };
        if reader.top() == Top::Object {
            let record = reader.whole()?;
            import.record(&record)?;
        } else {
            while let Some(event) = reader.next()? {
                if let Event::Record(record) = event {
                    import.record(&record)?;
                }
            }
        }
        import.flush()?;
        if import.sources.is_empty() {
            import.sources.insert(import.source(None));
        }
        Ok(import.report())
    }

    fn unique(&self, table: &Table) -> Option<&'static str> {
        (table.name == "submissions").then_some("unique_id")
    }

    fn volatile(&self, table: &Table) -> &'static [&'static str] {
        match table.name {
            "items" => &[
                "agreement",
                "annotations",
                "avg_lead_time",
                "cancelled_annotations",
                "comment_authors",
                "comment_count",
                "created_ago",
                "drafts",
                "inner_id",
                "last_comment_updated_at",
                "predictions",
                "total_annotations",
                "total_predictions",
                "unresolved_comment_count",
                "updated_at",
                "updated_by",
            ],
            "submissions" => &[
                "completed_by",
                "created_ago",
                "created_username",
                "history",
                "result_count",
                "reviews",
                "user",
            ],
            "reviews" => &["created_by"],
            "sources" => &[export::SHAPE],
            _ => &[],
        }
    }
}

/// An import under way.
struct Import<'s> {
    stem: String,
    stated: Option<String>,
    list: bool,
    people: People<'s>,
    builders: Builders,
    sources: BTreeSet<String>,
    unnamed: HashMap<u64, u32>,
    records: u64,
    bytes: usize,
}

impl Import<'_> {
    fn record(&mut self, record: &Record) -> Result<()> {
        let seq = self.records;
        self.records += 1;
        let value = match record.node() {
            Ok(value) => value,
            Err(bad) => return self.people.sink().bad(bad),
        };
        let source = self.source(value.get("project"));
        let unnamed = &mut self.unnamed;
        let mut name = |data: &str| unnamed_id(unnamed, data);
        let task = match task::read(&value, source, seq, &mut self.people, &mut name) {
            Ok(task) => task,
            Err(Stop::Error(error)) => return Err(error),
            Err(Stop::Fault(fault)) => {
                return self.people.sink().bad(record.bad(&fault.path, fault.what));
            }
        };
        for (kind, path) in task.submissions.iter().flat_map(|whole| &whole.odd) {
            self.people.sink().warn(kind, &record.at(path));
        }
        if value.get("completions").is_some() {
            let kind =
                "tasks with `completions`, which old versions of the tool wrote; kept unread";
            self.people.sink().warn(kind, &record.at(".completions"));
        }
        if !self.sources.contains(&task.item.source) {
            self.new_source(&task.item.source)?;
        }
        self.builders.push(&task);
        self.bytes += record.bytes();
        let rows = self.builders.annotations.len() + self.builders.items.len();
        if rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// The namespace of a task's ids.
    fn source(&self, project: Option<&Node<'_>>) -> String {
        if let Some(stated) = &self.stated {
            return stated.clone();
        }
        match project {
            Some(Node::Number(project)) => format!("{SOURCE_PREFIX}{project}"),
            Some(Node::String(project)) if !project.is_empty() => {
                format!("{SOURCE_PREFIX}{project}")
            }
            _ => format!("{SOURCE_PREFIX}{}", self.stem),
        }
    }

    fn new_source(&mut self, source: &str) -> Result<()> {
        self.sources.insert(source.to_owned());
        let extra = (!self.list).then(|| format!("{{\"{}\":\"object\"}}", export::SHAPE));
        let mut rows = SourcesBuilder::default();
        let format = "label-studio";
        rows.push(&SourceRow { source, format, data: None, extra: extra.as_deref() });
        self.people.sink().rows(&SOURCES, rows.finish())
    }

    fn flush(&mut self) -> Result<()> {
        self.bytes = 0;
        let Self { builders, people, .. } = self;
        let batches = [
            (&ITEMS, builders.items.finish()),
            (&SUBMISSIONS, builders.submissions.finish()),
            (&ANNOTATIONS, builders.annotations.finish()),
            (&REVIEWS, builders.reviews.finish()),
        ];
        for (table, rows) in batches {
            if rows.num_rows() > 0 {
                people.sink().rows(table, rows)?;
            }
        }
        Ok(())
    }

    fn report(self) -> ImportReport {
        let mut source: Vec<&str> =
            self.sources.iter().take(SOURCES_SHOWN_MAX).map(String::as_str).collect();
        if self.sources.len() > SOURCES_SHOWN_MAX {
            source.push("…");
        }
        ImportReport { source: source.join(", "), records: self.records, ..ImportReport::default() }
    }
}

/// Names a task without an id by its data, and further ones with the same data by their number.
fn unnamed_id(seen: &mut HashMap<u64, u32>, data: &str) -> String {
    let digest = blake3::hash(data.as_bytes());
    let hex = digest.to_hex();
    let short = hex.get(..16).unwrap_or_default();
    let hash = u64::from_str_radix(short, 16).unwrap_or_default();
    let count = seen.entry(hash).or_default();
    *count += 1;
    if *count == 1 { format!("@{short}") } else { format!("@{short}/{count}") }
}

/// An id as the file states it, as text; `None` where it states none.
fn id_text(value: Option<&Node<'_>>, path: &str) -> Check<Option<String>> {
    let id = match value {
        None | Some(Node::Null) => return Ok(None),
        Some(Node::Number(id) | Node::String(id)) => id.clone().into_owned(),
        Some(other) => {
            let found = other.type_name();
            return Err(Fault::new(path, format!("an id must be a number or a text, not {found}")));
        }
    };
    if id.len() > ID_BYTES_MAX {
        return Err(Fault::new(path, format!("an id is longer than 1 KiB ({} bytes)", id.len())));
    }
    Ok(Some(id))
}

/// An id as the tool writes it: a number where it reads like one.
fn number_or_text(id: &str) -> Value {
    id_node(id).into()
}

/// The same, borrowed.
fn id_node(id: &str) -> Node<'_> {
    let digits = (1..=19).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
    match digits && (id == "0" || !id.starts_with('0')) {
        true => Node::Number(Cow::Borrowed(id)),
        false => id.into(),
    }
}

/// A float as Python writes it: `2.0`.
fn python_float(value: f64) -> Value {
    python_node(value).into()
}

/// The same, borrowed.
fn python_node(value: f64) -> Node<'static> {
    let text = match value.fract() != 0.0 || value.abs() >= 1e16 {
        true => crate::json::number_text(value),
        false => Some(format!("{value:.1}")),
    };
    text.map_or(Node::Null, |text| Node::Number(Cow::Owned(text)))
}

/// The width and height of the image that a result was drawn on.
fn size_of(result: &Node<'_>) -> Option<(i64, i64)> {
    let side = |member: &str| result.get(member)?.as_i64().filter(|&side| side > 0);
    Some((side("original_width")?, side("original_height")?))
}

/// The `extra` cell of our own members and those that the source has more.
fn extra_cell(own: &Map<String, Value>, more: &[Member<'_>]) -> Option<String> {
    if own.is_empty() && more.is_empty() {
        return None;
    }
    let mut all = members(own);
    all.extend(more.iter().cloned());
    Some(Node::Object(all).to_text())
}

/// The object in an `extra` cell.
fn extra_of(cell: Option<&str>) -> Map<String, Value> {
    match cell.and_then(|text| crate::json::parse(text).ok()) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}
