//! One table at one commit: its segments, what is dead in them, and how rows are found and read.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use serde::{Deserialize, Serialize};

use crate::canonical::{Key, RowDigests, Rows};
use crate::error::Result;
use crate::fs::Disk;
use crate::id::Digest;
use crate::key_index::{IndexState, KeyHasher, KeyIndex, KeyRange, Needle};
use crate::limits::BATCH_BYTES_MAX;
use crate::objects::Objects;
use crate::removal::{Removal, RemovalRef};
use crate::row_cache::{RowCache, RowCacheWriter, system_columns};
use crate::schema::{CellType, Columns, Table};
use crate::segment::{
    BatchStream, RowEntry, Scan, SegmentKind, SegmentReader, SegmentRef, Selected, SelectedStream,
    merge_selected,
};

/// Keys whose places a snapshot remembers.
const KNOWN_KEYS_MAX: usize = 1 << 16;

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
    pub(crate) kind: SegmentKind,
    pub(crate) disk: Disk,
    objects: Objects,
    pub(crate) index_dir: std::path::PathBuf,
    /// Rising row numbers that are dead, by segment.
    dead: HashMap<Digest, Vec<u32>>,
    open: Vec<OnceCell<SegmentReader>>,
    /// Open indices, and those whose files turned out bad after they were opened.
    indices: RefCell<[Vec<Option<Rc<KeyIndex>>>; 2]>,
    /// Where keys were found that were looked up before: a change looks them up more than once.
    known: RefCell<HashMap<Needle, Option<Located>>>,
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
        for line in &state.segments {
            // What was erased is dead wherever it stands.
            let erased = objects.erased_rows(&line.segment)?;
            erased.iter().for_each(|row| all.push(line.segment, *row));
        }
        all.sort();
        let open = state.segments.iter().map(|_| OnceCell::new()).collect();
        let none = || state.segments.iter().map(|_| None).collect();
        let indices = RefCell::new([none(), none()]);
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
            known: RefCell::default(),
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

    pub(crate) fn reader(&self, index: usize) -> Result<&SegmentReader> {
        if let Some(reader) = self.open[index].get() {
            return Ok(reader);
        }
        let line = &self.state.segments[index];
        let reader = SegmentReader::open(&self.objects, self.table, self.kind, line)?;
        Ok(self.open[index].get_or_init(|| reader))
    }

    /// What caches of a segment are named by: the object that is stored.
    pub(crate) fn cached(&self, index: usize) -> SegmentRef {
        let line = &self.state.segments[index];
        SegmentRef { segment: self.objects.stored(&line.segment), ..line.clone() }
    }

    fn index(&self, which: Which, index: usize) -> Result<Rc<KeyIndex>> {
        if let Some(opened) = &self.indices.borrow()[which as usize][index] {
            return Ok(opened.clone());
        }
        let segment = self.cached(index).segment;
        let path = which.path(&self.index_dir, &segment);
        match KeyIndex::open(&self.disk, &path, &segment)? {
            IndexState::Ready(opened) => Ok(self.keep(which, index, opened)),
            IndexState::Rebuild => self.rebuild(which, index),
        }
    }

    fn keep(&self, which: Which, index: usize, opened: KeyIndex) -> Rc<KeyIndex> {
        let opened = Rc::new(opened);
        self.indices.borrow_mut()[which as usize][index] = Some(opened.clone());
        opened
    }

    /// Builds the index of a segment again, from its rows; with that by key, the row cache.
    fn rebuild(&self, which: Which, index: usize) -> Result<Rc<KeyIndex>> {
        let line = self.cached(index);
        let mut builder = EntryBuilder::default();
        if let Which::Key = which {
            builder.rows = RowCacheWriter::new(&self.disk, &self.index_dir, self.table).ok();
        }
        let mut entries = Vec::new();
        for batch in self.reader(index)?.scan()? {
            let batch = batch?;
            let rows = Rows::new(self.table, &batch)?;
            match which {
                Which::Key => builder.keys(&rows, &batch, &mut entries),
                Which::Alias => builder.aliases(&rows, &mut entries),
            }
        }
        let (disk, segment) = (&self.disk, &line.segment);
        if let Some(rows) = builder.rows {
            // Whether it can be kept is no matter: a store may be readable only.
            let _ = rows.publish(&crate::rows_path(&self.index_dir, segment), segment);
        }
        let (path, range) = (which.path(&self.index_dir, segment), builder.range);
        let built = KeyIndex::rebuilt(disk, &path, segment, entries, range.as_ref())?;
        Ok(self.keep(which, index, built))
    }

    /// Asks the index of a segment; `each` is given the places of needles and their live rows.
    fn ask(
        &self,
        which: Which,
        segment: usize,
        needles: &[(usize, Needle)],
        each: &mut dyn FnMut(usize, Located),
    ) -> Result<()> {
        let mut entries = Vec::new();
        let mut find = |index: Rc<KeyIndex>| {
            entries.clear();
            let needles = needles.iter().copied();
            index.find(needles, &mut |place, entry| entries.push((place, entry)))
        };
        // A bad block: what it gave before that is forgotten and asked again.
        if let IndexState::Rebuild = find(self.index(which, segment)?)? {
            find(self.rebuild(which, segment)?)?;
        }
        let dead = self.dead(&self.segment(segment));
        for (place, entry) in entries {
            if dead.binary_search(&entry.row).is_err() {
                each(place, Located { segment, row: entry.row, digest: entry.digest });
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
        let keys: Vec<(Needle, Key<'k>)> =
            keys.into_iter().map(|key| (hasher.needle(key), key)).collect();
        let mut known = self.known.borrow_mut();
        let mut found: Vec<Option<Located>> = Vec::with_capacity(keys.len());
        let mut open: Vec<usize> = Vec::new();
        for (place, (needle, _)) in keys.iter().enumerate() {
            let at = known.get(needle).copied();
            open.extend(at.is_none().then_some(place));
            found.push(at.flatten());
        }
        // In the order of the indices, so that each block is read once.
        open.sort_unstable_by_key(|place| keys[*place].0);
        let asked = open.clone();
        for segment in 0..self.state.segments.len() {
            if open.is_empty() {
                break;
            }
            let index = self.index(Which::Key, segment)?;
            let may = |key| index.range.as_ref().is_none_or(|range| range.holds(key));
            let needles: Vec<(usize, Needle)> = open
                .iter()
                .filter(|place| may(keys[**place].1))
                .map(|&place| (place, keys[place].0))
                .collect();
            self.ask(Which::Key, segment, &needles, &mut |place, at| found[place] = Some(at))?;
            open.retain(|place| found[*place].is_none());
        }
        if known.len() + asked.len() > KNOWN_KEYS_MAX {
            known.clear();
        }
        known.extend(asked.iter().take(KNOWN_KEYS_MAX).map(|&at| (keys[at].0, found[at])));
        Ok(found)
    }

    /// Finds the live rows of an item (or only) id, in no order.
    pub fn locate_item(&self, item: &str) -> Result<Vec<Located>> {
        Ok(self.locate_items(&[item])?.pop().unwrap_or_default())
    }

    /// Finds the live rows of each item (or only) id, in no order.
    pub fn locate_items(&self, items: &[&str]) -> Result<Vec<Vec<Located>>> {
        self.locate_all(Which::Key, items)
    }

    /// Finds the live items with that alias, in no order.
    pub fn locate_alias(&self, alias: &str) -> Result<Vec<Located>> {
        Ok(self.locate_all(Which::Alias, &[alias])?.pop().unwrap_or_default())
    }

    /// How many of these rows, from the first on, one batch may hold; at least one.
    pub(crate) fn fetch_max(&self, wanted: &[Located]) -> Result<usize> {
        let mut caches: HashMap<usize, Option<RowCache>> = HashMap::new();
        let mut bytes = 0_usize;
        for (count, at) in wanted.iter().enumerate() {
            let cache = match caches.entry(at.segment) {
                Entry::Occupied(cache) => cache.into_mut(),
                Entry::Vacant(cache) => {
                    let line = self.cached(at.segment);
                    let path = crate::rows_path(&self.index_dir, &line.segment);
                    cache.insert(RowCache::open(&self.disk, &path, &line)?)
                }
            };
            // What a cache holds needs no look at the segment.
            let row = match cache.as_ref().and_then(|cache| cache.bytes_of(at.row)) {
                Some(canonical) => 2 * canonical,
                None => self.reader(at.segment)?.row_bytes_of(at.row),
            };
            bytes = bytes.saturating_add(row);
            if bytes > BATCH_BYTES_MAX {
                return Ok(count.max(1));
            }
        }
        Ok(wanted.len())
    }

    fn locate_all(&self, which: Which, ids: &[&str]) -> Result<Vec<Vec<Located>>> {
        let mut hasher = KeyHasher::default();
        let needle =
            |(place, id): (usize, &&str)| (place, Needle { item: hasher.item(id), key: None });
        let mut wanted: Vec<(usize, Needle)> = ids.iter().enumerate().map(needle).collect();
        wanted.sort_unstable_by_key(|(_, needle)| *needle);
        let mut found = vec![Vec::new(); ids.len()];
        for segment in 0..self.state.segments.len() {
            let index = self.index(which, segment)?;
            let may = |id| index.range.as_ref().is_none_or(|range| range.holds_item(id));
            let mut needles = wanted.clone();
            needles.retain(|(place, _)| may(ids[*place]));
            self.ask(which, segment, &needles, &mut |place, at| found[place].push(at))?;
        }
        Ok(found)
    }

    /// All live rows in key order, with `_origin` filled in.
    pub fn scan(&self) -> Result<BatchStream<'static>> {
        self.scan_columns(Columns::ALL)
    }

    /// The same, of some columns; the others are null.
    pub fn scan_columns(&self, read: Columns) -> Result<BatchStream<'static>> {
        let streams = (0..self.state.segments.len())
            .map(|segment| Ok(Box::new(self.live(segment, read)?) as SelectedStream<'static>))
            .collect::<Result<Vec<_>>>()?;
        merge_selected(streams, self.table.key_len)
    }

    /// Live rows of one segment in key order, with their numbers.
    pub(crate) fn scan_numbered(
        &self,
        segment: usize,
    ) -> Result<impl Iterator<Item = Result<(Vec<u32>, RecordBatch)>> + use<>> {
        let mut live = self.live(segment, Columns::ALL)?;
        Ok(std::iter::from_fn(move || {
            let (start, from) = (live.start, live.next_dead);
            let batch = live.next()?;
            let mut gone = live.dead[from..live.next_dead].iter().peekable();
            let numbers = (start..live.start)
                .filter(|row| gone.next_if(|dead| *dead == row).is_none())
                .collect();
            Some(batch.and_then(|batch| Ok((numbers, batch.batch()?))))
        }))
    }

    fn live(&self, segment: usize, read: Columns) -> Result<Live> {
        let digest = self.segment(segment);
        Ok(Live {
            origin_column: self.table.columns.len(),
            digest,
            dead: self.dead(&digest).to_vec(),
            next_dead: 0,
            start: 0,
            rows: self.reader(segment)?.scan_columns(read)?,
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
    fn live(&mut self, batch: RecordBatch) -> Result<Selected> {
        let (start, end) = (self.start, self.start + batch.num_rows() as u32);
        let from = self.next_dead;
        self.next_dead += self.dead[from..].partition_point(|&row| row < end);
        self.start = end;
        let batch = with_origin(&self.digest, self.origin_column, batch)?;
        let mut gone = self.dead[from..self.next_dead].iter().peekable();
        let rows = gone.peek().is_some().then(|| {
            (start..end)
                .filter(|row| gone.next_if(|dead| *dead == row).is_none())
                .map(|row| row - start)
                .collect()
        });
        Ok(Selected { batch, rows })
    }
}

impl Iterator for Live {
    type Item = Result<Selected>;

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
    /// The first and the last key.
    pub(crate) range: Option<KeyRange>,
    /// Where the rows go as well.
    pub(crate) rows: Option<RowCacheWriter>,
}

impl EntryBuilder {
    pub(crate) fn keys(&mut self, rows: &Rows<'_>, batch: &RecordBatch, out: &mut Vec<RowEntry>) {
        let system = system_columns(rows.table(), batch);
        let mut found = RowDigests::default();
        rows.digests(&mut found);
        for (row, digest) in found.digests.iter().enumerate() {
            let (item, key) = rows.key(row);
            let digest = short(digest);
            // A row that was erased has no key, and is not found.
            if !item.is_empty() {
                self.note_key(item, key);
                let (item, key) = self.hasher.hash(item, key);
                out.push(RowEntry { item, key, row: self.row, digest });
            }
            if let Some(mut kept) = self.rows.take()
                && kept.push(rows, &system, row, found.canonical(row), &digest).is_ok()
            {
                self.rows = Some(kept);
            }
            self.row += 1;
        }
    }

    fn note_key(&mut self, item: &str, key: &str) {
        let range = self.range.get_or_insert_with(|| {
            let first = (item.to_owned(), key.to_owned());
            KeyRange { first: first.clone(), last: first }
        });
        item.clone_into(&mut range.last.0);
        key.clone_into(&mut range.last.1);
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
pub fn short(digest: &Digest) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest.0[..16]);
    half
}
