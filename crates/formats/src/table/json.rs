//! Small pieces of JSON text: quoting, checking, compacting and taking one value apart.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Appends text as a JSON string.
pub(super) fn quote(text: &str, out: &mut String) {
    quoted(text, &mut |part| out.push_str(part));
}

/// Appends text as a JSON string to bytes.
pub(super) fn quote_bytes(text: &str, out: &mut Vec<u8>) {
    quoted(text, &mut |part| out.extend_from_slice(part.as_bytes()));
}

/// The bytes that JSON escapes in a string.
static ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escaped[byte] = true;
        byte += 1;
    }
    escaped[b'"' as usize] = true;
    escaped[b'\\' as usize] = true;
    escaped
};

/// The parts of text as a JSON string. JSON in text is full of quotes: with a writer of JSON that
/// makes no guess about that, it took a fifth of what reading a table takes.
fn quoted(text: &str, put: &mut impl FnMut(&str)) {
    put("\"");
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate().filter(|(_, b)| ESCAPED[usize::from(*b)]) {
        put(&text[start..at]);
        match byte {
            b'"' => put("\\\""),
            b'\\' => put("\\\\"),
            b'\n' => put("\\n"),
            b'\r' => put("\\r"),
            b'\t' => put("\\t"),
            0x08 => put("\\b"),
            0x0c => put("\\f"),
            control => put(&format!("\\u{control:04x}")),
        }
        start = at + 1;
    }
    put(&text[start..]);
    put("\"");
}

/// The text of a JSON string, borrowed where nothing is escaped.
pub(super) fn unquote(raw: &str) -> Result<Cow<'_, str>, String> {
    match raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')) {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        _ => serde_json::from_str::<String>(raw)
            .map(Cow::Owned)
            .map_err(|e| format!("{} is not a whole JSON string: {e}", excerpt(raw))),
    }
}

/// Refuses text that is not one JSON value.
pub(super) fn check(raw: &str) -> Result<(), String> {
    serde_json::from_str::<IgnoredAny>(raw)
        .map(drop)
        .map_err(|e| format!("{} is not JSON: {e}", excerpt(raw)))
}

/// Drops white space between the parts of valid JSON; strings and numbers stay as written.
pub(super) fn compact(raw: &str) -> Cow<'_, str> {
    if !raw.starts_with(['{', '[']) || !raw.bytes().any(|b| b.is_ascii_whitespace()) {
        return Cow::Borrowed(raw);
    }
    let (mut quoted, mut escaped) = (false, false);
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        if quoted || !c.is_ascii_whitespace() {
            out.push(c);
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    Cow::Owned(out)
}

/// The beginning of a value, for messages.
pub(super) fn excerpt(raw: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut short: String = raw.chars().take(CHARS_MAX).collect();
    if short.len() < raw.len() {
        short.push('…');
    }
    format!("`{short}`")
}

/// Appends a member to an object that is being written: `{`, then members, without its `}`.
pub(super) fn member(object: &mut String, name: &str) {
    object.push(if object.is_empty() { '{' } else { ',' });
    quote(name, object);
    object.push(':');
}

/// The members of an object in order; a repeated name is refused.
pub(super) fn members(raw: &str) -> Result<Vec<(String, &str)>, String> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de str)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members: Self::Value = Vec::new();
            let mut names = std::collections::HashSet::new();
            while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                if !names.insert(name.clone()) {
                    return Err(serde::de::Error::custom(format!("the member `{name}` twice")));
                }
                members.push((name, value.get()));
            }
            Ok(members)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(raw);
    let members = reader.deserialize_map(Members).map_err(|e| e.to_string())?;
    reader.end().map_err(|e| e.to_string())?;
    Ok(members)
}

/// The entries of an array in order.
pub(super) fn entries(raw: &str) -> Result<Vec<&str>, String> {
    serde_json::from_str::<Vec<&RawValue>>(raw)
        .map(|list| list.into_iter().map(RawValue::get).collect())
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_as_serde_json_quotes_it() {
        let every: String =
            (0..0x250).filter_map(char::from_u32).chain(['\u{2028}', '😀']).collect();
        for text in ["", "plain", "\"", "\\\"\\", "a\"b", &every] {
            let (mut out, mut bytes) = ("<".to_owned(), b"<".to_vec());
            quote(text, &mut out);
            quote_bytes(text, &mut bytes);
            assert_eq!(out, format!("<{}", serde_json::to_string(text).unwrap()));
            assert_eq!(bytes, out.as_bytes());
        }
    }
}
