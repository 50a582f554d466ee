//! `gloss quality`

use std::collections::{BTreeMap, HashMap};

use clap::{Args, ValueEnum};
use glossator_quality::agreement::Bootstrap;
use glossator_quality::objects::Matching;
use glossator_quality::report::{Report, ReportOptions};
use glossator_quality::unit::{Answers, Repeats};
use glossator_store::id::CommitId;
use glossator_store::schema::{ANNOTATIONS, ITEMS, Items, SUBMISSIONS};
use glossator_store::{Snapshot, Store};
use serde::Serialize;

use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::policies::AsOf;
use crate::render::quality::write;
use crate::view::aliases;

/// How many of the hardest items are listed.
const HARDEST: usize = 20;

/// Which answers count where one person answered more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RepeatsName {
    /// The one that was changed last
    Last,
    /// The one that was changed first
    First,
    /// All of them
    All,
}

/// How objects of two people are paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MatchName {
    /// So that they overlap most in sum
    Best,
    /// By falling overlap
    Greedy,
}

/// What a report is broken down by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Fields alone
    Field,
    /// And annotators
    Annotator,
    /// And labels
    Label,
    /// And the hardest items
    Item,
}

/// How answers are read and measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct MeasureArgs {
    /// Which answers count where one person answered one question more than once
    #[arg(long, value_enum, default_value = "last")]
    repeats: RepeatsName,
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
    filters: Filters,
    #[command(flatten)]
    as_of: AsOf,
}

impl Default for MeasureArgs {
    /// What is not typed.
    fn default() -> Self {
        Self {
            repeats: RepeatsName::Last,
            order: Vec::new(),
            min_overlap: 10,
            matching: MatchName::Best,
            iou: 0.5,
            seed: 0,
            filters: Filters::default(),
            as_of: AsOf::default(),
        }
    }
}

/// Measure how good the labels are: agreement, consensus, gold
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss quality\n  gloss quality v1 --by annotator --names\n  \
    gloss quality --order rating=poor,fair,good --json\n\n\
    An answer is the rows of one submission, target, region and field; of a table without \
    submissions, one row. Drafts, skipped and superseded rows, models and rules are left out; what \
    was left out is printed, by reason. Rejected answers count in agreement, and do not vote.")]
pub(crate) struct QualityArgs {
    /// At this commit
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// What to break down by
    #[arg(long, value_enum, default_value = "field")]
    by: By,
    /// Show annotators by their ids rather than pseudonyms
    #[arg(long)]
    names: bool,
    #[command(flatten)]
    measure: MeasureArgs,
}

/// A report and the commit that it is of.
#[derive(Serialize)]
struct OfCommit<'a> {
    commit: CommitId,
    #[serde(flatten)]
    report: &'a Report,
}

pub(crate) fn run(context: &mut Context, args: &QualityArgs) -> Result<u8> {
    let store = context.store()?;
    let (commit, mut report) = measure(&store, args.revision.as_deref(), &args.measure)?;
    if !args.names {
        pseudonyms(&mut report);
    }
    if context.json {
        context.json_line(&OfCommit { commit, report: &report })?;
    } else {
        write(context.out(), &commit.short().to_string(), &report, args.by)?;
    }
    Ok(0)
}

/// Measures the labels of a revision.
pub(crate) fn measure(
    store: &Store,
    revision: Option<&str>,
    args: &MeasureArgs,
) -> Result<(CommitId, Report)> {
    let commit = resolve(store, revision)?;
    let report = measured(&store.snapshot(Some(commit), &[])?, args)?;
    Ok((commit, report))
}

/// Measures the labels of a snapshot.
pub(crate) fn measured(snapshot: &Snapshot<'_>, args: &MeasureArgs) -> Result<Report> {
    if !(args.iou > 0.0 && args.iou <= 1.0) {
        return Err(CliError::input("`--iou` is a share above 0, up to 1"));
    }
    let repeats = match args.repeats {
        RepeatsName::Last => Repeats::Last,
        RepeatsName::First => Repeats::First,
        RepeatsName::All => Repeats::All,
    };
    let mapping = args.as_of.mapping(snapshot)?;
    let answers = Answers::read(
        args.filters.read(snapshot, &ANNOTATIONS, Some(&mapping))?,
        args.filters.rows(snapshot, &SUBMISSIONS)?,
        &aliases(snapshot)?,
        repeats,
    )?;
    let options = ReportOptions {
        orders: orders(&args.order)?,
        shared_min: args.min_overlap,
        bootstrap: Bootstrap { seed: args.seed, ..Bootstrap::default() },
        groups: groups(snapshot)?,
        hardest: HARDEST,
        matching: match args.matching {
            MatchName::Best => Matching::Best,
            MatchName::Greedy => Matching::Greedy,
        },
        iou_min: args.iou,
    };
    Report::new(&answers, &options).map_err(|wrong| {
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
fn pseudonyms(report: &mut Report) {
    let digits = report.annotators.len().to_string().len();
    for (at, person) in report.annotators.iter_mut().enumerate() {
        person.annotator = format!("annotator-{:0digits$}", at + 1);
    }
}
