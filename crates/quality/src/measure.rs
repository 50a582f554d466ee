//! What a measure gives: a number, or the reason why there is none.

/// Why a measure has no value. A measure without one is neither 0 nor 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Undefined(pub &'static str);

impl std::fmt::Display for Undefined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "undefined, because {}", self.0)
    }
}

impl std::error::Error for Undefined {}

/// A finite number, or why there is none.
pub type Measure = Result<f64, Undefined>;

/// Nobody answered what somebody else answered.
pub const NO_OVERLAP: Undefined = Undefined("no item has two answers");
/// Chance alone explains everything.
pub const ONE_LABEL: Undefined = Undefined("all answers are the same");
/// Nothing to look at.
pub const NO_ANSWERS: Undefined = Undefined("there are no answers");
/// No item of these has a reference answer.
pub const NO_GOLD: Undefined = Undefined("no answered item has gold");

/// Sums or squares of them have no number.
pub const TOO_LARGE: Undefined = Undefined("the numbers are too large");

/// A value, where it is a number.
pub(crate) fn finite(value: f64) -> Measure {
    if value.is_finite() { Ok(value) } else { Err(TOO_LARGE) }
}

/// A share; undefined where the whole is nothing.
pub(crate) fn ratio(part: f64, whole: f64, otherwise: Undefined) -> Measure {
    if whole > 0.0 { Ok(part / whole) } else { Err(otherwise) }
}
