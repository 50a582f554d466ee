//! `gloss relabel plan`

use std::io::Write;

use clap::Args;
use glossator_store::schema::{SUBMISSIONS, Submissions};

use crate::context::{Context, resolve};
use crate::error::Result;
use crate::filter::Filters;
use crate::policies::{all, known, named};
use crate::relabelling::Work;
use crate::render::{lines, number, plain, table};

/// Count the rows and items that have to be done again, change by change
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss relabel plan --to vehicles@3\n  \
    gloss relabel plan --to vehicles@3 --items > items.txt\n\n\
    Rows that were made under an earlier version take part. The time is what their items took \
    so far, where the tool measured it.")]
pub(super) struct PlanArgs {
    /// The version that rows shall be of
    #[arg(long, value_name = "NAME@VERSION")]
    to: String,
    /// At this commit
    #[arg(long, value_name = "REV")]
    at: Option<String>,
    /// Print the items instead, one a line
    #[arg(long)]
    items: bool,
}

pub(super) fn run(context: &mut Context, args: &PlanArgs) -> Result<u8> {
    let store = context.store()?;
    let commit = resolve(&store, args.at.as_deref())?;
    let (name, version) = named(&args.to)?;
    let policies = all(&store, commit)?;
    let policy = known(&policies, &name, Some(&version))?;
    let snapshot = store.snapshot(Some(commit), &[])?;
    let plan = Work::new(&snapshot, policy, &version)?.plan;
    if args.items && !context.json {
        for item in plan.items().keys() {
            writeln!(context.out(), "{}", plain(item))?;
        }
        return Ok(0);
    }
    let filters = Filters::default();
    let (mut seconds, mut timed, mut untimed) = (0.0, 0_u64, 0_u64);
    for batch in filters.rows(&snapshot, &SUBMISSIONS)? {
        let batch = batch?;
        for row in Submissions::new(&batch).iter() {
            if row.origin == "human" && plan.items().contains_key(row.item_id) {
                match row.lead_time {
                    Some(time) => (seconds, timed) = (seconds + time, timed + 1),
                    None => untimed += 1,
                }
            }
        }
    }
    if context.json {
        context.json_line(&serde_json::json!({
            "policy": name, "to": version, "rows": plan.rows(), "items": plan.items().len(),
            "groups": plan.groups(),
            "cost": {"seconds": seconds, "submissions": timed, "without_time": untimed},
        }))?;
        return Ok(0);
    }
    let mut shown = table(&["version", "op", "field", "from", "redo", "rows", "items"]);
    for group in plan.groups() {
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let change = &group.change;
        shown.add_row([
            change.version.to_string(),
            word(serde_json::to_value(change.op)?),
            change.field.clone().unwrap_or_default(),
            plain(&change.from.join(", ")).into_owned(),
            word(serde_json::to_value(change.redo)?),
            number(group.rows),
            number(group.items),
        ]);
    }
    let (rows, count) = (number(plan.rows()), number(plan.items().len() as u64));
    let out = context.out();
    writeln!(out, "{}", lines(&shown))?;
    writeln!(out, "{rows} row(s) of {count} item(s) to be done again for {}", args.to)?;
    if timed > 0 {
        let (hours, timed) = (seconds / 3_600.0, number(timed));
        writeln!(out, "their {timed} submission(s) took {hours:.1} hours")?;
    }
    Ok(0)
}
