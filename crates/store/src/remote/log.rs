//! Logs: what pushes uploaded, as parts one after the other.
//!
//! A part is one zstd frame: a line of JSON that says where the objects of one push are, then the
//! git objects of it. So two logs are put together by joining their bytes.

use std::io::{self, BufRead, Read, Write};

use gix::objs::Kind;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use super::layout::Key;
use super::limits::{CONTENT_RATIO_MAX, HEAD_BYTES_MAX};
use crate::canonical::put_varint;
use crate::history::NewObject;
use crate::id::Digest;
use crate::limits::GIT_OBJECT_BYTES_MAX;

/// A file of a push, and its length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// Where it is.
    pub key: Key,
    /// Its length.
    pub bytes: u64,
}

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// The object.
    pub object: Digest,
    /// The number of its file.
    pub file: usize,
    /// Where it begins there.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
}

/// What one push uploaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartHead {
    /// Its files.
    pub files: Vec<FileRef>,
    /// The objects in them.
    pub objects: Vec<Placed>,
}

impl PartHead {
    fn check(&self) -> Result<(), String> {
        for placed in &self.objects {
            let Some(file) = self.files.get(placed.file) else {
                return Err(format!("{} is in no file", placed.object));
            };
            if placed.offset.checked_add(placed.bytes).is_none_or(|end| end > file.bytes) {
                return Err(format!("{} is not inside of {}", placed.object, file.key));
            }
        }
        Ok(())
    }
}

const KINDS: [(u8, Kind); 4] =
    [(b'c', Kind::Commit), (b't', Kind::Tree), (b'b', Kind::Blob), (b'g', Kind::Tag)];

/// Level of compression: what most of the gain is had for.
const LEVEL: i32 = 6;
/// The window of a frame, as a power of two: table files of neighbouring commits are alike.
const WINDOW_LOG: u32 = 23;

/// Writes a part: the head, then git objects as they come.
pub(super) fn encode_part(
    head: &PartHead,
    objects: impl Iterator<Item = crate::Result<NewObject>>,
) -> Result<Vec<u8>> {
    let failed = |e: io::Error| Error::damaged("log", e);
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL).map_err(failed)?;
    encoder.window_log(WINDOW_LOG).map_err(failed)?;
    encoder.include_checksum(true).map_err(failed)?;
    serde_json::to_writer(&mut encoder, head).map_err(|e| Error::damaged("log", e))?;
    encoder.write_all(b"\n").map_err(failed)?;
    for object in objects {
        let object = object?;
        let kind = KINDS.iter().find(|(_, kind)| *kind == object.kind).map_or(b'b', |(b, _)| *b);
        let mut prefix = vec![kind];
        put_varint(&mut prefix, object.data.len() as u64);
        encoder.write_all(&prefix).map_err(failed)?;
        encoder.write_all(&object.data).map_err(failed)?;
    }
    encoder.finish().map_err(failed)
}

/// Reads a log part by part. Each git object is named by the hash of its bytes.
pub(super) fn decode(
    name: &str,
    bytes: &[u8],
    head: &mut dyn FnMut(PartHead) -> Result<()>,
    object: &mut dyn FnMut(NewObject) -> Result<()>,
) -> Result<u64> {
    let bad = |what: &dyn std::fmt::Display| Error::damaged(name, what);
    let (mut rest, mut parts) = (bytes, 0);
    let most = (bytes.len() as u64).saturating_mul(CONTENT_RATIO_MAX);
    let mut left = most;
    while !rest.is_empty() {
        let mut decoder = zstd::Decoder::with_buffer(rest).map_err(|e| bad(&e))?.single_frame();
        decoder.window_log_max(WINDOW_LOG).map_err(|e| bad(&e))?;
        let mut content = io::BufReader::new(Limited { inner: decoder, left });
        let mut line = Vec::new();
        content.by_ref().take(HEAD_BYTES_MAX).read_until(b'\n', &mut line).map_err(|e| bad(&e))?;
        let read: PartHead = serde_json::from_slice(&line).map_err(|e| bad(&e))?;
        read.check().map_err(|what| bad(&what))?;
        head(read)?;
        while let Some(read) = next_object(&mut content).map_err(|e| bad(&e))? {
            object(read)?;
        }
        let limited = content.into_inner();
        left = limited.left;
        rest = limited.inner.finish();
        parts += 1;
    }
    Ok(parts)
}

fn next_object(content: &mut impl BufRead) -> io::Result<Option<NewObject>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut byte = [0];
    if content.read(&mut byte)? == 0 {
        return Ok(None);
    }
    let kind = KINDS.iter().find(|(known, _)| *known == byte[0]);
    let (_, kind) = *kind.ok_or_else(|| bad("an object of no known kind"))?;
    let mut len = 0u64;
    for shift in (0..).step_by(7) {
        content.read_exact(&mut byte)?;
        if shift > 28 {
            return Err(bad("an object that is too long"));
        }
        len |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            break;
        }
    }
    if len > GIT_OBJECT_BYTES_MAX {
        return Err(bad("an object that is too long"));
    }
    // Not all at once: the length may be a lie.
    let mut data = Vec::new();
    if content.take(len).read_to_end(&mut data)? as u64 != len {
        return Err(bad("an object that ends early"));
    }
    let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, &data)
        .map_err(|e| bad(&format!("an object that cannot be hashed: {e}")))?;
    Ok(Some(NewObject { id, kind, data }))
}

/// A reader that gives so many bytes, and fails where there are more.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "its content is far longer than its bytes")
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(data: &[u8]) -> NewObject {
        let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, Kind::Blob, data).unwrap();
        NewObject { id, kind: Kind::Blob, data: data.to_vec() }
    }

    fn read(bytes: &[u8]) -> Result<(usize, Vec<Vec<u8>>)> {
        let (mut heads, mut objects) = (0, Vec::new());
        let mut object = |object: NewObject| {
            objects.push(object.data);
            Ok(())
        };
        let mut head = |_| {
            heads += 1;
            Ok(())
        };
        decode("log", bytes, &mut head, &mut object)?;
        Ok((heads, objects))
    }

    #[test]
    fn joined_logs_are_one() {
        let part = |data: &[u8]| {
            encode_part(&PartHead::default(), [Ok(blob(data)), Ok(blob(b""))].into_iter()).unwrap()
        };
        let mut both = part(b"first");
        both.extend(part(&[7; 300]));
        let expected = vec![b"first".to_vec(), Vec::new(), vec![7; 300], Vec::new()];
        assert_eq!(read(&both).unwrap(), (2, expected));
        // Any cut but one between parts is seen.
        for cut in 1..both.len() {
            let whole = cut == part(b"first").len();
            assert_eq!(read(&both[..cut]).is_ok(), whole, "cut at {cut}");
        }
        assert_eq!(read(b"").unwrap(), (0, Vec::new()));
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = encode_part(&PartHead::default(), [Ok(blob(&vec![0; 60 << 20]))].into_iter());
        let error = read(&zeros.unwrap()).unwrap_err();
        assert!(error.to_string().contains("far longer than its bytes"), "{error}");
    }

    #[test]
    fn places_outside_of_their_file_are_refused() {
        let key: Key = format!("e0/{}/rows-0", "a".repeat(32)).parse().unwrap();
        let place = |file, offset, bytes| PartHead {
            files: vec![FileRef { key: key.clone(), bytes: 10 }],
            objects: vec![Placed { object: Digest([1; 32]), file, offset, bytes }],
        };
        assert!(place(0, 4, 6).check().is_ok());
        for bad in [place(1, 0, 1), place(0, 4, 7), place(0, u64::MAX, 2)] {
            assert!(bad.check().is_err());
            assert!(read(&encode_part(&bad, [].into_iter()).unwrap()).is_err());
        }
    }
}
