//! Reads lines within a byte limit, and says what is wrong with files that are no text.

use std::io::{BufRead, ErrorKind};

use crate::{Error, Place};

/// What of a record that is too long is kept for its message.
const KEPT_BYTES: usize = 1 << 10;

/// Whether a file begins with the byte order mark of UTF-16.
pub(super) fn is_utf16(head: &[u8]) -> bool {
    head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff")
}

/// Says that a file is UTF-16.
pub(super) fn utf16(file: &str) -> Error {
    Error::input(Place::file(file), "the file is UTF-16, not UTF-8")
        .hint("convert it with `iconv -f UTF-16 -t UTF-8`")
}

/// Says that reading failed: the file is cut off, or the disk is at fault.
pub(super) fn broken(file: &str, line: Option<u64>, source: std::io::Error) -> Error {
    let place = Place { line, ..Place::file(file) };
    match source.kind() {
        ErrorKind::UnexpectedEof => Error::input(place, "the compressed file ends too early")
            .hint("copy or download it again"),
        ErrorKind::InvalidData | ErrorKind::InvalidInput => {
            Error::input(place, format!("the compressed file is damaged: {source}"))
                .hint("copy or download it again")
        }
        _ => Error::Io { file: file.to_owned(), source },
    }
}

/// What a call of [`read_line`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, now in the buffer without its end.
    Whole,
    /// A line over the limit; its beginning is in the buffer.
    TooLong,
    /// Nothing more.
    End,
}

/// Reads a line of at most `limit` bytes; a longer one is skipped without being held.
pub(super) fn read_line(
    reader: &mut dyn BufRead,
    line: &mut Vec<u8>,
    limit: usize,
) -> std::io::Result<Line> {
    line.clear();
    let (mut any, mut too_long) = (false, false);
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        any = true;
        let end = memchr::memchr(b'\n', buffer);
        let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or(buffer);
        if too_long || line.len() + part.len() > limit {
            too_long = true;
            line.extend_from_slice(part.get(..KEPT_BYTES).unwrap_or(part));
            line.truncate(KEPT_BYTES);
        } else {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            break;
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(match (any, too_long) {
        (false, _) => Line::End,
        (true, true) => Line::TooLong,
        (true, false) => Line::Whole,
    })
}
