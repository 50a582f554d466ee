//! `gloss quality --save` and `--verify`: reports in git notes on their commits.

use std::io::Write;

use glossator_quality::report::Report;
use glossator_store::id::CommitId;
use glossator_store::notes::Notes;
use glossator_store::{Digest, Store};
use serde::{Deserialize, Serialize};

use super::quality::OfCommit;
use crate::context::{Context, resolve};
use crate::error::{CliError, Result};
use crate::measure::{MeasureArgs, MeasureOptions, hide, measure};
use crate::render::{lines, number, table};

/// The exit code where a report is not what it was.
const DIFFERS: u8 = 1;

/// A line of a note. It holds no item and nobody's name, for what is in git cannot be erased.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Saved {
    /// BLAKE3 of the line that `gloss quality REV --json` prints with these options.
    report: Digest,
    /// The version of gloss that computed it.
    gloss: String,
    options: MeasureOptions,
    rows: u64,
    fields: Vec<SavedField>,
}

/// The main figures of a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedField {
    field: String,
    kind: String,
    items: u64,
    answers: u64,
    annotators: u64,
    percent_item_mean: Option<f64>,
    krippendorff_alpha_nominal: Option<f64>,
    answer_accuracy: Option<f64>,
    majority_accuracy: Option<f64>,
    pair_f1: Option<f64>,
}

/// A kept report, computed once more, as `--json` prints it.
#[derive(Serialize)]
struct Verified<'s> {
    commit: CommitId,
    /// Whether it has the same bytes as then.
    same: bool,
    /// The digest of what was computed now.
    now: Digest,
    saved: &'s Saved,
}

impl Saved {
    /// What is kept of a report without names.
    fn new(commit: CommitId, report: &Report, options: MeasureOptions) -> Result<Self> {
        let mut bytes = serde_json::to_vec(&OfCommit { commit, report })?;
        bytes.push(b'\n');
        let fields = report.fields.iter().map(|field| SavedField {
            field: field.field.clone(),
            kind: field.kind.clone(),
            items: field.items,
            answers: field.answers,
            annotators: field.annotators,
            percent_item_mean: field.agreement.percent_item_mean,
            krippendorff_alpha_nominal: field.agreement.krippendorff_alpha.nominal,
            answer_accuracy: field.gold.answer_accuracy,
            majority_accuracy: field.gold.majority_accuracy,
            pair_f1: field.boxes.as_ref().or(field.spans.as_ref()).and_then(|of| of.pair_f1),
        });
        Ok(Self {
            report: Digest::of(&bytes),
            gloss: env!("CARGO_PKG_VERSION").to_owned(),
            options,
            rows: report.rows,
            fields: fields.collect(),
        })
    }
}

/// Keeps a report without names on its commit, once.
pub(super) fn save(
    context: &mut Context,
    store: &Store,
    commit: CommitId,
    report: &Report,
    args: &MeasureArgs,
) -> Result<()> {
    let filters = &args.answers.filters;
    if !filters.item.is_empty() || !filters.annotator.is_empty() {
        return Err(CliError::input("what is kept in git must name no item and nobody")
            .hint("leave `--item` and `--annotator` out"));
    }
    let line = serde_json::to_string(&Saved::new(commit, report, args.options())?)?;
    if store.notes(Notes::Quality, Some(commit))?.iter().any(|(_, known)| *known == line) {
        return context.note(&format!("this report is kept on {} already", commit.short()));
    }
    let (_, who) = context.identities(store)?;
    store.append_note(Notes::Quality, commit, &line, &who)?;
    context.note(&format!("kept on {}", commit.short()))
}

/// Computes what is kept on a commit once more.
pub(super) fn verify(context: &mut Context, store: &Store, revision: Option<&str>) -> Result<u8> {
    let commit = resolve(store, revision)?;
    let kept = store.notes(Notes::Quality, Some(commit))?;
    if kept.is_empty() {
        return Err(CliError::input(format!("no report is kept on {}", commit.short()))
            .hint("keep one with `gloss quality --save`"));
    }
    let mut rows = table(&["commit", "report", "rows", "by gloss", "computed again"]);
    let mut same = true;
    for (_, line) in kept {
        let saved: Saved = serde_json::from_str(&line).map_err(|e| {
            CliError::input(format!("a note on {} is no report: {e}", commit.short()))
                .hint("look at it with `git notes --ref=gloss-quality show` in `.gloss/git`")
        })?;
        let (_, mut report) = measure(store, Some(&commit.to_string()), &saved.options.args()?)?;
        hide(&mut report);
        let now = Saved::new(commit, &report, saved.options.clone())?;
        // Another version may measure more, and say so in other bytes.
        let equal = Saved { gloss: saved.gloss.clone(), ..now.clone() } == saved;
        same &= equal;
        if context.json {
            let now = now.report;
            context.json_line(&Verified { commit, same: equal, now, saved: &saved })?;
            continue;
        }
        rows.add_row([
            commit.short(),
            saved.report.to_string().chars().take(16).collect(),
            number(saved.rows),
            saved.gloss.clone(),
            if equal { "the same" } else { "differs" }.to_owned(),
        ]);
    }
    if !context.json {
        writeln!(context.out(), "{}", lines(&rows))?;
    }
    Ok(if same { 0 } else { DIFFERS })
}
