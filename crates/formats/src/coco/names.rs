//! Ids of images and annotations, and what categories call labels: shared by both directions.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The text of an id: of a whole number or a text; `None` for anything else.
pub fn id_text(id: &Value) -> Option<String> {
    match id {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// The id that exporters write for a text: a number where the text is one.
pub fn id_value(text: &str) -> Value {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => number.into(),
        _ => text.into(),
    }
}

/// The categories of a file: which label an id means, and which id a label is written as.
#[derive(Debug, Default)]
pub struct Categories {
    labels: HashMap<String, String>,
    ids: HashMap<String, Value>,
}

impl Categories {
    /// Adds a category, or says what is wrong with it. Returns whether its id is new; of two
    /// categories with one id or one name the first counts.
    pub fn add(&mut self, category: &Value) -> Result<bool, &'static str> {
        let id = category.get("id").ok_or("a category without an `id`")?;
        let text = id_text(id).ok_or("a category's `id` is a whole number or a text")?;
        let name = category.get("name").and_then(Value::as_str);
        let name = name.ok_or("a category without a `name` that is a text")?;
        self.ids.entry(name.to_owned()).or_insert_with(|| id.clone());
        let new = !self.labels.contains_key(&text);
        self.labels.entry(text).or_insert_with(|| name.to_owned());
        Ok(new)
    }

    /// The label that an id means.
    pub fn label(&self, id: &Value) -> Option<&str> {
        self.labels.get(&id_text(id)?).map(String::as_str)
    }

    /// The id that a label is written as.
    pub fn id(&self, label: &str) -> Option<&Value> {
        self.ids.get(label)
    }

    /// The smallest whole number above every id, from 1.
    pub fn next_id(&self) -> i64 {
        let numbers = self.labels.keys().filter_map(|id| id.parse::<i64>().ok());
        numbers.max().unwrap_or(0).max(0).saturating_add(1)
    }
}

/// An entry of `images` from the columns of its item alone.
pub fn render_image(
    id: &Value,
    uri: Option<&str>,
    width: Option<i64>,
    height: Option<i64>,
) -> Value {
    let mut image = Map::from_iter([("id".to_owned(), id.clone())]);
    let members = [
        ("file_name", uri.map(Value::from)),
        ("width", width.map(Value::from)),
        ("height", height.map(Value::from)),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            image.insert(name.to_owned(), value);
        }
    }
    Value::Object(image)
}

/// The image's id in an item's aliases: what follows `<source>/` in one of them.
///
/// A file name may begin like that too; the one that is a number counts, else the first bytewise,
/// so that the order of aliases has no say.
pub fn image_id<'a>(source: &str, aliases: &[&'a str]) -> Option<&'a str> {
    let own = |alias: &&'a str| alias.strip_prefix(source)?.strip_prefix('/');
    aliases.iter().filter_map(own).min_by_key(|id| (id_value(id).is_string(), *id))
}
