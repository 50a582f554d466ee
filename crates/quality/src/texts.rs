//! How far apart two texts are, in characters and in words.

use crate::measure::{Measure, NO_OVERLAP, Undefined, ratio};

/// Two texts are compared where the product of their lengths in characters is not above this.
const STEPS_MAX: usize = 400_000_000;

const NO_REFERENCE: Undefined = Undefined("no answered item has a reference text");
const EMPTY: Undefined = Undefined("all texts are empty");

/// Edits between texts, summed over pairs of texts: insertions, deletions and substitutions.
/// Levenshtein, *Binary codes capable of correcting deletions, insertions, and reversals*, 1966.
///
/// White space around a text means nothing; words are what white space parts. Case, punctuation and
/// forms of Unicode are compared as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextCounts {
    /// Pairs of texts.
    pub pairs: u64,
    /// Pairs of equal texts.
    pub equal: u64,
    /// Pairs that are too long to be compared; they count nowhere else.
    pub too_long: u64,
    char_edits: u64,
    first_chars: u64,
    second_chars: u64,
    word_edits: u64,
    first_words: u64,
    second_words: u64,
}

impl TextCounts {
    /// Adds a pair of texts; where one is a reference, it is the second.
    pub fn add(&mut self, first: &str, second: &str) {
        let (first, second) = (first.trim(), second.trim());
        let (a, b): (Vec<char>, Vec<char>) = (first.chars().collect(), second.chars().collect());
        if first != second && a.len().saturating_mul(b.len()) > STEPS_MAX {
            self.too_long += 1;
            return;
        }
        self.pairs += 1;
        self.equal += u64::from(first == second);
        self.first_chars += a.len() as u64;
        self.second_chars += b.len() as u64;
        let (x, y): (Vec<&str>, Vec<&str>) =
            (first.split_whitespace().collect(), second.split_whitespace().collect());
        self.first_words += x.len() as u64;
        self.second_words += y.len() as u64;
        if first != second {
            self.char_edits += strsim::generic_levenshtein(&a, &b) as u64;
            self.word_edits += strsim::generic_levenshtein(&x, &y) as u64;
        }
    }

    /// Character error rate: edits of all pairs over the characters of all references; above 1
    /// where more was written than there was. So defined by jiwer.
    pub fn cer(&self) -> Measure {
        ratio(self.char_edits as f64, self.second_chars as f64, self.empty(NO_REFERENCE))
    }

    /// Word error rate: the same of words.
    pub fn wer(&self) -> Measure {
        ratio(self.word_edits as f64, self.second_words as f64, self.empty(NO_REFERENCE))
    }

    /// Where neither text is a reference: edits over half of the characters of both.
    pub fn pair_cer(&self) -> Measure {
        let both = self.first_chars + self.second_chars;
        ratio(2.0 * self.char_edits as f64, both as f64, self.empty(NO_OVERLAP))
    }

    /// The same of words.
    pub fn pair_wer(&self) -> Measure {
        let both = self.first_words + self.second_words;
        ratio(2.0 * self.word_edits as f64, both as f64, self.empty(NO_OVERLAP))
    }

    /// The share of pairs of equal texts.
    ///
    /// # Errors
    /// Undefined without pairs, for the reason given.
    pub fn exact(&self, otherwise: Undefined) -> Measure {
        ratio(self.equal as f64, self.pairs as f64, otherwise)
    }

    fn empty(&self, otherwise: Undefined) -> Undefined {
        if self.pairs == 0 { otherwise } else { EMPTY }
    }
}
