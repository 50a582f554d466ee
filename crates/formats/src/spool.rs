//! Puts rendered pieces of a file back into their order: an external sort of byte strings.

use std::io::{BufReader, BufWriter, Read, Write};

use crate::{Error, Result};

/// How many bytes of pieces a [`Spool`] holds before it writes a sorted run to a temporary file.
pub const SPOOL_BYTES_MAX: usize = 64 << 20;

/// Collects `(section, order, piece)` in any order and gives the pieces back sorted.
///
/// Memory stays within [`SPOOL_BYTES_MAX`] plus a buffer a run.
#[derive(Debug, Default)]
pub struct Spool {
    pieces: Vec<Piece>,
    bytes: usize,
    runs: Vec<std::fs::File>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    section: u32,
    order: (i64, String),
    bytes: Vec<u8>,
}

fn io(source: std::io::Error) -> Error {
    let path = std::env::temp_dir();
    glossator_store::Error::Io { action: "use a temporary file in", path, source }.into()
}

impl Spool {
    /// Adds a piece. Pieces are sorted by section, then number, then name.
    pub fn push(&mut self, section: u32, number: i64, name: &str, bytes: Vec<u8>) -> Result<()> {
        self.bytes += bytes.len() + name.len() + size_of::<Piece>();
        self.pieces.push(Piece { section, order: (number, name.to_owned()), bytes });
        if self.bytes > SPOOL_BYTES_MAX {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        self.pieces.sort_unstable();
        let file = glossator_store::fs::anonymous_temp_file().map_err(io)?;
        let mut out = BufWriter::new(file);
        for piece in self.pieces.drain(..) {
            let name = piece.order.1.as_bytes();
            out.write_all(&piece.section.to_le_bytes()).map_err(io)?;
            out.write_all(&piece.order.0.to_le_bytes()).map_err(io)?;
            for part in [name, &piece.bytes] {
                out.write_all(&(part.len() as u64).to_le_bytes()).map_err(io)?;
                out.write_all(part).map_err(io)?;
            }
        }
        self.bytes = 0;
        self.runs.push(out.into_inner().map_err(|e| io(e.into_error()))?);
        Ok(())
    }

    /// Calls `each(section, piece)` for every piece in order.
    pub fn drain(mut self, mut each: impl FnMut(u32, &[u8]) -> Result<()>) -> Result<()> {
        self.pieces.sort_unstable();
        let mut runs = Vec::new();
        for mut file in std::mem::take(&mut self.runs) {
            std::io::Seek::rewind(&mut file).map_err(io)?;
            let mut run = Run { file: Some(BufReader::new(file)), memory: Vec::new() };
            if let Some(first) = run.next()? {
                runs.push((first, run));
            }
        }
        self.pieces.reverse();
        let mut last = Run { file: None, memory: self.pieces };
        if let Some(first) = last.next()? {
            runs.push((first, last));
        }
        while let Some(at) = (0..runs.len()).min_by(|&a, &b| runs[a].0.cmp(&runs[b].0)) {
            each(runs[at].0.section, &runs[at].0.bytes)?;
            match runs[at].1.next()? {
                Some(piece) => runs[at].0 = piece,
                None => drop(runs.swap_remove(at)),
            }
        }
        Ok(())
    }
}

/// A sorted run on disk, or the last one in memory (reversed, popped from its end).
struct Run {
    file: Option<BufReader<std::fs::File>>,
    memory: Vec<Piece>,
}

impl Run {
    fn next(&mut self) -> Result<Option<Piece>> {
        let Some(file) = &mut self.file else { return Ok(self.memory.pop()) };
        let mut section = [0; 4];
        match file.read_exact(&mut section) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            done => done.map_err(io)?,
        }
        let mut number = [0; 8];
        file.read_exact(&mut number).map_err(io)?;
        let mut parts = [Vec::new(), Vec::new()];
        for part in &mut parts {
            let mut len = [0; 8];
            file.read_exact(&mut len).map_err(io)?;
            part.resize(u64::from_le_bytes(len) as usize, 0);
            file.read_exact(part).map_err(io)?;
        }
        let [name, bytes] = parts;
        let name = String::from_utf8(name).expect("written from a str");
        let order = (i64::from_le_bytes(number), name);
        Ok(Some(Piece { section: u32::from_le_bytes(section), order, bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_in_order_across_spilled_runs() {
        let mut spool = Spool::default();
        for i in (0..100_i64).rev() {
            spool.push((i % 2) as u32, i, "x", vec![i as u8]).unwrap();
            if i % 30 == 0 {
                spool.spill().unwrap();
            }
        }
        let mut seen = Vec::new();
        spool
            .drain(|section, bytes| {
                seen.push((section, bytes[0]));
                Ok(())
            })
            .unwrap();
        let expected: Vec<(u32, u8)> = (0..100_u8)
            .filter(|i| i % 2 == 0)
            .map(|i| (0, i))
            .chain((0..100_u8).filter(|i| i % 2 == 1).map(|i| (1, i)))
            .collect();
        assert_eq!(seen, expected);
    }
}
