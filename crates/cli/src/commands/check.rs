//! `gloss check`

use std::io::Write;

use clap::Args;
use glossator_lineage::policy::Policy;
use glossator_quality::report::{FieldReport, Report};
use serde::Serialize;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::measure::{MeasureArgs, measure};
use crate::policies::{all, unknown};
use crate::render::quality::figure;
use crate::render::{lines, number, plain, table};

/// The exit code of a gate that is not passed.
const FAILED: u8 = 1;

/// A measure by the name that gates know it by.
pub(crate) type Named = (&'static str, fn(&FieldReport) -> Option<f64>);

/// Those that tell in short how good a field is, whatever its kind.
pub(crate) static SHORT: [Named; 7] = [
    ("alpha", |f| f.agreement.krippendorff_alpha.nominal),
    ("percent", |f| f.agreement.percent_item_mean),
    ("gold-accuracy", |f| f.gold.answer_accuracy),
    ("pair-f1", |f| f.boxes.as_ref().or(f.spans.as_ref())?.pair_f1),
    ("token-alpha", |f| f.spans.as_ref()?.token_alpha),
    ("gold-f1", |f| f.boxes.as_ref().or(f.spans.as_ref())?.gold_f1),
    ("char-accuracy", |f| Some(1.0 - f.texts.as_ref()?.gold_cer?)),
];

/// Further ones that a gate can ask for.
static MEASURES: [Named; 13] = [
    ("alpha-ordinal", |f| f.agreement.krippendorff_alpha.ordinal),
    ("alpha-interval", |f| f.agreement.krippendorff_alpha.interval),
    ("alpha-masi", |f| f.agreement.alpha_masi),
    ("fleiss", |f| f.agreement.fleiss_kappa),
    ("cohen", |f| f.agreement.cohen_kappa.and_then(|kappa| kappa.mean)),
    ("majority-accuracy", |f| f.gold.majority_accuracy),
    ("weighted-majority-accuracy", |f| f.gold.weighted_majority_accuracy),
    ("dawid-skene-accuracy", |f| f.gold.dawid_skene_accuracy),
    ("mean-iou", |f| f.boxes.as_ref().or(f.spans.as_ref())?.mean_iou),
    ("word-accuracy", |f| Some(1.0 - f.texts.as_ref()?.gold_wer?)),
    ("items", |f| Some(f.items as f64)),
    ("answers", |f| Some(f.answers as f64)),
    ("annotators", |f| Some(f.annotators as f64)),
];

/// Fail where labels are not as good as they must be
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss check\n  gloss check --gate alpha=0.8\n  \
    gloss check v1 --gate topic:alpha=0.67 --gate topic:items=100\n\n\
    Measures: alpha, alpha-ordinal, alpha-interval, alpha-masi, percent, fleiss, cohen, \
    gold-accuracy, majority-accuracy, weighted-majority-accuracy, dawid-skene-accuracy, \
    pair-f1, mean-iou, token-alpha, gold-f1, char-accuracy and word-accuracy (1 less the error \
    rate against gold), items, answers, annotators. The gates of policies (`[gates]` in \
    policy.toml) are asked as well. A gate without a field is one on every field. A measure that \
    is undefined does not pass. Exits with 1 where a gate is not passed, or where the policy of a \
    row does not know its label.")]
pub(crate) struct CheckArgs {
    /// At this commit
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// What must be reached
    #[arg(long, value_name = "[FIELD:]MEASURE=NUMBER")]
    gate: Vec<String>,
    #[command(flatten)]
    measure: MeasureArgs,
}

/// A measure of a field against what it must reach.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Gate {
    /// The policy that asks; none of one that was typed.
    policy: Option<String>,
    field: String,
    measure: &'static str,
    at_least: f64,
    value: Option<f64>,
    /// How much is missing; null where nothing is, or the measure is undefined.
    missing: Option<f64>,
    pub passed: bool,
}

/// The measure of a name.
pub(crate) fn named(name: &str) -> Result<&'static Named> {
    let mut all = SHORT.iter().chain(&MEASURES);
    all.find(|(known, _)| *known == name.trim()).ok_or_else(|| {
        let names: Vec<&str> = SHORT.iter().chain(&MEASURES).map(|(name, _)| *name).collect();
        CliError::input(format!("there is no measure `{name}`"))
            .hint(format!("measures: {}", names.join(", ")))
    })
}

/// A gate that is asked: of one field, or of every one.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The policy that asks.
    policy: Option<Policy>,
    field: Option<String>,
    measure: &'static Named,
    at_least: f64,
}

/// Gates as they are typed.
pub(crate) fn typed(given: &[String]) -> Result<Vec<Asked>> {
    given.iter().map(|given| read_gate(given)).collect()
}

/// The gates that policies ask.
pub(crate) fn of_policies<'p>(policies: impl Iterator<Item = &'p Policy>) -> Result<Vec<Asked>> {
    let mut asked = Vec::new();
    for policy in policies {
        for (field, measure, at_least) in policy.gates.iter() {
            let measure = named(measure).map_err(|e| e.of_file(&policy.full_name()))?;
            let (policy, field) = (Some(policy.clone()), field.map(str::to_owned));
            asked.push(Asked { policy, field, measure, at_least });
        }
    }
    Ok(asked)
}

/// Which gates are not passed, in words.
pub(crate) fn failures(asked: &[Asked], report: &Report) -> Result<Vec<String>> {
    let mut failed = Vec::new();
    for gate in held(asked, report)?.into_iter().filter(|gate| !gate.passed) {
        let value = gate.value.map_or("undefined".to_owned(), |value| figure(Some(value)));
        let Gate { field, measure, at_least, .. } = gate;
        failed.push(format!("{measure} of `{field}` is {value}, not {at_least}"));
    }
    Ok(failed)
}

/// Refuses what is no gate, whatever the labels are.
pub(crate) fn known_gate(given: &str) -> Result<()> {
    read_gate(given).map(drop)
}

/// Reads `FIELD:MEASURE=NUMBER`.
fn read_gate(given: &str) -> Result<Asked> {
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
        Some((field, name)) => (Some(field.to_owned()), name),
        None => (None, name),
    };
    Ok(Asked { policy: None, field, measure: named(name)?, at_least })
}

/// Holds a report against gates.
pub(crate) fn held(asked: &[Asked], report: &Report) -> Result<Vec<Gate>> {
    let mut all = Vec::new();
    for gate in asked {
        let found = gate.held(report);
        if found.is_empty() {
            // A gate on nothing would pass whatever happens.
            return Err(CliError::input(match &gate.field {
                Some(field) => format!("no answers to a field `{field}`"),
                None => "there are no answers to check".to_owned(),
            }));
        }
        all.extend(found);
    }
    Ok(all)
}

impl Asked {
    /// A policy asks its own fields alone, and those that nobody answered do not pass.
    fn held(&self, report: &Report) -> Vec<Gate> {
        let own = |field: &str| self.policy.as_ref().is_none_or(|p| p.field(field).is_some());
        let meant = |field: &str| self.field.as_deref().is_none_or(|name| name == field);
        let found = report.fields.iter().filter(|f| own(&f.field) && meant(&f.field));
        let mut gates: Vec<Gate> =
            found.map(|f| self.gate(&f.field, (self.measure.1)(f))).collect();
        if let Some(policy) = self.policy.as_ref().filter(|_| gates.is_empty()) {
            let fields = policy.fields.iter().filter(|field| meant(&field.name));
            gates.extend(fields.map(|field| self.gate(&field.name, None)));
        }
        gates
    }

    fn gate(&self, field: &str, value: Option<f64>) -> Gate {
        let (measure, at_least) = (self.measure.0, self.at_least);
        let passed = value.is_some_and(|value| value >= at_least);
        let missing = value.filter(|_| !passed).map(|value| at_least - value);
        let policy = self.policy.as_ref().map(Policy::full_name);
        Gate { policy, field: field.to_owned(), measure, at_least, value, missing, passed }
    }
}

/// The gates as a table.
pub(crate) fn shown(gates: &[Gate]) -> String {
    let mut rows = table(&["field", "measure", "at least", "is", "missing", "gate"]);
    for gate in gates {
        rows.add_row([
            plain(&gate.field).into_owned(),
            gate.measure.to_owned(),
            gate.at_least.to_string(),
            figure(gate.value),
            gate.missing.map_or(String::new(), |missing| format!("{missing:.4}")),
            if gate.passed { "passed" } else { "failed" }.to_owned(),
        ]);
    }
    lines(&rows)
}

pub(crate) fn run(context: &mut Context, args: &CheckArgs) -> Result<u8> {
    let store = context.store()?;
    let (commit, report) = measure(&store, args.revision.as_deref(), &args.measure)?;
    let policies = all(&store, commit)?;
    let mut asked = typed(&args.gate)?;
    asked.extend(of_policies(policies.values())?);
    if asked.is_empty() {
        return Err(CliError::input("no gate is given, and no policy has one")
            .hint("for instance `gloss check --gate alpha=0.8`, or `[gates]` in a policy.toml"));
    }
    let checked = held(&asked, &report)?;
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
    writeln!(context.out(), "{}", shown(&checked))?;
    for ((policy, field, label), rows) in &unknown {
        let (field, label, rows) = (plain(field), plain(label), number(*rows));
        writeln!(context.out(), "{policy}  {field}: `{label}` is no label  {rows} row(s)")?;
    }
    Ok(code)
}
