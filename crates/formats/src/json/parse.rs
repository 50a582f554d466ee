//! One JSON value from text, stricter and better placed in its errors than a generic reader.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

use serde_json::{Number, Value};

use super::node::{Member, Node};

/// How deep arrays and objects may be nested in one record.
pub const DEPTH_MAX: usize = 128;

/// Up to so many members of an object, looking at each name finds one that stands twice sooner
/// than a hash table.
const MEMBERS_FEW: usize = 24;

/// Why a text is not one JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The line in the text, from 1.
    pub line: u64,
    /// The byte in the line, from 1.
    pub column: u64,
    /// The JSON path of the value that was being read, such as `.annotations[0].result`.
    pub path: String,
    /// What is wrong.
    pub what: String,
}

/// Reads the one JSON value of a text.
pub fn parse(text: &str) -> Result<Value, Malformed> {
    parse_node(text).map(Value::from)
}

/// Reads the one JSON value of a text, and borrows from it.
pub fn parse_node(text: &str) -> Result<Node<'_>, Malformed> {
    let mut parser = Parser { text, at: 0, path: Vec::new() };
    let value = parser.value();
    match value.and_then(|value| parser.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(what) => Err(parser.malformed(what)),
    }
}

enum Step<'a> {
    Member(Cow<'a, str>),
    Index(usize),
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    path: Vec<Step<'a>>,
}

impl<'a> Parser<'a> {
    fn malformed(&self, what: String) -> Malformed {
        let before = &self.text.as_bytes()[..self.at.min(self.text.len())];
        let line = before.iter().filter(|&&b| b == b'\n').count() as u64 + 1;
        let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let mut path = String::new();
        for step in &self.path {
            // Names are cut: a path is for people.
            let _ = match step {
                Step::Member(name) => {
                    write!(path, ".{}", name.chars().take(64).collect::<String>())
                }
                Step::Index(index) => write!(path, "[{index}]"),
            };
        }
        Malformed { line, column: (before.len() - start) as u64 + 1, path, what }
    }

    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn end(&mut self) -> Result<(), String> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err("more text follows the end of the value".to_owned()),
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), String> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.unexpected(what))
    }

    fn unexpected(&self, wanted: &str) -> String {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(found) => format!("expected {wanted}, found {found:?}"),
            None => format!("expected {wanted}, but the text ends"),
        }
    }

    fn value(&mut self) -> Result<Node<'a>, String> {
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string().map(Node::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn enter(&mut self, step: Step<'a>) -> Result<Node<'a>, String> {
        self.path.push(step);
        if self.path.len() > DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        let value = self.value()?;
        self.path.pop();
        Ok(value)
    }

    fn object(&mut self) -> Result<Node<'a>, String> {
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node::Object(Vec::new()));
        }
        let mut members: Vec<Member<'a>> = Vec::with_capacity(8);
        let mut names = HashSet::new();
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a member name in quotes"));
            }
            let name = self.string()?;
            if is_twice(name.clone(), &members, &mut names) {
                return Err(format!("the object has two members named {name:?}"));
            }
            self.expect(b':', "`:`")?;
            let value = self.enter(Step::Member(name.clone()))?;
            members.push((name, value));
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.expect(b'}', "`,` or `}`")?;
            return Ok(Node::Object(members));
        }
    }

    fn array(&mut self) -> Result<Node<'a>, String> {
        self.at += 1;
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::Array(items));
        }
        loop {
            items.push(self.enter(Step::Index(items.len()))?);
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.expect(b']', "`,` or `]`")?;
            return Ok(Node::Array(items));
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        let start = self.at + 1;
        let text = self.text;
        let bytes = text.as_bytes();
        let special = |&b: &u8| b == b'"' || b == b'\\' || b < b' ';
        let mut end =
            start + bytes[start..].iter().position(special).unwrap_or(bytes.len() - start);
        if bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Cow::Borrowed(&text[start..end]));
        }
        while let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[end.min(bytes.len())..]) {
            end += found;
            if bytes[end] == b'\\' {
                end += 2;
                continue;
            }
            let literal = &text[self.at..=end];
            let text: String = serde_json::from_str(literal)
                .map_err(|e| format!("bad text in quotes: {}", reason(&e)))?;
            self.at = end + 1;
            return Ok(Cow::Owned(text));
        }
        Err("a text in quotes has no end".to_owned())
    }

    fn token(&self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let other = |b: u8| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        &rest[..rest.bytes().position(other).unwrap_or(rest.len())]
    }

    fn number(&mut self) -> Result<Node<'a>, String> {
        let token = self.token();
        if is_decimal(token) {
            self.at += token.len();
            return Ok(Node::Number(Cow::Borrowed(token)));
        }
        if token == "-Infinity" {
            return self.word();
        }
        match token.parse::<Number>() {
            Ok(number) => {
                self.at += token.len();
                Ok(Node::Number(Cow::Owned(number.to_string())))
            }
            Err(_) => Err(format!("`{}` is not a number", cut(token))),
        }
    }

    fn word(&mut self) -> Result<Node<'a>, String> {
        let token = self.token();
        let value = match token {
            "null" => Node::Null,
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            "NaN" | "Infinity" | "-Infinity" => {
                return Err(format!("`{token}` is not JSON; write null or leave the member out"));
            }
            "" => return Err(self.unexpected("a value")),
            _ => return Err(format!("`{}` is not a JSON value", cut(token))),
        };
        self.at += token.len();
        Ok(value)
    }
}

/// Whether an object has a member of that name already.
fn is_twice<'a>(
    name: Cow<'a, str>,
    members: &[Member<'a>],
    names: &mut HashSet<Cow<'a, str>>,
) -> bool {
    if members.len() < MEMBERS_FEW {
        return members.iter().any(|(known, _)| *known == name);
    }
    if names.is_empty() {
        names.extend(members.iter().map(|(known, _)| known.clone()));
    }
    !names.insert(name)
}

/// Whether a token is a number without an exponent.
fn is_decimal(token: &str) -> bool {
    let token = token.strip_prefix('-').unwrap_or(token);
    let (whole, fraction) = token.split_once('.').unwrap_or((token, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'))
}

/// The beginning of a token, for messages.
fn cut(token: &str) -> &str {
    token.get(..40).unwrap_or(token)
}

/// The reason of a reader's error without its place, which counts from the literal's start.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}
