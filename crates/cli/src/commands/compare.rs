//! `gloss quality --compare A B`

use std::path::Path;

use glossator_quality::compare::{FieldComparison, Version, compare};
use glossator_quality::unit::Answers;
use glossator_store::Store;
use glossator_store::id::CommitId;
use serde::Serialize;
use serde_json::json;

use super::quality::page;

use crate::answers::{at, people, pseudonyms, read};
use crate::context::Context;
use crate::error::Result;
use crate::measure::{HARDEST, MeasureArgs, report, report_options};
use crate::render::compare::write;

/// What `--json` prints.
#[derive(Serialize)]
struct Compared<'r> {
    a: CommitId,
    b: CommitId,
    fields: &'r [FieldComparison],
}

pub(super) fn run(
    context: &mut Context,
    store: &Store,
    [a, b]: [&str; 2],
    names: bool,
    html: Option<&Path>,
    args: &MeasureArgs,
) -> Result<u8> {
    let (a, of_a) = at(store, Some(a))?;
    let (b, of_b) = at(store, Some(b))?;
    let (first, second) = (read(&of_a, &args.answers)?, read(&of_b, &args.answers)?);
    let options_a = report_options(&of_a, &first, args, HARDEST)?;
    let mut options = report_options(&of_b, &second, args, HARDEST)?;
    let (report_a, report_b) = (report(&first, &options_a)?, report(&second, &options)?);
    // A group that only the first knows holds its items together as well.
    options_a.groups.into_iter().for_each(|(item, group)| {
        options.groups.entry(item).or_insert(group);
    });
    let mut fields = compare(
        Version { answers: &first, report: &report_a },
        Version { answers: &second, report: &report_b },
        &options,
    );
    if !names {
        hide(&mut fields, &first, &second);
    }
    if let Some(path) = html {
        let title = format!("Labels at {} and at {}", a.short(), b.short());
        let value = json!({"comparison": Compared { a, b, fields: &fields }});
        page(context, path, &title, &value)?;
    }
    if context.json {
        context.json_line(&Compared { a, b, fields: &fields })?;
    } else {
        write(context.out(), [a, b], &fields)?;
    }
    Ok(0)
}

/// Puts numbers in the place of ids, in the order of those of both versions.
fn hide(fields: &mut [FieldComparison], a: &Answers, b: &Answers) {
    let shown = pseudonyms(people(a).chain(people(b)));
    for field in fields {
        let new = field.new_annotators.iter_mut().map(|new| &mut new.annotator);
        for name in new.chain(&mut field.gone_annotators) {
            if let Some(shown) = shown.get(name) {
                name.clone_from(shown);
            }
        }
    }
}
