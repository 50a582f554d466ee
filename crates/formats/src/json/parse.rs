//! One JSON value from text, stricter and better placed in its errors than a generic reader.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

use serde_json::{Number, Value};

use super::node::{Member, Node};
use super::scan;

/// How deep arrays and objects may be nested in one record.
pub const DEPTH_MAX: usize = 128;

/// Up to so many members of an object, looking at each name finds one that stands twice sooner
/// than a hash table.
const MEMBERS_FEW: usize = 32;

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
    // Where something is wrong, the text is read again to say in which value.
    if let Ok(value) = Parser::<false>::new(text).whole() {
        return Ok(value);
    }
    let mut parser = Parser::<true>::new(text);
    parser.whole().map_err(|what| parser.malformed(what))
}

enum Step<'a> {
    Member(Cow<'a, str>),
    Index(usize),
}

/// Reads a text; with `PATHS`, it knows where it is.
struct Parser<'a, const PATHS: bool> {
    text: &'a str,
    at: usize,
    depth: usize,
    path: Vec<Step<'a>>,
    /// Elements of the arrays that are being read, and members of the objects.
    items: Vec<Node<'a>>,
    members: Vec<Member<'a>>,
}

impl<'a, const PATHS: bool> Parser<'a, PATHS> {
    fn new(text: &'a str) -> Self {
        let (path, items, members) = Default::default();
        Self { text, at: 0, depth: 0, path, items, members }
    }

    fn whole(&mut self) -> Result<Node<'a>, String> {
        let value = self.value()?;
        self.end().map(|()| value)
    }

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

    fn enter(&mut self, step: impl FnOnce() -> Step<'a>) -> Result<Node<'a>, String> {
        if PATHS {
            self.path.push(step());
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        let value = self.value()?;
        self.depth -= 1;
        if PATHS {
            self.path.pop();
        }
        Ok(value)
    }

    fn object(&mut self) -> Result<Node<'a>, String> {
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node::Object(Vec::new()));
        }
        let start = self.members.len();
        let mut names = Names::default();
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a member name in quotes"));
            }
            let name = self.string()?;
            if names.is_twice(&name, &self.members[start..]) {
                return Err(format!("the object has two members named {name:?}"));
            }
            self.expect(b':', "`:`")?;
            let value = self.enter(|| Step::Member(name.clone()))?;
            self.members.push((name, value));
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.expect(b'}', "`,` or `}`")?;
            return Ok(Node::Object(self.members.split_off(start)));
        }
    }

    fn array(&mut self) -> Result<Node<'a>, String> {
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::Array(Vec::new()));
        }
        let start = self.items.len();
        loop {
            let number = if self.depth < DEPTH_MAX { self.decimal() } else { None };
            match number {
                Some(number) => self.items.push(Node::Number(Cow::Borrowed(number))),
                None => {
                    let index = self.items.len() - start;
                    let item = self.enter(|| Step::Index(index))?;
                    self.items.push(item);
                }
            }
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.expect(b']', "`,` or `]`")?;
            return Ok(Node::Array(self.items.split_off(start)));
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        let start = self.at + 1;
        let text = self.text;
        let bytes = text.as_bytes();
        let mut end = start + scan::plain(&bytes[start..]);
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

    /// A number without an exponent, if one comes next.
    #[inline]
    fn decimal(&mut self) -> Option<&'a str> {
        self.peek().filter(|byte| matches!(byte, b'-' | b'0'..=b'9'))?;
        let (text, start) = (self.text, self.at);
        self.at += decimal_len(&text.as_bytes()[start..])?;
        text.get(start..self.at)
    }

    fn number(&mut self) -> Result<Node<'a>, String> {
        if let Some(number) = self.decimal() {
            return Ok(Node::Number(Cow::Borrowed(number)));
        }
        let token = self.token();
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

/// The names of an object's members.
#[derive(Default)]
struct Names {
    /// A bit for each of them; two may share one.
    bits: u128,
    /// All of them, where there are many.
    all: HashSet<String>,
}

impl Names {
    /// Whether one of the members has that name, which is noted.
    fn is_twice(&mut self, name: &str, members: &[Member<'_>]) -> bool {
        if members.len() >= MEMBERS_FEW {
            if self.all.is_empty() {
                self.all.extend(members.iter().map(|(known, _)| known.to_string()));
            }
            return !self.all.insert(name.to_owned());
        }
        let byte = |at: Option<&u8>| u32::from(at.copied().unwrap_or_default());
        let bytes = name.as_bytes();
        let mixed = byte(bytes.first()) + byte(bytes.last()) * 7 + bytes.len() as u32 * 29;
        let bit = 1 << (mixed % u128::BITS);
        let known = self.bits & bit != 0 && members.iter().any(|(known, _)| known == name);
        self.bits |= bit;
        known
    }
}

/// How long a number without an exponent is that these bytes begin with; `None` where they begin
/// with anything else.
#[inline]
fn decimal_len(bytes: &[u8]) -> Option<usize> {
    let start = usize::from(bytes.first() == Some(&b'-'));
    let mut end = start;
    while let Some(b'0'..=b'9') = bytes.get(end) {
        end += 1;
    }
    if end == start || (bytes[start] == b'0' && end > start + 1) {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        let point = end;
        end += 1;
        while let Some(b'0'..=b'9') = bytes.get(end) {
            end += 1;
        }
        if end == point + 1 {
            return None;
        }
    }
    match bytes.get(end) {
        None | Some(b',' | b']' | b'}' | b' ' | b'\n') => Some(end),
        Some(b) if b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.') => None,
        Some(_) => Some(end),
    }
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
