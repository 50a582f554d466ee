//! `gloss relabel status`

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use serde::Serialize;

use crate::answers::pseudonyms;
use crate::commands::check::{Named, SHORT};
use crate::context::Context;
use crate::error::Result;
use crate::measure::{HARDEST, MeasureArgs, measured};
use crate::relabelling::Relabelling;
use crate::relabelling::progress::{Progress, progress};
use crate::render::quality::figure;
use crate::render::{lines, number, plain, table};

/// Show how far a relabelling is: coverage, agreement, pace, time left
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gloss relabel status\n  gloss relabel status relabel-vehicles-3\n\n\
    An item is done when as many people answered it as were asked for. Agreement is that of the \
    new answers alone."
)]
pub(super) struct StatusArgs {
    /// The branch, or one of its commits
    #[arg(value_name = "REV")]
    revision: Option<String>,
    /// Show annotators by their ids rather than pseudonyms
    #[arg(long)]
    names: bool,
}

/// How much people who answered again agree.
#[derive(Debug, Serialize)]
struct Agreement {
    field: String,
    kind: String,
    answers: u64,
    /// Values by measure, as `gloss check` names them.
    measures: BTreeMap<&'static str, f64>,
}

pub(super) fn run(context: &mut Context, args: &StatusArgs) -> Result<u8> {
    let store = context.store()?;
    let about = Relabelling::of(&store, args.revision.as_deref())?;
    let snapshot = store.snapshot(Some(about.head), &[])?;
    let mut progress = progress(&about, &snapshot)?;
    if !args.names {
        let shown = pseudonyms(progress.people.iter().map(|person| person.annotator.as_str()));
        for person in &mut progress.people {
            person.annotator = shown.get(&person.annotator).cloned().unwrap_or_default();
        }
    }
    let mut asked = MeasureArgs::default();
    asked.answers.filters.policy = vec![about.record.full_name()];
    let fields = measured(&snapshot, &asked, HARDEST)?.fields;
    let agreement: Vec<Agreement> = fields
        .into_iter()
        .map(|field| {
            let value = |measure: &Named| Some((measure.0, (measure.1)(&field)?));
            let measures = SHORT.iter().filter_map(value).collect();
            Agreement { measures, answers: field.answers, kind: field.kind, field: field.field }
        })
        .collect();
    if context.json {
        let record = &about.record;
        let mut line = serde_json::json!({
            "policy": record.policy, "to": record.to, "into": record.into, "base": record.base,
            "commit": about.head, "agreement": agreement,
        });
        if let (Some(line), serde_json::Value::Object(more)) =
            (line.as_object_mut(), serde_json::to_value(&progress)?)
        {
            line.extend(more);
        }
        context.json_line(&line)?;
        return Ok(0);
    }
    show(context, &about, &progress, &agreement)
}

/// Hours as people say them.
fn hours(hours: Option<f64>) -> String {
    match hours {
        Some(hours) if hours < 1.0 => format!("{:.0} min", hours * 60.0),
        Some(hours) => format!("{hours:.1} h"),
        None => "not known".to_owned(),
    }
}

fn show(
    context: &mut Context,
    about: &Relabelling<'_>,
    progress: &Progress,
    agreement: &[Agreement],
) -> Result<u8> {
    let record = &about.record;
    let out = context.out();
    writeln!(
        out,
        "relabelling for {}, to be merged into {}: {} of {} item(s) done ({:.1} %)",
        record.full_name(),
        record.into,
        number(progress.done),
        number(progress.items),
        progress.coverage * 100.0
    )?;
    if progress.overlap > 1 {
        let begun = number(progress.begun);
        writeln!(out, "{begun} more have some of their {} answers", progress.overlap)?;
    }
    if progress.skipped > 0 {
        writeln!(out, "{} item(s) were only skipped", number(progress.skipped))?;
    }
    let (answers, missing) = (number(progress.answers), number(progress.missing));
    writeln!(out, "{answers} answer(s), {missing} missing")?;
    if progress.missing > 0 && progress.answers > 0 {
        let pace = progress.per_hour.map_or("not known".to_owned(), |pace| format!("{pace:.1}"));
        let (left, work) = (hours(progress.hours_left), hours(progress.work_hours_left));
        writeln!(out, "answers an hour: {pace}; left at that pace: {left}; work left: {work}")?;
    }
    if !progress.people.is_empty() {
        let mut rows = table(&["annotator", "answers", "skipped", "hours"]);
        for person in &progress.people {
            rows.add_row([
                plain(&person.annotator).into_owned(),
                number(person.answers),
                number(person.skipped),
                format!("{:.2}", person.seconds / 3_600.0),
            ]);
        }
        writeln!(out, "{}", lines(&rows))?;
    }
    if agreement.iter().any(|field| !field.measures.is_empty()) {
        let mut rows = table(&["field", "kind", "answers", "measure", "is"]);
        for field in agreement {
            for (measure, value) in &field.measures {
                rows.add_row([
                    plain(&field.field).into_owned(),
                    field.kind.clone(),
                    number(field.answers),
                    (*measure).to_owned(),
                    figure(Some(*value)),
                ]);
            }
        }
        writeln!(out, "{}", lines(&rows))?;
    }
    Ok(0)
}
