//! One cell as a file holds it, and its conversion to the type of one of our columns.

use std::borrow::Cow;

use glossator_store::schema::CellType;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::TimeZone;

use super::json;

/// A cell of any of the formats.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Cell<'a> {
    /// The record has no such member.
    #[default]
    Absent,
    /// Stated and null: JSON `null`, a Parquet null, an empty CSV cell without quotes.
    Null,
    /// Text of a CSV or Parquet file.
    Text(&'a str),
    /// The text of one valid JSON value.
    Json(&'a str),
    /// A Parquet integer.
    Int(i64),
    /// A Parquet float.
    Float(f64),
    /// A Parquet boolean.
    Bool(bool),
    /// Microseconds since 1970 UTC of a Parquet timestamp.
    Time(i64),
    /// A Parquet list of floats.
    Floats(&'a [f64]),
    /// Parquet bytes.
    Bytes(&'a [u8]),
}

/// A converted cell; its variant fits the [`CellType`] that it was converted to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Value<'a> {
    /// Null.
    #[default]
    Null,
    /// Text, dictionary text and JSON text.
    Text(Cow<'a, str>),
    /// A boolean.
    Bool(bool),
    /// A float; finite.
    Float(f64),
    /// Integers and times.
    Int(i64),
    /// A list of floats; finite.
    Floats(Vec<f64>),
    /// A list of strings.
    Texts(Vec<String>),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl<'a> Value<'a> {
    /// The text of a text value.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Appends the value of a column of this type as JSON; lists and bytes are not needed.
    pub(super) fn write_json(&self, cell: CellType, out: &mut String) {
        match self {
            Self::Text(text) if cell == CellType::Json => out.push_str(text),
            Self::Text(text) => json::quote(text, out),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Float(value) => out.push_str(&format!("{value:?}")),
            Self::Bool(value) => out.push_str(&value.to_string()),
            Self::Null | Self::Floats(_) | Self::Texts(_) | Self::Bytes(_) => out.push_str("null"),
        }
    }

    /// A value of borrowed text.
    pub(super) fn str(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

/// How times are read, and what was noticed about them.
#[derive(Debug, Clone, Default)]
pub(super) struct Times {
    /// Microseconds of one unit of an integer time as a fraction `(times, divided by)`.
    unit: Option<(i64, i64)>,
    /// Times that were cut to microseconds since this was last taken.
    pub(super) cut: u64,
    /// Times without a zone, read as UTC, since this was last taken.
    pub(super) zoneless: u64,
}

impl Times {
    /// Takes the `--time-unit`, or returns the unknown word.
    pub(super) fn new(unit: Option<&str>) -> Result<Self, String> {
        let unit = match unit {
            None => None,
            Some("s") => Some((1_000_000, 1)),
            Some("ms") => Some((1_000, 1)),
            Some("us") => Some((1, 1)),
            Some("ns") => Some((1, 1_000)),
            Some(other) => return Err(other.to_owned()),
        };
        Ok(Self { unit, ..Self::default() })
    }

    /// Forgets what was noticed: the cells are read again.
    pub(super) fn forget(&mut self) {
        (self.cut, self.zoneless) = (0, 0);
    }

    fn integer(&mut self, value: i64) -> Result<i64, String> {
        let Some((times, divided)) = self.unit else {
            return Err(format!(
                "{value} is an integer time; say what it counts with --time-unit s, ms, us or ns"
            ));
        };
        self.cut += u64::from(value.rem_euclid(divided) != 0);
        value
            .checked_mul(times)
            .map(|v| v.div_euclid(divided))
            .filter(|v| is_time(*v))
            .ok_or_else(|| format!("the time {value} is out of range"))
    }

    fn text(&mut self, text: &str) -> Result<i64, String> {
        let time = match text.parse::<Timestamp>() {
            Ok(time) => time,
            Err(_) => {
                if let Ok(number) = text.parse::<i64>() {
                    return self.integer(number);
                }
                let zoned = text
                    .parse::<DateTime>()
                    .and_then(|civil| civil.to_zoned(TimeZone::UTC))
                    .map_err(|_| format!("{text:?} is not a time as RFC 3339 writes it"))?;
                self.zoneless += 1;
                zoned.timestamp()
            }
        };
        let nanos = time.as_nanosecond();
        self.cut += u64::from(nanos.rem_euclid(1_000) != 0);
        i64::try_from(nanos.div_euclid(1_000)).map_err(|_| format!("{text:?} is out of range"))
    }
}

/// Whether microseconds since 1970 are a time that RFC 3339 can write.
pub(super) fn is_time(micros: i64) -> bool {
    Timestamp::from_microsecond(micros).is_ok()
}

static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// Writes microseconds since 1970 as RFC 3339 with six digits and `Z`.
pub(super) fn write_time(micros: i64, out: &mut Vec<u8>) -> Result<(), String> {
    let time = Timestamp::from_microsecond(micros)
        .map_err(|_| format!("the time {micros} is out of range"))?;
    PRINTER.print_timestamp(&time, out).map_err(|e| e.to_string())
}

impl<'a> Cell<'a> {
    /// Whether the cell holds nothing.
    pub(super) fn is_null(self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }

    /// The cell as text: numbers as they are written, nested values refused.
    pub(super) fn text(self) -> Result<Cow<'a, str>, String> {
        Ok(match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Json(raw) => match raw.as_bytes().first() {
                Some(b'"') => json::unquote(raw)?,
                Some(b'[' | b'{') => {
                    return Err(format!("expected text, found {}", json::excerpt(raw)));
                }
                _ => Cow::Borrowed(raw),
            },
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Float(value) => Cow::Owned(format!("{:?}", finite(value)?)),
            Self::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
            Self::Time(micros) => {
                let mut out = Vec::new();
                write_time(micros, &mut out)?;
                Cow::Owned(String::from_utf8(out).map_err(|e| e.to_string())?)
            }
            Self::Bytes(_) | Self::Floats(_) => return Err("expected text".to_owned()),
            Self::Absent | Self::Null => Cow::Borrowed(""),
        })
    }

    /// Converts the cell to a column's type.
    pub(super) fn convert(self, to: CellType, times: &mut Times) -> Result<Value<'a>, String> {
        if self.is_null() {
            return Ok(Value::Null);
        }
        Ok(match to {
            CellType::Text | CellType::Dict => Value::Text(self.text()?),
            CellType::Json => Value::Text(self.json_text()?),
            CellType::Bool => Value::Bool(self.bool()?),
            CellType::Float => Value::Float(self.float()?),
            CellType::Int => Value::Int(self.int()?),
            CellType::Int32 => Value::Int(i64::from(
                i32::try_from(self.int()?).map_err(|_| "the number needs 32 bits".to_owned())?,
            )),
            CellType::Time => Value::Int(self.time(times)?),
            CellType::Floats => Value::Floats(self.floats()?),
            CellType::Texts => Value::Texts(self.texts()?),
            CellType::Bytes => Value::Bytes(self.bytes()?),
        })
    }

    fn bool(self) -> Result<bool, String> {
        if let Self::Bool(value) = self {
            return Ok(value);
        }
        let text = self.text()?;
        match text.as_ref() {
            "1" => Ok(true),
            "0" => Ok(false),
            word if word.eq_ignore_ascii_case("true") => Ok(true),
            word if word.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        }
    }

    /// The cell as a finite number.
    pub(super) fn float(self) -> Result<f64, String> {
        match self {
            Self::Float(value) => finite(value),
            Self::Int(value) => Ok(value as f64),
            _ => {
                let text = self.text()?;
                let value = text.trim().parse().map_err(|_| format!("{text:?} is not a number"));
                finite(value?)
            }
        }
    }

    fn int(self) -> Result<i64, String> {
        match self {
            Self::Int(value) => Ok(value),
            // pandas turns integer columns with gaps into floats
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Ok(value as i64),
            _ => {
                let text = self.text()?;
                text.trim().parse().map_err(|_| format!("{text:?} is not an integer"))
            }
        }
    }

    fn time(self, times: &mut Times) -> Result<i64, String> {
        match self {
            Self::Time(micros) if is_time(micros) => Ok(micros),
            Self::Time(micros) => Err(format!("the time {micros} is out of range")),
            Self::Int(value) => times.integer(value),
            _ => {
                let text = self.text()?;
                times.text(text.trim())
            }
        }
    }

    fn floats(self) -> Result<Vec<f64>, String> {
        let list: Vec<f64> = match self {
            Self::Floats(list) => list.to_vec(),
            Self::Text(raw) | Self::Json(raw) => {
                let raw = if raw.starts_with('"') { json::unquote(raw)? } else { raw.into() };
                serde_json::from_str(&raw)
                    .map_err(|_| format!("{} is not a list of numbers", json::excerpt(&raw)))?
            }
            _ => return Err("expected a list of numbers".to_owned()),
        };
        list.iter().try_for_each(|v| finite(*v).map(drop))?;
        Ok(list)
    }

    fn texts(self) -> Result<Vec<String>, String> {
        let (Self::Text(raw) | Self::Json(raw)) = self else {
            return Err("expected a list of strings".to_owned());
        };
        let raw = if raw.starts_with('"') { json::unquote(raw)? } else { raw.into() };
        serde_json::from_str(&raw)
            .map_err(|_| format!("{} is not a list of strings", json::excerpt(&raw)))
    }

    fn bytes(self) -> Result<Vec<u8>, String> {
        if let Self::Bytes(bytes) = self {
            return Ok(bytes.to_vec());
        }
        let text = self.text()?;
        let digit = |d: u8| (d as char).to_digit(16).map(|d| d as u8);
        text.as_bytes()
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or_else(|| "bytes are written as hexadecimal digits, two a byte".to_owned())
    }

    /// The cell as the text of a JSON value, without white space between its parts.
    fn json_text(self) -> Result<Cow<'a, str>, String> {
        let raw: Cow<'a, str> = match self {
            Self::Json(raw) if raw.starts_with('"') => json::unquote(raw)?,
            Self::Json(raw) => return Ok(json::compact(raw)),
            _ => self.text()?,
        };
        json::check(&raw)?;
        match json::compact(&raw) {
            Cow::Owned(compact) => Ok(Cow::Owned(compact)),
            Cow::Borrowed(_) => Ok(raw),
        }
    }

    /// Appends the cell as a JSON value.
    pub(super) fn write_json(self, out: &mut String) -> Result<(), String> {
        match self {
            Self::Text(text) => json::quote(text, out),
            Self::Json(raw) => out.push_str(&json::compact(raw)),
            Self::Int(_) | Self::Float(_) | Self::Bool(_) => out.push_str(&self.text()?),
            Self::Time(_) => {
                let text = self.text()?;
                json::quote(&text, out);
            }
            Self::Floats(list) => {
                out.push('[');
                for (i, value) in list.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    out.push_str(&format!("{:?}", finite(*value)?));
                }
                out.push(']');
            }
            Self::Bytes(bytes) => {
                out.push('"');
                bytes.iter().for_each(|b| out.push_str(&format!("{b:02x}")));
                out.push('"');
            }
            Self::Absent | Self::Null => out.push_str("null"),
        }
        Ok(())
    }
}

/// Refuses NaN and infinity.
pub(super) fn finite(value: f64) -> Result<f64, String> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(format!("{value} is not a finite number; leave the cell empty or write one"))
}
