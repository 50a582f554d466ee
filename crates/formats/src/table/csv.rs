//! Imports CSV and TSV.

use super::delimited::{Delimited, Next};
use super::each::Each;
use super::rows::{Record, take};
use super::{Begun, begin, end};
use crate::{ImportOptions, ImportReport, Input, Place, Result, Sink};

/// Imports a file of delimited cells.
pub(super) fn import(
    input: &Input,
    delimiter: u8,
    options: &ImportOptions,
    sink: &mut dyn Sink,
) -> Result<ImportReport> {
    let mut reader = Delimited::open(input, delimiter)?;
    let header = reader.header()?;
    let each = options.each.as_deref().map(Each::parse).transpose()?;
    let Begun { plan, mut out, length } = begin(input, options, &header, true, each, sink)?;
    let mut place = Place::file(input.name());
    let mut records = 0;
    loop {
        match reader.next()? {
            Next::End => break,
            Next::Bad(line, reason, raw) => {
                out.bad(Place::line(input.name(), line), reason, raw)?;
            }
            Next::Record(line) => {
                place.line = Some(line);
                let cells = reader.cells();
                if cells.len() == header.len() {
                    take(&plan, &mut out, &Record { cells: &cells, line, raw: None }, &place)?;
                } else {
                    let reason = ragged(cells.len(), header.len());
                    out.bad(place.clone(), reason, reader.raw())?;
                }
            }
        }
        records += 1;
    }
    out.finish()?;
    end(input, length, &plan, records)
}

/// Says that a record has not as many cells as the header.
pub(super) fn ragged(cells: usize, columns: usize) -> String {
    format!(
        "the record has {cells} cells and the header {columns}; \
         quote a cell that holds the delimiter or a line break"
    )
}
