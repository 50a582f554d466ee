//! One table at one commit: its segments, what is dead in them, and how rows are found and read.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{concat_batches, interleave_record_batch, take_record_batch};
use serde::{Deserialize, Serialize};

use crate::canonical::{Key, Rows};
use crate::error::{Error, Result};
use crate::fs::Disk;
use crate::id::Digest;
use crate::key_index::{IndexState, KeyHasher, KeyIndex};
use crate::limits::BATCH_BYTES_MAX;
use crate::objects::Objects;
use crate::removal::{Removal, RemovalRef};
use crate::schema::{CellType, Table};
use crate::segment::{
    BatchStream, RowEntry, Scan, SegmentKind, SegmentReader, SegmentRef, merge_sorted,
    segment_schema,
};

/// A line of `tables/<name>.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Segment(SegmentRef),
    Removal(RemovalRef),
}

/// What `tables/<name>.jsonl` says: segments in the order in which they were added, then removals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableState {
    /// The segments.
    pub segments: Vec<SegmentRef>,
    /// The removal objects.
    pub removals: Vec<RemovalRef>,
}

impl TableState {
    /// Live rows.
    pub fn rows(&self) -> u64 {
        let all = self.segments.iter().map(|s| u64::from(s.rows)).fold(0, u64::saturating_add);
        let dead = self.removals.iter().map(|r| r.count).fold(0, u64::saturating_add);
        all.saturating_sub(dead)
    }

    /// Parses the file.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let mut state = Self::default();
        for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line)? {
                Line::Segment(segment) => state.segments.push(segment),
                Line::Removal(removal) => state.removals.push(removal),
            }
        }
        Ok(state)
    }

    /// The bytes of the file.
    pub fn render(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut put = |line: &dyn erased::Line| line.write(&mut out);
        self.segments.iter().try_for_each(|s| put(s))?;
        self.removals.iter().try_for_each(|r| put(r))?;
        Ok(out)
    }
}

mod erased {
    use crate::error::{Error, Result};

    /// A thing that is one JSON line.
    pub trait Line {
        fn write(&self, out: &mut Vec<u8>) -> Result<()>;
    }

    impl<T: serde::Serialize> Line for T {
        fn write(&self, out: &mut Vec<u8>) -> Result<()> {
            serde_json::to_writer(&mut *out, self).map_err(|e| Error::damaged("table file", e))?;
            out.push(b'\n');
            Ok(())
        }
    }
}

/// Where a live row is, and the first half of its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Located {
    /// Index of the segment in [`TableState::segments`].
    pub segment: usize,
    /// The row number in it.
    pub row: u32,
    /// The first 16 bytes of the row's digest.
    pub digest: [u8; 16],
}

/// A table at a commit, ready to be read.
#[derive(Debug)]
pub struct TableSnapshot {
    /// The table.
    pub table: &'static Table,
    /// Its segments and removals.
    pub state: TableState,
    kind: SegmentKind,
    disk: Disk,
    objects: Objects,
    index_dir: std::path::PathBuf,
    /// Rising row numbers that are dead, by segment.
    dead: HashMap<Digest, Vec<u32>>,
    open: Vec<OnceCell<SegmentReader>>,
    indices: [Vec<OnceCell<KeyIndex>>; 2],
    /// Indices whose files turned out bad after they were opened.
    rebuilt: RefCell<HashMap<(Which, usize), Rc<KeyIndex>>>,
}

/// Which index of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Which {
    /// By item and key.
    Key,
    /// By alias; segments of items only.
    Alias,
}

impl Which {
    fn path(self, dir: &std::path::Path, segment: &Digest) -> std::path::PathBuf {
        match self {
            Self::Key => crate::index_path(dir, segment),
            Self::Alias => crate::alias_path(dir, segment),
        }
    }
}

impl TableSnapshot {
    pub(crate) fn new(
        table: &'static Table,
        state: TableState,
        kind: SegmentKind,
        disk: Disk,
        objects: Objects,
        index_dir: std::path::PathBuf,
    ) -> Result<Self> {
        let mut all = Removal::default();
        for line in &state.removals {
            all.extend(Removal::read(&objects, line)?);
        }
        all.sort();
        let open = state.segments.iter().map(|_| OnceCell::new()).collect();
        let cells = || state.segments.iter().map(|_| OnceCell::new()).collect();
        let indices = [cells(), cells()];
        let dead = all.rows.into_iter().collect();
        Ok(Self {
            table,
            state,
            kind,
            disk,
            objects,
            index_dir,
            dead,
            open,
            indices,
            rebuilt: RefCell::default(),
        })
    }

    /// The digest of a segment by its index.
    pub fn segment(&self, index: usize) -> Digest {
        self.state.segments[index].segment
    }

    /// Dead rows of a segment, rising.
    pub fn dead(&self, segment: &Digest) -> &[u32] {
        self.dead.get(segment).map_or(&[], Vec::as_slice)
    }

    fn reader(&self, index: usize) -> Result<&SegmentReader> {
        if let Some(reader) = self.open[index].get() {
            return Ok(reader);
        }
        let line = &self.state.segments[index];
        let reader = SegmentReader::open(&self.objects, self.table, self.kind, line)?;
        Ok(self.open[index].get_or_init(|| reader))
    }

    fn index(&self, which: Which, index: usize) -> Result<&KeyIndex> {
        let cell = &self.indices[which as usize][index];
        if let Some(key_index) = cell.get() {
            return Ok(key_index);
        }
        let line = &self.state.segments[index];
        let path = which.path(&self.index_dir, &line.segment);
        let opened = match KeyIndex::open(&self.disk, &path, &line.segment)? {
            IndexState::Ready(opened) => opened,
            IndexState::Rebuild => self.rebuild(which, index)?,
        };
        Ok(cell.get_or_init(|| opened))
    }

    /// Builds the index of a segment again, from its rows.
    fn rebuild(&self, which: Which, index: usize) -> Result<KeyIndex> {
        let line = &self.state.segments[index];
        let mut entries = Vec::new();
        let mut builder = EntryBuilder::default();
        for batch in self.reader(index)?.scan()? {
            let batch = batch?;
            let rows = Rows::new(self.table, &batch)?;
            match which {
                Which::Key => builder.keys(&rows, &mut entries),
                Which::Alias => builder.aliases(&rows, &mut entries),
            }
        }
        let path = which.path(&self.index_dir, &line.segment);
        // Whether it can be kept is no matter: a store may be readable only.
        let _ = KeyIndex::write(&self.disk, &path, &line.segment, entries.clone());
        Ok(KeyIndex::in_memory(&self.disk, &path, &line.segment, entries))
    }

    /// Finds live rows by the first hash, or the one with that key.
    fn find(
        &self,
        which: Which,
        item: u64,
        key: Option<&[u8; 12]>,
        found: &mut Vec<Located>,
    ) -> Result<()> {
        for segment in 0..self.state.segments.len() {
            let dead = self.dead(&self.segment(segment));
            let mark = found.len();
            let mut take = |entry: RowEntry| {
                if dead.binary_search(&entry.row).is_err() {
                    found.push(Located { segment, row: entry.row, digest: entry.digest });
                }
            };
            let rebuilt = self.rebuilt.borrow().get(&(which, segment)).cloned();
            let answered = match &rebuilt {
                Some(index) => index.find(item, key, &mut take)?,
                None => self.index(which, segment)?.find(item, key, &mut take)?,
            };
            if let IndexState::Rebuild = answered {
                // A block was bad: what it gave before that is forgotten and asked again.
                let mut again = Vec::new();
                let index = Rc::new(self.rebuild(which, segment)?);
                index.find(item, key, &mut |entry| again.push(entry))?;
                self.rebuilt.borrow_mut().insert((which, segment), index);
                found.truncate(mark);
                again.retain(|entry| dead.binary_search(&entry.row).is_err());
                found.extend(again.iter().map(|entry| Located {
                    segment,
                    row: entry.row,
                    digest: entry.digest,
                }));
            }
            if key.is_some() && found.len() > mark {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Finds the live row of each key.
    pub fn locate<'k>(
        &self,
        keys: impl IntoIterator<Item = Key<'k>>,
    ) -> Result<Vec<Option<Located>>> {
        let mut hasher = KeyHasher::default();
        let mut found = Vec::new();
        keys.into_iter()
            .map(|(item, key)| {
                let (item, key) = hasher.hash(item, key);
                found.clear();
                self.find(Which::Key, item, Some(&key), &mut found)?;
                Ok(found.first().copied())
            })
            .collect()
    }

    /// Finds the live rows of an item (or only) id, in no order.
    pub fn locate_item(&self, item: &str) -> Result<Vec<Located>> {
        let mut found = Vec::new();
        self.find(Which::Key, KeyHasher::default().item(item), None, &mut found)?;
        Ok(found)
    }

    /// Finds the live items with that alias, in no order.
    pub fn locate_alias(&self, alias: &str) -> Result<Vec<Located>> {
        let mut found = Vec::new();
        self.find(Which::Alias, KeyHasher::default().item(alias), None, &mut found)?;
        Ok(found)
    }

    /// How many of these rows, from the first on, one batch may hold; at least one.
    pub(crate) fn fetch_max(&self, wanted: &[Located]) -> Result<usize> {
        let mut most = 0;
        for at in wanted {
            most = self.reader(at.segment)?.row_bytes_most().max(most);
        }
        if most.saturating_mul(wanted.len()) <= BATCH_BYTES_MAX {
            return Ok(wanted.len());
        }
        let mut bytes = 0_usize;
        for (count, at) in wanted.iter().enumerate() {
            bytes = bytes.saturating_add(self.reader(at.segment)?.row_bytes_of(at.row));
            if bytes > BATCH_BYTES_MAX {
                return Ok(count.max(1));
            }
        }
        Ok(wanted.len())
    }

    /// Reads located rows in the order asked for: the table's columns and `_origin`, filled in.
    ///
    /// Each row is checked against the digest that the index holds of it. Who asks for many rows
    /// asks [`Self::fetch_max`] first.
    pub fn fetch(&self, wanted: &[Located]) -> Result<RecordBatch> {
        let schema = segment_schema(self.table, self.kind);
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_unstable_by_key(|&i| (wanted[i].segment, wanted[i].row));
        let mut batches = Vec::new();
        let mut picks = vec![(0, 0); wanted.len()];
        let mut at = 0;
        while at < order.len() {
            let segment = wanted[order[at]].segment;
            let end = at + order[at..].partition_point(|&i| wanted[i].segment == segment);
            let mut numbers: Vec<u32> = order[at..end].iter().map(|&i| wanted[i].row).collect();
            numbers.dedup();
            let read: Vec<_> = self.reader(segment)?.rows(&numbers)?.collect::<Result<_>>()?;
            let batch = concat_batches(&schema, &read)?;
            if batch.num_rows() != numbers.len() {
                return Err(Error::damaged(self.segment(segment), "rows are missing from it"));
            }
            for &i in &order[at..end] {
                // The numbers were read back in order.
                let row = numbers.partition_point(|&n| n < wanted[i].row);
                picks[i] = (batches.len(), row);
            }
            batches.push(with_origin(&self.segment(segment), self.table.columns.len(), batch)?);
            at = end;
        }
        if batches.is_empty() {
            return Ok(RecordBatch::new_empty(schema));
        }
        let references: Vec<&RecordBatch> = batches.iter().collect();
        let fetched = interleave_record_batch(&references, &picks)?;
        let rows = Rows::new(self.table, &fetched)?;
        let mut scratch = Vec::new();
        for (row, located) in wanted.iter().enumerate() {
            if rows.digest(row, &mut scratch).0[..16] != located.digest {
                let what = format!("row {} is not what its index says", located.row);
                return Err(Error::damaged(self.segment(located.segment), what));
            }
        }
        Ok(fetched)
    }

    /// All live rows in key order, with `_origin` filled in.
    pub fn scan(&self) -> Result<BatchStream<'static>> {
        let streams = (0..self.state.segments.len())
            .map(|segment| Ok(Box::new(self.live(segment)?) as BatchStream<'static>))
            .collect::<Result<Vec<_>>>()?;
        merge_sorted(streams, self.table.key_len)
    }

    /// Live rows of one segment in key order, with their numbers.
    pub(crate) fn scan_numbered(
        &self,
        segment: usize,
    ) -> Result<impl Iterator<Item = Result<(Vec<u32>, RecordBatch)>> + use<>> {
        let mut live = self.live(segment)?;
        Ok(std::iter::from_fn(move || {
            let (start, from) = (live.start, live.next_dead);
            let batch = live.next()?;
            let mut gone = live.dead[from..live.next_dead].iter().peekable();
            let numbers = (start..live.start)
                .filter(|row| gone.next_if(|dead| *dead == row).is_none())
                .collect();
            Some(batch.map(|batch| (numbers, batch)))
        }))
    }

    fn live(&self, segment: usize) -> Result<Live> {
        let digest = self.segment(segment);
        Ok(Live {
            origin_column: self.table.columns.len(),
            digest,
            dead: self.dead(&digest).to_vec(),
            next_dead: 0,
            start: 0,
            rows: self.reader(segment)?.scan()?,
        })
    }
}

/// Live rows of one segment in key order, with `_origin` filled in.
struct Live {
    origin_column: usize,
    digest: Digest,
    dead: Vec<u32>,
    next_dead: usize,
    start: u32,
    rows: Scan,
}

impl Live {
    fn live(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let (start, end) = (self.start, self.start + batch.num_rows() as u32);
        let from = self.next_dead;
        self.next_dead += self.dead[from..].partition_point(|&row| row < end);
        self.start = end;
        let gone = &self.dead[from..self.next_dead];
        if gone.is_empty() {
            return with_origin(&self.digest, self.origin_column, batch);
        }
        let mut gone = gone.iter().peekable();
        let keep: UInt32Array = (start..end)
            .filter(|row| gone.next_if(|dead| *dead == row).is_none())
            .map(|row| row - start)
            .collect();
        with_origin(&self.digest, self.origin_column, take_record_batch(&batch, &keep)?)
    }
}

impl Iterator for Live {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.rows.next()?;
        Some(batch.and_then(|batch| self.live(batch)))
    }
}

/// Fills null origins with the segment itself.
pub(crate) fn with_origin(
    segment: &Digest,
    column: usize,
    batch: RecordBatch,
) -> Result<RecordBatch> {
    let origin = batch.column(column);
    if origin.null_count() == 0 {
        return Ok(batch);
    }
    let own = segment.to_string();
    let filled: ArrayRef = if origin.null_count() == origin.len() {
        constant_dict(&own, origin.len())
    } else {
        let view = crate::schema::ColumnView::new(origin);
        let texts: StringArray = (0..origin.len())
            .map(|row| Some(view.and_then(|v| v.text(row)).unwrap_or(&own)))
            .collect();
        arrow::compute::cast(&texts, &CellType::Dict.arrow())?
    };
    let mut columns = batch.columns().to_vec();
    columns[column] = filled;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

/// A dictionary column with one value.
pub(crate) fn constant_dict(value: &str, len: usize) -> ArrayRef {
    let keys = arrow::array::Int32Array::from(vec![0; len]);
    let values = Arc::new(StringArray::from(vec![value]));
    Arc::new(arrow::array::DictionaryArray::try_new(keys, values).expect("keys point at one value"))
}

/// Makes index entries from rows that come in the order of a segment.
#[derive(Debug, Default)]
pub(crate) struct EntryBuilder {
    hasher: KeyHasher,
    scratch: Vec<u8>,
    row: u32,
}

impl EntryBuilder {
    fn keys(&mut self, rows: &Rows<'_>, out: &mut Vec<RowEntry>) {
        for row in 0..rows.len() {
            let (item, key) = rows.key(row);
            let (item, key) = self.hasher.hash(item, key);
            let digest = short(&rows.digest(row, &mut self.scratch));
            out.push(RowEntry { item, key, row: self.row, digest });
            self.row += 1;
        }
    }

    pub(crate) fn aliases(&mut self, rows: &Rows<'_>, out: &mut Vec<RowEntry>) {
        // Items: the aliases are the second column.
        for row in 0..rows.len() {
            let digest = short(&rows.digest(row, &mut self.scratch));
            for alias in rows.column(1).texts(row).unwrap_or_default() {
                let (item, key) = self.hasher.hash(alias, "");
                out.push(RowEntry { item, key, row: self.row, digest });
            }
            self.row += 1;
        }
    }
}

/// The half of a row's digest that indices hold.
pub(crate) fn short(digest: &Digest) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest.0[..16]);
    half
}
