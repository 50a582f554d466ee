//! Decides what an export holds before anything is written: which source, which categories, and
//! from where new ids count.

use std::collections::BTreeSet;

use glossator_store::schema::{ANNOTATIONS, Annotations, ITEMS, Items, SOURCES, Sources};
use serde_json::{Map, Value, json};

use super::names::{Categories, image_id};
use crate::json::parse;
use crate::{Error, ExportOptions, Place, Result, View};

/// The COCO file that the rows came from.
#[derive(Debug, Clone)]
pub struct Native {
    /// The source of its rows.
    pub source: String,
    /// The source of its items: the image file's for a results file.
    pub images: String,
    /// It was a results file.
    pub results: bool,
    /// Every COCO source of the store: what their items have left over is in COCO's words.
    pub kin: BTreeSet<String>,
}

/// What an export holds.
#[derive(Debug)]
pub struct Plan {
    /// Only rows of this source.
    pub source: Option<String>,
    /// None where the rows came from another format.
    pub native: Option<Native>,
    /// The members of the file in their order; `None` for `images` and `annotations`.
    pub layout: Vec<(String, Option<Value>)>,
    /// The categories, those of new labels included.
    pub categories: Categories,
    /// The next id for an image that has none.
    pub next_image: i64,
    /// The next id for an annotation that has none.
    pub next_annotation: i64,
}

impl Plan {
    /// Looks through the view.
    pub fn new(view: &dyn View, options: &ExportOptions) -> Result<Self> {
        let (native, data) = native(view, options)?;
        let source = native.as_ref().map(|n| n.source.clone()).or_else(|| options.source.clone());
        let mut plan = Self {
            source,
            native,
            layout: Vec::new(),
            categories: Categories::default(),
            next_image: 1,
            next_annotation: 1,
        };
        for (name, value) in data {
            let streamed = matches!(name.as_str(), "images" | "annotations");
            plan.layout.push((name, (!streamed).then_some(value)));
        }
        for category in plan.category_list().iter().flatten() {
            // The importer refused bad ones; an edited one is written as it is.
            let _ = plan.categories.add(category);
        }
        let labels = plan.survey(view, options)?;
        plan.add_categories(labels)?;
        plan.survey_items(view)?;
        Ok(plan)
    }

    /// Whether rows of a source are exported.
    pub fn takes(&self, source: &str) -> bool {
        self.source.as_deref().is_none_or(|own| own == source)
    }

    /// Whether the file is a results file.
    pub fn results(&self) -> bool {
        self.native.as_ref().is_some_and(|native| native.results)
    }

    /// The place of a streamed member, which is made where the file had none.
    pub fn section(&mut self, name: &str) -> u32 {
        let found = self.layout.iter().position(|(member, _)| member == name);
        let at = found.unwrap_or_else(|| {
            self.layout.push((name.to_owned(), None));
            self.layout.len() - 1
        });
        at as u32
    }

    fn category_list(&self) -> Option<Vec<Value>> {
        let (_, list) = self.layout.iter().find(|(name, _)| name == "categories")?;
        list.as_ref()?.as_array().cloned()
    }

    /// Labels without a category; also counts ids, and refuses rows of several sources.
    fn survey(&mut self, view: &dyn View, options: &ExportOptions) -> Result<BTreeSet<String>> {
        let (mut labels, mut others) = (BTreeSet::new(), BTreeSet::new());
        for batch in view.rows(&ANNOTATIONS)? {
            let batch = batch?;
            let rows = Annotations::new(&batch);
            for i in 0..rows.len() {
                if !self.takes(rows.source(i)) {
                    if options.source.is_none() && !others.contains(rows.source(i)) {
                        others.insert(rows.source(i).to_owned());
                    }
                    continue;
                }
                let carried = matches!(rows.kind(i), "bbox" | "polygon" | "mask" | "keypoints")
                    || (self.native.is_some() && matches!(rows.kind(i), "choice" | "text"));
                if let Some(label) = rows.label(i).filter(|_| carried && !rows.negative(i))
                    && self.categories.id(label).is_none()
                    && !labels.contains(label)
                {
                    labels.insert(label.to_owned());
                }
                if self.native.is_some() {
                    let id = rows.region_id(i).and_then(|id| id.parse::<i64>().ok()).unwrap_or(0);
                    self.next_annotation = self.next_annotation.max(id.saturating_add(1));
                }
            }
        }
        if others.is_empty() {
            return Ok(labels);
        }
        others.extend(self.source.clone());
        Err(several(&others))
    }

    fn add_categories(&mut self, labels: BTreeSet<String>) -> Result<()> {
        let native = self.native.is_some();
        if labels.is_empty() && native || self.results() {
            return Ok(());
        }
        let mut list = self.category_list().unwrap_or_default();
        for label in labels {
            let category = json!({ "id": self.categories.next_id(), "name": label });
            // It has an id and a name.
            let _ = self.categories.add(&category);
            list.push(category);
        }
        if !native {
            self.section("images");
            self.section("annotations");
        }
        let at = self.section("categories");
        if let Some((_, value)) = self.layout.get_mut(at as usize) {
            *value = Some(Value::Array(list));
        }
        Ok(())
    }

    fn survey_items(&mut self, view: &dyn View) -> Result<()> {
        let Some(native) = &self.native else { return Ok(()) };
        for batch in view.rows(&ITEMS)? {
            let batch = batch?;
            let items = Items::new(&batch);
            for i in 0..items.len() {
                let aliases = items.aliases(i).unwrap_or_default();
                let id = image_id(&native.images, &aliases).and_then(|id| id.parse::<i64>().ok());
                self.next_image = self.next_image.max(id.unwrap_or(0).saturating_add(1));
            }
        }
        Ok(())
    }
}

fn several(sources: &BTreeSet<String>) -> Error {
    let names: Vec<String> = sources.iter().map(|name| format!("`{name}`")).collect();
    Error::Usage {
        what: format!("a COCO file holds one source, the rows have {}", names.join(", ")),
        hint: Some("choose one with `--source NAME`".to_owned()),
    }
}

/// The COCO source that is exported, if any, and its members beside the rows.
fn native(
    view: &dyn View,
    options: &ExportOptions,
) -> Result<(Option<Native>, Map<String, Value>)> {
    let (mut found, mut names, mut kin) = (None, BTreeSet::new(), BTreeSet::new());
    for batch in view.rows(&SOURCES)? {
        let batch = batch?;
        let sources = Sources::new(&batch);
        for row in sources.iter().filter(|row| row.format == "coco") {
            let extra = object(row.source, row.extra)?;
            let results = extra.get("results");
            let images = results.and_then(|r| r.get("images")).and_then(Value::as_str);
            let images = images.unwrap_or(row.source).to_owned();
            kin.extend([row.source.to_owned(), images.clone()]);
            if options.source.as_deref().is_none_or(|source| source == row.source) {
                let (source, results) = (row.source.to_owned(), results.is_some());
                names.insert(source.clone());
                let native = Native { source, images, results, kin: BTreeSet::new() };
                found = Some((native, object(row.source, row.data)?));
            }
        }
    }
    if names.len() > 1 {
        return Err(several(&names));
    }
    Ok(match found {
        Some((native, data)) => (Some(Native { kin, ..native }), data),
        None => (None, Map::new()),
    })
}

/// A JSON cell that is an object; `name` is what the row is called in messages.
pub fn object(name: &str, cell: Option<&str>) -> Result<Map<String, Value>> {
    let Some(text) = cell else { return Ok(Map::new()) };
    let what = match parse(text) {
        Ok(Value::Object(map)) => return Ok(map),
        Ok(_) => "a JSON cell of the row is not an object".to_owned(),
        Err(e) => format!("a JSON cell of the row is broken: {}", e.what),
    };
    Err(Error::input(Place::path("the store", name), what)
        .hint("set its `extra` to null or to a JSON object"))
}
