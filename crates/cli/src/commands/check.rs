//! `gloss check`

use std::io::Write;

use clap::Args;
use glossator_quality::report::{FieldReport, Report};
use serde::Serialize;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::measure::{MeasureArgs, measure};
use crate::policies::unknown;
use crate::render::quality::figure;
use crate::render::{lines, number, plain, table};

/// The exit code of a gate that is not passed.
const FAILED: u8 = 1;

/// A measure by the name that gates know it by.
pub(crate) type Named = (&'static str, fn(&FieldReport) -> Option<f64>);

/// What a gate can ask for.
static MEASURES: [Named; 20] = [
    ("alpha", |f| f.agreement.krippendorff_alpha.nominal),
    ("alpha-ordinal", |f| f.agreement.krippendorff_alpha.ordinal),
    ("alpha-interval", |f| f.agreement.krippendorff_alpha.interval),
    ("alpha-masi", |f| f.agreement.alpha_masi),
    ("percent", |f| f.agreement.percent_item_mean),
    ("fleiss", |f| f.agreement.fleiss_kappa),
    ("cohen", |f| f.agreement.cohen_kappa.and_then(|kappa| kappa.mean)),
    ("gold-accuracy", |f| f.gold.answer_accuracy),
    ("majority-accuracy", |f| f.gold.majority_accuracy),
    ("weighted-majority-accuracy", |f| f.gold.weighted_majority_accuracy),
    ("dawid-skene-accuracy", |f| f.gold.dawid_skene_accuracy),
    ("pair-f1", |f| f.boxes.as_ref().or(f.spans.as_ref())?.pair_f1),
    ("mean-iou", |f| f.boxes.as_ref().or(f.spans.as_ref())?.mean_iou),
    ("token-alpha", |f| f.spans.as_ref()?.token_alpha),
    ("gold-f1", |f| f.boxes.as_ref().or(f.spans.as_ref())?.gold_f1),
    ("char-accuracy", |f| Some(1.0 - f.texts.as_ref()?.gold_cer?)),
    ("word-accuracy", |f| Some(1.0 - f.texts.as_ref()?.gold_wer?)),
    ("items", |f| Some(f.items as f64)),
    ("answers", |f| Some(f.answers as f64)),
    ("annotators", |f| Some(f.annotators as f64)),
];

/// Fail where labels are not as good as they must be
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss check --gate alpha=0.8\n  \
    gloss check v1 --gate topic:alpha=0.67 --gate topic:items=100\n\n\
    Measures: alpha, alpha-ordinal, alpha-interval, alpha-masi, percent, fleiss, cohen, \
    gold-accuracy, majority-accuracy, weighted-majority-accuracy, dawid-skene-accuracy, \
    pair-f1, mean-iou, token-alpha, gold-f1, char-accuracy and word-accuracy (1 less the error \
    rate against gold), items, answers, annotators. A gate without a field is one on every \
    field. A measure that is undefined does not pass. Exits with 1 where a gate is not passed, or \
    where the policy of a row does not know its label.")]
pub(crate) struct CheckArgs {
    /// At this commit
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// What must be reached
    #[arg(long, value_name = "[FIELD:]MEASURE=NUMBER", required = true)]
    gate: Vec<String>,
    #[command(flatten)]
    measure: MeasureArgs,
}

/// A measure of a field against what it must reach.
#[derive(Debug, Serialize)]
struct Gate<'a> {
    field: &'a str,
    measure: &'static str,
    at_least: f64,
    value: Option<f64>,
    /// How much is missing; null where nothing is, or the measure is undefined.
    missing: Option<f64>,
    passed: bool,
}

/// The measure of a name.
pub(crate) fn named(name: &str) -> Result<&'static Named> {
    MEASURES.iter().find(|(known, _)| *known == name.trim()).ok_or_else(|| {
        let names: Vec<&str> = MEASURES.iter().map(|(name, _)| *name).collect();
        CliError::input(format!("there is no measure `{name}`"))
            .hint(format!("measures: {}", names.join(", ")))
    })
}

/// Which gates are not passed, in words.
pub(crate) fn failures(given: &[String], report: &Report) -> Result<Vec<String>> {
    let mut failed = Vec::new();
    for given in given {
        for gate in gates(given, report)?.into_iter().filter(|gate| !gate.passed) {
            let value = gate.value.map_or("undefined".to_owned(), |value| figure(Some(value)));
            let Gate { field, measure, at_least, .. } = gate;
            failed.push(format!("{measure} of `{field}` is {value}, not {at_least}"));
        }
    }
    Ok(failed)
}

/// Refuses what is no gate, whatever the labels are.
pub(crate) fn known_gate(given: &str) -> Result<()> {
    read_gate(given).map(drop)
}

/// The field, if one is named, the measure and the least value of a gate.
fn read_gate(given: &str) -> Result<(Option<&str>, &'static Named, f64)> {
    let wrong = || {
        CliError::input(format!("`{given}` is no gate"))
            .hint("write MEASURE=NUMBER or FIELD:MEASURE=NUMBER, for instance `alpha=0.8`")
    };
    let (name, least) = given.rsplit_once('=').ok_or_else(wrong)?;
    let at_least: f64 = least.trim().parse().map_err(|_| wrong())?;
    if !at_least.is_finite() {
        return Err(wrong());
    }
    let (field, name) = match name.rsplit_once(':') {
        Some((field, name)) => (Some(field), name),
        None => (None, name),
    };
    Ok((field, named(name)?, at_least))
}

fn gates<'r>(given: &str, report: &'r Report) -> Result<Vec<Gate<'r>>> {
    let (field, (measure, of), at_least) = read_gate(given)?;
    let fields = report.fields.iter().filter(|f| field.is_none_or(|name| name == f.field));
    let found: Vec<Gate<'r>> = fields
        .map(|f| {
            let value = of(f);
            let passed = value.is_some_and(|value| value >= at_least);
            let missing = value.filter(|_| !passed).map(|value| at_least - value);
            Gate { field: &f.field, measure, at_least, value, missing, passed }
        })
        .collect();
    if found.is_empty() {
        // A gate on nothing would pass whatever happens.
        return Err(CliError::input(match field {
            Some(field) => format!("no answers to a field `{field}`"),
            None => "there are no answers to check".to_owned(),
        }));
    }
    Ok(found)
}

pub(crate) fn run(context: &mut Context, args: &CheckArgs) -> Result<u8> {
    let store = context.store()?;
    let (commit, report) = measure(&store, args.revision.as_deref(), &args.measure)?;
    let mut checked = Vec::new();
    for given in &args.gate {
        checked.extend(gates(given, &report)?);
    }
    let unknown = unknown(&store.snapshot(Some(commit), &[])?)?;
    let passed = checked.iter().all(|gate| gate.passed) && unknown.is_empty();
    let code = if passed { 0 } else { FAILED };
    if context.json {
        let unknown: Vec<_> = unknown
            .iter()
            .map(|((policy, field, label), rows)| {
                serde_json::json!({
                    "policy": policy, "field": field, "label": label, "rows": rows,
                })
            })
            .collect();
        let line = serde_json::json!({
            "commit": commit, "passed": passed, "gates": checked, "unknown_labels": unknown,
        });
        context.json_line(&line)?;
        return Ok(code);
    }
    let mut rows = table(&["field", "measure", "at least", "is", "missing", "gate"]);
    for gate in &checked {
        rows.add_row([
            plain(gate.field).into_owned(),
            gate.measure.to_owned(),
            gate.at_least.to_string(),
            figure(gate.value),
            gate.missing.map_or(String::new(), |missing| format!("{missing:.4}")),
            if gate.passed { "passed" } else { "failed" }.to_owned(),
        ]);
    }
    writeln!(context.out(), "{}", lines(&rows))?;
    for ((policy, field, label), rows) in &unknown {
        let (field, label, rows) = (plain(field), plain(label), number(*rows));
        writeln!(context.out(), "{policy}  {field}: `{label}` is no label  {rows} row(s)")?;
    }
    Ok(code)
}
