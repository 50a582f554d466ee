//! `gloss relabel report`

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use clap::Args;
use glossator_lineage::policy::Mapping;
use glossator_quality::agreement::Interval;
use glossator_quality::compare::{Version, compare};
use glossator_quality::report::Report;
use glossator_store::Snapshot;
use glossator_store::schema::{ANNOTATIONS, Annotations, SUPERSEDED};
use glossator_store::whole_items::WholeItems;
use serde::Serialize;

use crate::answers::read;
use crate::commands::check::{Named, SHORT};
use crate::context::Context;
use crate::error::Result;
use crate::filter::Filters;
use crate::measure::{HARDEST, MeasureArgs, report, report_options};
use crate::relabelling::{Relabelling, items};
use crate::render::quality::figure;
use crate::render::{lines, number, plain, table};

/// Show what became of the labels: from what to what, agreement and gold before and after
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss relabel report\n  gloss relabel report main --json\n\n\
    Each new row is counted with the row that it took the place of; `(new)` took the place of \
    none, and nothing took the place of what became `(gone)`. Agreement and gold accuracy are \
    those of all labels, before the relabelling and now.")]
pub(super) struct ReportArgs {
    /// The branch, or one of its commits
    #[arg(value_name = "REV")]
    revision: Option<String>,
    #[command(flatten)]
    measure: MeasureArgs,
}

/// From what to what labels went, by rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Went {
    field: String,
    /// None of a row that took the place of no other.
    from: Option<String>,
    /// None of a row whose place nothing took.
    to: Option<String>,
}

#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    went: Went,
    rows: u64,
}

/// A measure before and now.
#[derive(Debug, Serialize)]
struct Measured {
    measure: &'static str,
    before: Option<f64>,
    now: Option<f64>,
    change: Option<f64>,
    /// The middle 95 % of the change, of measures that have a bootstrap.
    interval: Option<Interval>,
}

/// What is compared of a field.
#[derive(Debug, Serialize)]
struct Compared {
    field: String,
    kind: String,
    answers_before: u64,
    answers_now: u64,
    measures: Vec<Measured>,
}

pub(super) fn run(context: &mut Context, args: &ReportArgs) -> Result<u8> {
    let store = context.store()?;
    let about = Relabelling::of(&store, args.revision.as_deref())?;
    let now = store.snapshot(Some(about.head), &[])?;
    let went = went(&about, &now)?;
    let fields = compared(&about, &now, &args.measure)?;
    if context.json {
        context.json_line(&serde_json::json!({
            "policy": about.record.policy, "to": about.record.to, "before": about.record.base,
            "now": about.head, "transitions": went, "fields": fields,
        }))?;
        return Ok(0);
    }
    let out = context.out();
    let (base, head) = (about.record.base.get(..12).unwrap_or_default(), about.head.short());
    writeln!(out, "relabelled for {}: {base} before, {head} now", about.record.full_name())?;
    let mut rows = table(&["field", "from", "to", "rows"]);
    for row in &went {
        let word = |label: &Option<String>, none: &str| {
            label.as_ref().map_or(none.to_owned(), |label| plain(label).into_owned())
        };
        rows.add_row([
            plain(&row.went.field).into_owned(),
            word(&row.went.from, "(new)"),
            word(&row.went.to, "(gone)"),
            number(row.rows),
        ]);
    }
    writeln!(out, "{}", lines(&rows))?;
    let mut rows = table(&["field", "kind", "measure", "before", "now", "change"]);
    for field in &fields {
        for one in &field.measures {
            rows.add_row([
                plain(&field.field).into_owned(),
                field.kind.clone(),
                one.measure.to_owned(),
                figure(one.before),
                figure(one.now),
                figure(one.change),
            ]);
        }
    }
    writeln!(out, "{}", lines(&rows))?;
    Ok(0)
}

/// Counts new rows with those that they took the place of. Labels are named as they are now.
fn went(about: &Relabelling<'_>, now: &Snapshot<'_>) -> Result<Vec<Row>> {
    let filters = Filters::default();
    let (policy, to) = (&about.record.policy, &about.record.to);
    let mapping = Mapping::new(vec![about.policy.clone()], Some((policy, to)));
    let full = about.record.full_name();
    let mut counts: BTreeMap<Went, u64> = BTreeMap::new();
    let mut count = |field: &str, from: Option<&str>, to: Option<&str>| {
        let [from, to] = [from, to].map(|label| label.map(str::to_owned));
        *counts.entry(Went { field: field.to_owned(), from, to }).or_default() += 1;
    };
    for batch in WholeItems::new(filters.read(now, &ANNOTATIONS, Some(&mapping))?) {
        let batch = batch?;
        let rows = Annotations::new(&batch);
        for (item, range) in items(&rows) {
            if !about.work.plan.items().contains_key(item) {
                continue;
            }
            let said = |row: usize| rows.label(row).unwrap_or("(no label)");
            // Old rows, and whether anything took their place.
            let mut old: HashMap<&str, (usize, bool)> = range
                .clone()
                .filter(|row| rows.status(*row) == SUPERSEDED)
                .map(|row| (rows.annotation_id(row), (row, false)))
                .collect();
            let new = |row: &usize| {
                let status = rows.status(*row);
                rows.policy(*row) == Some(&full) && !["draft", "skipped"].contains(&status)
            };
            for row in range.filter(new) {
                let parent = rows.parent_id(row).and_then(|id| old.get_mut(id));
                let from = parent.map(|(was, taken)| {
                    *taken = true;
                    said(*was)
                });
                count(rows.field(row), from, Some(said(row)));
            }
            for (was, _) in old.into_values().filter(|(_, taken)| !taken) {
                count(rows.field(was), Some(said(was)), None);
            }
        }
    }
    Ok(counts.into_iter().map(|(went, rows)| Row { went, rows }).collect())
}

/// The fields that were asked again, before and now.
fn compared(
    about: &Relabelling<'_>,
    now: &Snapshot<'_>,
    args: &MeasureArgs,
) -> Result<Vec<Compared>> {
    let (first, second) = (read(&about.base, &args.answers)?, read(now, &args.answers)?);
    let options_a = report_options(&about.base, &first, args, HARDEST)?;
    let mut options = report_options(now, &second, args, HARDEST)?;
    let (report_a, report_b) = (report(&first, &options_a)?, report(&second, &options)?);
    options_a.groups.into_iter().for_each(|(item, group)| {
        options.groups.entry(item).or_insert(group);
    });
    let fields = compare(
        Version { answers: &first, report: &report_a },
        Version { answers: &second, report: &report_b },
        &options,
    );
    let asked = about.work.plan.asked();
    let mut made = Vec::new();
    for field in fields.iter().filter(|field| asked.contains(field.field.as_str())) {
        let of = |report: &Report, measure: &Named| {
            let mut fields = report.fields.iter();
            let found = fields.find(|f| f.field == field.field && f.kind == field.kind);
            found.and_then(measure.1)
        };
        let mut measures = Vec::new();
        for measure in &SHORT {
            let (before, now) = (of(&report_a, measure), of(&report_b, measure));
            if before.is_some() || now.is_some() {
                let interval = match measure.0 {
                    "alpha" => field.krippendorff_alpha.interval,
                    "gold-accuracy" => field.gold_accuracy.interval,
                    _ => None,
                };
                let change = now.zip(before).map(|(now, before)| now - before);
                measures.push(Measured { measure: measure.0, before, now, change, interval });
            }
        }
        made.push(Compared {
            field: field.field.clone(),
            kind: field.kind.clone(),
            answers_before: field.answers.a,
            answers_now: field.answers.b,
            measures,
        });
    }
    Ok(made)
}
