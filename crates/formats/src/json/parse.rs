//! One JSON value from text, stricter and better placed in its errors than a generic reader.

use std::fmt::Write;

use serde_json::{Map, Number, Value};

/// How deep arrays and objects may be nested in one record.
pub const DEPTH_MAX: usize = 128;

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
    let mut parser = Parser { text, at: 0, path: Vec::new() };
    let value = parser.value();
    match value.and_then(|value| parser.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(what) => Err(parser.malformed(what)),
    }
}

enum Step {
    Member(String),
    Index(usize),
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    path: Vec<Step>,
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

    fn value(&mut self) -> Result<Value, String> {
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn enter(&mut self, step: Step) -> Result<Value, String> {
        self.path.push(step);
        if self.path.len() > DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        let value = self.value()?;
        self.path.pop();
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, String> {
        self.at += 1;
        let mut map = Map::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a member name in quotes"));
            }
            let name = self.string()?;
            if map.contains_key(&name) {
                return Err(format!("the object has two members named {name:?}"));
            }
            self.expect(b':', "`:`")?;
            let value = self.enter(Step::Member(name.clone()))?;
            map.insert(name, value);
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.expect(b'}', "`,` or `}`")?;
            return Ok(Value::Object(map));
        }
    }

    fn array(&mut self) -> Result<Value, String> {
        self.at += 1;
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.enter(Step::Index(items.len()))?);
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.expect(b']', "`,` or `]`")?;
            return Ok(Value::Array(items));
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let rest = &self.text[self.at + 1..];
        let mut escaped = false;
        for (i, byte) in rest.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    let literal = &self.text[self.at..self.at + i + 2];
                    let text = serde_json::from_str(literal)
                        .map_err(|e| format!("bad text in quotes: {}", reason(&e)))?;
                    self.at += literal.len();
                    return Ok(text);
                }
                _ => {}
            }
        }
        Err("a text in quotes has no end".to_owned())
    }

    fn token(&self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
            .unwrap_or(rest.len());
        &rest[..end]
    }

    fn number(&mut self) -> Result<Value, String> {
        let token = self.token();
        if token == "-Infinity" {
            return self.word();
        }
        match token.parse::<Number>() {
            Ok(number) => {
                self.at += token.len();
                Ok(Value::Number(number))
            }
            Err(_) => Err(format!("`{}` is not a number", cut(token))),
        }
    }

    fn word(&mut self) -> Result<Value, String> {
        let token = self.token();
        let value = match token {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
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

/// The beginning of a token, for messages.
fn cut(token: &str) -> &str {
    token.get(..40).unwrap_or(token)
}

/// The reason of a reader's error without its place, which counts from the literal's start.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}
