//! `gloss quality`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use glossator_quality::report::Report;
use glossator_store::fs::output_file;
use glossator_store::id::CommitId;
use serde::Serialize;
use serde_json::{Value, json};

use super::{compare, saved};
use crate::context::Context;
use crate::error::Result;
use crate::measure::{MeasureArgs, hide, measure};
use crate::render::html;
use crate::render::quality::write;

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
    /// And policies
    Policy,
}

/// Measure how good the labels are: agreement, consensus, gold
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss quality\n  gloss quality v1 --by annotator --names\n  \
    gloss quality --order rating=poor,fair,good --json\n  gloss quality --compare v1 v2\n  \
    gloss quality v1 --html report.html\n  gloss quality v1 --save\n  gloss quality v1 --verify\n\n\
    An answer is the rows of one submission, target, region and field; of a table without \
    submissions, one row. Drafts, skipped and superseded rows, models and rules are left out; what \
    was left out is printed, by reason. Rejected answers count in agreement, and do not vote. \
    `--save` keeps the main figures and the digest of the JSON in a git note on the commit, and \
    `--verify` computes what is kept once more, with the options of then, and exits with 1 where \
    it differs.")]
pub(crate) struct QualityArgs {
    /// At this commit
    #[arg(value_name = "REV", conflicts_with = "compare")]
    revision: Option<String>,
    /// Compare two commits: what moved, and whether it got better
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    compare: Vec<String>,
    /// What to break down by
    #[arg(long, value_enum, default_value = "field")]
    by: By,
    /// Show annotators by their ids rather than pseudonyms
    #[arg(long)]
    names: bool,
    /// Write a page with charts that needs nothing else, for a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Keep the main figures and the digest of the report in a git note on the commit
    #[arg(long, conflicts_with_all = ["compare", "names"])]
    save: bool,
    /// Compute the reports that are kept on the commit once more, and compare
    #[arg(long, conflicts_with_all = ["compare", "save", "names", "html"])]
    verify: bool,
    #[command(flatten)]
    measure: MeasureArgs,
}

/// A report and the commit that it is of.
#[derive(Serialize)]
pub(super) struct OfCommit<'a> {
    pub(super) commit: CommitId,
    #[serde(flatten)]
    pub(super) report: &'a Report,
}

pub(crate) fn run(context: &mut Context, args: &QualityArgs) -> Result<u8> {
    let store = context.store()?;
    if let [a, b] = &args.compare[..] {
        let page = args.html.as_deref();
        return compare::run(context, &store, [a, b], args.names, page, &args.measure);
    }
    if args.verify {
        return saved::verify(context, &store, args.revision.as_deref());
    }
    let (commit, mut report) = measure(&store, args.revision.as_deref(), &args.measure)?;
    if !args.names {
        hide(&mut report);
    }
    if args.save {
        saved::save(context, &store, commit, &report, &args.measure)?;
    }
    if let Some(path) = &args.html {
        let title = format!("Labels at {}", commit.short());
        page(context, path, &title, &json!({"report": OfCommit { commit, report: &report }}))?;
    }
    if context.json {
        context.json_line(&OfCommit { commit, report: &report })?;
    } else {
        write(context.out(), &commit.short().to_string(), &report, args.by)?;
    }
    Ok(0)
}

/// Writes a page: whole, or not at all.
pub(super) fn page(context: &mut Context, path: &Path, title: &str, value: &Value) -> Result<()> {
    let mut file = output_file(&context.path(path))?;
    html::write(&mut file, title, value)?;
    file.persist()?;
    context.note(&format!("wrote {}", path.display()))
}
