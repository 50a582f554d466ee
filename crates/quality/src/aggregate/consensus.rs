//! One answer a question out of what people voted, by any method, with how sure it is.

use super::{
    DawidSkene, DawidSkeneOptions, Winners, agreement_weights, majority, weighted_majority,
};
use crate::agreement::Sets;
use crate::measure::Undefined;
use crate::unit::{Answer, Field};
use crate::votes::Votes;

/// Shares that differ by less are equal: sums of fractions are rounded.
const EQUAL: f64 = 1e-9;
/// Of sets that are equally likely so many are told.
const TIED_MAX: usize = 16;

/// How votes become one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// Each vote counts 1.
    #[default]
    Majority,
    /// A vote counts as often as its annotator is with the majority; see [`agreement_weights`].
    Weighted,
    /// By the posterior of Dawid and Skene's model; of sets of labels by a model of two labels,
    /// given and not given, for each label.
    DawidSkene,
}

/// What was decided on one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// A number of [`Field::units`].
    pub unit: usize,
    /// How many people voted.
    pub votes: usize,
    /// The answers that are most likely, as rising numbers of labels: several where they are tied.
    pub winners: Vec<Vec<u32>>,
    /// What speaks for the winner: its share of votes or weight, or its probability; of a set by
    /// Dawid and Skene's model the product over labels.
    pub share: f64,
    /// All answers with their shares, falling; of sets by Dawid and Skene's model each label with
    /// its own probability.
    pub shares: Vec<(Vec<u32>, f64)>,
}

/// Votes of a field's answers: neither rejected ones nor gold.
pub fn votes_of(field: &Field) -> Votes {
    let voting: Vec<&Answer> = field.answers.iter().filter(|a| a.votes).collect();
    let column = |of: fn(&Answer) -> u32| voting.iter().map(|a| of(a)).collect::<Vec<_>>();
    Votes::new(&column(|a| a.unit), &column(|a| a.annotator), &column(|a| a.set))
}

/// Decides each question of a field that somebody voted on.
///
/// # Errors
/// Undefined where the field has no labels, or no votes, or too many labels for a model.
pub fn decide(field: &Field, method: Method) -> Result<Vec<Decision>, Undefined> {
    if field.kind != "choice" {
        return Err(Undefined("answers of this kind are no labels to vote on"));
    }
    let votes = votes_of(field);
    if votes.is_empty() {
        return Err(Undefined("nobody voted"));
    }
    Ok(match method {
        Method::Majority => counted(&votes, &field.sets, &majority(&votes), |_| 1.0),
        Method::Weighted => {
            let weights = agreement_weights(&votes);
            let winners = weighted_majority(&votes, &weights);
            counted(&votes, &field.sets, &winners, |who| weights[who as usize])
        }
        Method::DawidSkene if field.has_sets => by_label(&votes, field)?,
        Method::DawidSkene => {
            let fit = DawidSkene::fit(&votes, &DawidSkeneOptions::default())?;
            probable(&votes, &field.sets, &fit)
        }
    })
}

fn counted(
    votes: &Votes,
    sets: &Sets,
    winners: &Winners,
    weight: impl Fn(u32) -> f64,
) -> Vec<Decision> {
    let mut made = Vec::new();
    for (unit, ((people, answers), won)) in votes.items().zip(&winners.labels).enumerate() {
        if answers.is_empty() {
            continue;
        }
        let whole: f64 = people.iter().map(|&who| weight(who)).sum();
        let mut distinct = answers.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let share = |answer: u32| {
            let voters = people.iter().zip(answers).filter(|(_, given)| **given == answer);
            let sum: f64 = voters.map(|(&who, _)| weight(who)).sum();
            // People who are never with the majority weigh nothing: then nothing speaks for any.
            if whole > 0.0 { sum / whole } else { 0.0 }
        };
        let shares = distinct.iter().map(|&answer| (answer, share(answer))).collect();
        made.push(Decision::new(unit, answers.len(), won.clone(), shares, sets));
    }
    made
}

fn probable(votes: &Votes, sets: &Sets, fit: &DawidSkene) -> Vec<Decision> {
    let mut made = Vec::new();
    for (unit, (_, answers)) in votes.items().enumerate() {
        if answers.is_empty() {
            continue;
        }
        let shares: Vec<(u32, f64)> =
            fit.posterior(unit).iter().enumerate().map(|(set, &p)| (set as u32, p)).collect();
        let most = shares.iter().map(|(_, p)| *p).fold(0.0, f64::max);
        let won = shares.iter().filter(|(_, p)| *p >= most - EQUAL).map(|(set, _)| *set).collect();
        made.push(Decision::new(unit, answers.len(), won, shares, sets));
    }
    made
}

impl Decision {
    fn new(
        unit: usize,
        votes: usize,
        winners: Vec<u32>,
        mut shares: Vec<(u32, f64)>,
        sets: &Sets,
    ) -> Self {
        shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let labels = |set: u32| sets.all()[set as usize].to_vec();
        Self {
            unit,
            votes,
            winners: winners.into_iter().map(labels).collect(),
            share: shares.first().map_or(0.0, |(_, share)| *share),
            shares: shares.into_iter().map(|(set, share)| (labels(set), share)).collect(),
        }
    }
}

/// A model of two labels for each label: whether it is in the set.
fn by_label(votes: &Votes, field: &Field) -> Result<Vec<Decision>, Undefined> {
    let sets = field.sets.all();
    let mut made: Vec<Decision> = votes
        .items()
        .enumerate()
        .filter(|(_, (_, answers))| !answers.is_empty())
        .map(|(unit, (_, answers))| Decision {
            unit,
            votes: answers.len(),
            winners: vec![Vec::new()],
            share: 1.0,
            shares: Vec::new(),
        })
        .collect();
    for label in 0..field.labels.all.len() as u32 {
        let has: Vec<bool> = sets.iter().map(|set| set.contains(&label)).collect();
        if !votes.labels().iter().any(|&set| has[set as usize]) {
            continue;
        }
        let binary = votes.relabelled(|set| u32::from(has[set as usize]));
        let fit = DawidSkene::fit(&binary, &DawidSkeneOptions::default())?;
        for decision in &mut made {
            let p = fit.probability(decision.unit, 1);
            if (p - 0.5).abs() <= EQUAL && decision.winners.len() <= TIED_MAX / 2 {
                // Either set is as likely.
                let with = decision.winners.clone().into_iter().map(|mut set| {
                    set.push(label);
                    set
                });
                decision.winners.extend(with.collect::<Vec<_>>());
            } else if p > 0.5 {
                decision.winners.iter_mut().for_each(|set| set.push(label));
            }
            decision.share *= p.max(1.0 - p);
            decision.shares.push((vec![label], p));
        }
    }
    for decision in &mut made {
        decision.winners.iter_mut().for_each(|set| set.sort_unstable());
        decision.shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    }
    Ok(made)
}
