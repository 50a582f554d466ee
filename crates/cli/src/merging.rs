//! What the commands of a merge share: deciding conflicts, and trying the merge.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use glossator_lineage::Stat;
use glossator_lineage::merge::{
    Conflict, ConflictKind, FileConflict, Rule, Sides, merge, merge_files,
};
use glossator_store::delta::Counts;
use glossator_store::fs::Lock;
use glossator_store::merging::{Decision, MergeKind, Merging, Take};
use glossator_store::{CommitId, CommitOptions, Made, Store, Transaction};
use serde::Serialize;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::render::conflict::short;
use crate::render::{counts, number, plain};

/// What decisions of files name as their table.
pub(crate) const POLICIES: &str = "policies";

/// Conflicts that are shown one by one.
const SHOWN_MAX: usize = 10;

/// What was decided, and what decides the rest.
pub(crate) struct Decider<'r> {
    known: HashMap<(String, String, String), Decision>,
    rules: &'r [Rule],
    who: String,
    /// Decisions of conflicts that there are, old and new.
    pub made: Vec<Decision>,
    /// Conflicts by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Decisions by what decided.
    pub decided: BTreeMap<String, u64>,
}

impl<'r> Decider<'r> {
    pub(crate) fn new(known: &[Decision], rules: &'r [Rule], who: &str) -> Self {
        let key = |d: &Decision| (d.table.clone(), d.item.clone(), d.key.clone());
        Self {
            known: known.iter().map(|decision| (key(decision), decision.clone())).collect(),
            rules,
            who: who.to_owned(),
            made: Vec::new(),
            kinds: BTreeMap::new(),
            decided: BTreeMap::new(),
        }
    }

    /// What was decided of a conflict before.
    pub(crate) fn known(&self, conflict: &Conflict<'_>) -> Option<&Decision> {
        let (item, key) = conflict.key;
        self.known.get(&(conflict.table.name.to_owned(), item.to_owned(), key.to_owned()))
    }

    /// Decides a conflict: as before, else by the first rule that says something.
    pub(crate) fn decide(&mut self, conflict: &Conflict<'_>) -> Option<Take> {
        *self.kinds.entry(conflict.kind.word()).or_default() += 1;
        let by_rule = || {
            self.rules.iter().find_map(|rule| {
                let take = rule.decide(conflict).filter(|take| conflict.can_take(*take))?;
                Some(self.decision(conflict, take, Some(rule.word())))
            })
        };
        let decision = self.known(conflict).cloned().or_else(by_rule)?;
        let take = decision.take;
        self.note(decision);
        Some(take)
    }

    /// Decides a file: as before, else for a side where the rule is one.
    pub(crate) fn decide_file(&mut self, conflict: &FileConflict<'_>) -> Option<Take> {
        *self.kinds.entry(ConflictKind::Policy.word()).or_default() += 1;
        let side = self.rules.iter().find_map(|rule| match rule {
            Rule::Ours => Some((Take::Ours, *rule)),
            Rule::Theirs => Some((Take::Theirs, *rule)),
            _ => None,
        });
        let by_rule =
            side.map(|(take, rule)| self.file_decision(conflict.path, take, Some(rule.word())));
        let decision = self.known_file(conflict.path).cloned().or(by_rule)?;
        let take = decision.take;
        self.note(decision);
        Some(take)
    }

    /// What was decided of a file before.
    pub(crate) fn known_file(&self, path: &str) -> Option<&Decision> {
        self.known.get(&(POLICIES.to_owned(), path.to_owned(), String::new()))
    }

    /// A decision of a file.
    pub(crate) fn file_decision(&self, path: &str, take: Take, rule: Option<&str>) -> Decision {
        Decision {
            table: POLICIES.to_owned(),
            item: path.to_owned(),
            key: String::new(),
            take,
            rule: rule.map(str::to_owned),
            by: self.who.clone(),
        }
    }

    /// A decision of a conflict.
    pub(crate) fn decision(
        &self,
        conflict: &Conflict<'_>,
        take: Take,
        rule: Option<&str>,
    ) -> Decision {
        Decision {
            table: conflict.table.name.to_owned(),
            item: conflict.key.0.to_owned(),
            key: conflict.key.1.to_owned(),
            take,
            rule: rule.map(str::to_owned),
            by: self.who.clone(),
        }
    }

    /// Keeps a decision.
    pub(crate) fn note(&mut self, decision: Decision) {
        let how = decision.rule.clone().unwrap_or_else(|| decision.take.word().to_owned());
        *self.decided.entry(how).or_default() += 1;
        self.made.push(decision);
    }
}

/// The sides of a merge that is under way.
pub(crate) fn sides(merging: &Merging) -> Sides {
    Sides { base: merging.base, ours: merging.ours, theirs: merging.theirs }
}

/// Walks over every conflict of a merge, and writes nothing.
pub(crate) fn each_conflict(
    store: &Store,
    merging: &Merging,
    visit: &mut dyn FnMut(&Conflict<'_>) -> glossator_store::Result<Option<Take>>,
) -> Result<()> {
    merge(store, sides(merging), merging.strict, visit, &mut |_, deltas| {
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
    dry_run: bool,
) -> Result<u8> {
    let _writing = store.writing()?;
    let branch = merging.branch.parse()?;
    let options = context.commit_options(store, Some(branch), "merge", "merge")?;
    let mut decider = Decider::new(&merging.decisions, rules, &options.author.name);
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
    let open = merge(store, sides(&merging), merging.strict, &mut decide, &mut |table, deltas| {
        if dry_run {
            for delta in deltas {
                stat.add(&delta?)?;
            }
            return Ok(());
        }
        transaction.apply_with_origins(table, deltas).map(drop)
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
    let mut report = Report {
        result: "conflicts",
        branch: &name,
        base: merging.base,
        ours: Some(merging.ours),
        theirs: merging.theirs,
        commit: None,
        changes: BTreeMap::new(),
        conflicts: decider.kinds,
        open,
        decided: decider.decided,
        labels: None,
    };
    if dry_run {
        report.result = "dry-run";
        report.changes = stat.tables;
        report.labels = Some(stat.labels);
        told(context, &merging, &report, &shown)?;
        return Ok(u8::from(open > 0));
    }
    merging.decisions = decider.made;
    if open > 0 {
        store.write_merging(&merging)?;
        told(context, &merging, &report, &shown)?;
        return Ok(1);
    }
    let mut layer = transaction.finish()?;
    layer.meta.merge = Some(merging.record());
    let merged = (merging.kind == MergeKind::Merge).then_some(merging.theirs);
    let made = Made { merged, files: &files, ..Made::of(&layer) };
    let author = match merging.kind {
        MergeKind::Merge => options.author.clone(),
        MergeKind::CherryPick => store.history.commit(merging.theirs)?.author,
    };
    let message = merging.message.clone();
    let options = CommitOptions { message: &message, author, stage: Some(&merging.id), ..options };
    report.commit = store.commit_on(Some(merging.ours), &made, &options)?;
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
    attempt(context, &store, merging, rules, false)
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
