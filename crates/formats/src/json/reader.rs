//! Cuts a JSON file of any size into records without holding more than one.

use std::collections::BTreeSet;
use std::io::BufRead;

use serde_json::Value;

use super::node::Node;
use super::parse::parse_node;
use super::scan;
use crate::{BadRecord, Error, Input, Place, RECORD_BYTES_MAX, Result};

/// How much of a bad record is kept for the report.
const RAW_BYTES_MAX: usize = 64 << 10;

/// What stands at the top of a JSON file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Top {
    /// An array: its elements are the records.
    Array,
    /// An object: its members are sections, or it is one record.
    Object,
}

/// What [`Reader::next`] found.
#[derive(Debug)]
pub enum Event {
    /// A member of the top-level object begins: the records of its array follow, or, where `list`
    /// is false, one record that is its whole value.
    Section {
        /// The member's name.
        name: String,
        /// Whether its value is an array.
        list: bool,
    },
    /// A record: an element of the top-level array or of a section, or a section's whole value.
    Record(Record),
}

/// The text of one record; it is not looked into before [`Record::value`].
#[derive(Debug)]
pub struct Record {
    /// Where it stands: the line of its first byte and its path, such as `annotations[7]`.
    pub place: Place,
    text: Vec<u8>,
    whole: bool,
}

impl Record {
    /// Reads the record, or says what is wrong with it in a form for [`crate::Sink::bad`].
    pub fn value(&self) -> std::result::Result<Value, BadRecord> {
        self.node().map(Value::from)
    }

    /// Reads the record as [`Record::value`] does, and borrows from its text.
    pub fn node(&self) -> std::result::Result<Node<'_>, BadRecord> {
        if !self.whole {
            let mib = RECORD_BYTES_MAX >> 20;
            return Err(self.bad("", format!("the record is larger than {mib} MiB")));
        }
        let text = std::str::from_utf8(&self.text).map_err(|e| {
            self.bad("", format!("invalid UTF-8 at byte {} of the record", e.valid_up_to()))
        })?;
        parse_node(text).map_err(|e| {
            let mut bad = self.bad(&e.path, format!("{} (column {})", e.what, e.column));
            bad.place.line = self.place.line.map(|line| line + e.line - 1);
            bad
        })
    }

    /// How many bytes of text the record is, at most those that are held.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// A report that this record cannot be taken; `path` continues the record's own.
    pub fn bad(&self, path: &str, reason: impl Into<String>) -> BadRecord {
        let raw = self.text.get(..RAW_BYTES_MAX).unwrap_or(&self.text);
        BadRecord {
            place: self.at(path),
            reason: reason.into(),
            raw: String::from_utf8_lossy(raw).into_owned(),
        }
    }

    /// The place of something in this record; `path` continues the record's own.
    pub fn at(&self, path: &str) -> Place {
        let mut place = self.place.clone();
        if let Some(own) = &mut place.path {
            own.push_str(path);
        } else if !path.is_empty() {
            place.path = Some(path.to_owned());
        }
        place
    }
}

#[derive(Debug)]
enum State {
    /// In the top-level array, or in the array of a section: the next element's index.
    Array { section: Option<String>, index: u64 },
    /// In the top-level object; `first` before its first member.
    Object { first: bool },
    /// At the value of a section that is not an array.
    Value { section: String },
    /// After the end.
    Done,
}

/// Streams the records of a JSON file.
pub struct Reader {
    input: Box<dyn BufRead>,
    file: String,
    line: u64,
    top: Top,
    state: State,
    sections: BTreeSet<String>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("file", &self.file).field("line", &self.line).finish()
    }
}

impl Reader {
    /// Opens a file whose top is an array or an object.
    pub fn open(input: &Input) -> Result<Self> {
        Self::new(input.open()?, input.name())
    }

    /// Reads from any stream; `file` is for messages.
    pub fn new(input: Box<dyn BufRead>, file: String) -> Result<Self> {
        let (top, state) = (Top::Array, State::Done);
        let mut reader = Self { input, file, line: 1, top, state, sections: BTreeSet::new() };
        reader.skip_byte_order_mark()?;
        match reader.peek()? {
            Some(b'[') => reader.state = State::Array { section: None, index: 0 },
            Some(b'{') => {
                reader.top = Top::Object;
                reader.state = State::Object { first: true };
            }
            None => {
                return Err(reader
                    .error("the file is empty")
                    .hint("export it again from the tool"));
            }
            Some(byte) => {
                let found = char::from(byte).escape_default();
                let what = format!("expected a JSON array or object, found `{found}`");
                return Err(reader.error(what).hint("name the file's format with `--format`"));
            }
        }
        Ok(reader)
    }

    /// What stands at the top.
    pub fn top(&self) -> Top {
        self.top
    }

    /// Reads everything as one record; for a file whose top-level object is one. Nothing may have
    /// been read before.
    pub fn whole(&mut self) -> Result<Record> {
        let record = self.record(None)?;
        self.finish()?;
        Ok(record)
    }

    /// Passes over the records of the section that begins here, which is a list. Whether they can
    /// be read is not looked at.
    pub fn skip(&mut self) -> Result<()> {
        self.cut(None, false)?;
        self.state = State::Object { first: false };
        Ok(())
    }

    /// The next section or record; `None` after the last.
    #[allow(clippy::should_implement_trait)] // an iterator could not lend its errors' places
    pub fn next(&mut self) -> Result<Option<Event>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Ok(None),
                State::Value { section } => {
                    let record = self.record(Some(section))?;
                    self.state = State::Object { first: false };
                    return Ok(Some(Event::Record(record)));
                }
                State::Array { section, index } => {
                    if let Some(record) = self.element(section.as_deref(), index)? {
                        self.state = State::Array { section, index: index + 1 };
                        return Ok(Some(Event::Record(record)));
                    }
                    if section.is_none() {
                        self.finish()?;
                        return Ok(None);
                    }
                    self.state = State::Object { first: false };
                }
                State::Object { first } => return self.member(first),
            }
        }
    }

    fn element(&mut self, section: Option<&str>, index: u64) -> Result<Option<Record>> {
        if index == 0 {
            self.take(b'[', "`[`")?;
        }
        match self.peek()? {
            Some(b']') => {
                self.consume(1);
                return Ok(None);
            }
            Some(b',') if index > 0 => self.consume(1),
            _ if index > 0 => return Err(self.unexpected("`,` or `]`")?),
            _ => {}
        }
        self.record(Some(format!("{}[{index}]", section.unwrap_or_default()))).map(Some)
    }

    fn member(&mut self, first: bool) -> Result<Option<Event>> {
        if first {
            self.take(b'{', "`{`")?;
        }
        match self.peek()? {
            Some(b'}') => {
                self.consume(1);
                self.finish()?;
                return Ok(None);
            }
            Some(b',') if !first => self.consume(1),
            _ if !first => return Err(self.unexpected("`,` or `}`")?),
            _ => {}
        }
        if self.peek()? != Some(b'"') {
            return Err(self.unexpected("a member name in quotes")?);
        }
        let name = self.record(None)?.value().map_err(|bad| Error::input(bad.place, bad.reason))?;
        let name = name.as_str().unwrap_or_default().to_owned();
        if !self.sections.insert(name.clone()) {
            return Err(self.error(format!("the file has two members named {name:?}")));
        }
        self.take(b':', "`:`")?;
        let list = self.peek()? == Some(b'[');
        let section = name.clone();
        self.state = if list {
            State::Array { section: Some(section), index: 0 }
        } else {
            State::Value { section }
        };
        Ok(Some(Event::Section { name, list }))
    }

    fn record(&mut self, path: Option<String>) -> Result<Record> {
        self.cut(path, true)
    }

    /// Cuts out the value that begins here; with `keep`, its text is kept.
    fn cut(&mut self, path: Option<String>, keep: bool) -> Result<Record> {
        let first = self.peek()?;
        if matches!(first, None | Some(b',' | b':' | b']' | b'}')) {
            return Err(self.unexpected("a value")?);
        }
        let place = Place { file: self.file.clone(), line: Some(self.line), path };
        let mut cut = Cut::default();
        let mut record = Record { place, text: Vec::new(), whole: true };
        loop {
            let buffer = fill(&mut self.input, &self.file)?;
            if buffer.is_empty() {
                if cut.depth == 0 && !cut.quoted && cut.begun {
                    return Ok(record);
                }
                let what = "the file ends in the middle of a value";
                let place = record.place;
                return Err(Error::input(place, what).hint("the file is cut off: export it again"));
            }
            let (used, done) = cut.scan(buffer);
            let taken = &buffer[..used];
            self.line += memchr::memchr_iter(b'\n', taken).count() as u64;
            if record.text.len() + used > RECORD_BYTES_MAX {
                record.whole = false;
                record.text.truncate(RAW_BYTES_MAX);
            }
            if record.whole && keep {
                record.text.extend_from_slice(taken);
            }
            self.input.consume(used);
            if done {
                return Ok(record);
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let buffer = fill(&mut self.input, &self.file)?;
            let Some(&byte) = buffer.first() else { return Ok(None) };
            match byte {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                _ => return Ok(Some(byte)),
            }
            self.input.consume(1);
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.input.consume(bytes);
    }

    fn take(&mut self, byte: u8, wanted: &str) -> Result<()> {
        if self.peek()? == Some(byte) {
            self.consume(1);
            return Ok(());
        }
        Err(self.unexpected(wanted)?)
    }

    fn finish(&mut self) -> Result<()> {
        self.state = State::Done;
        match self.peek()? {
            None => Ok(()),
            Some(_) => Err(self
                .error("more text follows the end of the JSON value")
                .hint("a file of one JSON value a line is imported with `--format jsonl`")),
        }
    }

    fn skip_byte_order_mark(&mut self) -> Result<()> {
        let buffer = fill(&mut self.input, &self.file)?;
        if buffer.starts_with(&[0xef, 0xbb, 0xbf]) {
            self.input.consume(3);
        } else if buffer.starts_with(&[0xff, 0xfe]) || buffer.starts_with(&[0xfe, 0xff]) {
            return Err(self.error("the file is UTF-16").hint("convert it to UTF-8"));
        }
        Ok(())
    }

    fn error(&self, what: impl Into<String>) -> Error {
        Error::input(Place::line(self.file.clone(), self.line), what)
    }

    fn unexpected(&mut self, wanted: &str) -> Result<Error> {
        Ok(match self.peek()? {
            None => self
                .error(format!("expected {wanted}, but the file ends"))
                .hint("the file is cut off: export it again"),
            Some(byte) => {
                let found = char::from(byte).escape_default();
                self.error(format!("expected {wanted}, found `{found}`"))
            }
        })
    }
}

fn fill<'a>(input: &'a mut Box<dyn BufRead>, file: &str) -> Result<&'a [u8]> {
    // Twice, because a buffer that was lent once cannot be returned from a retry loop.
    while let Err(e) = input.fill_buf() {
        if e.kind() != std::io::ErrorKind::Interrupted {
            return Err(Error::Io { file: file.to_owned(), source: e });
        }
    }
    input.fill_buf().map_err(|source| Error::Io { file: file.to_owned(), source })
}

/// Finds the end of a value from brackets and quotes alone.
#[derive(Default)]
struct Cut {
    depth: u64,
    quoted: bool,
    escaped: bool,
    begun: bool,
}

impl Cut {
    /// How many of these bytes belong to the value, and whether it ends with them.
    fn scan(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.quoted {
                at += self.text(&bytes[at..]);
                if !self.quoted && self.depth == 0 {
                    return (at, true);
                }
                continue;
            }
            if self.depth > 0 {
                match scan::to_bracket(&bytes[at..]) {
                    0 => {}
                    plain => {
                        at += plain;
                        continue;
                    }
                }
            }
            match byte {
                b'"' if self.depth > 0 || !self.begun => self.quoted = true,
                b'{' | b'[' if self.depth > 0 || !self.begun => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (at + 1, true);
                    }
                }
                // A number or word at the top ends before the next delimiter.
                b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'{' | b'['
                    if self.depth == 0 =>
                {
                    return (at, true);
                }
                _ => {}
            }
            self.begun = true;
            at += 1;
        }
        (bytes.len(), false)
    }

    /// How many of these bytes belong to a text in quotes that was begun.
    fn text(&mut self, bytes: &[u8]) -> usize {
        let mut at = usize::from(std::mem::take(&mut self.escaped));
        loop {
            at += scan::to_quote(bytes.get(at..).unwrap_or_default()) + 1;
            if at > bytes.len() {
                return bytes.len();
            }
            if bytes[at - 1] == b'"' {
                self.quoted = false;
                return at;
            }
            self.escaped = at == bytes.len();
            at += 1;
        }
    }
}
