//! Policies from what labelling tools know of their labels.

use serde_json::Value;

use super::{Field, Label, Policy, PolicyError, Version, Vocabulary, label_studio};

/// Whose description of labels it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportFormat {
    /// A labelling configuration: XML.
    LabelStudio,
    /// The `categories` of a COCO file.
    Coco,
    /// A list of labels as CVAT's raw editor shows it.
    Cvat,
    /// An ontology.
    Labelbox,
}

impl ImportFormat {
    /// Tells the formats apart by what they hold.
    pub fn guess(text: &str) -> Option<Self> {
        if text.trim_start().starts_with('<') {
            return Some(Self::LabelStudio);
        }
        match serde_json::from_str::<Value>(text).ok()? {
            Value::Array(list) if list.iter().all(|one| one["name"].is_string()) => {
                Some(Self::Cvat)
            }
            Value::Object(object) if object.contains_key("categories") => Some(Self::Coco),
            Value::Object(object)
                if object.contains_key("tools") || object.contains_key("classifications") =>
            {
                Some(Self::Labelbox)
            }
            _ => None,
        }
    }
}

/// Makes the first version of a policy of a tool's description.
///
/// # Errors
/// Where the text does not read, or makes no policy.
pub fn import(name: &str, text: &str, format: ImportFormat) -> Result<Policy, PolicyError> {
    let json = || -> Result<Value, PolicyError> {
        serde_json::from_str(text).map_err(|e| PolicyError::Syntax(e.to_string()))
    };
    let fields = match format {
        ImportFormat::LabelStudio => label_studio::fields(text)?,
        ImportFormat::Coco => vec![coco(&json()?)?],
        ImportFormat::Cvat => vec![cvat(&json()?)?],
        ImportFormat::Labelbox => labelbox(&json()?)?,
    };
    if fields.is_empty() {
        return Err(PolicyError::Syntax("it asks no question: there is no control".to_owned()));
    }
    let policy = Policy {
        name: name.to_owned(),
        version: Version::first(),
        strict: false,
        unstated: None,
        gates: Default::default(),
        relabel: None,
        fields,
        changes: Vec::new(),
    };
    policy.check()?;
    Ok(policy)
}

fn field(name: &str, kind: Option<&str>, taxonomy: Vec<Label>) -> Field {
    Field {
        name: name.to_owned(),
        kind: kind.map(str::to_owned),
        scale: None,
        order: Vec::new(),
        cardinality: None,
        required: false,
        merge: None,
        labels: if taxonomy.is_empty() { Vocabulary::Open } else { Vocabulary::Closed },
        taxonomy,
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn list<'v>(value: &'v Value, what: &str) -> Result<&'v [Value], PolicyError> {
    let found = value.as_array().map(Vec::as_slice);
    found.ok_or_else(|| PolicyError::Syntax(format!("`{what}` is no list")))
}

fn named(value: &Value, name: &str, what: &str) -> Result<String, PolicyError> {
    text(value, name).ok_or_else(|| PolicyError::Syntax(format!("one of `{what}` has no `{name}`")))
}

/// COCO's categories: labels of the field that the importer of COCO files gives objects.
fn coco(value: &Value) -> Result<Field, PolicyError> {
    let labels = list(&value["categories"], "categories")?.iter().map(|category| {
        Ok(Label {
            name: named(category, "name", "categories")?,
            id: category["id"].as_i64().map(|id| id.to_string()),
            ..Label::default()
        })
    });
    Ok(field("instances", None, labels.collect::<Result<_, PolicyError>>()?))
}

fn cvat(value: &Value) -> Result<Field, PolicyError> {
    let labels = list(value, "labels")?.iter().map(|label| {
        let attributes = label["attributes"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Label {
            name: named(label, "name", "labels")?,
            id: label["id"].as_i64().map(|id| id.to_string()),
            color: text(label, "color"),
            attributes: attributes.iter().filter_map(|one| text(one, "name")).collect(),
            ..Label::default()
        })
    });
    Ok(field("label", None, labels.collect::<Result<_, PolicyError>>()?))
}

/// Tools share one field, as objects of one kind of question; each classification is a field.
fn labelbox(value: &Value) -> Result<Vec<Field>, PolicyError> {
    let mut fields = Vec::new();
    let tools = value["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let labels = tools.iter().map(|tool| {
        let below = tool["classifications"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Label {
            name: named(tool, "name", "tools")?,
            id: text(tool, "featureSchemaId"),
            color: text(tool, "color"),
            attributes: below.iter().filter_map(|one| text(one, "instructions")).collect(),
            ..Label::default()
        })
    });
    let labels = labels.collect::<Result<Vec<_>, PolicyError>>()?;
    if !labels.is_empty() {
        fields.push(field("label", None, labels));
    }
    let asked = value["classifications"].as_array().map(Vec::as_slice).unwrap_or_default();
    for question in asked {
        let name = text(question, "name").or_else(|| text(question, "instructions"));
        let name = name.ok_or_else(|| {
            PolicyError::Syntax("one of `classifications` has no `name`".to_owned())
        })?;
        let options = question["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let labels = options.iter().map(|option| {
            Ok(Label {
                name: named(option, "label", "options").or(named(option, "value", "options"))?,
                id: text(option, "featureSchemaId"),
                ..Label::default()
            })
        });
        let labels = labels.collect::<Result<Vec<_>, PolicyError>>()?;
        let kind = if labels.is_empty() { "text" } else { "choice" };
        fields.push(field(&name, Some(kind), labels));
    }
    Ok(fields)
}
