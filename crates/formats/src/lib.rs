//! Importers and exporters: one labelling format a folder or file, streaming, none knowing another.
//!
//! An [`Importer`] reads a file and hands batches of rows to a [`Sink`]; an [`Exporter`] reads
//! sorted rows from a [`View`] and writes a file. Both speak the store's tables and Arrow batches
//! only.
//!
//! # Guarantees
//! - Import is lossless: what no column holds goes to `extra`, and what `extra` holds repeats no
//!   column. An export writes what the rows say now, never an echo of the file that was read.
//! - Files are streamed: memory does not grow with the file, but for one record at a time and what
//!   [`spool::Spool`] is allowed.
//! - A broken record ends in an [`Error`] that names the file, the place and the next step, or goes
//!   to the sink's quarantine; nothing panics.
//!
//! # Limitations
//! - A single record (a task, a line) is limited to [`RECORD_BYTES_MAX`].

mod coco;
pub mod collect;
mod error;
mod input;
mod json;
mod label_studio;
mod labelme;
pub mod spool;
mod table;

use std::io::Write;

use arrow::array::RecordBatch;
use glossator_store::schema::Table;

pub use error::{Error, Place, Result};
pub use input::Input;
pub use label_studio::PLAIN_TASK;
pub use table::{EachPart, JsonRows, read_partial};

/// The largest single record (a task, a line, a cell) that an importer takes, in bytes.
pub const RECORD_BYTES_MAX: usize = 64 << 20;

/// A person as a file names them. Identity facts go to the private people file, never to rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Person<'a> {
    /// The tool's user id, where the file states one.
    pub id: Option<&'a str>,
    /// The e-mail address, where the file states one.
    pub email: Option<&'a str>,
    /// JSON object with every identity fact of the file (names, e-mail, avatar), to be given back
    /// by an export with people.
    pub facts: Option<&'a str>,
}

/// A record that could not be taken.
#[derive(Debug, Clone)]
pub struct BadRecord {
    /// Where it stands.
    pub place: Place,
    /// What is wrong with it.
    pub reason: String,
    /// The record as read, or its beginning.
    pub raw: String,
}

/// Where an importer hands its rows to.
///
/// Rows may come in any order and tables may be mixed. Rules that the receiver applies:
/// - An annotation with an empty `annotation_id` gets one minted, or the id of the live row that it
///   pairs with.
/// - An item whose `aliases` hold its own `item_id` carries a provisional id
///   (`<source>/<foreign id>`): the receiver may rename it, everywhere, to its `uri` where that is
///   unique, or to the id under which one of its aliases is stored already.
/// - A submission whose `extra` has the member `"stub": true` is a bare reference (an id without a
///   body): it never overwrites a submission that is stored.
pub trait Sink {
    /// Says on which lines the annotations of the next batch stand; where the format has no lines,
    /// as which rows. Only tables say it.
    fn lines(&mut self, _lines: &[u64]) {}

    /// Takes rows of one table.
    fn rows(&mut self, table: &'static Table, rows: RecordBatch) -> Result<()>;

    /// Takes a person and returns the annotator id that rows must hold for them.
    fn person(&mut self, person: &Person<'_>) -> Result<String>;

    /// Takes a record that cannot be imported; an error where there is no quarantine.
    fn bad(&mut self, record: BadRecord) -> Result<()>;

    /// Counts a thing that is odd but kept. `kind` is a short stable phrase that is printed with
    /// its count, such as "gold rows on items without answers".
    fn warn(&mut self, kind: &str, place: &Place);

    /// Says what the file holds that the store does not keep (a loss report's line).
    fn lost(&mut self, kind: &str, place: &Place);
}

/// What an import is told besides the file.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// `--source`: overrides the format's own choice of the namespace of foreign ids.
    pub source: Option<String>,
    /// `--map TARGET=COLUMN,…` in order; tables only.
    pub map: Vec<(String, Vec<String>)>,
    /// `--each NAME`: a row of each entry of that nested array; tables only.
    pub each: Option<String>,
    /// `--time-unit`: of integer times: `s`, `ms`, `us` or `ns`; tables only.
    pub time_unit: Option<String>,
    /// `--value COLUMN:FROM=TO`: maps a foreign word of a column to ours.
    pub values: Vec<(String, String, String)>,
    /// `--images FILE`: the image list for COCO results files.
    pub images: Option<std::path::PathBuf>,
    /// Rows are reference answers of the annotator `gold` (`--gold`); tables only.
    pub gold: bool,
}

/// What is known after an import.
#[derive(Debug, Clone, Default)]
pub struct ImportReport {
    /// The source that rows were given; printed.
    pub source: String,
    /// For tables: how columns were mapped, as `(ours, theirs)`, printed before anything is staged.
    pub mapping: Vec<(String, String)>,
    /// Records read (tasks, images and annotations, lines).
    pub records: u64,
}

/// A format that can be read.
pub trait Importer: Sync {
    /// The name for `--format`.
    fn name(&self) -> &'static str;

    /// How sure the format is that this is its file, from the name and the first bytes (already
    /// unzipped): 0 not mine, 1 could be, 2 surely.
    fn detect(&self, file_name: &str, head: &[u8]) -> u8;

    /// Reads the file into the sink.
    fn import(
        &self,
        input: &Input,
        options: &ImportOptions,
        sink: &mut dyn Sink,
    ) -> Result<ImportReport>;

    /// The member of a table's `extra` that no two rows of the world share, by which a file of
    /// another project with the same numbers is told.
    fn unique(&self, _table: &Table) -> Option<&'static str> {
        None
    }

    /// Members of a table's `extra` that the tool changes by itself: kept as first read, never a
    /// change.
    fn volatile(&self, _table: &Table) -> &'static [&'static str] {
        &[]
    }
}

/// Rows to export: one snapshot, already filtered.
pub trait View {
    /// Batches of a table's rows, sorted by key (bytewise).
    fn rows<'a>(
        &'a self,
        table: &'static Table,
    ) -> Result<Box<dyn Iterator<Item = Result<RecordBatch>> + 'a>>;

    /// The identity facts of an annotator, as [`Person::facts`] had them.
    fn person(&self, annotator_id: &str) -> Result<Option<String>>;
}

/// What an export is told.
#[derive(Debug, Clone, Default)]
pub struct ExportOptions {
    /// Leave identity facts out even where the people file has them.
    pub without_people: bool,
    /// Only rows of this source; where a format holds one source a file and the view has several,
    /// the exporter fails and names them.
    pub source: Option<String>,
}

/// A line of a loss report: what the format cannot carry, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// A short stable phrase, such as "kind `span`".
    pub kind: String,
    /// How many rows or values.
    pub count: u64,
}

/// A format that can be written.
pub trait Exporter: Sync {
    /// The name for `--format`.
    fn name(&self) -> &'static str;

    /// Writes the view and says what it could not carry.
    fn export(
        &self,
        view: &dyn View,
        options: &ExportOptions,
        out: &mut (dyn Write + Send),
    ) -> Result<Vec<Loss>>;
}

/// Every importer, in the order in which detection asks them.
pub fn importers() -> &'static [&'static dyn Importer] {
    &[
        &label_studio::LabelStudio,
        &coco::Coco,
        &labelme::LabelMe,
        &table::Parquet,
        &table::Jsonl,
        &table::Tsv,
        &table::Csv,
    ]
}

/// Every exporter.
pub fn exporters() -> &'static [&'static dyn Exporter] {
    &[
        &label_studio::LabelStudio,
        &coco::Coco,
        &table::Parquet,
        &table::Jsonl,
        &table::Tsv,
        &table::Csv,
    ]
}
