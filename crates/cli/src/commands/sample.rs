//! `gloss sample`

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use glossator_quality::sample::{
    Bounds, Drawn, Sample, SampleOptions, Stratum, StratumReport, key,
};
use glossator_quality::unit::{Answers, Status};
use glossator_store::id::CommitId;
use glossator_store::reviews::in_hindsight;
use serde::Serialize;

use crate::answers::{AnswerArgs, at, people, pseudonyms, read, read_with, share};
use crate::context::Context;
use crate::error::Result;
use crate::render::quality::figure;
use crate::render::{lines, number, plain, shortened, table};
use crate::tasks::{Chosen, write};

/// Strata that people are shown.
const STRATA_SHOWN_MAX: usize = 40;

/// What tells strata apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum StratumName {
    /// Who answered
    Annotator,
    /// What was answered
    Label,
    /// Which question
    Field,
    /// Under which policy
    Policy,
}

/// Draw answers for review, so that anybody can draw the same again
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss sample --rate 5% --seed 7 -o review.json\n  \
    gloss sample v1 --rate 5% --seed 7 --reviews HEAD\n\n\
    Of each stratum the share is drawn, rounded up. The same commit, rate, strata and seed draw \
    the same answers anywhere. The file is for Label Studio: the items with the drawn answers. \
    Where drawn answers were reviewed, the share of wrong ones among all is told with its \
    interval, weighted by stratum; reviews are those of `--reviews`, a later commit.")]
pub(crate) struct SampleArgs {
    /// At this commit
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// The share of each stratum: `5%` or `0.05`
    #[arg(long, value_name = "SHARE", default_value = "5%")]
    rate: String,
    /// What tells strata apart
    #[arg(long, value_enum, value_delimiter = ',', default_value = "annotator,label")]
    strata: Vec<StratumName>,
    /// Another seed draws another sample
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The commit that has the reviews of the sample
    #[arg(long, value_name = "REV")]
    reviews: Option<String>,
    /// Show annotators by their ids rather than pseudonyms
    #[arg(long)]
    names: bool,
    /// Write the drawn answers as tasks for Label Studio
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    #[command(flatten)]
    answers: AnswerArgs,
}

/// A drawn answer.
#[derive(Serialize)]
struct DrawnAnswer {
    item: String,
    target: Option<String>,
    region: Option<String>,
    field: String,
    annotator: String,
    label: String,
    /// Its first row; with names alone, for ids of rows hold them.
    annotation: Option<String>,
    status: &'static str,
    /// A place in `strata`.
    stratum: usize,
    /// How many answers of its stratum it stands for.
    weight: f64,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told<'s> {
    commit: CommitId,
    reviews: CommitId,
    rate: f64,
    by: &'s [StratumName],
    seed: u64,
    answers: u64,
    drawn: u64,
    reviewed: u64,
    strata: &'s [StratumReport],
    sample: Vec<DrawnAnswer>,
    bounds: Option<Bounds>,
    undefined: Option<&'static str>,
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Submitted => "submitted",
        Status::Accepted => "accepted",
        Status::Fixed => "fixed",
        Status::Rejected => "rejected",
    }
}

pub(crate) fn run(context: &mut Context, args: &SampleArgs) -> Result<u8> {
    let store = context.store()?;
    let (commit, snapshot) = at(&store, args.revision.as_deref())?;
    let answers = read(&snapshot, &args.answers)?;
    let options = SampleOptions {
        rate: share(&args.rate)?,
        strata: args.strata.iter().map(|name| stratum(*name)).collect(),
        seed: args.seed,
    };
    let mut sample = Sample::draw(&answers, &options);
    let (reviews, later) = match &args.reviews {
        Some(revision) => {
            let (commit, now) = at(&store, Some(revision))?;
            let items = items_of(&answers, &sample);
            // Of what was drawn, not of what became of it: who mends a mistake has made it.
            let statuses = in_hindsight(&snapshot, &now, &items)?;
            (commit, Some(read_with(&snapshot, &args.answers, &statuses)?))
        }
        None => (commit, None),
    };
    let status = |drawn: &Drawn| {
        let field = &later.as_ref().unwrap_or(&answers).fields[drawn.field];
        field.about(&field.answers[drawn.answer]).status
    };
    sample.review(status);
    let rows = sample.drawn.iter().filter_map(|drawn| {
        let field = &answers.fields[drawn.field];
        field.about(&field.answers[drawn.answer]).row
    });
    let places: HashSet<u32> = rows.collect();
    let mut chosen = Chosen::default();
    let ids = chosen.add_answers(&snapshot, &args.answers, &places)?;
    let ids: HashMap<u32, String> = ids.into_iter().collect();
    let names = match args.names {
        true => HashMap::new(),
        false => pseudonyms(people(&answers)),
    };
    let shown = |name: &str| names.get(name).cloned().unwrap_or_else(|| name.to_owned());
    let mut drawn = Vec::new();
    for one in &sample.drawn {
        let field = &answers.fields[one.field];
        let answer = &field.answers[one.answer];
        let (.., item, target, region, annotator) = key(&answers, field, answer);
        let stratum = &sample.strata[one.stratum];
        let first = field.about(answer).row;
        let some = |text: String| (!text.is_empty()).then_some(text);
        chosen.items.insert(item.clone());
        drawn.push(DrawnAnswer {
            item,
            target: some(target),
            region: some(region),
            field: field.name.clone(),
            annotator: shown(&annotator),
            label: field.set_text(answer.set),
            annotation: first.filter(|_| args.names).and_then(|row| ids.get(&row).cloned()),
            status: word(status(one)),
            stratum: one.stratum,
            weight: stratum.answers as f64 / stratum.drawn as f64,
        });
    }
    if let Some(path) = &args.output {
        write(&snapshot, &args.answers, &chosen, &context.path(path))?;
    }
    for stratum in &mut sample.strata {
        if let Some(annotator) = &mut stratum.annotator {
            *annotator = shown(annotator);
        }
    }
    let bounds = sample.bounds();
    let sum = |of: fn(&StratumReport) -> u64| sample.strata.iter().map(of).sum();
    let told = Told {
        commit,
        reviews,
        rate: options.rate,
        by: &args.strata,
        seed: args.seed,
        answers: sum(|s| s.answers),
        drawn: sum(|s| s.drawn),
        reviewed: sum(|s| s.reviewed),
        strata: &sample.strata,
        sample: drawn,
        undefined: bounds.as_ref().err().map(|why| why.0),
        bounds: bounds.ok(),
    };
    if context.json {
        context.json_line(&told)?;
    } else {
        show(context, &told)?;
        if let Some(path) = &args.output {
            context.note(&format!("wrote the answers as tasks to {}", path.display()))?;
        }
    }
    Ok(0)
}

/// The items of the drawn answers, rising.
fn items_of<'a>(answers: &'a Answers, sample: &Sample) -> Vec<&'a str> {
    let of = |drawn: &Drawn| {
        let field = &answers.fields[drawn.field];
        field.units[field.answers[drawn.answer].unit as usize].as_str()
    };
    sample.drawn.iter().map(of).collect::<BTreeSet<_>>().into_iter().collect()
}

fn stratum(name: StratumName) -> Stratum {
    match name {
        StratumName::Annotator => Stratum::Annotator,
        StratumName::Label => Stratum::Label,
        StratumName::Field => Stratum::Field,
        StratumName::Policy => Stratum::Policy,
    }
}

fn show(context: &mut Context, told: &Told<'_>) -> Result<()> {
    let out = context.out();
    writeln!(
        out,
        "commit {}: {} of {} answers drawn from {} strata, {} of them reviewed",
        told.commit.short(),
        number(told.drawn),
        number(told.answers),
        number(told.strata.len() as u64),
        number(told.reviewed)
    )?;
    let mut rows = table(&["stratum", "answers", "drawn", "reviewed", "wrong"]);
    for stratum in told.strata.iter().take(STRATA_SHOWN_MAX) {
        let parts = [&stratum.annotator, &stratum.label, &stratum.field, &stratum.policy];
        let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        rows.add_row([
            shortened(&parts.join(", "), 48),
            number(stratum.answers),
            number(stratum.drawn),
            number(stratum.reviewed),
            number(stratum.wrong),
        ]);
    }
    writeln!(out, "{}", lines(&rows))?;
    if told.strata.len() > STRATA_SHOWN_MAX {
        let more = (told.strata.len() - STRATA_SHOWN_MAX) as u64;
        writeln!(out, "and {} more strata: `--json` has all", number(more))?;
    }
    match &told.bounds {
        Some(bounds) => {
            let range = bounds.interval.map_or(String::new(), |i| {
                format!(", 95 % interval {:.4} to {:.4}", i.low, i.high)
            });
            writeln!(
                out,
                "wrong among all: {}{range}; strata with reviews hold {:.0} % of the answers",
                figure(Some(bounds.wrong_rate)),
                bounds.covered * 100.0
            )?;
        }
        None => {
            let why = told.undefined.unwrap_or_default();
            writeln!(out, "the share of wrong answers is undefined, because {}", plain(why))?;
        }
    }
    Ok(())
}
