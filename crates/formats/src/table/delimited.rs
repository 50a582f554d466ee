//! Reads CSV and TSV records with their lines, within a byte limit a record.
//!
//! The `csv` crate does not say whether an empty cell was quoted, which is how our tables tell
//! empty text from null, and it has no limit on a record.

use std::io::BufRead;

use super::cell::Cell;
use super::lines::{broken, is_utf16};
use crate::{Error, Input, Place, RECORD_BYTES_MAX, Result};

/// What of a record is kept as it stands in the file.
const RAW_BYTES_MAX: usize = 1 << 10;

/// What the next record is.
pub(super) enum Next {
    /// A record in [`Delimited::cells`] that begins on this line.
    Record(u64),
    /// A record that cannot be read: its line, the reason and its beginning.
    Bad(u64, String, String),
    /// The file is over.
    End,
}

/// Reads records of cells.
pub(super) struct Delimited {
    reader: Box<dyn BufRead>,
    file: String,
    delimiter: u8,
    line: u64,
    bytes: Vec<u8>,
    /// The beginning of the record as it stands in the file.
    raw: Vec<u8>,
    /// Ends of the cells in `bytes`, and whether they were quoted.
    ends: Vec<(usize, bool)>,
    limit: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a cell.
    Start,
    /// In a cell without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote between quotes.
    Quote,
    /// After text that follows a closing quote.
    Broken,
}

impl Delimited {
    /// Opens a file.
    pub(super) fn open(input: &Input, delimiter: u8) -> Result<Self> {
        let reader = input.open().map_err(|error| match error {
            Error::Io { file, source } => broken(&file, None, source),
            other => other,
        })?;
        Self::new(reader, input.name(), delimiter)
    }

    /// The beginning of the last record as it stands in the file, for messages.
    pub(super) fn raw(&self) -> String {
        let whole = match std::str::from_utf8(&self.raw) {
            // a character that was cut in two
            Err(e) if self.raw.len() == RAW_BYTES_MAX && e.error_len().is_none() => e.valid_up_to(),
            _ => self.raw.len(),
        };
        String::from_utf8_lossy(&self.raw[..whole]).into_owned()
    }

    /// Keeps bytes of the record as they stand in the file, as far as [`RAW_BYTES_MAX`] goes.
    fn keep(raw: &mut Vec<u8>, bytes: &[u8]) {
        let room = RAW_BYTES_MAX.saturating_sub(raw.len());
        raw.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Begins to read; a byte order mark is skipped.
    pub(super) fn new(mut reader: Box<dyn BufRead>, file: String, delimiter: u8) -> Result<Self> {
        let head = reader.fill_buf().map_err(|e| broken(&file, None, e))?;
        if is_utf16(head) {
            return Err(super::lines::utf16(&file));
        }
        if head.starts_with(b"\xef\xbb\xbf") {
            reader.consume(3);
        }
        Ok(Self {
            reader,
            file,
            delimiter,
            line: 1,
            bytes: Vec::new(),
            raw: Vec::new(),
            ends: Vec::new(),
            limit: RECORD_BYTES_MAX,
        })
    }

    /// Reads the next record; empty lines are skipped.
    pub(super) fn next(&mut self) -> Result<Next> {
        self.bytes.clear();
        self.raw.clear();
        self.ends.clear();
        let (mut first, mut state) = (self.line, State::Start);
        let (mut too_long, mut was_broken) = (false, false);
        loop {
            let buffer =
                self.reader.fill_buf().map_err(|e| broken(&self.file, Some(self.line), e))?;
            if buffer.is_empty() {
                return Ok(self.end(first, state, too_long, was_broken));
            }
            let (mut from, mut used, mut done) = (0, 0, false);
            for &byte in buffer {
                used += 1;
                self.line += u64::from(byte == b'\n');
                let ends_record = (byte == b'\n' || byte == b'\r') && state != State::Quoted;
                if ends_record {
                    if self.bytes.is_empty() && self.ends.is_empty() && state == State::Start {
                        (first, from) = (self.line, used);
                        continue;
                    }
                    done = true;
                    break;
                }
                state = match (state, byte) {
                    (State::Quoted, b'"') => State::Quote,
                    (State::Quoted, _) => State::Quoted,
                    (State::Start, b'"') => State::Quoted,
                    (State::Quote, b'"') => {
                        self.bytes.push(byte);
                        State::Quoted
                    }
                    (_, byte) if byte == self.delimiter => {
                        self.ends.push((self.bytes.len(), state == State::Quote));
                        State::Start
                    }
                    (State::Quote | State::Broken, _) => {
                        was_broken = true;
                        State::Broken
                    }
                    (State::Start | State::Plain, _) => State::Plain,
                };
                if state == State::Plain || (state == State::Quoted && byte != b'"') {
                    self.bytes.push(byte);
                }
                if self.bytes.len() > self.limit || self.ends.len() > self.limit / 64 {
                    too_long = true;
                    self.bytes.truncate(1 << 10);
                    self.ends.clear();
                }
            }
            Self::keep(&mut self.raw, &buffer[from..used - usize::from(done)]);
            self.reader.consume(used);
            if done {
                return Ok(self.end(first, state, too_long, was_broken));
            }
        }
    }

    /// Ends a record that began on line `first` in the state that reading stopped in.
    fn end(&mut self, first: u64, state: State, too_long: bool, was_broken: bool) -> Next {
        if self.bytes.is_empty() && self.ends.is_empty() && state == State::Start && !too_long {
            return Next::End;
        }
        self.ends.push((self.bytes.len(), state == State::Quote));
        let reason = if too_long {
            "the record is over 64 MiB; split it, or look for a quote that is never closed"
        } else if state == State::Quoted {
            "a quote is opened and never closed"
        } else if was_broken {
            "text follows a closing quote; write a quote inside a quoted cell twice"
        } else if std::str::from_utf8(&self.bytes).is_err() {
            "the record is not UTF-8; convert the file with `iconv -f ENCODING -t UTF-8`"
        } else {
            return Next::Record(first);
        };
        Next::Bad(first, reason.to_owned(), self.raw())
    }

    /// The cells of the last record.
    pub(super) fn cells(&self) -> Vec<Cell<'_>> {
        let text = std::str::from_utf8(&self.bytes).unwrap_or_default();
        let mut from = 0;
        self.ends
            .iter()
            .map(|(end, quoted)| {
                let cell = text.get(from..*end).unwrap_or_default();
                from = *end;
                if cell.is_empty() && !quoted { Cell::Null } else { Cell::Text(cell) }
            })
            .collect()
    }

    /// Reads the header.
    pub(super) fn header(&mut self) -> Result<Vec<String>> {
        match self.next()? {
            Next::End => Err(Error::input(Place::file(&self.file), "the file is empty")
                .hint("a table begins with a line of column names")),
            Next::Bad(line, reason, _) => Err(Error::input(Place::line(&self.file, line), reason)),
            Next::Record(line) => {
                let names: Vec<String> = self
                    .cells()
                    .into_iter()
                    .map(|cell| cell.text().unwrap_or_default().into_owned())
                    .collect();
                match super::repeated(&names) {
                    None => Ok(names),
                    Some(name) => {
                        let what = format!("two columns are called `{name}`");
                        Err(Error::input(Place::line(&self.file, line), what)
                            .hint("rename one of them"))
                    }
                }
            }
        }
    }

    /// Limits a record to fewer bytes, for tests.
    #[cfg(test)]
    pub(super) fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }
}
