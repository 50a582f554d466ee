//! `quality --compare`: two versions in tables of at most 100 columns.

use std::io::Write;

use glossator_quality::compare::{Change, FieldComparison, Transition};
use glossator_store::id::CommitId;

use super::quality::figure;
use super::{lines, number, plain, shortened, table};
use crate::error::Result;

/// Rows of one table at most.
const ROWS_MAX: usize = 20;

pub(crate) fn write(
    out: &mut dyn Write,
    [a, b]: [CommitId; 2],
    fields: &[FieldComparison],
) -> Result<()> {
    writeln!(out, "commit {} against {}", a.short(), b.short())?;
    if fields.is_empty() {
        writeln!(out, "there are no answers to compare")?;
    }
    for field in fields {
        write_field(out, field)?;
    }
    Ok(())
}

fn write_field(out: &mut dyn Write, field: &FieldComparison) -> Result<()> {
    writeln!(
        out,
        "\nfield {} ({}): {} answers, then {}; {} added or changed",
        shortened(&field.field, 28),
        plain(&field.kind),
        number(field.answers.a),
        number(field.answers.b),
        number(field.added)
    )?;
    measures(out, field)?;
    if !field.labels.is_empty() {
        let header = ["label", "answers", "then", "added", "found of gold", "then"];
        let mut rows = table(&header);
        for label in field.labels.iter().take(ROWS_MAX) {
            rows.add_row([
                shortened(&label.label, 32),
                number(label.a),
                number(label.b),
                number(label.added),
                figure(label.gold_accuracy.a),
                figure(label.gold_accuracy.b),
            ]);
        }
        writeln!(out, "{}", lines(&rows))?;
        more(out, field.labels.len(), "labels")?;
    }
    if let Some(divergence) = field.jensen_shannon {
        writeln!(out, "Jensen-Shannon divergence of labels: {divergence:.4} bits")?;
    }
    if let Some(test) = field.chi_square {
        let p = match test.p < 0.001 {
            true => "p below 0.001".to_owned(),
            false => format!("p {:.3}", test.p),
        };
        let rough = if test.sparse { ", rough: small counts" } else { "" };
        writeln!(
            out,
            "labels of added answers against the first: chi-square {:.2}, {p}, V {:.3}{rough}",
            test.statistic, test.cramers_v
        )?;
    }
    let kept = format!("{} answers in both", number(field.kept));
    moved(out, &kept, &field.transitions)?;
    let decided = format!("{} majorities in both", number(field.decided));
    moved(out, &decided, &field.majority_transitions)?;
    people(out, field)
}

fn measures(out: &mut dyn Write, field: &FieldComparison) -> Result<()> {
    let plain = |both: (Option<f64>, Option<f64>)| Change {
        a: both.0,
        b: both.1,
        change: both.0.zip(both.1).map(|(a, b)| b - a),
        interval: None,
    };
    let measures = [
        ("alpha, nominal", field.krippendorff_alpha),
        ("percent, of all pairs", field.percent_pair_pooled),
        ("answers against gold", field.gold_accuracy),
        ("majority against gold", field.majority_accuracy),
        ("made with a prediction in view", plain((field.prelabelled.a, field.prelabelled.b))),
        ("predictions accepted", plain((field.prelabels_accepted.a, field.prelabels_accepted.b))),
    ];
    let mut rows = table(&["measure", "first", "then", "change", "95 % interval"]);
    let mut any = false;
    for (name, change) in measures {
        if change.a.is_none() && change.b.is_none() {
            continue;
        }
        any = true;
        rows.add_row([
            name.to_owned(),
            figure(change.a),
            figure(change.b),
            change.change.map_or("—".to_owned(), |change| format!("{change:+.4}")),
            change.interval.map_or(String::new(), |i| format!("{:+.4} to {:+.4}", i.low, i.high)),
        ]);
    }
    if any {
        writeln!(out, "{}", lines(&rows))?;
    }
    Ok(())
}

fn moved(out: &mut dyn Write, of: &str, transitions: &[Transition]) -> Result<()> {
    if transitions.is_empty() {
        return Ok(());
    }
    let changed: u64 = transitions.iter().map(|moved| moved.count).sum();
    writeln!(out, "{of}, {} changed:", number(changed))?;
    for moved in transitions.iter().take(ROWS_MAX) {
        let (from, to) = (shortened(&moved.from, 32), shortened(&moved.to, 32));
        writeln!(out, "  {from} → {to}: {}", number(moved.count))?;
    }
    more(out, transitions.len(), "transitions")
}

fn people(out: &mut dyn Write, field: &FieldComparison) -> Result<()> {
    if !field.new_annotators.is_empty() {
        let header = ["new annotator", "answers", "agrees", "gold", "of", "against chance"];
        let mut rows = table(&header);
        for new in field.new_annotators.iter().take(ROWS_MAX) {
            rows.add_row([
                shortened(&new.annotator, 28),
                number(new.answers),
                figure(new.agreement),
                figure(new.gold_accuracy),
                number(new.gold.answers),
                new.chance.unwrap_or("—").to_owned(),
            ]);
        }
        writeln!(out, "{}", lines(&rows))?;
        more(out, field.new_annotators.len(), "new annotators")?;
    }
    if !field.gone_annotators.is_empty() {
        let gone: Vec<String> =
            field.gone_annotators.iter().take(ROWS_MAX).map(|name| shortened(name, 28)).collect();
        writeln!(out, "no longer among the annotators: {}", gone.join(", "))?;
        more(out, field.gone_annotators.len(), "annotators")?;
    }
    if field.policies.len() > 1 {
        for (policy, both) in &field.policies {
            let name = if policy.is_empty() { "no policy" } else { policy };
            let (a, b) = (number(both.a), number(both.b));
            writeln!(out, "answers under {}: {a}, then {b}", shortened(name, 32))?;
        }
    }
    Ok(())
}

fn more(out: &mut dyn Write, all: usize, what: &str) -> Result<()> {
    if all > ROWS_MAX {
        let count = number((all - ROWS_MAX) as u64);
        writeln!(out, "and {count} more {what}: `--json` has all")?;
    }
    Ok(())
}
