//! Reads lines within a byte limit, and says what is wrong with files that are no text.

use std::io::{BufRead, ErrorKind};

use crate::{Error, Place, Result};

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
        let end = buffer.iter().position(|b| *b == b'\n');
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

/// Reads the next value of a JSON array that may stand on one line: `Whole` with its bytes in
/// `value`, `End` after the array. The opening bracket must have been read.
pub(super) fn read_entry(
    reader: &mut dyn BufRead,
    value: &mut Vec<u8>,
    limit: usize,
    at_line: &mut u64,
) -> std::io::Result<Line> {
    value.clear();
    let (mut depth, mut quoted, mut escaped, mut too_long) = (0_i64, false, false, false);
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            // the caller finds that the value, or the array's end, is missing
            return Ok(if too_long { Line::TooLong } else { Line::Whole });
        }
        let (mut used, mut ended) = (0, None);
        for &byte in buffer {
            if depth == 0 && !quoted && (byte == b',' || byte == b']') {
                ended = Some(byte);
                break;
            }
            used += 1;
            *at_line += u64::from(byte == b'\n');
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = quoted,
                b'"' => quoted = !quoted,
                b'{' | b'[' if !quoted => depth += 1,
                b'}' | b']' if !quoted => depth -= 1,
                _ => {}
            }
            if value.len() < limit && !too_long {
                value.push(byte);
            } else {
                too_long = true;
                value.truncate(KEPT_BYTES);
            }
        }
        // the comma or bracket stays: the caller reads it
        reader.consume(used);
        if ended.is_some() {
            return Ok(if too_long { Line::TooLong } else { Line::Whole });
        }
    }
}

/// Reads past white space and returns the next byte without taking it.
pub(super) fn peek(reader: &mut dyn BufRead, line: &mut u64) -> std::io::Result<Option<u8>> {
    loop {
        let buffer = reader.fill_buf()?;
        let Some(&byte) = buffer.first() else { return Ok(None) };
        if !byte.is_ascii_whitespace() {
            return Ok(Some(byte));
        }
        *line += u64::from(byte == b'\n');
        reader.consume(1);
    }
}

/// Whether an error is about the file and not a single record.
pub(super) fn checked<T>(
    result: std::io::Result<T>,
    file: &str,
    line: u64,
) -> Result<T> {
    result.map_err(|e| broken(file, Some(line), e))
}
