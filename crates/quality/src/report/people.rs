//! Annotators.

use std::collections::HashMap;

use serde::Serialize;

use super::field::Measured;
use super::learning::{ChanceReport, LearningPoint, Scored, chance, curve};
use super::reviews::ReviewCounts;
use super::work::{WorkReport, by_annotator};
use crate::aggregate::DawidSkene;
use crate::agreement::Interval;
use crate::gold::Score;
use crate::unit::{Answers, Field, Outcome};

/// Numbers in all confusion matrices of a field at most; of more none is told.
const CONFUSION_CELLS_MAX: usize = 200_000;

/// One annotator.
#[derive(Debug, Clone, Serialize)]
pub struct AnnotatorReport {
    /// Who: an id, or a pseudonym.
    pub annotator: String,
    /// Answers to all fields.
    pub answers: u64,
    /// Submissions that were skipped.
    pub skipped: u64,
    /// Skipped submissions among these and answers; null where there are neither.
    pub skip_rate: Option<f64>,
    /// When they worked, and how long it took; null where nobody says.
    pub work: Option<WorkReport>,
    /// By field.
    pub fields: Vec<AnnotatorField>,
}

/// How often a person said the same when they were asked again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SelfConsistency {
    /// Pairs of their answers to one question.
    pub pairs: u64,
    /// The share that is equal.
    pub agreement: f64,
}

/// One annotator's answers to one field.
#[derive(Debug, Clone, Serialize)]
pub struct AnnotatorField {
    /// The field.
    pub field: String,
    /// Answers.
    pub answers: u64,
    /// Of pairs with another person's answer to the same item, the share that is equal.
    pub agreement: Option<f64>,
    /// The mean of Cohen's kappa with each other, weighted by shared answers.
    pub cohen_kappa: Option<f64>,
    /// Answers on items with gold, and right ones.
    pub gold: Score,
    /// The share of right answers.
    pub gold_accuracy: Option<f64>,
    /// Wilson's interval of it.
    pub gold_interval: Option<Interval>,
    /// The mean probability, by Dawid and Skene's model, that the label given is the true one, over
    /// items that somebody voted on; null where there are none.
    pub dawid_skene_accuracy: Option<f64>,
    /// How right they would be by chance, and whether they are better; null without gold.
    pub chance: Option<ChanceReport>,
    /// Their accuracy over time.
    pub gold_over_time: Vec<LearningPoint>,
    /// Whether they said the same when asked again; null where they were not.
    pub self_consistency: Option<SelfConsistency>,
    /// What reviewers decided on their answers.
    pub reviews: ReviewCounts,
    /// Answers that were made with a prediction in view.
    pub prelabelled: u64,
    /// Those of these that say what the prediction said.
    pub prelabels_accepted: u64,
    /// How they answer by Dawid and Skene's model: by true label, then by label given, in the order
    /// of the field's `confusion_labels`.
    pub confusion: Option<Vec<Vec<f64>>>,
}

pub(crate) struct People<'a> {
    answers: &'a Answers,
    fields: Vec<Vec<AnnotatorField>>,
}

impl<'a> People<'a> {
    pub(crate) fn new(answers: &'a Answers) -> Self {
        Self { answers, fields: vec![Vec::new(); answers.annotators.all.len()] }
    }

    pub(crate) fn add(&mut self, field: &Field, measured: &Measured, scored: &[Scored]) {
        #[derive(Default, Clone)]
        struct Sums {
            answers: u64,
            pairs: u64,
            equal: u64,
            kappa: f64,
            shared: f64,
            probable: f64,
            /// Answers on items that somebody voted on.
            modelled: u64,
        }
        let mut sums = vec![Sums::default(); measured.votes.annotator_count()];
        let mut counts: HashMap<u32, u64> = HashMap::new();
        let mut own: HashMap<(u32, Option<u32>), u64> = HashMap::new();
        for (unit, (people, labels)) in measured.votes.items().enumerate() {
            counts.clear();
            own.clear();
            for (&who, &label) in people.iter().zip(labels) {
                *counts.entry(label).or_default() += 1;
                *own.entry((who, None)).or_default() += 1;
                *own.entry((who, Some(label))).or_default() += 1;
            }
            let modelled = measured.fit.as_ref().is_some_and(|fit| fit.has_votes(unit));
            for (&who, &label) in people.iter().zip(labels) {
                let sums = &mut sums[who as usize];
                sums.answers += 1;
                // A person's own other answers are no second opinion.
                sums.pairs += people.len() as u64 - own[&(who, None)];
                sums.equal += counts[&label] - own[&(who, Some(label))];
                if let Some(fit) = measured.fit.as_ref().filter(|_| modelled) {
                    sums.probable += fit.probability(unit, label);
                    sums.modelled += 1;
                }
            }
        }
        for pair in &measured.pairs {
            let Ok(kappa) = pair.kappa else { continue };
            for who in [pair.annotators.0, pair.annotators.1] {
                sums[who as usize].kappa += kappa * f64::from(pair.shared);
                sums[who as usize].shared += f64::from(pair.shared);
            }
        }
        let mut besides = Besides::of_all(field, scored, sums.len());
        let matrices = measured.fit.as_ref().filter(|fit| told_matrices(fit, field));
        for (who, sums) in sums.into_iter().enumerate().filter(|(_, sums)| sums.answers > 0) {
            let own = field.own_pairs.get(&(who as u32)).filter(|own| own.pairs > 0);
            let besides = std::mem::take(&mut besides[who]);
            let gold = measured.scores.annotators.get(who).copied().unwrap_or_default();
            let compared = measured.categorical && sums.pairs > 0;
            self.fields[who].push(AnnotatorField {
                field: field.name.clone(),
                answers: sums.answers,
                agreement: compared.then(|| sums.equal as f64 / sums.pairs as f64),
                cohen_kappa: (sums.shared > 0.0).then(|| sums.kappa / sums.shared),
                gold,
                gold_accuracy: gold.accuracy().ok(),
                gold_interval: gold.wilson(),
                dawid_skene_accuracy: (sums.modelled > 0)
                    .then(|| sums.probable / sums.modelled as f64),
                chance: chance(besides.scored.iter()).filter(|_| measured.categorical),
                gold_over_time: match measured.categorical {
                    true => curve(besides.scored.iter()),
                    false => Vec::new(),
                },
                self_consistency: own.map(|own| SelfConsistency {
                    pairs: own.pairs,
                    agreement: own.equal as f64 / own.pairs as f64,
                }),
                reviews: besides.reviews,
                prelabelled: besides.prelabelled,
                prelabels_accepted: besides.accepted,
                confusion: matrices.and_then(|fit| matrix(fit, who, field.sets.all().len())),
            });
        }
    }

    pub(crate) fn report(self) -> Vec<AnnotatorReport> {
        let all = self.answers.annotators.all.iter().zip(&self.answers.skipped);
        let mut people: Vec<AnnotatorReport> = all
            .zip(self.fields)
            .zip(by_annotator(self.answers))
            .map(|(((name, &skipped), fields), work)| {
                let answers: u64 = fields.iter().map(|field| field.answers).sum();
                let whole = answers + skipped;
                AnnotatorReport {
                    annotator: name.clone(),
                    answers,
                    skipped,
                    skip_rate: (whole > 0).then(|| skipped as f64 / whole as f64),
                    work,
                    fields,
                }
            })
            .filter(|person| person.answers > 0 || person.skipped > 0)
            .collect();
        people.sort_by(|a, b| a.annotator.cmp(&b.annotator));
        people
    }
}

/// What is known of one person's answers to a field besides the labels.
#[derive(Default)]
struct Besides {
    scored: Vec<Scored>,
    reviews: ReviewCounts,
    prelabelled: u64,
    accepted: u64,
}

impl Besides {
    fn of_all(field: &Field, scored: &[Scored], people: usize) -> Vec<Self> {
        let mut all: Vec<Self> = (0..people).map(|_| Self::default()).collect();
        for one in scored {
            all[one.annotator as usize].scored.push(*one);
        }
        for review in &field.reviews {
            if let Some(of) = all.get_mut(review.annotator as usize) {
                of.reviews.add(&review.decision);
            }
        }
        for answer in &field.answers {
            if let Some(prelabel) = field.about(answer).prelabel {
                let of = &mut all[answer.annotator as usize];
                of.prelabelled += 1;
                of.accepted += u64::from(prelabel.outcome == Outcome::Accepted);
            }
        }
        all
    }
}

fn told_matrices(fit: &DawidSkene, field: &Field) -> bool {
    let labels = field.sets.all().len();
    fit.annotator_count().saturating_mul(labels * labels) <= CONFUSION_CELLS_MAX
}

/// One person's matrix; `None` of whom nothing voted. A label that nobody voted for is never true.
fn matrix(fit: &DawidSkene, who: usize, labels: usize) -> Option<Vec<Vec<f64>>> {
    let known = fit.priors.len();
    let cell = |truth: usize, given: usize| match truth < known && given < known {
        true => fit.confusion(who, truth, given),
        false => 0.0,
    };
    let row = |truth: usize| (0..labels).map(|given| cell(truth, given)).collect();
    (who < fit.annotator_count()).then(|| (0..labels).map(row).collect())
}
