//! What a source says beyond what an exporter renders from the columns.
//!
//! A residual of an object is an object with the source's own member names. A member is either the
//! value itself (the exporter has no such member) or an operation: an object whose only member is
//! one of
//!
//! | name | value | meaning, applied to what is rendered *now* |
//! |---|---|---|
//! | `~` | `[r]` | drop the member while it equals `r` |
//! | `~` | `[r, s]` | write `s` while it equals `r` |
//! | `~h` | `[h]`, `[h, s]` | the same, with `h` the digest of a long `r` |
//! | `~n` | `s` | write the number text `s` while it is the same number |
//! | `~o` | object | a residual of the object that stands there |
//! | `~a` | `[n, {i: …}]` | residuals of elements, while the array has `n` |
//! | `~1` | true | write the element of the list of one that stands there |
//! | `~/` | true | write the text that stands there as the list of its parts between `/` |
//! | `~v` | any | the value itself, which looks like an operation |
//!
//! A source member whose name begins with `~` gets one more `~`. Every operation is conditional,
//! so that an edited column shows in the export and never an echo of what it once was.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::node::{Member, Node, find};

/// The longest rendered text that a condition repeats; a longer one is named by its digest.
const CONDITION_BYTES_MAX: usize = 40;

const OPERATIONS: [&str; 8] = ["~", "~h", "~n", "~o", "~a", "~1", "~/", "~v"];

/// What `source` says beyond `rendered`, which is what the exporter would write from the columns
/// alone; `None` when they are equal as JSON values with equal number text.
///
/// Two objects give an object with the source's own member names at its top.
pub fn residual(rendered: &Value, source: &Value) -> Option<Value> {
    node_residual(&rendered.into(), &source.into()).map(Value::from)
}

/// The same as [`residual`], and borrows from both.
pub fn node_residual<'a>(rendered: &Node<'a>, source: &Node<'a>) -> Option<Node<'a>> {
    match (rendered, source) {
        (Node::Object(r), Node::Object(s)) => {
            let members = members(r, s);
            (!members.is_empty()).then_some(Node::Object(members))
        }
        _ if rendered == source => None,
        _ => Some(operation_of(rendered, source)),
    }
}

/// Applies a residual to what the exporter renders from the columns now.
pub fn restore(rendered: Value, residual: &Value) -> Value {
    if let Some((name, argument)) = operation(residual) {
        return apply(Some(rendered), name, argument).unwrap_or(Value::Null);
    }
    match (rendered, residual) {
        (Value::Object(map), Value::Object(residual)) => {
            Value::Object(restore_object(map, residual))
        }
        (rendered, _) => rendered,
    }
}

/// Applies the residual of an object to the object that is rendered now.
pub fn restore_object(
    mut rendered: Map<String, Value>,
    residual: &Map<String, Value>,
) -> Map<String, Value> {
    restore_members(&mut rendered, residual);
    rendered
}

fn members<'a>(rendered: &[Member<'a>], source: &[Member<'a>]) -> Vec<Member<'a>> {
    let mut out = Vec::new();
    let mut found = 0;
    for (name, value) in source {
        let rendered = find(rendered, name);
        found += usize::from(rendered.is_some());
        let entry = match rendered {
            None => added(value),
            Some(r) if r == value => continue,
            Some(r) => operation_of(r, value),
        };
        out.push((escape(name), entry));
    }
    if found < rendered.len() {
        for (name, value) in rendered {
            if find(source, name).is_none() {
                out.push((escape(name), conditional(value, None)));
            }
        }
    }
    out
}

fn restore_members(map: &mut Map<String, Value>, residual: &Map<String, Value>) {
    for (name, entry) in residual {
        let name = unescape(name);
        let Some((kind, argument)) = operation(entry) else {
            map.entry(name).or_insert_with(|| entry.clone());
            continue;
        };
        let now = map.get_mut(name).map(Value::take);
        let had = now.is_some();
        match apply(now, kind, argument) {
            Some(value) => {
                map.insert(name.to_owned(), value);
            }
            None if had => {
                map.shift_remove(name);
            }
            None => {}
        }
    }
}

/// The operation that turns one value into another that differs.
fn operation_of<'a>(rendered: &Node<'a>, source: &Node<'a>) -> Node<'a> {
    match (rendered, source) {
        (Node::Object(r), Node::Object(s)) => one("~o", Node::Object(members(r, s))),
        (Node::Array(r), Node::Array(s)) if r.len() == s.len() => {
            let mut elements = Vec::new();
            for (i, (r, s)) in r.iter().zip(s).enumerate() {
                if r != s {
                    elements.push((Cow::Owned(i.to_string()), operation_of(r, s)));
                }
            }
            let length = Node::Number(Cow::Owned(r.len().to_string()));
            one("~a", Node::Array(vec![length, Node::Object(elements)]))
        }
        (Node::Array(r), s) if r.len() == 1 && r.first() == Some(s) => one("~1", Node::Bool(true)),
        (Node::String(r), Node::Array(s)) if is_split(r, s) => one("~/", Node::Bool(true)),
        _ if same_number(rendered.as_f64(), source.as_f64()) => one("~n", source.clone()),
        _ => conditional(rendered, Some(source)),
    }
}

fn conditional<'a>(rendered: &Node<'a>, source: Option<&Node<'a>>) -> Node<'a> {
    let text = rendered.to_text();
    let (name, condition) = if text.len() <= CONDITION_BYTES_MAX {
        ("~", rendered.clone())
    } else {
        ("~h", Node::String(Cow::Owned(digest(&text))))
    };
    one(name, Node::Array(std::iter::once(condition).chain(source.cloned()).collect()))
}

/// Applies an operation to the member as it is rendered now; `None` is no member.
fn apply(now: Option<Value>, kind: &str, argument: &Value) -> Option<Value> {
    let now = match (kind, now) {
        ("~v", now) => return now.or_else(|| Some(argument.clone())),
        (_, now) => now?,
    };
    match (kind, argument) {
        ("~", Value::Array(pair)) if pair.first() == Some(&now) => pair.get(1).cloned(),
        ("~h", Value::Array(pair))
            if pair.first().and_then(Value::as_str) == Some(&digest(&now.to_string())) =>
        {
            pair.get(1).cloned()
        }
        ("~n", text) if same_number(now.as_f64(), text.as_f64()) => Some(text.clone()),
        ("~o", Value::Object(residual)) => match now {
            Value::Object(mut map) => {
                restore_members(&mut map, residual);
                Some(Value::Object(map))
            }
            other => Some(other),
        },
        ("~a", Value::Array(pair)) => Some(restore_elements(now, pair)),
        ("~1", _) => match now {
            Value::Array(mut items) if items.len() == 1 => items.pop(),
            other => Some(other),
        },
        ("~/", _) => Some(now.as_str().map(parts).unwrap_or(now)),
        _ => Some(now),
    }
}

fn restore_elements(mut now: Value, pair: &[Value]) -> Value {
    let (Value::Array(items), [len, Value::Object(elements)]) = (&mut now, pair) else {
        return now;
    };
    if len.as_u64() != Some(items.len() as u64) {
        return now;
    }
    for (index, entry) in elements {
        let item = index.parse::<usize>().ok().and_then(|i| items.get_mut(i));
        if let (Some(item), Some((kind, argument))) = (item, operation(entry)) {
            *item = apply(Some(item.take()), kind, argument).unwrap_or(Value::Null);
        }
    }
    now
}

fn parts(text: &str) -> Value {
    text.split('/').collect()
}

/// Whether a list holds the parts of a text between `/`.
fn is_split(text: &str, list: &[Node<'_>]) -> bool {
    list.iter().map(Node::as_str).eq(text.split('/').map(Some))
}

/// Whether two numbers are one that floats tell from its neighbours.
fn same_number(a: Option<f64>, b: Option<f64>) -> bool {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match (a, b) {
        (Some(a), Some(b)) => a == b && (a.fract() != 0.0 || a.abs() < EXACT_MAX),
        _ => false,
    }
}

fn added<'a>(value: &Node<'a>) -> Node<'a> {
    let is_operation = match value.as_object() {
        Some([(name, _)]) => OPERATIONS.contains(&&**name),
        _ => false,
    };
    if is_operation { one("~v", value.clone()) } else { value.clone() }
}

fn operation(value: &Value) -> Option<(&str, &Value)> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let (name, argument) = map.iter().next()?;
    OPERATIONS.contains(&name.as_str()).then_some((name.as_str(), argument))
}

fn one<'a>(name: &'static str, value: Node<'a>) -> Node<'a> {
    Node::Object(vec![(Cow::Borrowed(name), value)])
}

fn escape<'a>(name: &Cow<'a, str>) -> Cow<'a, str> {
    if name.starts_with('~') { Cow::Owned(format!("~{name}")) } else { name.clone() }
}

fn unescape(name: &str) -> &str {
    match name.strip_prefix('~') {
        Some(rest) if rest.starts_with('~') => rest,
        _ => name,
    }
}

fn digest(text: &str) -> String {
    let hex = blake3::hash(text.as_bytes()).to_hex();
    hex.as_str().get(..16).unwrap_or_default().to_owned()
}
