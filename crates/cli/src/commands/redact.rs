//! `gloss redact`

use std::io::Write;

use arrow::array::{BooleanArray, RecordBatch};
use clap::{Args, ValueEnum};
use glossator_store::Store;
use glossator_store::redaction::{Erase, Grounds, Plan};
use glossator_store::schema::{ANNOTATIONS, ANNOTATORS, Annotators};

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::render::{lines, number, table};
use crate::rights::held_items;

/// Erase rows from every commit, for good
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    gloss redact --item patient-4711 --reason \"request 17\" --dry-run\n  \
    gloss redact --annotator w17 --ground consent-withdrawn --reason \"letter of 3 May\"\n  \
    gloss redact --where label=faces --reason \"collected without a basis\"\n\n\
    The rows leave every segment, old value, count and cache of every commit, with all versions \
    that they had. Ids of commits, pins and signatures stay as they are: `gloss verify` proves \
    what is left against them, and says how much was erased. What this cannot reach: other copies \
    until they fetch, versions that a bucket keeps, authors and messages of commits, text of \
    policies.")]
pub(crate) struct RedactArgs {
    /// An item, with everything that is said of it
    #[arg(long, value_name = "ID", conflicts_with_all = ["annotator", "conditions"])]
    item: Vec<String>,
    /// What an annotator decided and reviewed, and reviews of that
    #[arg(long, value_name = "ID", conflicts_with = "conditions")]
    annotator: Vec<String>,
    /// Annotations whose column has this value, and reviews of them
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    conditions: Vec<String>,
    /// Why, in a sentence that names nobody: it is kept and cannot be erased
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// On which ground
    #[arg(long, value_enum, default_value = "erasure-request")]
    ground: Ground,
    /// Forget the e-mail address and name of the annotators as well
    #[arg(long, requires = "annotator")]
    forget: bool,
    /// Say what would be erased
    #[arg(long)]
    dry_run: bool,
}

/// Why rows are erased.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ground {
    /// A person asked for it
    ErasureRequest,
    /// Consent was withdrawn
    ConsentWithdrawn,
    /// The time to keep them is over
    RetentionEnded,
    /// There was no right to have them
    Unlawful,
    /// A court or an authority ordered it
    Order,
    /// They should not have been imported
    Mistake,
}

impl Ground {
    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

pub(crate) fn run(context: &mut Context, args: &RedactArgs) -> Result<u8> {
    let mut filters = Filters::default();
    args.conditions.iter().try_for_each(|condition| filters.add(condition))?;
    if args.item.is_empty() && args.annotator.is_empty() && filters.is_empty() {
        return Err(CliError::input("nothing says what to erase")
            .hint("give `--item`, `--annotator` or `--where`"));
    }
    if args.reason.trim().is_empty() {
        return Err(CliError::input("the reason is empty").hint("an auditor will ask for it"));
    }
    let store = context.store()?;
    let (_, who) = context.identities(&store)?;
    let grounds = Grounds { ground: args.ground.word(), reason: args.reason.clone(), who };
    let fits = |batch: &RecordBatch| -> BooleanArray {
        let all = || BooleanArray::from(vec![true; batch.num_rows()]);
        filters.fits(&ANNOTATIONS, batch).unwrap_or_else(all)
    };
    let names = known_as(&store, &args.annotator)?;
    let erase = match (&args.item[..], &names[..]) {
        ([], []) => Erase::Rows(&fits),
        ([], names) => Erase::Annotators(names.to_vec()),
        (items, _) => Erase::Items(named_items(&store, items)?),
    };
    let mut planned = serde_json::Value::Null;
    let mut allow = |plan: &Plan| -> Result<bool> {
        refuse_held(&store, plan)?;
        planned = serde_json::json!({ "rows": plan.rows, "objects": plan.objects() });
        show(context, plan)?;
        Ok(!args.dry_run)
    };
    let done = store.redact(&erase, &grounds, &mut allow)?;
    if args.forget && !args.dry_run {
        let mut people = store.people()?;
        names.iter().for_each(|name| people.forget(name));
        store.save_people(&mut people)?;
    }
    if context.json {
        context.json_line(&serde_json::json!({ "planned": planned, "done": done }))?;
        return Ok(0);
    }
    let out = context.out();
    match done {
        Some(done) => {
            writeln!(out, "redacted; record {}", done.id)?;
            match done.removed {
                Some(gone) => {
                    writeln!(out, "{} bytes of old objects were removed", number(gone.bytes))?;
                }
                None => context.note("the old objects are still here: run `gloss gc`")?,
            }
            context.note("push it to every remote, and let other clones fetch")?;
        }
        None if args.dry_run => writeln!(out, "nothing was erased (--dry-run)")?,
        None => writeln!(out, "there is nothing to erase")?,
    }
    Ok(0)
}

/// The ids that items are stored under, of what may be aliases.
fn named_items(store: &Store, items: &[String]) -> Result<Vec<String>> {
    let snapshot = crate::context::snapshot(store, None)?;
    let mut named = items.to_vec();
    for item in items {
        named.extend(crate::rights::aliased(&snapshot, item)?);
    }
    named.sort();
    named.dedup();
    Ok(named)
}

/// The ids of annotators, with those that are recorded as other names of theirs.
fn known_as(store: &Store, annotators: &[String]) -> Result<Vec<String>> {
    let snapshot = crate::context::snapshot(store, None)?;
    let mut names = annotators.to_vec();
    for batch in Filters::default().rows(&snapshot, &ANNOTATORS)? {
        let batch = batch?;
        for row in Annotators::new(&batch).iter() {
            if row.alias_of.is_some_and(|of| annotators.iter().any(|name| name == of)) {
                names.push(row.annotator_id.to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Refuses to erase what must be kept.
fn refuse_held(store: &Store, plan: &Plan) -> Result<()> {
    for (right, item) in held_items(store)? {
        if plan.touches(&item) {
            return Err(CliError::check(format!(
                "`{item}` is under a legal hold by `rights/{right}.toml`"
            ))
            .hint("end the hold first: set `legal_hold = false` and commit that"));
        }
    }
    Ok(())
}

fn show(context: &mut Context, plan: &Plan) -> Result<()> {
    if context.json || plan.is_empty() {
        return Ok(());
    }
    let mut rows = table(&["table", "rows"]);
    for (name, count) in &plan.rows {
        rows.add_row([(*name).to_owned(), number(*count)]);
    }
    let objects = number(plan.objects() as u64);
    writeln!(context.out(), "{}\nin {objects} objects", lines(&rows))?;
    context.flush()
}
