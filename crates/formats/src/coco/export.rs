//! Writes COCO files: items, rows and submissions are read side by side, an item at a time, and
//! the pieces are put back into the order of the file.

use std::io::Write;

use arrow::array::{AsArray, RecordBatch};
use glossator_store::schema::{
    ANNOTATIONS, AnnotationRow, Annotations, ITEMS, ItemRow, Items, REVIEWS, Reviews, SUBMISSIONS,
    SubmissionRow, Submissions, Table,
};
use serde_json::{Map, Value};

use super::gather::{Gather, Losses, Object};
use super::names::{id_node, id_value, image_id, render_image};
use super::object::{Names, Shape, Style, render};
use super::plan::{Plan, object};
use super::rows::{panoptic_id, render_panoptic};
use crate::json::{Node, restore};
use crate::spool::Spool;
use crate::{Error, ExportOptions, Loss, Result, View};

/// An item holds one order and one rest of members, those of the source that named it first.
const OTHERS_IMAGES: &str = "order and members of images that another source named first";

/// Writes what the view holds of one source.
pub fn export(
    view: &dyn View,
    options: &ExportOptions,
    out: &mut (dyn Write + Send),
) -> Result<Vec<Loss>> {
    let plan = Plan::new(view, options)?;
    let mut export = Export { plan, spool: Spool::default(), written: 0, losses: Losses::new() };
    let mut items = Cursor::new(view, &ITEMS)?;
    let mut rows = Cursor::new(view, &ANNOTATIONS)?;
    let mut submissions = Cursor::new(view, &SUBMISSIONS)?;
    loop {
        let heads = [items.item()?, rows.item()?, submissions.item()?];
        let Some(item) = heads.into_iter().flatten().min().map(str::to_owned) else { break };
        export.item(&item, &mut items, &mut rows, &mut submissions)?;
    }
    export.count_reviews(view)?;
    let Export { plan, spool, losses, .. } = export;
    write(plan, spool, out)?;
    Ok(losses.into_iter().map(|(kind, count)| Loss { kind, count }).collect())
}

struct Export {
    plan: Plan,
    spool: Spool,
    written: u64,
    losses: Losses,
}

/// What annotations need to know of their image.
struct Image {
    id: Value,
    /// The file has the image whatever its rows.
    wanted: bool,
    piece: Value,
    seq: Option<i32>,
    size: Option<[f64; 2]>,
}

impl Export {
    fn item(
        &mut self,
        item: &str,
        items: &mut Cursor<'_>,
        rows: &mut Cursor<'_>,
        submissions: &mut Cursor<'_>,
    ) -> Result<()> {
        let mut image = None;
        items.take(item, |batch, range| {
            range.map(|i| Items::new(batch).row(i)).try_for_each(|row| {
                image = Some(self.image(&row)?);
                Ok(())
            })
        })?;
        let known = image.is_some();
        let mut image = match image {
            Some(image) => image,
            None => self.image(&ItemRow { item_id: item, ..ItemRow::default() })?,
        };
        let mut gather = Gather::default();
        rows.take(item, |batch, range| {
            let batch = Annotations::new(batch);
            for i in range {
                if self.plan.takes(batch.source(i)) {
                    self.row(&batch.row(i), &image, &mut gather);
                }
            }
            Ok(())
        })?;
        let objects = gather.objects(self.plan.native.is_some());
        let mut panoptic = Vec::new();
        submissions.take(item, |batch, range| {
            let batch = Submissions::new(batch);
            for i in range {
                if self.plan.takes(batch.source(i)) {
                    self.submission(&batch.row(i), &image.id, &mut panoptic)?;
                }
            }
            Ok(())
        })?;
        if !(image.wanted && known) && objects.is_empty() && panoptic.is_empty() {
            return Ok(());
        }
        if image.id.is_null() {
            image.id = self.plan.next_image.into();
            self.plan.next_image = self.plan.next_image.saturating_add(1);
            image.piece = with_id(image.piece, &image.id);
        }
        if !self.plan.results() {
            let section = self.plan.section("images");
            self.put(section, image.seq, &image.piece)?;
        }
        self.objects(objects, panoptic, &image.id)
    }

    /// An image as its item says, with a null id where it has none in this file.
    fn image(&mut self, row: &ItemRow<'_>) -> Result<Image> {
        let size = row.width.zip(row.height).map(|(w, h)| [w as f64, h as f64]);
        let mut aliases = row.aliases.clone().unwrap_or_default();
        aliases.push(row.item_id);
        let Some(native) = &self.plan.native else {
            let uri = row.uri.or(Some(row.item_id));
            let piece = render_image(&Value::Null, uri, row.width, row.height);
            let own = |alias: &&str| self.plan.takes(alias.split('/').next().unwrap_or_default());
            let wanted = row.source.is_none_or(|s| self.plan.takes(s)) || aliases.iter().any(own);
            return Ok(Image { id: Value::Null, wanted, piece, seq: None, size });
        };
        let Some(id) = image_id(&native.images, &aliases) else {
            let uri = row.uri.or(Some(row.item_id));
            let piece = render_image(&Value::Null, uri, row.width, row.height);
            return Ok(Image { id: Value::Null, wanted: false, piece, seq: None, size });
        };
        let mut piece = render_image(&id_value(id), row.uri, row.width, row.height);
        if row.source.is_some_and(|source| native.kin.contains(source)) {
            piece = restore(piece, &Value::Object(object(row.item_id, row.extra)?));
        }
        if row.source.is_some_and(|source| source != native.images) && !native.results {
            *self.losses.entry(OTHERS_IMAGES.to_owned()).or_default() += 1;
        }
        let id = piece.get("id").cloned().unwrap_or_else(|| id_value(id));
        Ok(Image { id, wanted: true, piece, seq: row.seq, size })
    }

    /// Takes a row and counts the columns that COCO has no place for.
    fn row(&mut self, row: &AnnotationRow<'_>, image: &Image, gather: &mut Gather) {
        let times = [row.created_at, row.updated_at].iter().any(Option::is_some);
        let dropped = [
            ("annotators", !self.plan.results() && row.annotator_id != "unknown"),
            ("origins other than human", !self.plan.results() && row.origin != "human"),
            ("statuses other than submitted", row.status != "submitted"),
            ("gold marks", row.gold),
            ("policies", row.policy.is_some()),
            ("times", times || row.lead_time.is_some()),
            ("targets", row.target.is_some()),
            ("parents", row.parent_id.is_some()),
        ];
        for (kind, _) in dropped.into_iter().filter(|(_, dropped)| *dropped) {
            *self.losses.entry(kind.to_owned()).or_default() += 1;
        }
        gather.push(row, self.plan.native.is_some(), image.size, &mut self.losses);
    }

    fn submission(
        &mut self,
        row: &SubmissionRow<'_>,
        image_id: &Value,
        panoptic: &mut Vec<(String, Panoptic)>,
    ) -> Result<()> {
        if self.plan.native.is_none() {
            *self.losses.entry("submissions".to_owned()).or_default() += 1;
            return Ok(());
        }
        let extra = Value::Object(object(row.submission_id, row.extra)?);
        let rendered = render_panoptic(panoptic_id(row.submission_id), image_id.clone());
        let piece = restore(rendered, &extra);
        let new = Panoptic { piece, seq: row.seq, segments: vec![] };
        panoptic.push((row.submission_id.to_owned(), new));
        Ok(())
    }

    fn objects(
        &mut self,
        objects: Vec<Object>,
        mut panoptic: Vec<(String, Panoptic)>,
        image_id: &Value,
    ) -> Result<()> {
        let section = if self.plan.results() { 0 } else { self.plan.section("annotations") };
        for object in objects {
            let Some(submission) = &object.submission else {
                let shape = if self.plan.results() { Shape::Detection } else { Shape::Annotation };
                let seq = object.seq.filter(|_| self.plan.native.is_some());
                let piece = self.object(shape, object, image_id)?;
                self.put(section, seq, &piece)?;
                continue;
            };
            let at = panoptic.iter().position(|(id, _)| id == submission).unwrap_or_else(|| {
                let piece = render_panoptic(panoptic_id(submission), image_id.clone());
                let new = Panoptic { piece, seq: None, segments: vec![] };
                panoptic.push((submission.clone(), new));
                panoptic.len() - 1
            });
            let segment = self.object(Shape::Segment, object, image_id)?;
            if let Some((_, panoptic)) = panoptic.get_mut(at) {
                panoptic.segments.push(segment);
            }
        }
        for (_, Panoptic { mut piece, seq, segments }) in panoptic {
            if let Value::Object(map) = &mut piece {
                map.insert("segments_info".to_owned(), Value::Array(segments));
            }
            self.put(section, seq, &piece)?;
        }
        Ok(())
    }

    fn object(&mut self, shape: Shape, of: Object, image_id: &Value) -> Result<Value> {
        let category_id = of.label.as_deref().and_then(|label| self.plan.categories.id(label));
        let names = Names {
            id: of.id.as_deref().map_or(Node::Null, id_node),
            image_id: image_id.into(),
            category_id: category_id.map(Node::from),
        };
        let name = of.id.as_deref().unwrap_or("an annotation");
        let mut extra: Map<String, Value> = object(name, of.extra.as_deref())?;
        let style = Style::take(&mut extra);
        let rendered = render(shape, &names, &of.parts, &style);
        let piece = restore(rendered.into(), &Value::Object(extra));
        if !matches!(piece.get("id"), Some(Value::Null)) {
            return Ok(piece);
        }
        let id = Value::from(self.plan.next_annotation);
        self.plan.next_annotation = self.plan.next_annotation.saturating_add(1);
        Ok(with_id(piece, &id))
    }

    /// Rows without a place come last, in the order of their items.
    fn put(&mut self, section: u32, seq: Option<i32>, piece: &Value) -> Result<()> {
        let place = seq.map_or(i64::MAX, i64::from);
        let name = format!("{:016x}", self.written);
        self.written += 1;
        self.spool.push(section, place, &name, piece.to_string().into_bytes())
    }

    fn count_reviews(&mut self, view: &dyn View) -> Result<()> {
        for batch in view.rows(&REVIEWS)? {
            let batch = batch?;
            let reviews = Reviews::new(&batch);
            let taken = (0..reviews.len()).filter(|&i| self.plan.takes(reviews.source(i)));
            let count = taken.count() as u64;
            if count > 0 {
                *self.losses.entry("reviews".to_owned()).or_default() += count;
            }
        }
        Ok(())
    }
}

struct Panoptic {
    piece: Value,
    seq: Option<i32>,
    segments: Vec<Value>,
}

fn with_id(mut piece: Value, id: &Value) -> Value {
    if let Value::Object(map) = &mut piece {
        map.insert("id".to_owned(), id.clone());
    }
    piece
}

/// Reads a table item by item.
struct Cursor<'v> {
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + 'v>,
    batch: Option<RecordBatch>,
    at: usize,
}

impl<'v> Cursor<'v> {
    fn new(view: &'v dyn View, table: &'static Table) -> Result<Self> {
        Ok(Self { batches: view.rows(table)?, batch: None, at: 0 })
    }

    /// The item of the next row.
    fn item(&mut self) -> Result<Option<&str>> {
        while self.batch.as_ref().is_none_or(|batch| self.at >= batch.num_rows()) {
            let Some(batch) = self.batches.next() else { return Ok(None) };
            (self.batch, self.at) = (Some(batch?), 0);
        }
        Ok(self.batch.as_ref().map(|batch| item_of(batch, self.at)))
    }

    /// Calls `each` with runs of rows until the item ends.
    fn take(
        &mut self,
        item: &str,
        mut each: impl FnMut(&RecordBatch, std::ops::Range<usize>) -> Result<()>,
    ) -> Result<()> {
        while self.item()? == Some(item) {
            let Some(batch) = &self.batch else { break };
            let end = (self.at..batch.num_rows()).find(|&i| item_of(batch, i) != item);
            let end = end.unwrap_or(batch.num_rows());
            each(batch, self.at..end)?;
            self.at = end;
        }
        Ok(())
    }
}

fn item_of(batch: &RecordBatch, row: usize) -> &str {
    batch.column(0).as_string::<i32>().value(row)
}

/// Writes the file: its own members where they stood, the pieces where theirs do.
fn write(plan: Plan, spool: Spool, out: &mut (dyn Write + Send)) -> Result<()> {
    let bare = plan.results();
    let layout = if bare { vec![(String::new(), None)] } else { plan.layout };
    let mut writer = Writer { out, layout, bare, at: 0, pieces: 0 };
    writer.text(if bare { "" } else { "{" })?;
    spool.drain(|section, piece| writer.piece(section as usize, piece))?;
    writer.advance(usize::MAX)?;
    writer.text(if bare { "\n" } else { "}\n" })
}

struct Writer<'a> {
    out: &'a mut (dyn Write + Send),
    layout: Vec<(String, Option<Value>)>,
    bare: bool,
    /// The member that is being written.
    at: usize,
    /// How many pieces of it were written.
    pieces: u64,
}

impl Writer<'_> {
    fn text(&mut self, text: &str) -> Result<()> {
        self.bytes(text.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let io = |source| Error::Io { file: "the export".to_owned(), source };
        self.out.write_all(bytes).map_err(io)
    }

    fn piece(&mut self, section: usize, piece: &[u8]) -> Result<()> {
        self.advance(section)?;
        if self.pieces == 0 {
            self.begin()?;
        }
        self.text(if self.pieces == 0 { "[\n" } else { ",\n" })?;
        self.pieces += 1;
        self.bytes(piece)
    }

    /// Writes or closes every member before that one.
    fn advance(&mut self, section: usize) -> Result<()> {
        while self.at < section.min(self.layout.len()) {
            if self.pieces > 0 {
                self.text("\n]")?;
            } else {
                self.begin()?;
                let value = self.layout.get(self.at).and_then(|(_, value)| value.as_ref());
                let text = value.map_or_else(|| "[]".to_owned(), Value::to_string);
                self.text(&text)?;
            }
            (self.at, self.pieces) = (self.at + 1, 0);
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        if self.bare {
            return Ok(());
        }
        let name = self.layout.get(self.at).map_or("", |(name, _)| name.as_str());
        let comma = if self.at == 0 { "\n" } else { ",\n" };
        let text = format!("{comma}{}: ", Value::from(name));
        self.text(&text)
    }
}
