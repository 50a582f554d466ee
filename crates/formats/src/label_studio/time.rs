//! Times as the tool writes them: UTC with a `Z`, six digits of a second or none.

use jiff::Timestamp;

/// Reads a time, to the microsecond.
pub(super) fn micros(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

/// Writes a time as the tool does.
pub(super) fn text(micros: i64) -> Option<String> {
    let time = Timestamp::from_microsecond(micros).ok()?;
    Some(if micros % 1_000_000 == 0 { format!("{time:.0}") } else { format!("{time:.6}") })
}
