//! One field: agreement, consensus and gold.

use serde::Serialize;

use super::learning::{LearningPoint, Scored, curve};
use super::objects::{ObjectsReport, measure as measure_objects};
use super::policies::{PolicyReport, by_policy};
use super::prelabels::{PrelabelReport, by_model};
use super::reviews::ReviewReport;
use super::scale::{NO_SCALE, Scale, ranked, scale_of};
use super::texts::{TextsReport, measure as measure_texts};
use super::{NotALevel, Reasons, ReportOptions, told};
use crate::aggregate::{
    DawidSkene, DawidSkeneOptions, Winners, agreement_weights, majority, votes_of,
    weighted_majority,
};
use crate::agreement::{
    Coincidences, Interval, PairKappa, SetDistance, Weights, interval_alpha, ordinal_alpha,
    pairwise_kappa, set_alpha,
};
use crate::gold::{Score, Scores, majority_accuracy, winner_accuracy};
use crate::measure::{Measure, NO_OVERLAP, Undefined};
use crate::numbers::number_gold;
use crate::unit::{Answer, Answers, Field};
use crate::votes::Votes;

const OTHER_KIND: Undefined = Undefined("annotations of this kind are not measured yet");
const IS_NUMBER: Undefined = Undefined("the answers are numbers");
const IS_TEXTS: Undefined = Undefined("the answers are texts");
const IS_OBJECTS: Undefined = Undefined("the answers are objects");
pub(super) const IS_SETS: Undefined = Undefined("answers are sets of labels");
const NO_SETS: Undefined = Undefined("no answer is a set of several labels");
const NO_PAIRS: Undefined = Undefined("no two annotators share enough items");

/// Pairs of annotators that are told.
const PAIRS_MAX: usize = 1_000;

/// What is known of one field.
#[derive(Debug, Clone, Serialize)]
pub struct FieldReport {
    /// Which question.
    pub field: String,
    /// The kind of annotation.
    pub kind: String,
    /// Items with an answer; targets and regions that are asked about count apart.
    pub items: u64,
    /// Answers of people.
    pub answers: u64,
    /// People who answered.
    pub annotators: u64,
    /// The labels by how often they were given.
    pub labels: Vec<LabelReport>,
    /// How much people agree.
    pub agreement: AgreementReport,
    /// How much they agree with reference answers.
    pub gold: GoldReport,
    /// Boxes and other areas.
    pub boxes: Option<ObjectsReport>,
    /// Spans.
    pub spans: Option<ObjectsReport>,
    /// Texts.
    pub texts: Option<TextsReport>,
    /// The fit of Dawid and Skene's model.
    pub dawid_skene: Option<FitReport>,
    /// Items whose majority is tied.
    pub tied_items: Option<u64>,
    /// Answers that were made with a prediction in view: they agree with it, and with each other,
    /// more than answers of people who saw none.
    pub prelabelled_answers: u64,
    /// Predictions that people began with, by version of a model.
    pub prelabels: Vec<PrelabelReport>,
    /// What reviewers decided.
    pub reviews: ReviewReport,
    /// The answers under each policy, compared among themselves.
    pub policies: Vec<PolicyReport>,
    /// Accuracy of all answers over time.
    pub gold_over_time: Vec<LearningPoint>,
    /// The order of labels in confusion matrices.
    pub confusion_labels: Vec<String>,
}

/// One label.
#[derive(Debug, Clone, Serialize)]
pub struct LabelReport {
    /// The label.
    pub label: String,
    /// How often it was given.
    pub answers: u64,
    /// Of pairs in which one gave it, the share in which the other did; null where nobody gave it
    /// where two answered.
    pub specific_agreement: Option<f64>,
    /// Answers on items whose gold is this label, and how many of them are right.
    pub gold: Score,
}

/// Krippendorff's alpha with three kinds of disagreement.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Alphas {
    /// All differences are alike.
    pub nominal: Option<f64>,
    /// Differences of ranks.
    pub ordinal: Option<f64>,
    /// Squared differences.
    pub interval: Option<f64>,
}

/// Cohen's kappa over pairs of annotators.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct KappaReport {
    /// Pairs of annotators who share enough.
    pub pairs: u64,
    /// How many pairs of answers they share at least.
    pub shared_min: u32,
    /// The mean of their kappas, each pair of annotators counting as often as they share answers.
    pub mean: Option<f64>,
    /// The same with linear weights.
    pub mean_linear: Option<f64>,
    /// The same with quadratic weights.
    pub mean_quadratic: Option<f64>,
}

/// Two annotators.
#[derive(Debug, Clone, Serialize)]
pub struct PairReport {
    /// Who.
    pub annotators: [String; 2],
    /// How many pairs of answers they share.
    pub shared: u32,
    /// Cohen's kappa; null where all of these answers are the same.
    pub kappa: Option<f64>,
}

/// Middle 95 % of a bootstrap over items or their groups.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Intervals {
    /// Of nominal alpha.
    pub krippendorff_alpha_nominal: Option<Interval>,
    /// Of percent agreement, mean of items.
    pub percent_item_mean: Option<Interval>,
    /// Of percent agreement, pooled.
    pub percent_pair_pooled: Option<Interval>,
}

/// How much people agree.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AgreementReport {
    /// Items with two answers or more.
    pub items: u64,
    /// The mean over items of the share of equal pairs.
    pub percent_item_mean: Option<f64>,
    /// The share of equal pairs.
    pub percent_pair_pooled: Option<f64>,
    /// Krippendorff's alpha.
    pub krippendorff_alpha: Alphas,
    /// Fleiss' kappa.
    pub fleiss_kappa: Option<f64>,
    /// Cohen's kappa.
    pub cohen_kappa: Option<KappaReport>,
    /// The same of single pairs of annotators, those who share most first, 1,000 at most.
    pub annotator_pairs: Vec<PairReport>,
    /// Alpha of sets of labels with the MASI distance.
    pub alpha_masi: Option<f64>,
    /// Alpha of sets of labels with the Jaccard distance.
    pub alpha_jaccard: Option<f64>,
    /// Intervals.
    pub intervals: Intervals,
    /// Why there is no value, by measure.
    pub undefined: Reasons,
}

/// How much answers agree with gold.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GoldReport {
    /// Items with gold and an answer.
    pub items: u64,
    /// Items with gold that nobody answered.
    pub unanswered: u64,
    /// The share of answers that equal gold.
    pub answer_accuracy: Option<f64>,
    /// Its interval, by a bootstrap over items or their groups.
    pub answer_accuracy_interval: Option<Interval>,
    /// The mean credit of the majority, 1/k where gold is among k tied labels.
    pub majority_accuracy: Option<f64>,
    /// The same of the majority that weighs each vote by how often its annotator is with the
    /// majority.
    pub weighted_majority_accuracy: Option<f64>,
    /// The share of items whose most probable label equals gold.
    pub dawid_skene_accuracy: Option<f64>,
    /// Mean absolute difference of mean answers.
    pub mean_mae: Option<f64>,
    /// Root of the mean squared difference of mean answers.
    pub mean_rmse: Option<f64>,
    /// Mean absolute difference of median answers.
    pub median_mae: Option<f64>,
    /// Mean absolute difference of single answers.
    pub single_mae: Option<f64>,
    /// Pearson's correlation of mean answers with gold.
    pub pearson: Option<f64>,
    /// Spearman's.
    pub spearman: Option<f64>,
    /// Why there is no value, by measure.
    pub undefined: Reasons,
}

/// How Dawid and Skene's model fits.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FitReport {
    /// What was added to each cell of each confusion matrix.
    pub smoothing: f64,
    /// Iterations made.
    pub iterations: u32,
    /// Whether it stopped because nothing moved.
    pub converged: bool,
    /// Natural logarithm.
    pub log_likelihood: f64,
}

/// A field's report, and what reports of people and items need of it.
pub(crate) struct Measured {
    pub report: FieldReport,
    /// All answers, each set of labels being one.
    pub votes: Votes,
    pub scores: Scores,
    pub pairs: Vec<PairKappa>,
    pub fit: Option<DawidSkene>,
    /// Whether answers are labels.
    pub categorical: bool,
}

impl Measured {
    pub(crate) fn new(field: &Field, options: &ReportOptions) -> Result<Self, NotALevel> {
        let column = |of: fn(&Answer) -> u32| field.answers.iter().map(of).collect::<Vec<_>>();
        let (units, people) = (column(|a| a.unit), column(|a| a.annotator));
        let number = field.kind == "number";
        let categorical = field.kind == "choice";
        let scale = if categorical { scale_of(field, options)? } else { Err(NO_SCALE) };
        let votes = Votes::new(&units, &people, &column(|a| a.set));
        let counted = Coincidences::new(&votes);
        let gold: Vec<Option<u32>> = field.gold.iter().map(|g| g.map(|g| g.set)).collect();
        let author = |unit: usize, who| !field.gold_authors.contains(&(unit as u32, who));
        let scores = Scores::new(&votes, if categorical { &gold } else { &[] }, author);
        let pairs = match categorical {
            true => pairwise_kappa(&votes, options.shared_min, Weights::None),
            false => Ok(Vec::new()),
        };
        let mean = pairs.as_ref().map_err(|why| *why).and_then(|pairs| mean_kappa(pairs));
        let mut measured = Self {
            report: FieldReport::counts(field, &votes, &counted, &scores, categorical),
            pairs: pairs.unwrap_or_default(),
            votes,
            scores,
            fit: None,
            categorical,
        };
        if field.has_areas() {
            measured.report.boxes = Some(measure_objects(field, &measured.votes, options));
        } else if field.has_stretches() {
            measured.report.spans = Some(measure_objects(field, &measured.votes, options));
        } else if field.kind == "text" {
            measured.report.texts = Some(measure_texts(field, &measured.votes));
        }
        if categorical {
            measured.categories(field, &counted, (mean, scale.as_ref().ok()), options);
            measured.consensus(field, &gold, options);
        } else {
            measured.not_categories(match field.kind.as_str() {
                "number" => IS_NUMBER,
                "text" => IS_TEXTS,
                _ if field.has_areas() || field.has_stretches() => IS_OBJECTS,
                _ => OTHER_KIND,
            });
        }
        let values: Option<Vec<f64>> = match (&scale, number) {
            (_, true) => Some(field.answers.iter().map(|a| a.number).collect()),
            (Ok(scale), _) => {
                Some(field.answers.iter().map(|a| scale.values[a.set as usize]).collect())
            }
            _ => None,
        };
        let levels = match &scale {
            Ok(scale) => field.answers.iter().map(|a| scale.levels[a.set as usize]).collect(),
            Err(_) => ranked(values.as_deref().unwrap_or_default()),
        };
        let gold: Vec<Option<f64>> = field
            .gold
            .iter()
            .map(|gold| gold.map(|g| scale.as_ref().map_or(g.number, |s| s.values[g.set as usize])))
            .collect();
        measured.numbers(
            values.as_deref(),
            &levels,
            &gold,
            match scale.as_ref().err() {
                Some(why) if number || categorical => *why,
                _ => OTHER_KIND,
            },
        );
        Ok(measured)
    }

    /// When, under which policy and with which prediction in view answers were given, and what
    /// reviewers made of them.
    pub(crate) fn besides(&mut self, field: &Field, answers: &Answers, scored: &[Scored]) {
        let with = field.answers.iter().filter(|answer| field.about(answer).prelabel.is_some());
        self.report.prelabelled_answers = with.count() as u64;
        self.report.prelabels = by_model(field, answers, scored);
        self.report.reviews = ReviewReport::new(field, answers);
        self.report.policies = by_policy(field, answers, self.categorical);
        self.report.gold_over_time = curve(scored.iter());
        self.report.agreement.annotator_pairs = self.most_shared(answers);
        if self.fit.is_some() {
            let sets = 0..field.sets.all().len() as u32;
            self.report.confusion_labels = sets.map(|set| field.set_text(set)).collect();
        }
    }

    fn most_shared(&self, answers: &Answers) -> Vec<PairReport> {
        let name = |who: u32| answers.annotators.all[who as usize].clone();
        let of = |pair: &PairKappa| {
            let mut annotators = [name(pair.annotators.0), name(pair.annotators.1)];
            annotators.sort_unstable();
            PairReport { annotators, shared: pair.shared, kappa: pair.kappa.ok() }
        };
        let mut pairs: Vec<PairReport> = self.pairs.iter().map(of).collect();
        pairs.sort_by(|a, b| (b.shared, &a.annotators).cmp(&(a.shared, &b.annotators)));
        pairs.truncate(PAIRS_MAX);
        pairs
    }

    /// Nominal agreement.
    fn categories(
        &mut self,
        field: &Field,
        counted: &Coincidences,
        (mean, scale): (Measure, Option<&Scale>),
        options: &ReportOptions,
    ) {
        let agreement = &mut self.report.agreement;
        let why = &mut agreement.undefined;
        agreement.percent_item_mean = told(why, "percent_item_mean", counted.percent_item_mean());
        agreement.percent_pair_pooled =
            told(why, "percent_pair_pooled", counted.percent_pair_pooled());
        agreement.krippendorff_alpha.nominal =
            told(why, "krippendorff_alpha.nominal", counted.nominal_alpha());
        agreement.fleiss_kappa = told(why, "fleiss_kappa", counted.fleiss_kappa());
        let sets = |distance| match field.has_sets {
            true => set_alpha(self.votes.starts(), self.votes.labels(), &field.sets, distance),
            false => Err(NO_SETS),
        };
        agreement.alpha_masi = told(why, "alpha_masi", sets(SetDistance::Masi));
        agreement.alpha_jaccard = told(why, "alpha_jaccard", sets(SetDistance::Jaccard));
        let weighted = |weights| {
            let scale = scale?;
            let levels: Vec<u32> =
                self.votes.labels().iter().map(|&set| scale.levels[set as usize]).collect();
            let (units, people): (Vec<u32>, Vec<u32>) =
                field.answers.iter().map(|a| (a.unit, a.annotator)).unzip();
            let votes = Votes::new(&units, &people, &levels);
            mean_kappa(&pairwise_kappa(&votes, options.shared_min, weights).ok()?).ok()
        };
        agreement.cohen_kappa = Some(KappaReport {
            pairs: self.pairs.len() as u64,
            shared_min: options.shared_min,
            mean: told(why, "cohen_kappa", mean),
            mean_linear: weighted(Weights::Linear),
            mean_quadratic: weighted(Weights::Quadratic),
        });
        if counted.items_with_overlap() > 0 {
            self.report.agreement.intervals = self.intervals(field, options);
        }
    }

    fn not_categories(&mut self, reason: Undefined) {
        let all = ["percent_item_mean", "percent_pair_pooled", "krippendorff_alpha.nominal"];
        let more = ["fleiss_kappa", "cohen_kappa", "alpha_masi", "alpha_jaccard"];
        let why = &mut self.report.agreement.undefined;
        why.extend(all.into_iter().chain(more).map(|name| (name, reason.0)));
        let why = &mut self.report.gold.undefined;
        let names = [
            "answer_accuracy",
            "majority_accuracy",
            "weighted_majority_accuracy",
            "dawid_skene_accuracy",
        ];
        why.extend(names.map(|name| (name, reason.0)));
    }

    /// What a vote decides, and how right it is. Rejected answers and gold do not vote.
    fn consensus(&mut self, field: &Field, gold: &[Option<u32>], options: &ReportOptions) {
        let votes = votes_of(field);
        let winners: Winners = majority(&votes);
        let fit = match field.has_sets {
            true => Err(IS_SETS),
            false => DawidSkene::fit(&votes, &DawidSkeneOptions::default()),
        };
        let report = &mut self.report;
        report.tied_items = Some(winners.ties().count() as u64);
        let told_gold = &mut report.gold;
        let why = &mut told_gold.undefined;
        told_gold.answer_accuracy = told(why, "answer_accuracy", self.scores.all.accuracy());
        told_gold.majority_accuracy =
            told(why, "majority_accuracy", majority_accuracy(&winners, gold));
        let weighted = weighted_majority(&votes, &agreement_weights(&votes));
        told_gold.weighted_majority_accuracy =
            told(why, "weighted_majority_accuracy", majority_accuracy(&weighted, gold));
        let right = fit.as_ref().map_err(|why| *why);
        let right = right.and_then(|fit| winner_accuracy(&fit.winners(), gold));
        told_gold.dawid_skene_accuracy = told(why, "dawid_skene_accuracy", right);
        self.report.gold.answer_accuracy_interval = self.accuracy_interval(field, gold, options);
        self.report.dawid_skene = fit.as_ref().ok().map(|fit| FitReport {
            smoothing: DawidSkeneOptions::default().smoothing,
            iterations: fit.iterations,
            converged: fit.converged,
            log_likelihood: fit.log_likelihood,
        });
        self.fit = fit.ok();
    }

    fn numbers(
        &mut self,
        values: Option<&[f64]>,
        levels: &[u32],
        gold: &[Option<f64>],
        reason: Undefined,
    ) {
        let starts = self.votes.starts();
        let alphas = &mut self.report.agreement.krippendorff_alpha;
        let why = &mut self.report.agreement.undefined;
        let measure = |of: &dyn Fn(&[f64]) -> Measure| values.map_or(Err(reason), of);
        let ordinal = measure(&|_| ordinal_alpha(starts, levels));
        alphas.ordinal = told(why, "krippendorff_alpha.ordinal", ordinal);
        let interval = measure(&|values| interval_alpha(starts, values));
        alphas.interval = told(why, "krippendorff_alpha.interval", interval);
        let found = number_gold(
            starts,
            values.unwrap_or_default(),
            match values {
                Some(_) => gold,
                None => &[],
            },
        );
        let report = &mut self.report.gold;
        if values.is_some() {
            report.items = report.items.max(found.items);
        }
        let why = &mut report.undefined;
        let measure = |of: Measure| if values.is_some() { of } else { Err(reason) };
        report.mean_mae = told(why, "mean_mae", measure(found.mean_mae));
        report.mean_rmse = told(why, "mean_rmse", measure(found.mean_rmse));
        report.median_mae = told(why, "median_mae", measure(found.median_mae));
        report.single_mae = told(why, "single_mae", measure(found.single_mae));
        report.pearson = told(why, "pearson", measure(found.pearson));
        report.spearman = told(why, "spearman", measure(found.spearman));
    }
}

/// The mean of defined kappas, weighted by what the two share.
fn mean_kappa(pairs: &[PairKappa]) -> Measure {
    let (mut sum, mut whole) = (0.0, 0.0);
    for pair in pairs {
        if let Ok(kappa) = pair.kappa {
            sum += kappa * f64::from(pair.shared);
            whole += f64::from(pair.shared);
        }
    }
    if whole > 0.0 { Ok(sum / whole) } else { Err(NO_PAIRS) }
}

impl FieldReport {
    fn counts(
        field: &Field,
        votes: &Votes,
        counted: &Coincidences,
        scores: &Scores,
        categorical: bool,
    ) -> Self {
        let mut people: Vec<u32> = field.answers.iter().map(|a| a.annotator).collect();
        people.sort_unstable();
        people.dedup();
        let answered = |unit: usize| votes.starts().get(unit + 1) > votes.starts().get(unit);
        let unanswered = field
            .gold
            .iter()
            .enumerate()
            .filter(|(unit, gold)| gold.is_some() && !answered(*unit))
            .count();
        let overlap = votes.items().filter(|(_, labels)| labels.len() >= 2).count();
        let reason = if overlap == 0 { Some(("items", NO_OVERLAP.0)) } else { None };
        Self {
            field: field.name.clone(),
            kind: field.kind.clone(),
            items: votes.items().filter(|(_, labels)| !labels.is_empty()).count() as u64,
            answers: votes.len() as u64,
            annotators: people.len() as u64,
            labels: if categorical { labels(field, counted, scores) } else { Vec::new() },
            agreement: AgreementReport {
                items: overlap as u64,
                undefined: reason.into_iter().collect(),
                ..AgreementReport::default()
            },
            gold: GoldReport {
                items: scores.items,
                unanswered: unanswered as u64,
                ..GoldReport::default()
            },
            boxes: None,
            spans: None,
            texts: None,
            dawid_skene: None,
            tied_items: None,
            prelabelled_answers: 0,
            prelabels: Vec::new(),
            reviews: ReviewReport::default(),
            policies: Vec::new(),
            gold_over_time: Vec::new(),
            confusion_labels: Vec::new(),
        }
    }
}

/// Labels by how often they were given.
fn labels(field: &Field, counted: &Coincidences, scores: &Scores) -> Vec<LabelReport> {
    let mut given = vec![0_u64; field.labels.all.len()];
    for answer in &field.answers {
        let set = &field.sets.all()[answer.set as usize];
        set.iter().for_each(|&label| given[label as usize] += 1);
    }
    // Only where each set is one label do sets and labels say the same.
    let mut of_set = vec![None; field.labels.all.len()];
    if !field.has_sets {
        for (set, labels) in field.sets.all().iter().enumerate() {
            labels.iter().for_each(|&label| of_set[label as usize] = Some(set));
        }
    }
    let mut labels: Vec<LabelReport> = field
        .labels
        .all
        .iter()
        .enumerate()
        .map(|(at, label)| LabelReport {
            label: label.clone(),
            answers: given[at],
            specific_agreement: of_set[at].and_then(|set| counted.specific_agreement(set).ok()),
            gold: of_set[at].and_then(|set| scores.labels.get(set).copied()).unwrap_or_default(),
        })
        .collect();
    labels.sort_by(|a, b| (b.answers, &a.label).cmp(&(a.answers, &b.label)));
    labels
}
