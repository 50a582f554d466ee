//! A JSON value that borrows its texts from the text that it was read from.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Number, Value};

/// A member of an object.
pub type Member<'a> = (Cow<'a, str>, Node<'a>);

/// A JSON value. No two members of an object have one name; their order is kept, and does not
/// count when two objects are compared.
#[derive(Debug, Clone)]
pub enum Node<'a> {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// The text of a number, with its exponent spelled `e+5` or `e-5`.
    Number(Cow<'a, str>),
    /// A text without its quotes and escapes.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Node<'a>>),
    /// The members of an object.
    Object(Vec<Member<'a>>),
}

impl<'a> Node<'a> {
    /// The member of an object.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.as_object().and_then(|members| find(members, name))
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&[Member<'a>]> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The text of a text.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The finite float that a number stands for.
    pub fn as_f64(&self) -> Option<f64> {
        let Self::Number(text) = self else { return None };
        short_decimal(text).or_else(|| text.parse().ok().filter(|float: &f64| float.is_finite()))
    }

    /// The whole number that a number without point and exponent stands for.
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::Number(text) = self { text.parse().ok() } else { None }
    }

    /// The same, where it is signed.
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Number(text) = self { text.parse().ok() } else { None }
    }

    /// A short name of the type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// Appends the value as compact text.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => write_text(text, out),
            Self::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// The value as compact text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}

/// Powers of ten that floats hold.
const TENS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The value of a number of few digits, which is a quotient of two floats that are exact.
fn short_decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.len() >= TENS.len() {
        return None;
    }
    let (mut whole, mut point) = (0_u64, None);
    for (at, byte) in digits.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => whole = whole * 10 + u64::from(byte - b'0'),
            b'.' => point = Some(at + 1),
            _ => return None,
        }
    }
    let value = whole as f64 / TENS[point.map_or(0, |point| digits.len() - point)];
    Some(if digits.len() == text.len() { value } else { -value })
}

/// The member of that name.
pub fn find<'n, 'a>(members: &'n [Member<'a>], name: &str) -> Option<&'n Node<'a>> {
    members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// Members as an object to hold.
pub fn object(members: Vec<Member<'_>>) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.into_owned(), value.into())).collect()
}

/// The members of an object that is held.
pub fn members(map: &Map<String, Value>) -> Vec<Member<'_>> {
    map.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), value.into())).collect()
}

fn write_text(text: &str, out: &mut String) {
    let plain = |b: u8| b >= b' ' && b != b'"' && b != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) | (Self::String(a), Self::String(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => same_members(a, b),
            _ => false,
        }
    }
}

fn same_members(a: &[Member<'_>], b: &[Member<'_>]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if a.iter().zip(b).all(|((a, _), (b, _))| a == b) {
        return a.iter().zip(b).all(|((_, a), (_, b))| a == b);
    }
    let sorted = |members| {
        let mut sorted = Vec::from_iter(members);
        sorted.sort_unstable_by_key(|(name, _): &&Member<'_>| &**name);
        sorted
    };
    sorted(a) == sorted(b)
}

impl<'a> From<&'a str> for Node<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a Value> for Node<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Number(number) => Self::Number(Cow::Borrowed(number.as_str())),
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(map) => Self::Object(members(map)),
        }
    }
}

impl From<Node<'_>> for Value {
    fn from(node: Node<'_>) -> Self {
        match node {
            Node::Null => Self::Null,
            Node::Bool(bool) => Self::Bool(bool),
            Node::Number(text) => text.parse::<Number>().map_or(Self::Null, Self::Number),
            Node::String(text) => Self::String(text.into_owned()),
            Node::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Node::Object(members) => Self::Object(object(members)),
        }
    }
}
