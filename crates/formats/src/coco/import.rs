//! Reads COCO files: a first pass takes images and whatever stands beside the annotations, a second
//! one the annotations, so that sections may come in any order and none is held.

use std::collections::{HashMap, HashSet};

use glossator_store::limits::ID_BYTES_MAX;
use glossator_store::schema::{ITEMS, ItemRow, ItemsBuilder, SOURCES, SourceRow, SourcesBuilder};
use serde_json::{Map, Value, json};

use super::names::{Categories, id_text, id_value, image_id, render_image};
use super::parse::{Result as Checked, Wrong, wrong_type};
use super::rows::{Image, Rows, Target};
use crate::json::{Event, Node, Reader, Record, Top, node_residual};
use crate::{
    Error, ImportOptions, ImportReport, Input, Person, Place, RECORD_BYTES_MAX, Result, Sink,
};

/// How many items are handed over at once.
const ITEM_ROWS_MAX: usize = 4096;

/// Reads a dataset or a results file.
pub fn import(input: &Input, options: &ImportOptions, sink: &mut dyn Sink) -> Result<ImportReport> {
    let reader = Reader::open(input)?;
    let stem = Some(input.stem()).filter(|stem| !stem.is_empty());
    let stem = stem.unwrap_or_else(|| "coco".to_owned());
    let source = options.source.clone().unwrap_or_else(|| stem.clone());
    let records = match (reader.top(), &options.images) {
        (Top::Object, _) => dataset(input, reader, &source, sink)?,
        (Top::Array, Some(images)) => results(input, &Input::new(images), &source, &stem, sink)?,
        (Top::Array, None) => {
            let what = format!(
                "`{}` is a COCO results file: it names images and categories by number only",
                input.name()
            );
            let hint = "add `--images FILE`: the COCO file of the images that were looked at";
            return Err(Error::Usage { what, hint: Some(hint.to_owned()) });
        }
    };
    Ok(ImportReport { source, mapping: Vec::new(), records })
}

fn dataset(input: &Input, reader: Reader, source: &str, sink: &mut dyn Sink) -> Result<u64> {
    let mut images = Images::new(source, None);
    let data = images.pass(input, reader, sink)?;
    let mut records = images.seen.len() as u64;
    let categories = categories(input, &data, sink)?;
    let annotated = data.contains_key("annotations");
    push_source(source, &Value::Object(data), None, sink)?;
    if annotated {
        let annotator = sink.person(&Person::default())?;
        let target = Target { source, images: source, annotator: &annotator, results: false };
        let mut rows = Rows::new(target, categories, images.seen);
        let mut reader = Reader::open(input)?;
        records += each(&mut reader, Some("annotations"), |index, record| {
            rows.record(index, record, sink)
        })?;
        rows.flush(sink)?;
    }
    Ok(records)
}

/// A results file has no images and categories of its own. Items are those that it names, as the
/// image file has them; ids of images are the image file's, so that is their source.
fn results(
    input: &Input,
    images_input: &Input,
    source: &str,
    model: &str,
    sink: &mut dyn Sink,
) -> Result<u64> {
    let mut named = HashSet::new();
    each(&mut Reader::open(input)?, None, |_, record| {
        // A record that cannot be read is reported by the pass that takes it.
        let node = record.node().unwrap_or(Node::Null);
        if let Some(id) = node.get("image_id").and_then(id_text) {
            named.insert(id.to_owned());
        }
        Ok(())
    })?;
    let reader = Reader::open(images_input)?;
    if reader.top() == Top::Array {
        let what = format!("`{}` has no images: it is a results file", images_input.name());
        let hint = "name the COCO file that holds `images` and `categories`".to_owned();
        return Err(Error::Usage { what, hint: Some(hint) });
    }
    let images_source = images_input.stem();
    let mut images = Images::new(&images_source, Some(named));
    let mut data = images.pass(images_input, reader, sink)?;
    let categories = categories(images_input, &data, sink)?;
    data.retain(|name, _| name == "categories");
    let shape = json!({ "results": { "images": images_source } });
    push_source(source, &Value::Object(data), Some(&shape), sink)?;
    let target = Target { source, images: &images_source, annotator: model, results: true };
    let mut rows = Rows::new(target, categories, images.seen);
    let records =
        each(&mut Reader::open(input)?, None, |index, record| rows.record(index, record, sink))?;
    rows.flush(sink)?;
    Ok(records)
}

/// Calls `take` for each record of a section, or of a top-level array, and counts them.
fn each(
    reader: &mut Reader,
    section: Option<&str>,
    mut take: impl FnMut(u64, &Record) -> Result<()>,
) -> Result<u64> {
    let (mut wanted, mut index) = (section.is_none(), 0);
    while let Some(event) = reader.next()? {
        match event {
            Event::Section { name, list } => {
                wanted = section == Some(name.as_str());
                if list && !wanted {
                    reader.skip()?;
                }
            }
            Event::Record(record) if wanted => {
                take(index, &record)?;
                index += 1;
            }
            Event::Record(_) => {}
        }
    }
    Ok(index)
}

/// Looks again for what is wrong with the annotations: passing over them does not tell in which.
fn told(input: &Input, error: Error) -> Result<()> {
    each(&mut Reader::open(input)?, Some("annotations"), |_, _| Ok(()))?;
    Err(error)
}

/// The labels of a file's categories; all hinges on them, so none may be bad.
fn categories(input: &Input, data: &Map<String, Value>, sink: &mut dyn Sink) -> Result<Categories> {
    let mut categories = Categories::default();
    let list = match data.get("categories") {
        None | Some(Value::Null) => return Ok(categories),
        Some(Value::Array(list)) => list,
        Some(other) => {
            let wrong = wrong_type("categories", "an array", &other.into());
            return Err(Error::input(Place::path(input.name(), wrong.path), wrong.what));
        }
    };
    for (i, category) in list.iter().enumerate() {
        let place = || Place::path(input.name(), format!("categories[{i}]"));
        let new = categories.add(category).map_err(|what| {
            Error::input(place(), what).hint("a category is {\"id\": 1, \"name\": \"car\"}")
        })?;
        if !new {
            sink.warn("categories with an id that another has", &place());
        }
    }
    Ok(categories)
}

fn push_source(
    source: &str,
    data: &Value,
    extra: Option<&Value>,
    sink: &mut dyn Sink,
) -> Result<()> {
    let (data, extra) = (data.to_string(), extra.map(Value::to_string));
    let mut builder = SourcesBuilder::default();
    builder.push(&SourceRow { source, format: "coco", data: Some(&data), extra: extra.as_deref() });
    sink.rows(&SOURCES, builder.finish())
}

/// The first pass over a dataset.
struct Images<'a> {
    source: &'a str,
    /// Only these become items.
    named: Option<HashSet<String>>,
    /// Every image that was taken, by the text of its id.
    seen: HashMap<String, Image>,
    items: ItemsBuilder,
}

impl<'a> Images<'a> {
    fn new(source: &'a str, named: Option<HashSet<String>>) -> Self {
        Self { source, named, seen: HashMap::new(), items: ItemsBuilder::default() }
    }

    /// Hands over the items and returns the other members of the file, with null where `images`
    /// and `annotations` stand.
    fn pass(
        &mut self,
        input: &Input,
        mut reader: Reader,
        sink: &mut dyn Sink,
    ) -> Result<Map<String, Value>> {
        let (mut data, mut section, mut list) = (Map::new(), String::new(), false);
        let (mut index, mut bytes) = (0, 0);
        while let Some(event) = reader.next()? {
            match event {
                Event::Section { name, list: is_list } => {
                    let place = Place::path(input.name(), name.clone());
                    (section, list, index) = (name, is_list, 0);
                    let streamed = matches!(section.as_str(), "images" | "annotations");
                    if streamed && !list {
                        return Err(Error::input(place, "expected an array"));
                    }
                    let empty = if list && !streamed { json!([]) } else { Value::Null };
                    data.insert(section.clone(), empty);
                    if section == "annotations" {
                        reader.skip().or_else(|error| told(input, error))?;
                    }
                }
                Event::Record(record) => match section.as_str() {
                    "images" => {
                        self.record(index, &record, sink)?;
                        index += 1;
                    }
                    _ => {
                        let value =
                            record.value().map_err(|bad| Error::input(bad.place, bad.reason))?;
                        bytes += value.to_string().len();
                        if bytes > RECORD_BYTES_MAX {
                            let mib = RECORD_BYTES_MAX >> 20;
                            let what = format!("what stands beside the images exceeds {mib} MiB");
                            return Err(Error::input(record.place, what)
                                .hint("COCO keeps long lists in `images` and `annotations`"));
                        }
                        match data.get_mut(&section) {
                            Some(Value::Array(values)) if list => values.push(value),
                            Some(single) => *single = value,
                            None => {}
                        }
                    }
                },
            }
        }
        if !["images", "annotations", "categories"].iter().any(|name| data.contains_key(*name)) {
            let what = "the file has no `images`, `annotations` or `categories`: it is not COCO";
            return Err(Error::input(Place::file(input.name()), what)
                .hint("name the file's format with `--format`"));
        }
        self.flush(sink)?;
        Ok(data)
    }

    fn record(&mut self, index: u64, record: &Record, sink: &mut dyn Sink) -> Result<()> {
        let checked = match record.node() {
            Ok(node) => self.image(index, &node).map_err(|w| record.bad(&w.path, w.what)),
            Err(bad) => Err(bad),
        };
        if let Err(bad) = checked {
            sink.bad(bad)?;
        }
        if self.items.len() >= ITEM_ROWS_MAX { self.flush(sink) } else { Ok(()) }
    }

    fn image(&mut self, index: u64, image: &Node<'_>) -> Checked<()> {
        if image.as_object().is_none() {
            return Err(wrong_type("", "an object", image));
        }
        let id = image.get("id").ok_or_else(|| Wrong::new("", "an image without an `id`"))?;
        let quoted = id.as_str().is_some();
        let id = id_text(id).ok_or_else(|| wrong_type(".id", "a whole number or a text", id))?;
        let uri = match image.get("file_name") {
            None | Some(Node::Null) => None,
            Some(Node::String(name)) => Some(&**name).filter(|name| !name.is_empty()),
            Some(other) => return Err(wrong_type(".file_name", "a text", other)),
        };
        let (width, height) = (side(image, "width")?, side(image, "height")?);
        let item_id = format!("{}/{id}", self.source);
        if item_id.len().max(uri.map_or(0, str::len)) > ID_BYTES_MAX {
            let what = format!("an id or a file name is longer than {ID_BYTES_MAX} bytes");
            return Err(Wrong::new("", what));
        }
        if self.seen.contains_key(id) {
            return Err(Wrong::new(".id", format!("another image has the id {id}")));
        }
        if self.named.as_ref().is_none_or(|named| named.contains(id)) {
            let mut aliases = vec![item_id.as_str()];
            aliases.extend(uri.filter(|uri| *uri != item_id));
            // As the exporter will find it, which a strange file name may mislead.
            let written = image_id(self.source, &aliases).unwrap_or(id);
            let rendered = render_image(&id_value(written), uri, width, height);
            let extra = node_residual(&Node::from(&rendered), image).map(|left| left.to_text());
            self.items.push(&ItemRow {
                item_id: &item_id,
                aliases: Some(aliases),
                source: Some(self.source),
                uri,
                width,
                height,
                seq: i32::try_from(index).ok(),
                extra: extra.as_deref(),
                ..ItemRow::default()
            });
        }
        self.seen.insert(id.to_owned(), Image { quoted, panoptic: 0 });
        Ok(())
    }

    fn flush(&mut self, sink: &mut dyn Sink) -> Result<()> {
        if self.items.is_empty() { Ok(()) } else { sink.rows(&ITEMS, self.items.finish()) }
    }
}

/// A side in pixels; a number that is none stays in `extra`.
fn side(image: &Node<'_>, name: &str) -> Checked<Option<i64>> {
    match image.get(name) {
        None | Some(Node::Null) => Ok(None),
        Some(value @ Node::Number(_)) => Ok(value
            .as_f64()
            .filter(|side| side.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(side))
            .map(|side| side as i64)),
        Some(other) => Err(wrong_type(&format!(".{name}"), "a number of pixels", other)),
    }
}
