//! JSON as labelling tools write it: streamed record by record, and given back to the letter.
//!
//! [`Reader`] cuts a file of any size into records, [`parse`] reads one of them, or [`Node`]
//! borrows from its text, and [`residual`] with [`restore`] keep what an exporter would not write
//! from the columns alone.
//!
//! # Guarantees
//! - Numbers keep their text; an object with two members of one name, `NaN` and `Infinity` are
//!   refused.
//! - Nesting is limited to [`DEPTH_MAX`], a record to [`crate::RECORD_BYTES_MAX`].
//!
//! # Limitations
//! - The exponent of a number is spelled `e+5` or `e-5`, however the file spells it.

mod node;
mod parse;
mod reader;
mod residual;
mod scan;
#[cfg(test)]
mod tests;

use serde_json::{Number, Value};

pub use node::{Member, Node, find, members, object};
pub use parse::parse;
pub use reader::{Event, Reader, Record, Top};
pub use residual::{node_residual, residual, restore, restore_object};

/// The JSON number that exporters write for a float: an integer without a point, else the shortest
/// text that reads back as the same float. `null` where the float is not finite.
pub fn number(value: f64) -> Value {
    number_text(value).and_then(|text| text.parse().ok()).map_or(Value::Null, Value::Number)
}

/// The text of that number.
pub fn number_text(value: f64) -> Option<String> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT_MAX {
        return Some((value as i64).to_string());
    }
    let text = Number::from_f64(value)?.to_string();
    // Reading it spells the exponent as all numbers are spelled.
    if text.contains('e') { text.parse::<Number>().ok().map(|n| n.to_string()) } else { Some(text) }
}

/// Whether [`number_text`] of a value is that text, which is a JSON number that reads as it.
pub fn writes(text: &str, value: f64) -> bool {
    /// Decimals of so many digits are their floats' shortest texts.
    const DIGITS_MAX: usize = 15;
    let size = value.abs();
    let short = text.len() <= DIGITS_MAX && (1e-3..1e15).contains(&size) && !text.contains('e');
    match text.split_once('.') {
        Some((_, fraction)) if short => !fraction.ends_with('0'),
        None if short || text == "0" => true,
        _ => number_text(value).as_deref() == Some(text),
    }
}

/// The finite float that a JSON number stands for.
pub fn float(value: &Value) -> Option<f64> {
    value.as_f64().filter(|f| f.is_finite())
}

/// Whether bytes begin as an array or an object does, behind a byte order mark and white space.
pub fn begins(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    matches!(text.iter().find(|b| !b.is_ascii_whitespace()), Some(b'[' | b'{'))
}

/// A short name of a value's type, for messages.
pub fn type_name(value: &Value) -> &'static str {
    Node::from(value).type_name()
}
