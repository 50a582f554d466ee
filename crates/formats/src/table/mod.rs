//! Tables: CSV, TSV, JSON Lines and Parquet, in our own columns or mapped to them.
//!
//! A table whose header holds `item_id` is in our own columns (those of `annotations`) and needs
//! nothing. The columns of another are named with `--map ours=theirs` or guessed from likely
//! headers ([`mapping`]); a record becomes a row ([`rows`]), one row a label column, or one row an
//! entry of a nested list ([`each`]). Columns that are neither go to `extra`.
//!
//! # Guarantees
//! - A table that was exported in our own columns imports as the same rows.
//! - The mapping is decided before any row is handed over.
//! - A geometry that is not of its kind's form is a bad record; a kind that is not known has any.
//! - Memory does not grow with the file, but for 32 bytes an item where a table states facts about
//!   items (width, text, …).
//!
//! # Limitations
//! - In CSV and TSV null is an empty cell and empty text is `""`; lists are JSON text, masks are
//!   hexadecimal.
//! - A member that is null is the same as an absent one; white space between the parts of a nested
//!   JSON value is not kept.
//! - In a table that is not in our own columns an empty cell is null, quoted or not.
//! - Times are kept to the microsecond; one without a zone is read as UTC.
//! - A 32-bit float of a Parquet file is read as its shortest decimal.

mod cell;
mod columnar;
mod csv;
mod delimited;
mod each;
mod export;
mod gather;
mod json;
mod jsonl;
mod lines;
mod mapping;
mod output;
mod parquet;
mod rows;
mod shape;
mod source;
#[cfg(test)]
mod tests;
mod update;

use std::io::Write;

use cell::Times;
use each::Each;
use mapping::Mapping;
use output::Output;
use rows::Plan;

pub use export::JsonRows;
pub use update::{EachPart, read_partial};

use crate::{
    Error, ExportOptions, Exporter, ImportOptions, ImportReport, Importer, Input, Loss, Place,
    Result, Sink, View,
};

/// Comma-separated values.
#[derive(Debug, Clone, Copy)]
pub struct Csv;

/// Tab-separated values, quoted as CSV is.
#[derive(Debug, Clone, Copy)]
pub struct Tsv;

/// JSON Lines: an object a line. Arrays of flat objects are read as well.
#[derive(Debug, Clone, Copy)]
pub struct Jsonl;

/// Apache Parquet.
#[derive(Debug, Clone, Copy)]
pub struct Parquet;

/// The file name without `.gz`, in lower case.
fn plain_name(file_name: &str) -> String {
    let name = file_name.to_ascii_lowercase();
    name.strip_suffix(".gz").unwrap_or(&name).to_owned()
}

/// Whether the head reads like text with at least one delimiter in its first line.
fn looks_delimited(head: &[u8], delimiter: u8) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    !head.contains(&0)
        && !matches!(head.first(), Some(b'{' | b'[' | b'<'))
        && line.contains(&delimiter)
}

impl Importer for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn detect(&self, file_name: &str, head: &[u8]) -> u8 {
        match plain_name(file_name).ends_with(".csv") {
            true => 2,
            false => u8::from(looks_delimited(head, b',') && !looks_delimited(head, b'\t')),
        }
    }

    fn import(
        &self,
        input: &Input,
        options: &ImportOptions,
        sink: &mut dyn Sink,
    ) -> Result<ImportReport> {
        csv::import(input, b',', options, sink)
    }
}

impl Importer for Tsv {
    fn name(&self) -> &'static str {
        "tsv"
    }

    fn detect(&self, file_name: &str, head: &[u8]) -> u8 {
        let name = plain_name(file_name);
        match name.ends_with(".tsv") || name.ends_with(".tab") {
            true => 2,
            false => u8::from(looks_delimited(head, b'\t')),
        }
    }

    fn import(
        &self,
        input: &Input,
        options: &ImportOptions,
        sink: &mut dyn Sink,
    ) -> Result<ImportReport> {
        csv::import(input, b'\t', options, sink)
    }
}

impl Importer for Jsonl {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    fn detect(&self, file_name: &str, head: &[u8]) -> u8 {
        let name = plain_name(file_name);
        if name.ends_with(".jsonl") || name.ends_with(".ndjson") {
            return 2;
        }
        let mut parts = head.iter().filter(|b| !b.is_ascii_whitespace());
        let array = parts.next() == Some(&b'[') && parts.next() == Some(&b'{');
        u8::from(array || jsonl::looks_like_lines(head))
    }

    fn import(
        &self,
        input: &Input,
        options: &ImportOptions,
        sink: &mut dyn Sink,
    ) -> Result<ImportReport> {
        jsonl::import(input, options, sink)
    }
}

impl Importer for Parquet {
    fn name(&self) -> &'static str {
        "parquet"
    }

    fn detect(&self, _file_name: &str, head: &[u8]) -> u8 {
        if head.starts_with(b"PAR1") { 2 } else { 0 }
    }

    fn import(
        &self,
        input: &Input,
        options: &ImportOptions,
        sink: &mut dyn Sink,
    ) -> Result<ImportReport> {
        parquet::import(input, options, sink)
    }
}

macro_rules! exporter {
    ($format:ident, $name:literal, $write:expr) => {
        impl Exporter for $format {
            fn name(&self) -> &'static str {
                $name
            }

            fn export(
                &self,
                view: &dyn View,
                options: &ExportOptions,
                out: &mut (dyn Write + Send),
            ) -> Result<Vec<Loss>> {
                let write: fn(&dyn View, &ExportOptions, &mut (dyn Write + Send)) -> Result<()> =
                    $write;
                write(view, options, out)?;
                export::losses(view)
            }
        }
    };
}

exporter!(Csv, "csv", |view, options, out| export::delimited(view, options, out, b','));
exporter!(Tsv, "tsv", |view, options, out| export::delimited(view, options, out, b'\t'));
exporter!(Jsonl, "jsonl", export::json_lines);
exporter!(Parquet, "parquet", export::parquet);

/// An import that has read the header.
struct Begun<'s> {
    plan: Plan,
    out: Output<'s>,
    /// The bytes of the file when it was opened.
    length: u64,
}

/// The bytes of a file now.
fn length(input: &Input) -> Result<u64> {
    let metadata = input.open_raw()?.metadata();
    metadata.map(|m| m.len()).map_err(|source| Error::Io { file: input.name(), source })
}

/// Decides the mapping of a file; `whole` says that no column can appear later.
fn begin<'s>(
    input: &Input,
    options: &ImportOptions,
    header: &[String],
    whole: bool,
    each: Option<Each>,
    sink: &'s mut dyn Sink,
) -> Result<Begun<'s>> {
    let times = Times::new(options.time_unit.as_deref()).map_err(|unit| Error::Usage {
        what: format!("`--time-unit {unit}`: there is no such unit"),
        hint: Some("the units are s, ms, us and ns".to_owned()),
    })?;
    let roots: Vec<&str> = each.iter().flat_map(Each::roots).collect();
    if let (true, Some(root)) = (whole, roots.iter().find(|r| !header.iter().any(|h| h == *r))) {
        return Err(Error::Usage {
            what: format!("`--each`: there is no column `{root}`"),
            hint: Some(format!("the columns are {}", mapping::list(header))),
        });
    }
    let columns: Vec<String> =
        header.iter().filter(|h| !roots.contains(&h.as_str())).cloned().collect();
    let mapping = Mapping::decide(&input.name(), &columns, whole, each.is_some(), options)?;
    let plan = Plan::new(mapping, header, each, options);
    Ok(Begun { plan, out: Output::new(sink, input.name(), times), length: length(input)? })
}

/// Ends an import: a file that is shorter now than when it was opened was not read whole.
fn end(input: &Input, length_then: u64, plan: &Plan, records: u64) -> Result<ImportReport> {
    let now = length(input)?;
    if now < length_then {
        let what = format!("the file shrank from {length_then} to {now} bytes while it was read");
        let error = Error::input(Place::file(input.name()), what);
        return Err(error.hint("import it again when nothing writes to it"));
    }
    let lists = plan.each.iter().flat_map(Each::roots).collect::<Vec<_>>();
    let columns: Vec<String> =
        plan.names.iter().filter(|n| !lists.contains(&n.as_str())).cloned().collect();
    let mut mapping = plan.mapping.report(&columns);
    mapping.extend(lists.iter().map(|list| ("each".to_owned(), (*list).to_owned())));
    Ok(ImportReport { source: plan.source.clone(), mapping, records })
}

/// A name that stands twice.
fn repeated(names: &[String]) -> Option<&str> {
    let mut seen = std::collections::HashSet::new();
    names.iter().find(|name| !seen.insert(name.as_str())).map(String::as_str)
}
