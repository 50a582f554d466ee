//! How answers are measured: what `quality`, `check`, `hard` and `bisect` have in common.

use std::collections::{BTreeMap, HashMap};

use clap::{Args, ValueEnum};
use glossator_quality::agreement::Bootstrap;
use glossator_quality::objects::Matching;
use glossator_quality::report::{Report, ReportOptions};
use glossator_quality::tokens::token_alphas;
use glossator_quality::unit::Answers;
use glossator_store::id::CommitId;
use glossator_store::schema::{ITEMS, Items};
use glossator_store::{Snapshot, Store};
use serde::{Deserialize, Serialize};

use crate::answers::{AnswerArgs, RepeatsName, at, pseudonyms, read};
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::policies::AsOf;

/// How many of the hardest items are listed.
pub(crate) const HARDEST: usize = 20;

/// How objects of two people are paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MatchName {
    /// So that they overlap most in sum
    Best,
    /// By falling overlap
    Greedy,
}

/// How answers are read and measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct MeasureArgs {
    /// The levels of an ordinal scale, lowest first; with FIELD= for one field
    #[arg(long, value_name = "[FIELD=]LEVEL,LEVEL,…")]
    order: Vec<String>,
    /// Compare two annotators where they share so many pairs of answers
    #[arg(long, value_name = "N", default_value_t = 10)]
    min_overlap: u32,
    /// How boxes, areas and spans of two people are paired
    #[arg(long = "match", value_enum, default_value = "best", value_name = "HOW")]
    matching: MatchName,
    /// The least overlap (intersection over union) of objects that match
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    iou: f64,
    /// The seed of the bootstrap: the same seed gives the same intervals
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    pub(crate) answers: AnswerArgs,
}

impl Default for MeasureArgs {
    /// What is not typed.
    fn default() -> Self {
        let (filters, as_of) = Default::default();
        Self {
            order: Vec::new(),
            min_overlap: 10,
            matching: MatchName::Best,
            iou: 0.5,
            seed: 0,
            answers: AnswerArgs { repeats: RepeatsName::Last, filters, as_of },
        }
    }
}

/// The same in words that a note can keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeasureOptions {
    repeats: RepeatsName,
    order: Vec<String>,
    min_overlap: u32,
    r#match: MatchName,
    iou: f64,
    seed: u64,
    /// Conditions, `COLUMN=VALUE`.
    filters: Vec<String>,
    #[serde(default)]
    as_of: AsOf,
}

impl MeasureArgs {
    /// What was asked for.
    pub(crate) fn options(&self) -> MeasureOptions {
        MeasureOptions {
            repeats: self.answers.repeats,
            order: self.order.clone(),
            min_overlap: self.min_overlap,
            r#match: self.matching,
            iou: self.iou,
            seed: self.seed,
            filters: self.answers.filters.conditions(),
            as_of: self.answers.as_of.clone(),
        }
    }
}

impl MeasureOptions {
    /// The arguments that ask for the same.
    pub(crate) fn args(&self) -> Result<MeasureArgs> {
        let mut filters = Filters::default();
        self.filters.iter().try_for_each(|condition| filters.add(condition))?;
        Ok(MeasureArgs {
            order: self.order.clone(),
            min_overlap: self.min_overlap,
            matching: self.r#match,
            iou: self.iou,
            seed: self.seed,
            answers: AnswerArgs { repeats: self.repeats, filters, as_of: self.as_of.clone() },
        })
    }
}

/// Measures the labels of a revision.
pub(crate) fn measure(
    store: &Store,
    revision: Option<&str>,
    args: &MeasureArgs,
) -> Result<(CommitId, Report)> {
    let (commit, snapshot) = at(store, revision)?;
    Ok((commit, measured(&snapshot, args, HARDEST)?))
}

/// Measures the labels of a snapshot, and lists so many of the hardest items.
pub(crate) fn measured(
    snapshot: &Snapshot<'_>,
    args: &MeasureArgs,
    hardest: usize,
) -> Result<Report> {
    let answers = read(snapshot, &args.answers)?;
    report(&answers, &report_options(snapshot, &answers, args, hardest)?)
}

/// How a snapshot is measured.
pub(crate) fn report_options(
    snapshot: &Snapshot<'_>,
    answers: &Answers,
    args: &MeasureArgs,
    hardest: usize,
) -> Result<ReportOptions> {
    if !(args.iou > 0.0 && args.iou <= 1.0) {
        return Err(CliError::input("`--iou` is a share above 0, up to 1"));
    }
    Ok(ReportOptions {
        orders: orders(&args.order)?,
        shared_min: args.min_overlap,
        bootstrap: Bootstrap { seed: args.seed, ..Bootstrap::default() },
        groups: groups(snapshot)?,
        hardest,
        matching: match args.matching {
            MatchName::Best => Matching::Best,
            MatchName::Greedy => Matching::Greedy,
        },
        iou_min: args.iou,
        token_alphas: token_alphas(answers, Filters::default().rows(snapshot, &ITEMS)?)?,
    })
}

/// The report of answers.
pub(crate) fn report(answers: &Answers, options: &ReportOptions) -> Result<Report> {
    Report::new(answers, options).map_err(|wrong| {
        CliError::input(format!(
            "`{}` is an answer to `{}` and no level of its order",
            wrong.label, wrong.field
        ))
        .hint("name all levels with `--order`, the lowest first")
    })
}

/// Orders of levels by field; under the empty name the one that is of no certain field.
fn orders(given: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut orders = BTreeMap::new();
    for order in given {
        let (field, levels) = order.split_once('=').unwrap_or(("", order));
        let levels: Vec<String> = levels.split(',').map(|l| l.trim().to_owned()).collect();
        let mut distinct = levels.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if levels.len() < 2 || distinct.len() < levels.len() {
            return Err(CliError::input(format!("`{order}` is no order of levels"))
                .hint("write each level once: `--order poor,fair,good`"));
        }
        orders.insert(field.to_owned(), levels);
    }
    Ok(orders)
}

/// The groups of items that stand or fall together.
fn groups(snapshot: &Snapshot<'_>) -> Result<HashMap<String, String>> {
    let mut groups = HashMap::new();
    for batch in Filters::default().rows(snapshot, &ITEMS)? {
        let batch = batch?;
        let rows = Items::new(&batch);
        for row in 0..rows.len() {
            if let Some(group) = rows.group_id(row) {
                groups.insert(rows.item_id(row).to_owned(), group.to_owned());
            }
        }
    }
    Ok(groups)
}

/// Puts numbers in the place of ids, in the order of these.
pub(crate) fn hide(report: &mut Report) {
    let names = pseudonyms(report.annotators.iter().map(|person| person.annotator.as_str()));
    let people = report.annotators.iter_mut().map(|person| &mut person.annotator);
    let pairs = report.fields.iter_mut().flat_map(|field| &mut field.agreement.annotator_pairs);
    for name in people.chain(pairs.flat_map(|pair| &mut pair.annotators)) {
        if let Some(shown) = names.get(name) {
            name.clone_from(shown);
        }
    }
}
