//! A sample of answers for review, which anybody can draw again, and what reviews of it say of all.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::agreement::Interval;
use crate::gold::wilson;
use crate::measure::{Measure, Undefined};
use crate::unit::{Answer, Answers, Field, Status};

/// What answers of one stratum have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stratum {
    /// Their annotator.
    Annotator,
    /// Their labels.
    Label,
    /// Their field.
    Field,
    /// The policy that they were given under.
    Policy,
}

/// How a sample is drawn.
#[derive(Debug, Clone)]
pub struct SampleOptions {
    /// The share of each stratum that is drawn, above 0, up to 1; one answer at least.
    pub rate: f64,
    /// What tells strata apart.
    pub strata: Vec<Stratum>,
    /// Another seed gives another sample.
    pub seed: u64,
}

/// An answer that was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// A number of [`Answers::fields`].
    pub field: usize,
    /// A place in [`Field::answers`].
    pub answer: usize,
    /// A number of [`Sample::strata`].
    pub stratum: usize,
}

/// Answers that are drawn together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StratumReport {
    /// The annotator, where strata have one.
    pub annotator: Option<String>,
    /// The labels, where strata have them.
    pub label: Option<String>,
    /// The field, where strata have one.
    pub field: Option<String>,
    /// The policy, where strata have one.
    pub policy: Option<String>,
    /// Answers of people.
    pub answers: u64,
    /// Those that were drawn.
    pub drawn: u64,
    /// Those of these that were reviewed.
    pub reviewed: u64,
    /// Those of these that were rejected or put right.
    pub wrong: u64,
}

/// What reviews of a sample say of all answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bounds {
    /// The estimated share of wrong answers.
    pub wrong_rate: f64,
    /// Its 95 % interval.
    pub interval: Option<Interval>,
    /// How many answers, drawn from all by lot, would say as much.
    pub effective_reviews: f64,
    /// The share of all answers that is in strata with a review.
    pub covered: f64,
}

/// A drawn sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// By what they have in common, in order of it.
    pub strata: Vec<StratumReport>,
    /// In order of fields and items.
    pub drawn: Vec<Drawn>,
}

/// What the answers of a stratum have in common: annotator, labels, field, policy.
type Common = [Option<String>; 4];

/// Whose is smallest is drawn.
type Lot = [u8; 32];

/// What tells an answer from all others, whatever the order of rows.
pub type AnswerKey = (String, String, String, String, String, String);

/// Field, kind, item, target, region and annotator of an answer.
pub fn key(answers: &Answers, field: &Field, answer: &Answer) -> AnswerKey {
    let (target, region) = field.parts.get(&answer.unit).cloned().unwrap_or_default();
    let item = field.units[answer.unit as usize].clone();
    let annotator = answers.annotators.all[answer.annotator as usize].clone();
    (field.name.clone(), field.kind.clone(), item, target, region, annotator)
}

impl Sample {
    /// Draws from each stratum the answers whose digest with the seed is smallest: the rate times
    /// their number, rounded up. The digest is BLAKE3 of the seed and of what tells the answer from
    /// all others, so the same answers are drawn wherever, in whatever order their rows come, and
    /// of a larger rate the same ones and more.
    pub fn draw(answers: &Answers, options: &SampleOptions) -> Self {
        let mut strata: BTreeMap<Common, Vec<(Lot, Drawn)>> = BTreeMap::new();
        for (at, field) in answers.fields.iter().enumerate() {
            let mut before: HashMap<(u32, u32), u32> = HashMap::new();
            for (place, answer) in field.answers.iter().enumerate() {
                let has = |stratum| options.strata.contains(&stratum);
                let name = |stratum, of: &dyn Fn() -> String| has(stratum).then(of);
                let stratum = [
                    name(Stratum::Annotator, &|| {
                        answers.annotators.all[answer.annotator as usize].clone()
                    }),
                    name(Stratum::Label, &|| field.set_text(answer.set)),
                    name(Stratum::Field, &|| field.name.clone()),
                    name(Stratum::Policy, &|| {
                        let policy = answers.policy(field.about(answer).policy);
                        policy.unwrap_or_default().to_owned()
                    }),
                ];
                // Of several answers of one person to one question each has its own lot.
                let nth = before.entry((answer.unit, answer.annotator)).or_default();
                let lot = lot(options.seed, &key(answers, field, answer), *nth);
                *nth += 1;
                let drawn = Drawn { field: at, answer: place, stratum: 0 };
                strata.entry(stratum).or_default().push((lot, drawn));
            }
        }
        let mut sample = Self { strata: Vec::new(), drawn: Vec::new() };
        for ([annotator, label, field, policy], mut all) in strata {
            all.sort_unstable_by_key(|(lot, drawn)| (*lot, drawn.field, drawn.answer));
            let count = ((all.len() as f64 * options.rate).ceil() as usize).clamp(1, all.len());
            let stratum = sample.strata.len();
            let taken = all[..count].iter();
            sample.drawn.extend(taken.map(|(_, drawn)| Drawn { stratum, ..*drawn }));
            sample.strata.push(StratumReport {
                annotator,
                label,
                field,
                policy,
                answers: all.len() as u64,
                drawn: count as u64,
                reviewed: 0,
                wrong: 0,
            });
        }
        sample.drawn.sort_unstable_by_key(|drawn| (drawn.field, drawn.answer));
        sample
    }

    /// Counts what reviewers made of the answers that were drawn.
    pub fn review(&mut self, mut status: impl FnMut(&Drawn) -> Status) {
        for drawn in &self.drawn {
            let stratum = &mut self.strata[drawn.stratum];
            let status = status(drawn);
            stratum.reviewed += u64::from(status != Status::Submitted);
            stratum.wrong += u64::from(matches!(status, Status::Rejected | Status::Fixed));
        }
    }

    /// The share of wrong answers among all, from the reviewed ones: Σ_h N_h w_h/m_h over Σ_h N_h,
    /// N_h being the answers of stratum h, m_h its reviewed answers and w_h the wrong ones among
    /// these. Strata without a review are left out, and `covered` says how much the others are.
    ///
    /// The interval is Wilson's with Kish's effective number of reviews, (Σ N_h)² / Σ N_h²/m_h,
    /// which never claims more than the reviews: it does not gain from strata that differ. Kish,
    /// *Survey Sampling*, 1965.
    ///
    /// # Errors
    /// Undefined where nothing of the sample was reviewed.
    pub fn bounds(&self) -> Result<Bounds, Undefined> {
        let all: f64 = self.strata.iter().map(|stratum| stratum.answers as f64).sum();
        let (mut covered, mut wrong, mut squares) = (0.0, 0.0, 0.0);
        for stratum in self.strata.iter().filter(|stratum| stratum.reviewed > 0) {
            let (answers, reviewed) = (stratum.answers as f64, stratum.reviewed as f64);
            covered += answers;
            wrong += answers * stratum.wrong as f64 / reviewed;
            squares += answers * answers / reviewed;
        }
        let rate: Measure =
            crate::measure::ratio(wrong, covered, Undefined("nothing of the sample was reviewed"));
        let (wrong_rate, effective) = (rate?, covered * covered / squares);
        let interval = wilson(wrong_rate, effective);
        Ok(Bounds { wrong_rate, interval, effective_reviews: effective, covered: covered / all })
    }
}

fn lot(seed: u64, key: &AnswerKey, nth: u32) -> Lot {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    for text in [&key.0, &key.1, &key.2, &key.3, &key.4, &key.5] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.update(&nth.to_le_bytes());
    *hasher.finalize().as_bytes()
}
