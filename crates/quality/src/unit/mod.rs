//! The unit of analysis: what counts as one answer, and whose.
//!
//! An answer is the rows of one (submission, target, region, field); without submissions each row
//! is one, but for those of nobody known, which are one together. Boxes, areas and spans of one
//! submission to one field are one answer together, and so is whatever a person drew without one; a
//! submission that has none is the answer that there is nothing. Choices about a region of an item
//! are about the same thing where they share the region's id.
//!
//! Agreement takes live answers of people other than `gold`: drafts, skipped and superseded rows,
//! models and rules are out, and counted by reason. Rejected answers stay, for else rejecting would
//! raise agreement; they do not vote in a consensus. A person's answer that is marked as gold stays
//! as well, does not vote, and does not score its author.

mod beside;
mod empty;
mod prelabels;
mod read;
mod rules;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::agreement::Sets;
use crate::objects::Object;

pub use prelabels::{Outcome, Prelabel, PrelabelCounts};
pub(crate) use read::{alone, is_drawn, reason, stands_alone, when};
pub use rules::{RuleCounts, Rules};

/// The annotator that reference answers of a file are given to.
const REFERENCE: &str = "gold";

/// The annotator of rows of which the source says none.
pub(crate) const UNKNOWN: &str = "unknown";

/// The number of a policy that a row does not name.
pub const NO_POLICY: u32 = u32::MAX;

/// Which answers count where one person answered one question more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeats {
    /// The one that was changed last; of equal times, the later in the file.
    #[default]
    Last,
    /// The one that was changed first.
    First,
    /// All of them.
    All,
}

/// Names and their numbers, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Names {
    numbers: HashMap<String, u32>,
    /// The names by number.
    pub all: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.all.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.all.push(name.to_owned());
        number
    }

    /// The number of a name.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }
}

/// Kinds whose answer is all objects that a submission has of them.
const AREAS: [&str; 5] = ["bbox", "rotated_bbox", "ellipse", "polygon", "mask"];
/// The same of stretches.
const STRETCHES: [&str; 2] = ["span", "time_span"];

/// What somebody answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// To which of [`Field::units`].
    pub unit: u32,
    /// Whose it is: a number of [`Answers::annotators`].
    pub annotator: u32,
    /// A number of [`Field::sets`]: the labels given.
    pub set: u32,
    /// The number given; 0 where the kind has none.
    pub number: f64,
    /// Whether it votes: neither rejected nor gold.
    pub votes: bool,
    /// Where its objects start and end in [`Field::objects`].
    pub objects: (u32, u32),
    /// A number of [`Field::texts`], where the answer is a text.
    pub text: Option<u32>,
    /// A number of [`Field::abouts`]: when and how it came about.
    pub about: u32,
}

/// What reviewers made of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// Nobody looked, or what they said is of an earlier content.
    #[default]
    Submitted,
    /// It stands.
    Accepted,
    /// It was put right.
    Fixed,
    /// It does not stand.
    Rejected,
}

/// When and how an answer came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct About {
    /// When it was last changed, or else made, microseconds since 1970 UTC.
    pub at: Option<i64>,
    /// What reviewers made of it.
    pub status: Status,
    /// A number of [`Answers::policies`], or [`NO_POLICY`].
    pub policy: u32,
    /// The prediction that its annotator began with.
    pub prelabel: Option<Prelabel>,
    /// The place of its first row among all rows that were read; none of who found nothing.
    pub row: Option<u32>,
}

/// A reference answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gold {
    /// A number of [`Field::sets`].
    pub set: u32,
    /// The number given.
    pub number: f64,
    /// Where its objects start and end in [`Field::objects`].
    pub objects: (u32, u32),
    /// A number of [`Field::texts`], where the answer is a text.
    pub text: Option<u32>,
}

/// What a reviewer decided on one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// Whose answer it is.
    pub annotator: u32,
    /// What was answered: a number of [`Field::sets`].
    pub set: u32,
    /// A number of [`Answers::policies`], or [`NO_POLICY`].
    pub policy: u32,
    /// The round of review, from 1; 0 where nobody says.
    pub round: i32,
    /// `accepted`, `rejected`, `fixed` or `adjudicated`.
    pub decision: String,
}

/// How often a person's answers to one question were equal: pairs, and equal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnPairs {
    /// Pairs of answers of one person to one question.
    pub pairs: u64,
    /// Those that are equal.
    pub equal: u64,
}

/// The answers to one field, of one kind of annotation.
#[derive(Debug, Clone, Default)]
pub struct Field {
    /// Which question of the policy.
    pub name: String,
    /// The kind of its annotations.
    pub kind: String,
    /// The item of each unit, in order of items: an item, or a target or region of one.
    pub units: Vec<String>,
    /// Target and region of units that have either.
    pub parts: HashMap<u32, (String, String)>,
    /// Answers in order of units.
    pub answers: Vec<Answer>,
    /// When and how answers came about.
    pub abouts: Vec<About>,
    /// The reference answer of each unit, where there is one.
    pub gold: Vec<Option<Gold>>,
    /// Who made the reference answers: unit and annotator.
    pub gold_authors: HashSet<(u32, u32)>,
    /// The labels.
    pub labels: Names,
    /// Sets of labels.
    pub sets: Sets,
    /// What was drawn or marked.
    pub objects: Vec<Object>,
    /// What was written, each text once.
    pub texts: Names,
    /// Whether any answer or reference is a set of several labels.
    pub has_sets: bool,
    /// Whether any span is counted in something else than code points.
    pub other_unit: bool,
    /// What reviewers decided, on answers of people.
    pub reviews: Vec<Reviewed>,
    /// Pairs of answers of one person to one question, by annotator.
    pub own_pairs: BTreeMap<u32, OwnPairs>,
    /// What became of predictions, by a number of [`Answers::models`].
    pub prelabels: BTreeMap<u32, PrelabelCounts>,
}

/// One piece of a person's work: a submission; in a table without submissions, an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// Who did it.
    pub annotator: u32,
    /// When it was made, microseconds since 1970 UTC.
    pub at: Option<i64>,
    /// Seconds that it took.
    pub lead_time: Option<f64>,
}

/// All answers of a snapshot, by field.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Annotation rows that were read.
    pub rows: u64,
    /// Items with any row.
    pub items: u64,
    /// What rules labelled.
    pub rules: Rules,
    /// Rows that are no answers that count, by reason.
    pub excluded: BTreeMap<&'static str, u64>,
    /// Who answered.
    pub annotators: Names,
    /// Submissions that a person skipped, by annotator.
    pub skipped: Vec<u64>,
    /// Who predicted: models by version.
    pub models: Names,
    /// Versions of policies.
    pub policies: Names,
    /// When people worked, and how long.
    pub work: Vec<Work>,
    /// Fields by name and kind.
    pub fields: Vec<Field>,
}

impl Answers {
    /// The name of a policy's number.
    pub fn policy(&self, number: u32) -> Option<&str> {
        self.policies.all.get(number as usize).map(String::as_str)
    }
}

impl Field {
    /// What somebody drew or marked.
    pub fn drawn(&self, objects: (u32, u32)) -> &[Object] {
        &self.objects[objects.0 as usize..objects.1 as usize]
    }

    /// What somebody wrote.
    pub fn text(&self, text: Option<u32>) -> Option<&str> {
        text.map(|text| self.texts.all[text as usize].as_str())
    }

    /// How an answer came about.
    pub fn about(&self, answer: &Answer) -> &About {
        &self.abouts[answer.about as usize]
    }

    /// The labels of a set, in the order of their texts: that of their numbers is another one as
    /// soon as other rows come first.
    pub fn set_labels(&self, set: u32) -> Vec<&str> {
        let labels = self.sets.all()[set as usize].iter();
        let mut labels: Vec<&str> =
            labels.map(|&label| self.labels.all[label as usize].as_str()).collect();
        labels.sort_unstable();
        labels
    }

    /// The labels of a set in one text: `cat`, `cat + dog`, `∅`.
    pub fn set_text(&self, set: u32) -> String {
        joined(&self.set_labels(set))
    }

    /// Whether an answer is all areas that were drawn.
    pub fn has_areas(&self) -> bool {
        AREAS.contains(&self.kind.as_str())
    }

    /// Whether an answer is all stretches that were marked.
    pub fn has_stretches(&self) -> bool {
        STRETCHES.contains(&self.kind.as_str())
    }
}

/// Labels of one set in one text.
pub(crate) fn joined(labels: &[&str]) -> String {
    if labels.is_empty() { "∅".to_owned() } else { labels.join(" + ") }
}

fn has_objects(kind: &str) -> bool {
    AREAS.contains(&kind) || STRETCHES.contains(&kind)
}
