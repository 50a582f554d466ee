//! The answers of a revision, as `quality` and its sisters read them.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use glossator_quality::unit::{Answers, Repeats};
use glossator_store::id::CommitId;
use glossator_store::reviews::{Statuses, with_statuses};
use glossator_store::schema::ANNOTATIONS;
use glossator_store::segment::BatchStream;
use glossator_store::{Snapshot, Store};
use serde::{Deserialize, Serialize};

use crate::context::resolve;
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::policies::AsOf;
use crate::view::aliases;

/// Which answers count where one person answered more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RepeatsName {
    /// The one that was changed last
    Last,
    /// The one that was changed first
    First,
    /// All of them
    All,
}

/// Which answers are looked at.
#[derive(Debug, Clone, Args)]
pub(crate) struct AnswerArgs {
    /// Which answers count where one person answered one question more than once
    #[arg(long, value_enum, default_value = "last")]
    pub(crate) repeats: RepeatsName,
    #[command(flatten)]
    pub(crate) filters: Filters,
    #[command(flatten)]
    pub(crate) as_of: AsOf,
}

/// Reads the answers of a snapshot.
pub(crate) fn read(snapshot: &Snapshot<'_>, args: &AnswerArgs) -> Result<Answers> {
    read_with(snapshot, args, &Statuses::new())
}

/// The same, in the same order, with what is known of some rows besides.
pub(crate) fn read_with(
    snapshot: &Snapshot<'_>,
    args: &AnswerArgs,
    statuses: &Statuses,
) -> Result<Answers> {
    let repeats = match args.repeats {
        RepeatsName::Last => Repeats::Last,
        RepeatsName::First => Repeats::First,
        RepeatsName::All => Repeats::All,
    };
    let mapping = args.as_of.mapping(snapshot)?;
    let rows = |table| -> Result<BatchStream<'_>> {
        let rows = args.filters.read(snapshot, table, Some(&mapping))?;
        if statuses.is_empty() || table != &ANNOTATIONS {
            return Ok(rows);
        }
        Ok(Box::new(rows.map(|batch| with_statuses(batch?, statuses))))
    };
    Answers::read(rows, &aliases(snapshot)?, repeats)
}

/// The tables at a revision, and its commit.
pub(crate) fn at<'s>(store: &'s Store, revision: Option<&str>) -> Result<(CommitId, Snapshot<'s>)> {
    let commit = resolve(store, revision)?;
    Ok((commit, store.snapshot(Some(commit), &[])?))
}

/// Numbers in the place of ids, in the order of these: of who answered or skipped.
pub(crate) fn pseudonyms<'n>(names: impl Iterator<Item = &'n str>) -> HashMap<String, String> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let digits = names.len().to_string().len();
    let shown = |at: usize| format!("annotator-{:0digits$}", at + 1);
    names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), shown(at))).collect()
}

/// Who answered or skipped.
pub(crate) fn people(answers: &Answers) -> impl Iterator<Item = &str> {
    let mut seen = vec![false; answers.annotators.all.len()];
    answers.fields.iter().flat_map(|f| &f.answers).for_each(|a| seen[a.annotator as usize] = true);
    let skipped = &answers.skipped;
    let names = answers.annotators.all.iter().enumerate();
    names
        .filter(move |(at, _)| seen[*at] || skipped.get(*at).is_some_and(|&count| count > 0))
        .map(|(_, name)| name.as_str())
}

/// A share: `0.05` or `5%`.
pub(crate) fn share(text: &str) -> Result<f64> {
    let number = match text.trim().strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.trim().parse(),
    };
    number.ok().filter(|share| *share > 0.0 && *share <= 1.0).ok_or_else(|| {
        CliError::input(format!("`{text}` is no share above 0, up to 1"))
            .hint("write it as `5%` or `0.05`")
    })
}
