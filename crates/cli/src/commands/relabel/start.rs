//! `gloss relabel start`

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use glossator_lineage::policy::{RELABEL_FILE, Relabel};
use glossator_store::history::RefName;
use glossator_store::schema::{ANNOTATIONS, Annotations};
use glossator_store::whole_items::WholeItems;
use glossator_store::{Layer, Made, Snapshot, Store};

use crate::answers::pseudonyms;
use crate::context::{Context, head};
use crate::error::{CliError, Result};
use crate::filter::Filters;
use crate::merging::check_idle;
use crate::policies::{all, known, named, of_file};
use crate::relabelling::assign::{AssignBy, Assigned, Before, assign};
use crate::relabelling::{Work, by, items, list, record, stands};
use crate::render::{number, plain};

/// Begin a branch, and write the tasks for Label Studio
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gloss relabel start --to vehicles@3 -o tasks.json\n  \
    gloss relabel start --to vehicles@3 --assign-by stratified --among ann,bob --overlap 2 \
    -o tasks.json\n\n\
    The tasks have the old answers as predictions, by the name of the version that they were made \
    under. Whom a task is meant for stands in its data as `gloss_assigned`. What the branch is \
    about stands in relabel.toml of its commits: any copy of the store can go on with it.")]
pub(super) struct StartArgs {
    /// The version that rows shall be of
    #[arg(long, value_name = "NAME@VERSION")]
    to: String,
    /// The branch; relabel-NAME-VERSION where not given
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// How items are given to people
    #[arg(long, value_enum)]
    assign_by: Option<AssignBy>,
    /// To whom: ids of annotators
    #[arg(long, value_name = "ID,…", value_delimiter = ',', requires = "assign_by")]
    among: Vec<String>,
    /// How many people answer each item
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=100))]
    overlap: u32,
    /// Where to write the tasks
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
}

pub(super) fn run(context: &mut Context, args: &StartArgs) -> Result<u8> {
    let store = context.store()?;
    let _lock = store.lock_stage()?;
    check_idle(&store)?;
    let (name, to) = named(&args.to)?;
    let (base, into) = (head(&store)?, store.branch()?);
    if let Some(other) = record(&store, base)?.filter(|other| other.into != into.as_str()) {
        let message = format!("this branch relabels for {} already", other.full_name());
        return Err(
            CliError::input(message).hint(format!("go back first: `gloss switch {}`", other.into))
        );
    }
    let branch: RefName = match &args.branch {
        Some(branch) => branch.parse()?,
        None => format!("relabel-{name}-{to}").parse()?,
    };
    if store.history.refs(false)?.iter().any(|(known, _)| known == branch.as_str()) {
        return Err(CliError::input(format!("there is a branch `{branch}` already"))
            .hint("give another name: `--branch NAME`"));
    }
    let policies = all(&store, base)?;
    let policy = known(&policies, &name, Some(&to))?;
    let snapshot = store.snapshot(Some(base), &[])?;
    let work = Work::new(&snapshot, policy, &to)?;
    if work.plan.items().is_empty() {
        return Err(CliError::input(format!("nothing has to be done again for {}", args.to))
            .hint("`gloss relabel plan` shows what was counted"));
    }
    let assigned = match args.assign_by {
        Some(how) => assign(&before(&snapshot, &work)?, how, &args.among, args.overlap)?,
        None => Assigned::new(),
    };
    let path = context.path(&args.output);
    let written = list::write(&snapshot, &work, (policy, &to), &assigned, &path)?;
    let mut shares: BTreeMap<&str, u64> = BTreeMap::new();
    assigned.values().flatten().for_each(|name| *shares.entry(name).or_default() += 1);
    let record = Relabel {
        policy: name,
        to,
        base: base.to_string(),
        into: into.to_string(),
        overlap: args.overlap,
        assign: args.assign_by.map(|how| how.word().to_owned()),
        people: (!shares.is_empty()).then_some(shares.len() as u32),
    };
    let commit = begin(context, &store, &branch, &record)?;
    let count = work.plan.items().len() as u64;
    if context.json {
        let shown = pseudonyms(shares.keys().copied());
        let shares: BTreeMap<&String, u64> =
            shares.iter().filter_map(|(name, count)| Some((shown.get(*name)?, *count))).collect();
        let losses: BTreeMap<&str, u64> =
            written.losses.iter().map(|loss| (loss.kind.as_str(), loss.count)).collect();
        context.json_line(&serde_json::json!({
            "policy": record.policy, "to": record.to, "branch": branch.as_str(),
            "into": record.into, "base": base, "commit": commit, "items": count,
            "overlap": record.overlap, "shown_rows": written.rows, "assigned": shares,
            "losses": losses,
        }))?;
        return Ok(0);
    }
    let tasks = plain(&args.output.display().to_string()).into_owned();
    let out = context.out();
    writeln!(out, "{} item(s) to be done again for {}, in {tasks}", number(count), args.to)?;
    writeln!(out, "they show {} old row(s) as predictions", number(written.rows))?;
    for (name, count) in &shares {
        writeln!(out, "  {}: {} item(s)", plain(name), number(*count))?;
    }
    for loss in &written.losses {
        writeln!(out, "not shown: {}: {}", plain(&loss.kind), number(loss.count))?;
    }
    writeln!(out, "on branch {branch}")?;
    writeln!(out, "load the tasks into the tool, with what this writes as its configuration:")?;
    writeln!(out, "  gloss policy export {} -o label-config.xml", record.policy)?;
    Ok(0)
}

/// Who said what, of the items that are asked for.
fn before(snapshot: &Snapshot<'_>, work: &Work) -> Result<BTreeMap<String, Before>> {
    let mut found: BTreeMap<String, Before> =
        work.plan.items().keys().map(|item| (item.clone(), Before::default())).collect();
    let filters = Filters::default();
    for batch in WholeItems::new(filters.rows(snapshot, &ANNOTATIONS)?) {
        let batch = batch?;
        let rows = Annotations::new(&batch);
        for (item, range) in items(&rows) {
            let Some(before) = found.get_mut(item) else { continue };
            let void = work.void(&rows, range.clone());
            for row in range.map(|row| rows.row(row)).filter(stands) {
                if void.contains_key(&(by(&row), row.field, row.target)) {
                    before.people.insert(row.annotator_id.to_owned());
                    before.labels.extend(row.label.map(str::to_owned));
                }
            }
        }
    }
    Ok(found)
}

/// Makes the branch with its first commit, and goes there.
fn begin(
    context: &mut Context,
    store: &Store,
    branch: &RefName,
    record: &Relabel,
) -> Result<Option<glossator_store::CommitId>> {
    let (_, who) = context.identities(store)?;
    let base = store.history.resolve(&record.base)?;
    let text = record.render().map_err(|e| of_file(RELABEL_FILE, &e))?;
    store.make_ref(false, branch, base, &who, None)?;
    let message = format!("Relabel for {}", record.full_name());
    let options = context.commit_options(store, Some(branch.clone()), &message, "relabel")?;
    let (layer, files) = (Layer::default(), [(RELABEL_FILE.to_owned(), Some(text.into_bytes()))]);
    let commit =
        store.commit_on(Some(base), &Made { files: &files, ..Made::of(&layer) }, &options)?;
    store.switch(branch, &who)?;
    Ok(commit)
}
