//! Tasks for a labelling tool: chosen items, with chosen answers or none.

use std::collections::HashSet;
use std::path::Path;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use glossator_formats::{ExportOptions, PLAIN_TASK, Result as FormatResult, View};
use glossator_store::fs::output_file;
use glossator_store::schema::{
    ANNOTATIONS, Annotations, ITEMS, ItemRow, Items, ItemsBuilder, SOURCES, SUBMISSIONS,
    Submissions, Table,
};
use glossator_store::segment::sort_by_key;
use glossator_store::{Error, Snapshot};
use serde_json::{Map, Value};

use crate::answers::AnswerArgs;
use crate::commands::export::exporter;
use crate::error::Result;
use crate::view::{SnapshotView, only_source};

/// Item, submission or annotator, field, and target: the rows of an answer.
type AnswerRows = (String, String, String, String);

/// What goes into the tasks.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// The items.
    pub items: HashSet<String>,
    answers: HashSet<AnswerRows>,
    submissions: HashSet<(String, String)>,
}

/// A submission's id as its source gave it, where another had given it first.
fn own_id<'i>(source: &str, id: &'i str) -> &'i str {
    id.strip_prefix(source).and_then(|rest| rest.strip_prefix(':')).unwrap_or(id)
}

fn answer_rows(rows: &Annotations<'_>, row: usize) -> AnswerRows {
    let by = match rows.submission_id(row) {
        Some(submission) => own_id(rows.source(row), submission).to_owned(),
        None => format!("\u{0}{}", rows.annotator_id(row)),
    };
    let target = rows.target(row).unwrap_or_default().to_owned();
    (rows.item_id(row).to_owned(), by, rows.field(row).to_owned(), target)
}

impl Chosen {
    /// Adds the answers whose first rows stand at these places of the rows that were read with
    /// these arguments. Gives the ids of the first rows, in order of places.
    pub(crate) fn add_answers(
        &mut self,
        snapshot: &Snapshot<'_>,
        args: &AnswerArgs,
        places: &HashSet<u32>,
    ) -> Result<Vec<(u32, String)>> {
        let (mut at, mut ids) = (0_u32, Vec::new());
        let mapping = args.as_of.mapping(snapshot)?;
        for batch in args.filters.read(snapshot, &ANNOTATIONS, Some(&mapping))? {
            let batch = batch?;
            let rows = Annotations::new(&batch);
            for row in 0..rows.len() {
                if places.contains(&at) {
                    ids.push((at, rows.annotation_id(row).to_owned()));
                    self.answers.insert(answer_rows(&rows, row));
                    if let Some(submission) = rows.submission_id(row) {
                        let item = rows.item_id(row).to_owned();
                        let own = own_id(rows.source(row), submission).to_owned();
                        self.submissions.insert((item, own));
                    }
                }
                at = at.saturating_add(1);
            }
        }
        Ok(ids)
    }
}

/// The chosen part of a snapshot, as exporters see it.
struct TaskView<'a> {
    whole: SnapshotView<'a>,
    chosen: &'a Chosen,
}

impl TaskView<'_> {
    fn keeps(&self, table: &'static Table, batch: &RecordBatch) -> Option<BooleanArray> {
        let keep = |of: &dyn Fn(usize) -> bool| -> BooleanArray {
            (0..batch.num_rows()).map(|row| Some(of(row))).collect()
        };
        if table == &ITEMS {
            let rows = Items::new(batch);
            Some(keep(&|row| self.chosen.items.contains(rows.item_id(row))))
        } else if table == &ANNOTATIONS {
            let rows = Annotations::new(batch);
            let human = |row: usize| rows.origin(row) == "human";
            let chosen = |row: usize| self.chosen.answers.contains(&answer_rows(&rows, row));
            let known = |row: usize| self.chosen.items.contains(rows.item_id(row));
            Some(keep(&|row| human(row) && known(row) && chosen(row)))
        } else if table == &SUBMISSIONS {
            let rows = Submissions::new(batch);
            let key = |row: usize| {
                let own = own_id(rows.source(row), rows.submission_id(row)).to_owned();
                (rows.item_id(row).to_owned(), own)
            };
            Some(keep(&|row| self.chosen.submissions.contains(&key(row))))
        } else {
            (table != &SOURCES).then(|| keep(&|_| false))
        }
    }
}

impl TaskView<'_> {
    /// The chosen items; of those that no file described a row with the name alone.
    fn items(
        &self,
        rows: impl Iterator<Item = FormatResult<RecordBatch>>,
    ) -> FormatResult<RecordBatch> {
        let (mut kept, mut missing) = (Vec::new(), self.chosen.items.clone());
        for batch in rows {
            let batch = batch?;
            Items::new(&batch).iter().for_each(|row| {
                missing.remove(row.item_id);
            });
            if let Some(mask) = self.keeps(&ITEMS, &batch) {
                kept.push(filter_record_batch(&batch, &mask).map_err(Error::from)?);
            }
        }
        let mut builder = ItemsBuilder::default();
        for item in missing {
            let data = serde_json::json!({"item": item}).to_string();
            builder.push(&ItemRow { item_id: &item, data: Some(&data), ..ItemRow::default() });
        }
        kept.push(builder.finish());
        let all = concat_batches(&ITEMS.arrow(), &kept).map_err(Error::from)?;
        Ok(sort_by_key(&all, ITEMS.key_len)?)
    }
}

impl View for TaskView<'_> {
    fn rows<'v>(
        &'v self,
        table: &'static Table,
    ) -> FormatResult<Box<dyn Iterator<Item = FormatResult<RecordBatch>> + 'v>> {
        let rows = self.whole.rows(table)?;
        if table == &ITEMS {
            return Ok(Box::new(std::iter::once(self.items(rows))));
        }
        Ok(Box::new(rows.map(move |batch| {
            let batch = batch?;
            match self.keeps(table, &batch) {
                Some(mask) => Ok(filter_record_batch(&batch, &mask).map_err(Error::from)?),
                None => Ok(batch),
            }
        })))
    }

    fn person(&self, _annotator_id: &str) -> FormatResult<Option<String>> {
        Ok(None)
    }
}

/// Items that rise, as plain tasks: data alone and what is added to it, without the tool's own
/// numbers. Of those that no file described, tasks have the name alone.
pub(crate) fn listed_items<'v>(
    whole: &'v SnapshotView<'v>,
    items: impl Iterator<Item = &'v String> + 'v,
    more: impl Fn(&str) -> Map<String, Value> + 'v,
) -> FormatResult<Box<dyn Iterator<Item = FormatResult<RecordBatch>> + 'v>> {
    let mut asked = items.peekable();
    let mut rows = whole.rows(&ITEMS)?;
    let mut ended = false;
    let mut next = move || -> FormatResult<Option<RecordBatch>> {
        if ended {
            return Ok(None);
        }
        let mut builder = ItemsBuilder::default();
        let bare = |builder: &mut ItemsBuilder, item: &String| {
            let data = serde_json::json!({ "item": item }).to_string();
            let row = ItemRow { item_id: item, data: Some(&data), ..ItemRow::default() };
            plain_task(builder, &row, more(item));
        };
        match rows.next().transpose()? {
            Some(batch) => {
                for row in Items::new(&batch).iter() {
                    while let Some(item) = asked.next_if(|item| item.as_str() < row.item_id) {
                        bare(&mut builder, item);
                    }
                    if asked.next_if(|item| item.as_str() == row.item_id).is_some() {
                        plain_task(&mut builder, &row, more(row.item_id));
                    }
                }
            }
            None => {
                ended = true;
                asked.by_ref().for_each(|item| bare(&mut builder, item));
            }
        }
        Ok(Some(builder.finish()))
    };
    Ok(Box::new(std::iter::from_fn(move || next().transpose())))
}

/// An item as a task that has only what it needs.
fn plain_task(builder: &mut ItemsBuilder, row: &ItemRow<'_>, more: Map<String, Value>) {
    let parsed = row.data.and_then(|text| serde_json::from_str(text).ok());
    let mut data: Map<String, Value> = parsed.unwrap_or_default();
    if data.is_empty() {
        data.insert("image".to_owned(), Value::from(row.uri.unwrap_or(row.item_id)));
    }
    data.extend(more);
    let extra = serde_json::json!({ PLAIN_TASK: true }).to_string();
    let data = Value::Object(data).to_string();
    builder.push(&ItemRow {
        item_id: row.item_id,
        uri: row.uri,
        data: Some(&data),
        width: row.width,
        height: row.height,
        seq: row.seq,
        extra: Some(&extra),
        ..ItemRow::default()
    });
}

/// Writes tasks for Label Studio, without people's names; the file is there whole or not at all.
pub(crate) fn write(
    snapshot: &Snapshot<'_>,
    args: &AnswerArgs,
    chosen: &Chosen,
    path: &Path,
) -> Result<()> {
    let exporter = exporter("label-studio")?;
    let filters = &args.filters;
    let source = only_source(snapshot, exporter.name(), filters)?;
    let mapping = args.as_of.mapping(snapshot)?;
    let whole = SnapshotView {
        snapshot,
        filters,
        mapping: &mapping,
        people: None,
        seen_by: source.clone(),
        labels: None,
        left_out: Default::default(),
    };
    let options = ExportOptions { without_people: true, source: None };
    let mut file = output_file(path)?;
    exporter.export(&TaskView { whole, chosen }, &options, &mut file)?;
    Ok(file.persist()?)
}
