//! People: their identity facts leave the file for the people file, and come back on export.
//!
//! What stays in a row where the file names a person by more than the annotator's id is an object
//! `{"~p": <annotator id>}`, with `f` where the file gives one fact of theirs as text, or `k` where
//! it gives an object of other members than [`MEMBERS`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::json::{Member, Node, find};
use crate::{Person, Result, Sink, View};

/// The members of a person in the tool's exports.
const MEMBERS: [&str; 4] = ["id", "email", "first_name", "last_name"];

/// Members whose value names a person, or several.
const NAMING: [&str; 14] = [
    "annotator",
    "annotators",
    "assignee",
    "comment_authors",
    "comment_resolvers",
    "completed_by",
    "created_by",
    "created_username",
    "last_created_by",
    "resolved_by",
    "reviewer",
    "reviewers",
    "updated_by",
    "user",
];

/// Members that hold what was labelled or answered: they may say anything.
const CONTENT: [&str; 3] = ["data", "meta", "result"];

/// The people of one file.
pub(super) struct People<'s> {
    sink: &'s mut dyn Sink,
    facts: BTreeMap<String, Map<String, Value>>,
    plain: BTreeMap<String, String>,
    emails: BTreeMap<String, String>,
}

/// A person as one place of the file names them.
pub(super) struct Mention<'a> {
    /// The annotator id for rows.
    pub id: String,
    /// What to keep in place of the file's value.
    kept: Node<'a>,
}

impl<'a> Mention<'a> {
    /// Somebody of whom the file says more than the id: `more` names what.
    fn told(id: String, more: Option<Member<'a>>) -> Self {
        let own = ("~p".into(), Node::String(Cow::Owned(id.clone())));
        Self { id, kept: Node::Object(std::iter::once(own).chain(more).collect()) }
    }
}

impl<'s> People<'s> {
    pub fn new(sink: &'s mut dyn Sink) -> Self {
        let (facts, plain, emails) = Default::default();
        Self { sink, facts, plain, emails }
    }

    pub fn sink(&mut self) -> &mut dyn Sink {
        self.sink
    }

    /// The annotator of answers that name nobody.
    pub fn nobody(&mut self) -> Result<String> {
        self.sink.person(&Person::default())
    }

    /// Takes the person that a value names; `None` where it names nobody.
    pub fn mention<'a>(&mut self, member: &str, value: &Node<'a>) -> Result<Option<Mention<'a>>> {
        match value {
            Node::Number(number) => self.by_id(number, value).map(Some),
            Node::String(text) if member == "created_username" || is_email(text) => {
                self.by_name(member, text).map(Some)
            }
            Node::String(text) if !text.is_empty() => self.by_id(text, value).map(Some),
            Node::Object(members) if find(members, "~p").is_some() => Ok(None),
            Node::Object(members) if is_person(member, members) => {
                self.by_object(members).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// A person known by nothing but the tool's user id.
    fn by_id<'a>(&mut self, id: &str, value: &Node<'a>) -> Result<Mention<'a>> {
        let annotator = match self.plain.get(id) {
            Some(annotator) => annotator.clone(),
            None => {
                let person = Person { id: Some(id), ..Person::default() };
                let annotator = self.sink.person(&person)?;
                self.plain.insert(id.to_owned(), annotator.clone());
                annotator
            }
        };
        if annotator == id {
            return Ok(Mention { id: annotator, kept: value.clone() });
        }
        let facts = Map::from_iter([("id".to_owned(), value.clone().into())]);
        self.learn(&annotator, Some(id), None, facts)?;
        Ok(Mention::told(annotator, Some(("f".into(), "id".into()))))
    }

    /// A person by e-mail, or as drafts name theirs: `<name> <e-mail>, <id>`.
    fn by_name(&mut self, member: &str, text: &str) -> Result<Mention<'static>> {
        let (name, id) = match text.rsplit_once(", ") {
            Some((name, id)) if is_digits(id) => (name, Some(id)),
            _ => (text, None),
        };
        let email = name.split_whitespace().find(|word| is_email(word));
        let fact = if email == Some(text) { "email" } else { member };
        let mut facts = Map::from_iter([(fact.to_owned(), Value::from(text))]);
        if let Some(email) = email {
            facts.insert("email".to_owned(), Value::from(email));
        }
        let id = self.learn_new(id, email, facts)?;
        let fact = Node::String(Cow::Owned(fact.to_owned()));
        Ok(Mention::told(id, Some(("f".into(), fact))))
    }

    fn by_object<'a>(&mut self, members: &[Member<'a>]) -> Result<Mention<'a>> {
        let id = find(members, "id").or_else(|| find(members, "user_id")).and_then(|id| match id {
            Node::Number(id) | Node::String(id) => Some(&**id),
            _ => None,
        });
        let email = find(members, "email").and_then(Node::as_str).filter(|e| !e.is_empty());
        let facts = members.iter().cloned().map(|(name, value)| (name.into_owned(), value.into()));
        let id = self.learn_new(id, email, facts.collect())?;
        if members.iter().map(|(name, _)| &**name).eq(MEMBERS) {
            return Ok(Mention::told(id, None));
        }
        let names = members.iter().map(|(name, _)| Node::String(name.clone())).collect();
        Ok(Mention::told(id, Some(("k".into(), Node::Array(names)))))
    }

    /// Takes facts of somebody whose annotator id is not known yet.
    fn learn_new(
        &mut self,
        id: Option<&str>,
        email: Option<&str>,
        facts: Map<String, Value>,
    ) -> Result<String> {
        let known = id
            .and_then(|id| self.plain.get(id))
            .or_else(|| email.and_then(|email| self.emails.get(email)));
        let annotator = match known {
            Some(annotator) => annotator.clone(),
            None => self.sink.person(&Person { id, email, facts: None })?,
        };
        if let Some(id) = id {
            self.plain.insert(id.to_owned(), annotator.clone());
        }
        if let Some(email) = email {
            self.emails.insert(email.to_owned(), annotator.clone());
        }
        self.learn(&annotator, id, email, facts)?;
        Ok(annotator)
    }

    /// Adds facts to what this file says of a person, and hands everything on where it grew.
    fn learn(
        &mut self,
        annotator: &str,
        id: Option<&str>,
        email: Option<&str>,
        facts: Map<String, Value>,
    ) -> Result<()> {
        let known = self.facts.entry(annotator.to_owned()).or_default();
        let mut grown = false;
        for (name, value) in facts {
            if known.get(&name) != Some(&value) {
                known.insert(name, value);
                grown = true;
            }
        }
        if grown {
            let facts = Value::Object(known.clone()).to_string();
            self.sink.person(&Person { id, email, facts: Some(&facts) })?;
        }
        Ok(())
    }

    /// Takes the people out of everything but content.
    pub fn hide<'a>(&mut self, members: &[Member<'a>]) -> Result<Node<'a>> {
        let hidden: Result<_> = members
            .iter()
            .map(|(name, value)| Ok((name.clone(), self.hide_in(name, value)?)))
            .collect();
        hidden.map(Node::Object)
    }

    fn hide_in<'a>(&mut self, member: &str, value: &Node<'a>) -> Result<Node<'a>> {
        if CONTENT.contains(&member) {
            return Ok(value.clone());
        }
        Ok(match value {
            Node::Array(items) => {
                let items: Result<_> = items.iter().map(|i| self.hide_in(member, i)).collect();
                Node::Array(items?)
            }
            Node::Object(members) if find(members, "~p").is_some() => {
                Node::Object(vec![("~p".into(), Node::Null), ("v".into(), value.clone())])
            }
            Node::Object(members) if is_person(member, members) => self.by_object(members)?.kept,
            Node::Object(members) => self.hide(members)?,
            Node::String(text) if is_email(text) => self.by_name(member, text)?.kept,
            value if NAMING.contains(&member) => match self.mention(member, value)? {
                Some(mention) => mention.kept,
                None => value.clone(),
            },
            _ => value.clone(),
        })
    }
}

/// Puts the people back into everything but content.
pub(super) fn reveal(value: Value, view: &dyn View, without_people: bool) -> Result<Value> {
    Ok(match value {
        Value::Array(items) => {
            let items: Result<_> =
                items.into_iter().map(|item| reveal(item, view, without_people)).collect();
            Value::Array(items?)
        }
        Value::Object(mut map) if map.contains_key("~p") => match map.get("~p") {
            Some(Value::String(id)) => revealed(id, &map, view, without_people)?,
            _ => map.remove("v").unwrap_or(Value::Null),
        },
        Value::Object(map) => {
            let members: Result<_> = map
                .into_iter()
                .map(|(name, value)| {
                    if CONTENT.contains(&name.as_str()) {
                        return Ok((name, value));
                    }
                    Ok((name, reveal(value, view, without_people)?))
                })
                .collect();
            Value::Object(members?)
        }
        value => value,
    })
}

fn revealed(
    id: &str,
    mention: &Map<String, Value>,
    view: &dyn View,
    without_people: bool,
) -> Result<Value> {
    let facts = if without_people { None } else { view.person(id)? };
    let Some(Value::Object(facts)) = facts.and_then(|text| crate::json::parse(&text).ok()) else {
        return Ok(by_annotator(id));
    };
    if let Some(fact) = mention.get("f").and_then(Value::as_str) {
        return Ok(facts.get(fact).cloned().unwrap_or_else(|| by_annotator(id)));
    }
    let names: Vec<&str> = match mention.get("k") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => MEMBERS.to_vec(),
    };
    let members: Map<_, _> = names
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), facts.get(name)?.clone())))
        .collect();
    Ok(Value::Object(members))
}

/// How the tool names somebody by id alone.
pub(super) fn by_annotator(id: &str) -> Value {
    super::number_or_text(id)
}

fn is_person(member: &str, members: &[Member<'_>]) -> bool {
    let has = |name: &str| find(members, name).is_some();
    let plain = |value: &Node<'_>| !matches!(value, Node::Array(_) | Node::Object(_));
    has("email")
        || (NAMING.contains(&member)
            && (has("id") || has("user_id"))
            && members.iter().all(|(_, value)| plain(value)))
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let odd = |c: char| c.is_whitespace() || matches!(c, '@' | '/' | ':' | ',' | '"');
    !name.is_empty() && !host.is_empty() && !name.contains(odd) && !host.contains(odd)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.len() <= 19 && text.bytes().all(|b| b.is_ascii_digit())
}
