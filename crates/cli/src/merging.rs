//! What the commands of a merge share: deciding conflicts, and trying the merge.

mod decider;
mod figures;
mod pins;
pub(crate) mod review;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use glossator_lineage::Stat;
use glossator_lineage::merge::{
    Conflict, ConflictKind, Files, How, Rule, Sides, merge, merge_files,
};
use glossator_store::delta::{Counts, DeltaBatch};
use glossator_store::fs::Lock;
use glossator_store::history::Identity;
use glossator_store::merging::{MergeKind, Merging, Take};
use glossator_store::people::People;
use glossator_store::{CommitId, CommitOptions, Layer, Made, Store, Transaction};
use serde::Serialize;

pub(crate) use self::decider::{Decider, POLICIES};
use self::figures::{Figures, figures};
pub(crate) use self::pins::{Pin, Pins};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::policies::all;
use crate::render::conflict::short;
use crate::render::{counts, number, plain};

/// Conflicts that are shown one by one.
const SHOWN_MAX: usize = 10;

/// The sides of a merge that is under way.
pub(crate) fn sides(merging: &Merging) -> Sides {
    Sides { base: merging.base, ours: merging.ours, theirs: merging.theirs }
}

/// The annotator id of whoever merges, and the file that knows whose it is.
pub(crate) fn author_of(store: &Store, who: &Identity) -> Result<(String, People)> {
    let mut people = store.people()?;
    Ok((people.identify(None, Some(&who.email), None), people))
}

/// Walks over every conflict of a merge, and writes nothing.
pub(crate) fn each_conflict(
    store: &Store,
    merging: &Merging,
    author: &str,
    visit: &mut dyn FnMut(&Conflict<'_>) -> glossator_store::Result<Option<Take>>,
) -> Result<()> {
    let how = How { strict: merging.strict, author };
    merge(store, sides(merging), how, visit, &mut |_, deltas| {
        for delta in deltas {
            delta?;
        }
        Ok(())
    })?;
    Ok(())
}

/// The merge that is under way, with the stage held.
pub(crate) fn under_way(store: &Store) -> Result<(Lock, Merging)> {
    let lock = store.lock_stage()?;
    match store.merging()? {
        Some(merging) => Ok((lock, merging)),
        None => {
            Err(CliError::input("no merge is under way").hint("`gloss merge BRANCH` begins one"))
        }
    }
}

/// What became of a merge, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    /// `merged`, `picked`, `fast-forward`, `up-to-date`, `conflicts`, `dry-run` or `aborted`.
    pub result: &'a str,
    pub branch: &'a str,
    pub base: Option<CommitId>,
    pub ours: Option<CommitId>,
    pub theirs: CommitId,
    pub commit: Option<CommitId>,
    /// Rows by table, against our side.
    pub changes: BTreeMap<String, Counts>,
    /// Conflicts by kind, decided ones too.
    pub conflicts: BTreeMap<&'static str, u64>,
    /// Conflicts that are open.
    pub open: u64,
    /// Decisions by what decided.
    pub decided: BTreeMap<String, u64>,
    /// Annotations by label, against our side; with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, Counts>>,
    /// Measures of each field, before and after; with `--dry-run --quality`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Vec<Figures>>,
    /// Pinned commits whose rows it would touch; with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pins: Option<Vec<Pin>>,
}

impl<'a> Report<'a> {
    /// A result of two sides, of which nothing else is known yet.
    pub(crate) fn new(
        result: &'a str,
        branch: &'a str,
        base: Option<CommitId>,
        (ours, theirs): (Option<CommitId>, CommitId),
    ) -> Self {
        let (changes, conflicts, decided) = Default::default();
        let (open, labels, quality, pins) = Default::default();
        let commit = None;
        Self {
            result,
            branch,
            base,
            ours,
            theirs,
            commit,
            changes,
            conflicts,
            open,
            decided,
            labels,
            quality,
            pins,
        }
    }
}

/// What is only shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Nothing: it is done.
    Nothing,
    /// Rows, labels and conflicts.
    Rows,
    /// And how good the labels are, before and after.
    Quality,
}

/// Refuses to begin while something waits.
pub(crate) fn check_idle(store: &Store) -> Result<()> {
    if let Some(merging) = store.merging()? {
        let message = format!("a merge of `{}` into {} is under way", merging.name, merging.branch);
        return Err(CliError::input(message).hint(
            "see `gloss conflicts`; then `gloss merge --continue` or `gloss merge --abort`",
        ));
    }
    if !store.stage()?.is_empty() {
        return Err(CliError::input("changes are staged, which a merge would leave behind").hint(
            "commit them with `gloss commit -m …`, or forget them with \
                   `gloss restore --staged`",
        ));
    }
    Ok(())
}

/// Tries a merge, and commits it where no conflict is open; else it waits. Hold the stage's lock.
pub(crate) fn attempt(
    context: &mut Context,
    store: &Store,
    mut merging: Merging,
    rules: &[Rule],
    (show, pins): (Show, &[PathBuf]),
) -> Result<u8> {
    let _writing = store.writing()?;
    let branch = merging.branch.parse()?;
    let options = context.commit_options(store, Some(branch), "merge", "merge")?;
    let mut decider = Decider::new(&merging.decisions, rules, &options.author.name);
    if !merging.strict {
        decider.drive(all(store, merging.ours)?.into_values());
    }
    let (author, mut people) = author_of(store, &options.author)?;
    let how = How { strict: merging.strict, author: &author };
    let mut pins = match show {
        Show::Nothing => None,
        _ => Some(Pins::open(context, store, pins)?),
    };
    let mut see = |table, delta: &DeltaBatch| pins.as_mut().map_or(Ok(()), |p| p.see(table, delta));
    let mut shown = Vec::new();
    let snapshot = store.snapshot(Some(merging.ours), &[])?;
    let mut transaction = Transaction::new(&snapshot);
    let mut stat = Stat::default();
    let mut decide = |conflict: &Conflict<'_>| {
        let take = decider.decide(conflict);
        if take.is_none() && shown.len() < SHOWN_MAX {
            shown.push(short(conflict));
        }
        Ok(take)
    };
    let open = merge(store, sides(&merging), how, &mut decide, &mut |table, deltas| match show {
        Show::Nothing => transaction.apply_with_origins(table, deltas).map(drop),
        Show::Rows => deltas.into_iter().try_for_each(|delta| {
            let delta = delta?;
            see(table, &delta)?;
            stat.add(&delta)
        }),
        Show::Quality => {
            let counted = deltas.map(|delta| {
                let delta = delta?;
                see(table, &delta)?;
                stat.add(&delta).map(|()| delta)
            });
            transaction.apply_with_origins(table, Box::new(counted)).map(drop)
        }
    })?;
    let name = merging.branch.clone();
    let (files, open_files) = merge_files(store, sides(&merging), &mut |conflict| {
        let take = decider.decide_file(conflict);
        if take.is_none() && shown.len() < SHOWN_MAX {
            shown.push(format!("policy  {}  both changed it", conflict.path));
        }
        take
    })?;
    let open = open + open_files;
    let (ours, theirs) = (Some(merging.ours), merging.theirs);
    let (conflicts, decided) = (decider.kinds, decider.decided);
    let report = Report::new("conflicts", &name, merging.base, (ours, theirs));
    let mut report = Report { conflicts, decided, open, ..report };
    if show != Show::Nothing {
        report.result = "dry-run";
        report.changes = stat.tables;
        report.labels = Some(stat.labels);
        report.pins = pins.map(Pins::touched);
        if show == Show::Quality {
            let after = snapshot.above(&[transaction.finish()?])?;
            report.quality = Some(figures(&snapshot, &after)?);
        }
        told(context, &merging, &report, &shown)?;
        return Ok(u8::from(open > 0));
    }
    merging.decisions = decider.made;
    if open > 0 {
        store.write_merging(&merging)?;
        told(context, &merging, &report, &shown)?;
        return Ok(1);
    }
    if merging.decisions.iter().any(|d| matches!(d.take, Take::MeanBox | Take::PerColumn)) {
        store.save_people(&mut people)?;
    }
    let layer = transaction.finish()?;
    report.commit = commit(store, &merging, layer.clone(), &files, &options)?;
    // Where the file stays, the commit says that it is done.
    let _ = store.clear_merging();
    report.result = match merging.kind {
        MergeKind::Merge => "merged",
        MergeKind::CherryPick if report.commit.is_some() => "picked",
        MergeKind::CherryPick => "up-to-date",
    };
    report.changes =
        layer.tables.iter().map(|(name, change)| (name.clone(), change.counts)).collect();
    told(context, &merging, &report, &shown)?;
    Ok(0)
}

/// Commits a merge whose conflicts are decided.
fn commit(
    store: &Store,
    merging: &Merging,
    mut layer: Layer,
    files: &Files,
    options: &CommitOptions<'_>,
) -> Result<Option<CommitId>> {
    layer.meta.merge = Some(merging.record());
    let (merged, author) = match merging.kind {
        MergeKind::Merge => (Some(merging.theirs), options.author.clone()),
        MergeKind::CherryPick => (None, store.history.commit(merging.theirs)?.author),
    };
    let made = Made { merged, files, ..Made::of(&layer) };
    let (message, stage) = (&*merging.message, Some(&*merging.id));
    let options = CommitOptions { message, author, stage, ..options.clone() };
    Ok(store.commit_on(Some(merging.ours), &made, &options)?)
}

/// Prints what became of a merge.
pub(crate) fn told(
    context: &mut Context,
    merging: &Merging,
    report: &Report<'_>,
    shown: &[String],
) -> Result<()> {
    if context.json {
        return context.json_line(report);
    }
    let (name, branch) = (plain(&merging.name).into_owned(), report.branch);
    let out = context.out();
    match (report.result, report.commit) {
        ("merged", Some(commit)) => {
            writeln!(out, "merged {name} into {branch}: {}", commit.short())?;
        }
        ("picked", Some(commit)) => {
            writeln!(out, "picked {name} onto {branch}: {}", commit.short())?
        }
        ("dry-run", _) => writeln!(out, "merging {name} into {branch} would change:")?,
        ("conflicts", _) => writeln!(
            out,
            "{name} does not fit {branch}: {} conflict(s) open, nothing is committed",
            number(report.open)
        )?,
        _ => writeln!(out, "{branch} has everything of {name}")?,
    }
    for (table, change) in &report.changes {
        writeln!(out, "  {table}: {}", counts(change))?;
    }
    for (label, change) in report.labels.iter().flatten() {
        writeln!(out, "  label {}: {}", plain(label), counts(change))?;
    }
    for line in report.quality.iter().flatten() {
        writeln!(out, "  {line}")?;
    }
    show_pins(out, report.pins.iter().flatten())?;
    for kind in ConflictKind::ALL {
        if let Some(count) = report.conflicts.get(kind.word()) {
            writeln!(out, "  conflicts {}: {}", kind.word(), number(*count))?;
        }
    }
    for (how, count) in &report.decided {
        writeln!(out, "  decided by {how}: {}", number(*count))?;
    }
    for line in shown {
        writeln!(out, "    {line}")?;
    }
    if report.open > shown.len() as u64 {
        writeln!(out, "    and {} more", number(report.open - shown.len() as u64))?;
    }
    if report.result == "conflicts" {
        writeln!(
            out,
            "see them with `gloss conflicts` and decide with `gloss resolve`\nthen \
             `gloss merge --continue`, or `gloss merge --abort`"
        )?;
    }
    Ok(())
}

/// Prints what becomes of pinned commits' rows.
pub(crate) fn show_pins<'p>(
    out: &mut dyn Write,
    pins: impl Iterator<Item = &'p Pin>,
) -> Result<()> {
    for pin in pins {
        let (name, commit) = (plain(&pin.pin), pin.commit.short());
        writeln!(out, "  pinned by {name} at {commit}: {}", counts(&pin.changes))?;
    }
    Ok(())
}

/// Continues the merge that is under way.
pub(crate) fn go_on(context: &mut Context, rules: &[Rule]) -> Result<u8> {
    let store = context.store()?;
    let (_lock, merging) = under_way(&store)?;
    let head = store.history.head()?;
    let on = head.branch.as_ref().map(ToString::to_string);
    if on.as_deref() != Some(merging.branch.as_str()) {
        return Err(CliError::input(format!("the merge is into {}", merging.branch))
            .hint(format!("go there first: `gloss switch {}`", merging.branch)));
    }
    if head.commit != Some(merging.ours) {
        let at = head.commit.map(|commit| commit.short()).unwrap_or_default();
        let message = format!(
            "{} was at {} when the merge began, and is at {at} now",
            merging.branch,
            merging.ours.short()
        );
        return Err(CliError::check(message)
            .hint("`gloss merge --abort`, then merge again: what is decided by rule stays so"));
    }
    attempt(context, &store, merging, rules, (Show::Nothing, &[]))
}

/// Forgets the merge that is under way.
pub(crate) fn abort(context: &mut Context) -> Result<u8> {
    let store = context.store()?;
    let _lock = store.lock_stage()?;
    // Also where it cannot be read: that is when it must go.
    let name = match store.merging() {
        Ok(None) => {
            return Err(
                CliError::input("no merge is under way").hint("`gloss merge BRANCH` begins one")
            );
        }
        Ok(Some(merging)) => merging.name,
        Err(_) => "a merge".to_owned(),
    };
    store.clear_merging()?;
    match context.json {
        true => context.json_line(&serde_json::json!({ "result": "aborted", "theirs": name }))?,
        false => {
            writeln!(context.out(), "forgot the merge of {}; nothing was changed", plain(&name))?
        }
    }
    Ok(0)
}
