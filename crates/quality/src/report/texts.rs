//! Fields whose answers are texts: transcripts, translations, free answers.

use serde::Serialize;

use super::{Reasons, told};
use crate::measure::{NO_GOLD, NO_OVERLAP};
use crate::texts::TextCounts;
use crate::unit::Field;
use crate::votes::Votes;

/// How far apart texts of two people are, and from gold.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TextsReport {
    /// Pairs of answers of different people.
    pub pairs: u64,
    /// The share of these that are equal.
    pub pair_exact: Option<f64>,
    /// Edits of characters over half of the characters of both.
    pub pair_cer: Option<f64>,
    /// The same of words.
    pub pair_wer: Option<f64>,
    /// Answers on items with a reference text.
    pub gold_answers: u64,
    /// The share of these that equal it.
    pub gold_exact: Option<f64>,
    /// Edits of characters over the characters of references.
    pub gold_cer: Option<f64>,
    /// The same of words.
    pub gold_wer: Option<f64>,
    /// Pairs that are too long to be compared.
    pub too_long: u64,
    /// Why there is no value, by measure.
    pub undefined: Reasons,
}

/// Measures a field of texts. `votes` are its answers, ordered as they are.
pub(crate) fn measure(field: &Field, votes: &Votes) -> TextsReport {
    let (mut pairs, mut gold) = (TextCounts::default(), TextCounts::default());
    for (unit, ends) in votes.starts().windows(2).enumerate() {
        let answers = &field.answers[ends[0] as usize..ends[1] as usize];
        for (at, a) in answers.iter().enumerate() {
            let Some(text) = field.text(a.text) else { continue };
            for b in answers[..at].iter().filter(|b| b.annotator != a.annotator) {
                if let Some(other) = field.text(b.text) {
                    pairs.add(other, text);
                }
            }
            let own = field.gold_authors.contains(&(unit as u32, a.annotator));
            let reference = field.gold[unit].filter(|_| !own);
            if let Some(reference) = reference.and_then(|gold| field.text(gold.text)) {
                gold.add(text, reference);
            }
        }
    }
    let mut why = Reasons::new();
    TextsReport {
        pairs: pairs.pairs,
        pair_exact: told(&mut why, "pair_exact", pairs.exact(NO_OVERLAP)),
        pair_cer: told(&mut why, "pair_cer", pairs.pair_cer()),
        pair_wer: told(&mut why, "pair_wer", pairs.pair_wer()),
        gold_answers: gold.pairs,
        gold_exact: told(&mut why, "gold_exact", gold.exact(NO_GOLD)),
        gold_cer: told(&mut why, "gold_cer", gold.cer()),
        gold_wer: told(&mut why, "gold_wer", gold.wer()),
        too_long: pairs.too_long + gold.too_long,
        undefined: why,
    }
}
