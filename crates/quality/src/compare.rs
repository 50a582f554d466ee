//! Two versions of the same labels side by side: what moved, and whether it got better.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use crate::aggregate::{majority, votes_of};
use crate::agreement::{Bootstrap, Coincidences, Interval, Units};
use crate::distribution::{ChiSquare, chi_square, jensen_shannon};
use crate::gold::Score;
use crate::measure::{Measure, NO_OVERLAP, Undefined};
use crate::report::{FieldReport, Reasons, Report, ReportOptions, told};
use crate::unit::{Answers, Field, joined};

const NO_ADDED: Undefined = Undefined("no answer was added or changed");

/// A value of both versions.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Both<T> {
    /// Of the first.
    pub a: T,
    /// Of the second.
    pub b: T,
}

/// A measure of both versions, and how much it changed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Change {
    /// In the first.
    pub a: Option<f64>,
    /// In the second.
    pub b: Option<f64>,
    /// The second less the first.
    pub change: Option<f64>,
    /// The middle 95 % of the change over bootstrap replicates of the items of both.
    pub interval: Option<Interval>,
}

/// One label in both versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelChange {
    /// The label, or labels of a set.
    pub label: String,
    /// Answers in the first.
    pub a: u64,
    /// Answers in the second.
    pub b: u64,
    /// Of those in the second, the ones that are not in the first, or were changed since.
    pub added: u64,
    /// How much of gold with this label is found.
    pub gold_accuracy: Both<Option<f64>>,
}

/// From what to what labels went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Transition {
    /// The label in the first.
    pub from: String,
    /// The label in the second.
    pub to: String,
    /// How often.
    pub count: u64,
}

/// Who answers in the second and not in the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewAnnotator {
    /// Who.
    pub annotator: String,
    /// Answers.
    pub answers: u64,
    /// The share of pairs with others' answers that are equal.
    pub agreement: Option<f64>,
    /// Answers on items with gold, and right ones.
    pub gold: Score,
    /// The share of right ones.
    pub gold_accuracy: Option<f64>,
    /// Whether they are better than chance; see the report.
    pub chance: Option<&'static str>,
}

/// One field in both versions.
#[derive(Debug, Clone, Serialize)]
pub struct FieldComparison {
    /// Which question.
    pub field: String,
    /// The kind of annotation.
    pub kind: String,
    /// Answers of people.
    pub answers: Both<u64>,
    /// Items with an answer.
    pub items: Both<u64>,
    /// Answers that are only in the second, or were changed.
    pub added: u64,
    /// By label, most in the second first.
    pub labels: Vec<LabelChange>,
    /// Jensen and Shannon's divergence of the labels of both, bits.
    pub jensen_shannon: Option<f64>,
    /// The same of the labels of the first and of added answers.
    pub jensen_shannon_added: Option<f64>,
    /// Whether added answers have other labels than those of the first.
    pub chi_square: Option<ChiSquare>,
    /// Krippendorff's alpha, nominal.
    pub krippendorff_alpha: Change,
    /// Percent agreement, of all pairs.
    pub percent_pair_pooled: Change,
    /// Answers against gold.
    pub gold_accuracy: Change,
    /// The majority against gold.
    pub majority_accuracy: Change,
    /// Answers of the same person to the same question in both.
    pub kept: u64,
    /// Those of these that changed, from what to what, most often first.
    pub transitions: Vec<Transition>,
    /// Questions with one majority in both.
    pub decided: u64,
    /// Those of these whose majority changed, from what to what.
    pub majority_transitions: Vec<Transition>,
    /// The share of answers that were made with a prediction in view.
    pub prelabelled: Both<Option<f64>>,
    /// The share of predictions that were accepted as they were.
    pub prelabels_accepted: Both<Option<f64>>,
    /// Answers by policy; the empty name where none is known.
    pub policies: BTreeMap<String, Both<u64>>,
    /// Who answers in the second alone.
    pub new_annotators: Vec<NewAnnotator>,
    /// Who answered in the first alone.
    pub gone_annotators: Vec<String>,
    /// Why there is no value, by measure.
    pub undefined: Reasons,
}

/// One version: its answers, and the report on them.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    /// The answers.
    pub answers: &'a Answers,
    /// What was measured.
    pub report: &'a Report,
}

/// Compares the fields that either version has.
pub fn compare(a: Version<'_>, b: Version<'_>, options: &ReportOptions) -> Vec<FieldComparison> {
    let names = |of: &Version<'_>| -> Vec<(String, String)> {
        of.answers.fields.iter().map(|f| (f.name.clone(), f.kind.clone())).collect()
    };
    let mut all = names(&a);
    all.extend(names(&b));
    all.sort_unstable();
    all.dedup();
    all.iter().map(|name| one(Side::new(a, name), Side::new(b, name), name, options)).collect()
}

/// One field of one version; nothing where it has no answers to it.
struct Side<'a> {
    version: Version<'a>,
    field: Option<&'a Field>,
    report: Option<&'a FieldReport>,
}

impl<'a> Side<'a> {
    fn new(version: Version<'a>, (name, kind): &(String, String)) -> Self {
        let fields = &version.answers.fields;
        let field = fields.iter().find(|f| &f.name == name && &f.kind == kind);
        let mut reports = version.report.fields.iter();
        let report = reports.find(|f| &f.field == name && &f.kind == kind);
        Self { version, field, report }
    }

    fn of<T>(&self, of: impl Fn(&FieldReport) -> T) -> Option<T> {
        self.report.map(of)
    }

    fn people(&self) -> HashSet<&'a str> {
        let names = &self.version.answers.annotators.all;
        let answers = self.field.map(|field| field.answers.iter());
        answers.into_iter().flatten().map(|a| names[a.annotator as usize].as_str()).collect()
    }
}

/// What both versions have in common names: labels and questions by number.
#[derive(Default)]
struct Shared<'a> {
    /// Sets of labels, each sorted: `a + b` may be one label, or two.
    labels: Vec<Vec<&'a str>>,
    label_numbers: HashMap<Vec<&'a str>, u32>,
    questions: HashMap<(&'a str, &'a str, &'a str), u32>,
    items: Vec<&'a str>,
}

/// One version's answers in shared numbers.
struct Numbered {
    /// By question and person.
    given: HashMap<(u32, u32), u32>,
    /// Answers by question.
    by_question: Vec<Vec<u32>>,
    /// Right answers and all, against gold, by question.
    scores: Vec<(u32, u32)>,
    /// Answers by label.
    counts: Vec<u64>,
    /// The majority of each question, where there is one.
    majority: Vec<Option<u32>>,
}

impl<'a> Shared<'a> {
    fn label(&mut self, set: Vec<&'a str>) -> u32 {
        if let Some(&number) = self.label_numbers.get(&set) {
            return number;
        }
        let number = self.labels.len() as u32;
        self.labels.push(set.clone());
        self.label_numbers.insert(set, number);
        number
    }

    fn number(&mut self, side: &Side<'a>, people: &mut HashMap<&'a str, u32>) -> Numbered {
        let mut out = Numbered {
            given: HashMap::new(),
            by_question: Vec::new(),
            scores: Vec::new(),
            counts: Vec::new(),
            majority: Vec::new(),
        };
        let Some(field) = side.field else { return out };
        let sets = 0..field.sets.all().len() as u32;
        let sets: Vec<u32> = sets.map(|set| self.label(field.set_labels(set))).collect();
        let mut questions = Vec::with_capacity(field.units.len());
        for (unit, item) in field.units.iter().enumerate() {
            let (target, region) = match field.parts.get(&(unit as u32)) {
                Some((target, region)) => (target.as_str(), region.as_str()),
                None => ("", ""),
            };
            let next = self.items.len() as u32;
            let number = *self.questions.entry((item, target, region)).or_insert(next);
            if number == next {
                self.items.push(item);
            }
            questions.push(number as usize);
        }
        out.by_question.resize(self.items.len(), Vec::new());
        out.scores.resize(self.items.len(), (0, 0));
        out.majority.resize(self.items.len(), None);
        out.counts.resize(self.labels.len(), 0);
        for answer in &field.answers {
            let unit = answer.unit as usize;
            let (question, label) = (questions[unit], sets[answer.set as usize]);
            let name = side.version.answers.annotators.all[answer.annotator as usize].as_str();
            let next = people.len() as u32;
            let person = *people.entry(name).or_insert(next);
            out.given.insert((question as u32, person), label);
            out.by_question[question].push(label);
            out.counts[label as usize] += 1;
            let own = field.gold_authors.contains(&(answer.unit, answer.annotator));
            if let Some(gold) = field.gold[unit].filter(|_| !own) {
                let score = &mut out.scores[question];
                score.0 += u32::from(gold.set == answer.set);
                score.1 += 1;
            }
        }
        for (unit, winners) in majority(&votes_of(field)).labels.iter().enumerate() {
            if let [one] = winners[..] {
                out.majority[questions[unit]] = Some(sets[one as usize]);
            }
        }
        out.by_question.iter_mut().for_each(|labels| labels.sort_unstable());
        out
    }
}

fn one(
    a: Side<'_>,
    b: Side<'_>,
    (name, kind): &(String, String),
    options: &ReportOptions,
) -> FieldComparison {
    let both = |of: &dyn Fn(&FieldReport) -> u64| Both {
        a: a.of(of).unwrap_or_default(),
        b: b.of(of).unwrap_or_default(),
    };
    let share = |side: &Side<'_>, of: &dyn Fn(&FieldReport) -> (u64, u64)| {
        let (part, whole) = side.of(of)?;
        (whole > 0).then(|| part as f64 / whole as f64)
    };
    let prelabelled = |f: &FieldReport| (f.prelabelled_answers, f.answers);
    let accepted = |f: &FieldReport| {
        let counts = f.prelabels.iter().map(|model| &model.counts);
        counts.fold((0, 0), |(part, all), c| {
            (part + c.accepted, all + c.accepted + c.edited + c.rejected)
        })
    };
    let (people_a, people_b) = (a.people(), b.people());
    let mut gone: Vec<String> =
        people_a.difference(&people_b).map(|name| (*name).to_owned()).collect();
    gone.sort_unstable();
    let mut found = FieldComparison {
        field: name.clone(),
        kind: kind.clone(),
        answers: both(&|f| f.answers),
        items: both(&|f| f.items),
        added: 0,
        labels: Vec::new(),
        jensen_shannon: None,
        jensen_shannon_added: None,
        chi_square: None,
        krippendorff_alpha: Change::of(&a, &b, |f| f.agreement.krippendorff_alpha.nominal),
        percent_pair_pooled: Change::of(&a, &b, |f| f.agreement.percent_pair_pooled),
        gold_accuracy: Change::of(&a, &b, |f| f.gold.answer_accuracy),
        majority_accuracy: Change::of(&a, &b, |f| f.gold.majority_accuracy),
        kept: 0,
        transitions: Vec::new(),
        decided: 0,
        majority_transitions: Vec::new(),
        prelabelled: Both { a: share(&a, &prelabelled), b: share(&b, &prelabelled) },
        prelabels_accepted: Both { a: share(&a, &accepted), b: share(&b, &accepted) },
        policies: policies(&a, &b),
        new_annotators: new_annotators(&b, name, &people_a),
        gone_annotators: gone,
        undefined: Reasons::new(),
    };
    if kind == "choice" {
        found.labels(&a, &b, options);
    }
    found
}

impl Change {
    fn of(a: &Side<'_>, b: &Side<'_>, of: impl Fn(&FieldReport) -> Option<f64>) -> Self {
        let (a, b) = (a.of(&of).flatten(), b.of(&of).flatten());
        let change = a.zip(b).map(|(a, b)| b - a);
        Self { a, b, change, interval: None }
    }
}

fn policies(a: &Side<'_>, b: &Side<'_>) -> BTreeMap<String, Both<u64>> {
    let mut found: BTreeMap<String, Both<u64>> = BTreeMap::new();
    for (side, first) in [(a, true), (b, false)] {
        for policy in side.report.map(|report| report.policies.iter()).into_iter().flatten() {
            let both = found.entry(policy.policy.clone().unwrap_or_default()).or_default();
            *(if first { &mut both.a } else { &mut both.b }) = policy.answers;
        }
    }
    found
}

fn new_annotators(b: &Side<'_>, field: &str, known: &HashSet<&str>) -> Vec<NewAnnotator> {
    let people = b.version.report.annotators.iter();
    let new = people.filter(|person| !known.contains(person.annotator.as_str()));
    let found = new.filter_map(|person| {
        let of = person.fields.iter().find(|f| f.field == field)?;
        Some(NewAnnotator {
            annotator: person.annotator.clone(),
            answers: of.answers,
            agreement: of.agreement,
            gold: of.gold,
            gold_accuracy: of.gold_accuracy,
            chance: of.chance.map(|chance| chance.verdict),
        })
    });
    found.collect()
}

impl FieldComparison {
    /// Compares answers that are labels.
    fn labels(&mut self, a: &Side<'_>, b: &Side<'_>, options: &ReportOptions) {
        let (mut shared, mut people) = (Shared::default(), HashMap::new());
        let mut in_a = shared.number(a, &mut people);
        let mut in_b = shared.number(b, &mut people);
        for side in [&mut in_a, &mut in_b] {
            side.by_question.resize(shared.items.len(), Vec::new());
            side.scores.resize(shared.items.len(), (0, 0));
            side.majority.resize(shared.items.len(), None);
            side.counts.resize(shared.labels.len(), 0);
        }
        let mut added = vec![0; shared.labels.len()];
        let mut moved: HashMap<(u32, u32), u64> = HashMap::new();
        for (key, &to) in &in_b.given {
            let from = in_a.given.get(key).copied();
            self.kept += u64::from(from.is_some());
            if from != Some(to) {
                added[to as usize] += 1;
            }
            if let Some(from) = from.filter(|from| *from != to) {
                *moved.entry((from, to)).or_default() += 1;
            }
        }
        self.added = added.iter().sum();
        self.transitions = transitions(moved, &shared.labels);
        let mut moved: HashMap<(u32, u32), u64> = HashMap::new();
        for (from, to) in in_a.majority.iter().zip(&in_b.majority) {
            if let Some((from, to)) = from.zip(*to) {
                self.decided += 1;
                if from != to {
                    *moved.entry((from, to)).or_default() += 1;
                }
            }
        }
        self.majority_transitions = transitions(moved, &shared.labels);
        let why = &mut self.undefined;
        let counts = (&in_a.counts[..], &in_b.counts[..]);
        self.jensen_shannon = told(why, "jensen_shannon", jensen_shannon(counts.0, counts.1));
        let none = self.added == 0;
        let of = |measure: Measure| if none { Err(NO_ADDED) } else { measure };
        self.jensen_shannon_added =
            told(why, "jensen_shannon_added", of(jensen_shannon(counts.0, &added)));
        let test = if none { Err(NO_ADDED) } else { chi_square(counts.0, &added) };
        self.chi_square = test.map_err(|reason| why.insert("chi_square", reason.0)).ok();
        let gold = |side: &Side<'_>, set: &[&str]| {
            let [label] = set else { return None };
            let report = side.report?.labels.iter().find(|l| l.label == *label)?;
            report.gold.accuracy().ok()
        };
        self.labels = (0..shared.labels.len())
            .map(|at| LabelChange {
                label: joined(&shared.labels[at]),
                a: in_a.counts[at],
                b: in_b.counts[at],
                added: added[at],
                gold_accuracy: Both {
                    a: gold(a, &shared.labels[at]),
                    b: gold(b, &shared.labels[at]),
                },
            })
            .filter(|label| label.a + label.b > 0)
            .collect();
        self.labels.sort_by(|a, b| (b.b, &a.label).cmp(&(a.b, &b.label)));
        self.intervals(&in_a, &in_b, &shared, options);
    }

    /// Intervals of changes: items, or their groups, are drawn for both versions at once.
    fn intervals(
        &mut self,
        a: &Numbered,
        b: &Numbered,
        shared: &Shared<'_>,
        options: &ReportOptions,
    ) {
        type Pattern<'p> = (&'p [u32], &'p [u32], (u32, u32), (u32, u32));
        let mut numbers: HashMap<Pattern<'_>, u32> = HashMap::new();
        let mut patterns: Vec<Pattern<'_>> = Vec::new();
        let mut groups: HashMap<&str, usize> = HashMap::new();
        let mut units: Vec<Vec<u32>> = Vec::new();
        for (question, item) in shared.items.iter().enumerate() {
            let pattern: Pattern<'_> = (
                &a.by_question[question],
                &b.by_question[question],
                a.scores[question],
                b.scores[question],
            );
            let next = patterns.len() as u32;
            let number = *numbers.entry(pattern).or_insert(next);
            if number == next {
                patterns.push(pattern);
            }
            match options.groups.get(*item) {
                Some(group) => {
                    let place = *groups.entry(group).or_insert(units.len());
                    if place == units.len() {
                        units.push(Vec::new());
                    }
                    units[place].push(number);
                }
                None => units.push(vec![number]),
            }
        }
        units.iter_mut().for_each(|unit| unit.sort_unstable());
        let units = Units::new(units);
        let steps = patterns.iter().map(|p| 16 + p.0.len() + p.1.len()).sum::<usize>()
            + units.distinct().iter().map(Vec::len).sum::<usize>();
        let mut weights = vec![0.0; patterns.len()];
        let labels = shared.labels.len();
        let bootstrap: &Bootstrap = &options.bootstrap;
        let [alpha, percent, gold] = bootstrap.intervals(&units, steps, |drawn| {
            weights.fill(0.0);
            for (unit, &times) in units.distinct().iter().zip(drawn) {
                unit.iter().for_each(|&pattern| weights[pattern as usize] += times as f64);
            }
            let weighted = || patterns.iter().zip(&weights);
            let of_a = Coincidences::weighted(labels, weighted().map(|(p, &w)| (p.0, w)));
            let of_b = Coincidences::weighted(labels, weighted().map(|(p, &w)| (p.1, w)));
            let mut sums = [0.0; 4];
            for (pattern, &weight) in weighted() {
                let (a, b) = (pattern.2, pattern.3);
                for (sum, part) in sums.iter_mut().zip([a.0, a.1, b.0, b.1]) {
                    *sum += weight * f64::from(part);
                }
            }
            let less = |b: Measure, a: Measure| Ok(b? - a?);
            let ratio = |part: f64, whole: f64| crate::measure::ratio(part, whole, NO_OVERLAP);
            [
                less(of_b.nominal_alpha(), of_a.nominal_alpha()),
                less(of_b.percent_pair_pooled(), of_a.percent_pair_pooled()),
                less(ratio(sums[2], sums[3]), ratio(sums[0], sums[1])),
            ]
        });
        self.krippendorff_alpha.interval = alpha;
        self.percent_pair_pooled.interval = percent;
        self.gold_accuracy.interval = gold;
    }
}

fn transitions(moved: HashMap<(u32, u32), u64>, labels: &[Vec<&str>]) -> Vec<Transition> {
    let text = |label: u32| joined(&labels[label as usize]);
    let mut found: Vec<Transition> = moved
        .into_iter()
        .map(|((from, to), count)| Transition { from: text(from), to: text(to), count })
        .collect();
    found.sort_by(|a, b| (b.count, &a.from, &a.to).cmp(&(a.count, &b.from, &b.to)));
    found
}
