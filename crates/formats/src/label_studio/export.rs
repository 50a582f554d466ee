//! Writes tasks from rows: a merge of four tables by item, then the file's own order.

use std::collections::BTreeMap;
use std::io::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, Annotations, ITEMS, ItemRow, Items, REVIEWS, Reviews, SOURCES,
    SUBMISSIONS, Sources, Submissions, Table,
};
use serde_json::Value;

use super::people::reveal;
use super::review::Review;
use super::row::{Results, Row};
use super::submission::{Sort, Submission, sort_of};
use super::task::{Counts, Item};
use super::{LabelStudio, extra_of, result};
use crate::spool::Spool;
use crate::{Error, ExportOptions, Exporter, Loss, Result, View};

/// Member of a source's `extra`: `object` where its file was a single task and no list.
pub(super) const SHAPE: &str = "shape";

impl Exporter for LabelStudio {
    fn name(&self) -> &'static str {
        "label-studio"
    }

    fn export(
        &self,
        view: &dyn View,
        options: &ExportOptions,
        out: &mut (dyn Write + Send),
    ) -> Result<Vec<Loss>> {
        let mut export = Export { view, options, losses: BTreeMap::new() };
        let mut spool = Spool::default();
        let mut tasks = 0_u64;
        let mut tables = Tables::open(view)?;
        while let Some(rows) = tables.next()? {
            if let Some((seq, name, text)) = export.task(&rows)? {
                spool.push(0, seq, &name, text)?;
                tasks += 1;
            }
        }
        let single = tasks == 1 && is_single(view, options)?;
        write_file(spool, single, out)?;
        let losses = export.losses.into_iter().map(|(kind, count)| Loss { kind, count });
        Ok(losses.collect())
    }
}

/// Whether the file was a single task and no list.
fn is_single(view: &dyn View, options: &ExportOptions) -> Result<bool> {
    for batch in view.rows(&SOURCES)? {
        let batch = batch?;
        for row in Sources::new(&batch).iter() {
            if options.source.as_deref().is_none_or(|source| source == row.source)
                && extra_of(row.extra).get(SHAPE).and_then(Value::as_str) == Some("object")
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn write_file(spool: Spool, single: bool, out: &mut (dyn Write + Send)) -> Result<()> {
    let io = |source| Error::Io { file: "the export".to_owned(), source };
    let mut first = true;
    spool.drain(|_, task| {
        let before: &[u8] = match (single, first) {
            (true, _) => b"",
            (false, true) => b"[\n",
            (false, false) => b",\n",
        };
        first = false;
        out.write_all(before).and_then(|()| out.write_all(task)).map_err(io)
    })?;
    let end: &[u8] = match (single, first) {
        (true, _) => b"\n",
        (false, true) => b"[]\n",
        (false, false) => b"\n]\n",
    };
    out.write_all(end).and_then(|()| out.flush()).map_err(io)
}

/// The four tables, an item at a time.
struct Tables<'v> {
    items: Cursor<'v>,
    submissions: Cursor<'v>,
    annotations: Cursor<'v>,
    reviews: Cursor<'v>,
}

/// All rows of an item.
struct ItemRows {
    id: String,
    item: Vec<RecordBatch>,
    submissions: Vec<RecordBatch>,
    annotations: Vec<RecordBatch>,
    reviews: Vec<RecordBatch>,
}

impl<'v> Tables<'v> {
    fn open(view: &'v dyn View) -> Result<Self> {
        Ok(Self {
            items: Cursor::open(view, &ITEMS)?,
            submissions: Cursor::open(view, &SUBMISSIONS)?,
            annotations: Cursor::open(view, &ANNOTATIONS)?,
            reviews: Cursor::open(view, &REVIEWS)?,
        })
    }

    fn next(&mut self) -> Result<Option<ItemRows>> {
        let mut id: Option<String> = None;
        for cursor in [&mut self.items, &mut self.submissions, &mut self.annotations] {
            if let Some(next) = cursor.peek()?
                && id.as_deref().is_none_or(|id| next < id)
            {
                id = Some(next.to_owned());
            }
        }
        let Some(id) = id else { return Ok(None) };
        Ok(Some(ItemRows {
            item: self.items.take(&id)?,
            submissions: self.submissions.take(&id)?,
            annotations: self.annotations.take(&id)?,
            reviews: self.reviews.take(&id)?,
            id,
        }))
    }
}

/// A sorted table, read forward.
struct Cursor<'v> {
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + 'v>,
    batch: Option<RecordBatch>,
    at: usize,
}

impl<'v> Cursor<'v> {
    fn open(view: &'v dyn View, table: &'static Table) -> Result<Self> {
        Ok(Self { batches: view.rows(table)?, batch: None, at: 0 })
    }

    /// The item of the next row.
    fn peek(&mut self) -> Result<Option<&str>> {
        while self.batch.as_ref().is_none_or(|batch| self.at >= batch.num_rows()) {
            match self.batches.next() {
                Some(batch) => (self.batch, self.at) = (Some(batch?), 0),
                None => return Ok(None),
            }
        }
        Ok(self.batch.as_ref().map(|batch| batch.column(0).as_string::<i32>().value(self.at)))
    }

    /// The rows of an item; rows of items before it, which nothing asked for, are passed over.
    fn take(&mut self, id: &str) -> Result<Vec<RecordBatch>> {
        let mut rows = Vec::new();
        while self.peek()?.is_some_and(|next| next <= id) {
            let Some(batch) = &self.batch else { break };
            let ids = batch.column(0).as_string::<i32>();
            let start = self.at;
            let same = |at: &usize| ids.value(*at) == ids.value(start);
            let end = (start..ids.len()).take_while(same).count() + start;
            if ids.value(start) == id {
                rows.push(batch.slice(start, end - start));
            }
            self.at = end;
        }
        Ok(rows)
    }
}

/// An export under way.
struct Export<'v> {
    view: &'v dyn View,
    options: &'v ExportOptions,
    losses: BTreeMap<String, u64>,
}

/// Why a row has no result that says it.
fn unsayable(row: &AnnotationRow<'_>) -> Option<&'static str> {
    let foreign = row.submission_id.is_none();
    match (row.kind, row.geometry) {
        _ if row.negative => Some("rows that say a label is absent (`negative`)"),
        ("mask", _) if foreign => Some("masks of other formats, whose run lengths differ"),
        ("keypoints", Some(points)) if points.len() != 3 => Some("skeletons of key points"),
        _ => None,
    }
}

/// A submission with the rows that it has now, by their place.
struct Answers {
    head: Submission,
    rows: Vec<(i64, String, Row)>,
    reviews: Vec<Review>,
}

impl Export<'_> {
    /// A task's place, name and text; `None` where nothing of the item is asked for.
    fn task(&mut self, rows: &ItemRows) -> Result<Option<(i64, String, Vec<u8>)>> {
        let items: Vec<Items<'_>> = rows.item.iter().map(Items::new).collect();
        let row = items.first().map(|items| items.row(0));
        let named = row.as_ref().is_none_or(|row| self.wanted(row.source.unwrap_or_default()));
        let row = row.unwrap_or_else(|| ItemRow { item_id: &rows.id, ..ItemRow::default() });
        let mut answers = self.submissions(rows);
        self.annotations(rows, &mut answers);
        self.reviews(rows, &mut answers);
        if answers.is_empty() && !named {
            return Ok(None);
        }
        let item = Item::stored(&row);
        let mut counts = Counts::default();
        answers.values().for_each(|answers| counts.add(&answers.head));
        let mut task = item.write(counts);
        let mut lists: BTreeMap<Sort, Vec<(i64, String, Value)>> = BTreeMap::new();
        for answers in answers.into_values() {
            let place = (answers.head.seq.map_or(i64::MAX, i64::from), answers.head.id.clone());
            let sort = answers.head.sort;
            let entry = self.entry(&item, answers);
            lists.entry(sort).or_default().push((place.0, place.1, entry));
        }
        if let Value::Object(map) = &mut task {
            for (sort, mut list) in lists {
                list.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
                let entries = list.into_iter().map(|(_, _, entry)| entry).collect();
                map.insert(sort.member().to_owned(), entries);
            }
        }
        let task = reveal(task, self.view, self.options.without_people)?;
        let seq = item.seq.map_or(i64::MAX, i64::from);
        Ok(Some((seq, rows.id.clone(), task.to_string().into_bytes())))
    }

    fn wanted(&self, source: &str) -> bool {
        self.options.source.as_deref().is_none_or(|wanted| wanted == source)
    }

    fn lose(&mut self, kind: impl Into<String>) {
        *self.losses.entry(kind.into()).or_default() += 1;
    }

    fn submissions(&mut self, rows: &ItemRows) -> BTreeMap<String, Answers> {
        let mut out = BTreeMap::new();
        for batch in &rows.submissions {
            for row in Submissions::new(batch).iter().filter(|row| self.wanted(row.source)) {
                let head = Submission::stored(&row);
                let answers = Answers { head, rows: Vec::new(), reviews: Vec::new() };
                out.insert(row.submission_id.to_owned(), answers);
            }
        }
        out
    }

    fn annotations(&mut self, rows: &ItemRows, answers: &mut BTreeMap<String, Answers>) {
        for batch in &rows.annotations {
            let view = Annotations::new(batch);
            for row in view.iter() {
                if !self.wanted(row.source) {
                    continue;
                }
                if let Some(kind) = unsayable(&row) {
                    self.lose(kind);
                    continue;
                }
                // Formats without submissions: what one annotator answered is one annotation.
                let key = row.submission_id.map_or_else(
                    || format!("\u{0}{}\u{0}{}", row.origin, row.annotator_id),
                    str::to_owned,
                );
                let place = row.seq.map_or(i64::MAX, i64::from);
                let piece = (place, row.annotation_id.to_owned(), Row::stored(&row));
                answers
                    .entry(key)
                    .or_insert_with(|| Answers {
                        head: Submission::implied(
                            row.submission_id,
                            row.annotator_id,
                            row.origin,
                            row.status,
                        ),
                        rows: Vec::new(),
                        reviews: Vec::new(),
                    })
                    .rows
                    .push(piece);
            }
        }
    }

    fn reviews(&mut self, rows: &ItemRows, answers: &mut BTreeMap<String, Answers>) {
        for batch in &rows.reviews {
            let view = Reviews::new(batch);
            for row in view.iter() {
                if !self.wanted(row.source) {
                    continue;
                }
                let known = row.submission_id.and_then(|id| answers.get_mut(id));
                match known {
                    Some(answers) if sort_of(&answers.head.id) == Some(Sort::Annotation) => {
                        answers.reviews.push(Review::stored(&row));
                    }
                    _ => self.lose("reviews of rows without an annotation of the tool"),
                }
            }
        }
    }

    /// The entry of a task's list.
    fn entry(&mut self, item: &Item, answers: Answers) -> Value {
        let Answers { head, mut rows, mut reviews } = answers;
        rows.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        reviews.sort_by(|a, b| (a.seq, &a.id).cmp(&(b.seq, &b.id)));
        let mut rows: Vec<Row> = rows.into_iter().map(|(_, _, row)| row).collect();
        for row in &mut rows {
            if let Err(lost) = row.scale_to_percent(item.owner.size) {
                self.lose(lost);
            }
        }
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for group in Results::of(&rows) {
            let parts = group.first().is_some_and(|&first| rows[first].is_part());
            groups.extend(if parts { result::split(group, &rows) } else { vec![group] });
        }
        let groups: Vec<Vec<&Row>> =
            groups.iter().map(|group| group.iter().map(|&i| &rows[i]).collect()).collect();
        let mut scene = head.scene(&item.owner);
        let results = result::write_all(&groups, &mut scene);
        for lost in scene.lost {
            self.lose(lost);
        }
        head.write(&item.owner, results, &reviews)
    }
}
