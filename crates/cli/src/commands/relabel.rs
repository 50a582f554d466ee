//! `gloss relabel`

use std::io::Write;

use clap::{Args, Subcommand};
use glossator_lineage::policy::{Mapping, Plan};
use glossator_store::schema::{ANNOTATIONS, AnnotationRow, Annotations, SUBMISSIONS, Submissions};

use crate::context::{Context, resolve};
use crate::error::Result;
use crate::filter::Filters;
use crate::policies::{all, known, named};
use crate::render::{lines, number, plain, table};

/// What a new version of a policy asks to be labelled again
#[derive(Debug, Args)]
#[command(after_help = "Example: gloss relabel plan --to vehicles@3")]
pub(crate) struct RelabelArgs {
    #[command(subcommand)]
    command: RelabelCommand,
}

#[derive(Debug, Subcommand)]
enum RelabelCommand {
    /// Count the rows and items that have to be done again, change by change
    #[command(after_help = "Examples:\n  gloss relabel plan --to vehicles@3\n  \
        gloss relabel plan --to vehicles@3 --items > items.txt\n\n\
        Rows that were made under an earlier version take part. The time is what their items took \
        so far, where the tool measured it.")]
    Plan {
        /// The version that rows shall be of
        #[arg(long, value_name = "NAME@VERSION")]
        to: String,
        /// At this commit
        #[arg(long, value_name = "REV")]
        at: Option<String>,
        /// Print the items instead, one a line
        #[arg(long)]
        items: bool,
    },
}

pub(crate) fn run(context: &mut Context, args: &RelabelArgs) -> Result<u8> {
    let RelabelCommand::Plan { to, at, items } = &args.command;
    let store = context.store()?;
    let commit = resolve(&store, at.as_deref())?;
    let (name, version) = named(to)?;
    let policies = all(&store, commit)?;
    let policy = known(&policies, &name, Some(&version))?;
    let mut plan = Plan::new(&name, &policy.changes, &version);
    let mapping = Mapping::new(vec![policy.clone()], None);
    let snapshot = store.snapshot(Some(commit), &[])?;
    let filters = Filters::default();
    for batch in filters.rows(&snapshot, &ANNOTATIONS)? {
        let batch = batch?;
        // What nobody stands by, or was answered anew, is not done again.
        let stands = |row: &AnnotationRow<'_>| {
            row.origin == "human" && !["draft", "skipped", "superseded"].contains(&row.status)
        };
        for row in Annotations::new(&batch).iter().filter(stands) {
            plan.row(&mapping, (row.item_id, row.field), (row.policy, row.label));
        }
    }
    if *items && !context.json {
        for item in plan.items() {
            writeln!(context.out(), "{}", plain(item))?;
        }
        return Ok(0);
    }
    let (mut seconds, mut timed, mut untimed) = (0.0, 0_u64, 0_u64);
    for batch in filters.rows(&snapshot, &SUBMISSIONS)? {
        let batch = batch?;
        for row in Submissions::new(&batch).iter() {
            if row.origin == "human" && plan.items().contains(row.item_id) {
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
    writeln!(out, "{rows} row(s) of {count} item(s) to be done again for {to}")?;
    if timed > 0 {
        let (hours, timed) = (seconds / 3_600.0, number(timed));
        writeln!(out, "their {timed} submission(s) took {hours:.1} hours")?;
    }
    Ok(0)
}
