//! How good labels are before a merge, and would be after it.

use std::collections::BTreeMap;
use std::fmt;

use glossator_quality::report::FieldReport;
use glossator_store::Snapshot;
use serde::Serialize;

use crate::error::Result;
use crate::measure::{HARDEST, MeasureArgs, measured};
use crate::render::plain;
use crate::render::quality::figure;

/// A field's measures, before and after.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    field: String,
    kind: String,
    before: Option<Measures>,
    after: Option<Measures>,
}

/// A measure and its name.
type Named = (&'static str, fn(Measures) -> Option<f64>);

/// What `gloss quality` says of a field, in short.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Measures {
    answers: u64,
    percent: Option<f64>,
    alpha: Option<f64>,
    gold_accuracy: Option<f64>,
}

impl Measures {
    fn of(report: &FieldReport) -> Self {
        Self {
            answers: report.answers,
            percent: report.agreement.percent_item_mean,
            alpha: report.agreement.krippendorff_alpha.nominal,
            gold_accuracy: report.gold.answer_accuracy,
        }
    }
}

/// Measures both, by field and kind.
pub(super) fn figures(before: &Snapshot<'_>, after: &Snapshot<'_>) -> Result<Vec<Figures>> {
    let mut found: BTreeMap<(String, String), [Option<Measures>; 2]> = BTreeMap::new();
    for (side, snapshot) in [before, after].into_iter().enumerate() {
        for field in measured(snapshot, &MeasureArgs::default(), HARDEST)?.fields {
            let entry = found.entry((field.field.clone(), field.kind.clone())).or_default();
            entry[side] = Some(Measures::of(&field));
        }
    }
    let figures = found.into_iter().map(|((field, kind), [before, after])| Figures {
        field,
        kind,
        before,
        after,
    });
    Ok(figures.collect())
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |measures: Option<Measures>, of| figure(measures.and_then(of));
        write!(f, "field {} ({}):", plain(&self.field), plain(&self.kind))?;
        let names: [Named; 3] = [
            ("percent agreement", |m| m.percent),
            ("alpha", |m| m.alpha),
            ("gold accuracy", |m| m.gold_accuracy),
        ];
        for (at, (name, of)) in names.into_iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma} {name} {} → {}", side(self.before, of), side(self.after, of))?;
        }
        Ok(())
    }
}
