//! Answers given under different policies, each apart: nobody has said what one means in another.

use serde::Serialize;

use super::{Reasons, told};
use crate::agreement::{Coincidences, Interval};
use crate::gold::{Score, Scores};
use crate::measure::Undefined;
use crate::unit::{Answer, Answers, Field};
use crate::votes::Votes;

const NO_LABELS: Undefined = Undefined("the answers are no labels");

/// The answers to a field that were given under one policy, compared among themselves.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyReport {
    /// The policy; null where rows name none.
    pub policy: Option<String>,
    /// Answers.
    pub answers: u64,
    /// Items with an answer.
    pub items: u64,
    /// Items with two answers or more.
    pub items_with_overlap: u64,
    /// The share of equal pairs.
    pub percent_pair_pooled: Option<f64>,
    /// Krippendorff's alpha, nominal.
    pub krippendorff_alpha_nominal: Option<f64>,
    /// Answers on items with gold, and right ones.
    pub gold: Score,
    /// The share of right answers.
    pub gold_accuracy: Option<f64>,
    /// Wilson's interval of it.
    pub gold_interval: Option<Interval>,
    /// Why there is no value, by measure.
    pub undefined: Reasons,
}

/// By policy, in the order of their names.
pub(crate) fn by_policy(field: &Field, answers: &Answers, categorical: bool) -> Vec<PolicyReport> {
    let mut numbers: Vec<u32> = field.answers.iter().map(|a| field.about(a).policy).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let of = |policy: u32| report(field, answers, policy, categorical);
    let mut found: Vec<PolicyReport> = numbers.into_iter().map(of).collect();
    found.sort_by(|a, b| a.policy.cmp(&b.policy));
    found
}

fn report(field: &Field, answers: &Answers, policy: u32, categorical: bool) -> PolicyReport {
    let given: Vec<&Answer> =
        field.answers.iter().filter(|a| field.about(a).policy == policy).collect();
    let column = |of: fn(&Answer) -> u32| given.iter().map(|a| of(a)).collect::<Vec<_>>();
    let votes = Votes::new(&column(|a| a.unit), &column(|a| a.annotator), &column(|a| a.set));
    let counted = Coincidences::new(&votes);
    let gold: Vec<Option<u32>> = match categorical {
        true => field.gold.iter().map(|gold| gold.map(|gold| gold.set)).collect(),
        false => Vec::new(),
    };
    let author = |unit: usize, who| !field.gold_authors.contains(&(unit as u32, who));
    let scores = Scores::new(&votes, &gold, author);
    let mut why = Reasons::new();
    let mut of = |name, measure| {
        let measure = if categorical { measure } else { Err(NO_LABELS) };
        told(&mut why, name, measure)
    };
    PolicyReport {
        policy: answers.policy(policy).map(str::to_owned),
        answers: votes.len() as u64,
        items: votes.items().filter(|(_, labels)| !labels.is_empty()).count() as u64,
        items_with_overlap: counted.items_with_overlap(),
        percent_pair_pooled: of("percent_pair_pooled", counted.percent_pair_pooled()),
        krippendorff_alpha_nominal: of("krippendorff_alpha_nominal", counted.nominal_alpha()),
        gold_accuracy: of("gold_accuracy", scores.all.accuracy()),
        gold: scores.all,
        gold_interval: scores.all.wilson(),
        undefined: why,
    }
}
