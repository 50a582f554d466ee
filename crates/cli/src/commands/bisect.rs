//! `gloss bisect`

use std::io::Write;

use clap::Args;
use glossator_quality::agreement::Bootstrap;
use glossator_quality::report::Report;
use glossator_store::Store;
use glossator_store::id::CommitId;
use serde::Serialize;

use super::check::{Named, named};
use crate::answers::{at, read};
use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::measure::{MeasureArgs, report, report_options};
use crate::render::plain;
use crate::render::quality::figure;

/// Find the commit that made a measure of the labels bad
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss bisect --metric gold-accuracy --below 0.9\n  \
    gloss bisect --metric alpha --below 0.8 --field topic --good v1 main\n\n\
    Measures commits on the way of first parents from REV to `--good`, or to where the measure is \
    not below any more, and halves what is between. A measure that is undefined is not below. \
    Where several fields have it, the lowest counts. `gloss check --help` lists the measures.")]
pub(crate) struct BisectArgs {
    /// Where the measure is below
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// The measure
    #[arg(long, value_name = "MEASURE")]
    metric: String,
    /// What it must not be below
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    below: f64,
    /// An ancestor where it is not below
    #[arg(long, value_name = "REV")]
    good: Option<String>,
    #[command(flatten)]
    measure: MeasureArgs,
}

/// A commit and its measure.
#[derive(Debug, Clone, Serialize)]
struct Measured {
    commit: CommitId,
    /// The field whose measure is lowest.
    field: Option<String>,
    value: Option<f64>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Told<'m> {
    metric: &'m str,
    below: f64,
    /// The first commit where the measure is below; null where it is not at REV.
    first: Option<&'m Measured>,
    /// Its first parent; null where it has none.
    before: Option<&'m Measured>,
    /// All commits that were measured, in the order in which they were.
    measured: &'m [Measured],
}

/// The way of first parents, and what was measured on it.
struct Search<'a> {
    store: &'a Store,
    args: &'a BisectArgs,
    measure: &'static Named,
    /// From the tip to older commits, as far as they are known.
    chain: Vec<CommitId>,
    measured: Vec<Measured>,
}

impl Search<'_> {
    /// The commit so many steps before the tip; `None` beyond the first.
    fn commit(&mut self, at: usize) -> Result<Option<CommitId>> {
        while self.chain.len() <= at {
            let Some(&last) = self.chain.last() else { return Ok(None) };
            match self.store.history.first_parent(last)? {
                Some(parent) => self.chain.push(parent),
                None => return Ok(None),
            }
        }
        Ok(Some(self.chain[at]))
    }

    /// Whether the measure is below at a commit of the chain.
    fn is_below(&mut self, place: usize) -> Result<bool> {
        let commit = self.chain[place];
        let (_, snapshot) = at(self.store, Some(&commit.to_string()))?;
        let answers = read(&snapshot, &self.args.measure.answers)?;
        let mut options = report_options(&snapshot, &answers, &self.args.measure, 0)?;
        // Nobody looks at intervals here.
        options.bootstrap = Bootstrap { replicates: 0, ..options.bootstrap };
        let report = report(&answers, &options)?;
        let (field, value) = lowest(&report, self.measure).unzip();
        self.measured.push(Measured { commit, field, value });
        Ok(value.is_some_and(|value| value < self.args.below))
    }

    fn found(&self, commit: CommitId) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.commit == commit)
    }
}

fn lowest(report: &Report, (_, of): &Named) -> Option<(String, f64)> {
    let values = report.fields.iter().filter_map(|field| Some((field.field.clone(), of(field)?)));
    values.min_by(|a, b| a.1.total_cmp(&b.1))
}

pub(crate) fn run(context: &mut Context, args: &BisectArgs) -> Result<u8> {
    let measure = named(&args.metric)?;
    if !args.below.is_finite() {
        return Err(CliError::input("`--below` is no number").hint("for example `--below 0.9`"));
    }
    let store = context.store()?;
    let tip = resolve(&store, args.revision.as_deref())?;
    let good = args.good.as_deref().map(|good| resolve(&store, Some(good))).transpose()?;
    let mut search =
        Search { store: &store, args, measure, chain: vec![tip], measured: Vec::new() };
    if !search.is_below(0)? {
        return tell(context, &search, None);
    }
    // The youngest place known to be below, and an older one that is not; beyond the first commit
    // nothing is.
    let (mut bad, mut fine) = (0, None);
    if let Some(good) = good {
        while *search.chain.last().unwrap_or(&good) != good {
            let at = search.chain.len();
            if search.commit(at)?.is_none() {
                return Err(CliError::input("`--good` is no ancestor by first parents")
                    .hint("see `gloss log`"));
            }
        }
        let last = search.chain.len() - 1;
        if last == 0 || search.is_below(last)? {
            return Err(CliError::input("the measure is below at `--good` as well")
                .hint("name an older commit, or leave `--good` out"));
        }
        fine = Some(last);
    }
    let mut step = 1;
    while fine.is_none() {
        match search.commit(bad + step)? {
            Some(_) if search.is_below(bad + step)? => {
                bad += step;
                step *= 2;
            }
            Some(_) => fine = Some(bad + step),
            // Beyond the first commit: it lies one before the end of the chain.
            None => fine = Some(search.chain.len()),
        }
    }
    let mut fine = fine.unwrap_or(search.chain.len());
    while fine - bad > 1 {
        let middle = bad + (fine - bad) / 2;
        match search.is_below(middle)? {
            true => bad = middle,
            false => fine = middle,
        }
    }
    tell(context, &search, Some(bad))
}

fn tell(context: &mut Context, search: &Search<'_>, first: Option<usize>) -> Result<u8> {
    let of = |place: usize| search.chain.get(place).and_then(|commit| search.found(*commit));
    let (bad, before) = (first.and_then(of), first.and_then(|first| of(first + 1)));
    let (metric, below) = (search.measure.0, search.args.below);
    if context.json {
        let measured = &search.measured;
        context.json_line(&Told { metric, below, first: bad, before, measured })?;
        return Ok(0);
    }
    let Some(bad) = bad else {
        let value = search.measured.first().and_then(|measured| measured.value);
        writeln!(context.out(), "{metric} is {}, not below {below}", figure(value))?;
        return Ok(0);
    };
    let title = search.store.history.commit(bad.commit)?.title().to_owned();
    let field = bad.field.as_deref().unwrap_or_default();
    let out = context.out();
    writeln!(out, "{} {}", bad.commit.short(), plain(&title))?;
    writeln!(out, "is the first commit where {metric} of {} is below {below}", plain(field))?;
    let was = before.map_or("it has no commit before".to_owned(), |before| {
        format!("at its parent {} it is {}", before.commit.short(), figure(before.value))
    });
    writeln!(out, "it is {}; {was}", figure(bad.value))?;
    writeln!(out, "measured {} commits", search.measured.len())?;
    Ok(0)
}
