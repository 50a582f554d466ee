//! Ids of images and annotations, and what categories call labels: shared by both directions.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::json::Node;

/// The text of an id: of a whole number or a text; `None` for anything else.
pub fn id_text<'n>(id: &'n Node<'_>) -> Option<&'n str> {
    let whole = |text: &str| text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    match id {
        Node::String(text) => Some(text),
        Node::Number(text) if whole(text) => Some(text),
        _ => None,
    }
}

/// The id that exporters write for a text: a number where the text is one.
pub fn id_node(text: &str) -> Node<'_> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if text == "0"
        || digits.starts_with(|c| ('1'..='9').contains(&c)) && text.parse::<i64>().is_ok()
    {
        return Node::Number(Cow::Borrowed(text));
    }
    text.into()
}

/// The same, to hold.
pub fn id_value(text: &str) -> Value {
    id_node(text).into()
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
        let node = Node::from(id);
        let text = id_text(&node).ok_or("a category's `id` is a whole number or a text")?;
        let name = category.get("name").and_then(Value::as_str);
        let name = name.ok_or("a category without a `name` that is a text")?;
        self.ids.entry(name.to_owned()).or_insert_with(|| id.clone());
        let new = !self.labels.contains_key(text);
        self.labels.entry(text.to_owned()).or_insert_with(|| name.to_owned());
        Ok(new)
    }

    /// The label that an id means.
    pub fn label(&self, id: &Node<'_>) -> Option<&str> {
        self.labels.get(id_text(id)?).map(String::as_str)
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
    aliases.iter().filter_map(own).min_by_key(|id| (id_node(id).as_str().is_some(), *id))
}
