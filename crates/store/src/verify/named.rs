//! The first pass: the git graph, the files of every tree, the stage, and what they name.

use std::collections::{HashMap, HashSet};

use super::{REFERRERS_MAX, Verifier, rule};
use crate::change::{ChangeRecord, TableChange};
use crate::error::Result;
use crate::history::{GitFault, RefName, Root};
use crate::id::{CommitId, Digest};
use crate::limits::SEGMENT_ROWS_MAX;
use crate::merging::MERGE_FILE;
use crate::policy_files::RELABEL_FILE;
use crate::redaction::{REDACTIONS_REF, Redactions};
use crate::removal::RemovalRef;
use crate::schema::{TABLES, Table};
use crate::segment::{SCHEMA_VERSION, SegmentRef};
use crate::snapshot::TableState;
use crate::stage::Stage;
use crate::store::{CHANGE_FILE, FACTS_FILE, Facts, table_path};

/// The stage's file.
pub(super) const STAGE_FILE: &str = "stage/shared.json";

/// One way in which a segment is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SegmentUse {
    pub(crate) table: &'static str,
    /// Whether it holds old values.
    pub(crate) before: bool,
    pub(crate) line: SegmentRef,
}

/// Everything that history and the stage name.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Commits of labels that read.
    pub(crate) commits: Vec<CommitId>,
    /// Every git object that a root reaches.
    pub(crate) git: HashSet<gix::ObjectId>,
    pub(crate) segments: HashMap<SegmentUse, Vec<String>>,
    pub(crate) removals: HashMap<RemovalRef, Vec<String>>,
    pub(crate) metas: HashMap<Digest, Vec<String>>,
    pub(crate) stage: Option<Stage>,
}

impl Named {
    /// Every object that is needed, with what names it: what is named, or what stands for it.
    pub(crate) fn objects(&self, redactions: &Redactions) -> HashMap<Digest, Vec<String>> {
        let mut all: HashMap<Digest, Vec<String>> = HashMap::new();
        let segments = self.segments.iter().map(|(named, by)| (named.line.segment, by));
        let removals = self.removals.iter().map(|(line, by)| (line.removed, by));
        let metas = self.metas.iter().map(|(digest, by)| (*digest, by));
        for (digest, by) in segments.chain(removals).chain(metas) {
            for needed in redactions.needs(&digest) {
                let named_by = all.entry(needed).or_default();
                named_by.extend(by.iter().cloned());
                named_by.sort_unstable();
                named_by.dedup();
                named_by.truncate(REFERRERS_MAX);
            }
        }
        for digest in redactions.beside() {
            push(all.entry(digest).or_default(), REDACTIONS_REF);
        }
        all
    }

    fn name_segment(&mut self, table: &Table, before: bool, line: &SegmentRef, by: &str) {
        let named = SegmentUse {
            table: Table::by_name(table.name).map_or("", |table| table.name),
            before,
            line: line.clone(),
        };
        push(self.segments.entry(named).or_default(), by);
    }

    fn name_change(&mut self, table: &Table, change: &TableChange, by: &str) {
        change.added.iter().for_each(|line| self.name_segment(table, false, line, by));
        change.before.iter().for_each(|line| self.name_segment(table, true, line, by));
        change.removed.iter().for_each(|line| self.name_removal(line, by));
    }

    fn name_removal(&mut self, line: &RemovalRef, by: &str) {
        push(self.removals.entry(line.clone()).or_default(), by);
    }
}

fn push(names: &mut Vec<String>, name: &str) {
    if names.len() < REFERRERS_MAX && !names.iter().any(|n| n == name) {
        names.push(name.to_owned());
    }
}

/// Hex digits of a git id; a digest of an object has more.
const GIT_ID_CHARS: usize = 40;

impl Verifier<'_> {
    /// Walks the git graph and reads every tree and the stage.
    pub(crate) fn gather(&mut self) -> Result<Named> {
        let mut named = Named::default();
        self.check_graph(&mut named)?;
        for commit in named.commits.clone() {
            self.read_tree(commit, &mut named)?;
        }
        self.read_stage(&mut named)?;
        Ok(named)
    }

    /// Walks what roots name and `known` has not: the git graph, and every tree of a commit.
    pub(crate) fn gather_from(
        &mut self,
        roots: &[(String, gix::ObjectId)],
        known: HashSet<gix::ObjectId>,
    ) -> Result<Named> {
        let mut named = Named { git: known, ..Named::default() };
        let roots = roots.iter().map(|(name, id)| Root { name: name.clone(), id: *id });
        self.check_roots(roots.collect(), &mut named);
        for commit in named.commits.clone() {
            self.read_tree(commit, &mut named)?;
        }
        Ok(named)
    }

    fn check_graph(&mut self, named: &mut Named) -> Result<()> {
        let history = &self.store.history;
        let mut bad = Vec::new();
        self.report.objects += history.check_packs(&mut |name, what| bad.push((name, what)))?;
        for (name, what) in bad.drain(..) {
            self.find(rule::GIT_BYTES, format!("git/{name}"), what, Vec::new());
        }
        let mut roots = history.named_roots(&mut |name, what| bad.push((name, what)))?;
        let merging = match self.store.merge_file() {
            Err(error) => {
                self.find_error(rule::STAGE, MERGE_FILE, error)?;
                None
            }
            Ok(merging) => merging,
        };
        for id in merging.iter().flat_map(|m| m.base.into_iter().chain([m.ours, m.theirs])) {
            roots.push(Root { name: MERGE_FILE.to_owned(), id: id.0 });
        }
        for (name, what) in bad {
            self.find(rule::REFS, format!("git/{name}"), what, Vec::new());
        }
        self.check_roots(roots, named);
        Ok(())
    }

    /// Checks the graph below roots.
    fn check_roots(&mut self, roots: Vec<Root>, named: &mut Named) {
        let history = &self.store.history;
        // Notes are histories of their own, of other trees than those of labels.
        let (notes, labels): (Vec<Root>, Vec<Root>) =
            roots.into_iter().partition(|root| root.name.contains("refs/notes/"));
        let mut faults = Vec::new();
        let mut checked = 0;
        let mut each = |id: gix::ObjectId, by: &str, result: Result<(), GitFault>| {
            checked += 1;
            if let Err(fault) = result {
                faults.push((id, by.to_owned(), fault));
            }
        };
        named.commits = history.check(&mut named.git, labels, &mut each);
        history.check(&mut named.git, notes, &mut each);
        self.report.objects += checked;
        for (id, by, fault) in faults {
            match fault {
                GitFault::Missing => self.find(rule::GIT_EXISTS, id, "it is missing", vec![by]),
                GitFault::Damaged(what) => self.find(rule::GIT_BYTES, id, what, vec![by]),
            }
        }
    }

    fn read_tree(&mut self, commit: CommitId, named: &mut Named) -> Result<()> {
        self.check_paths(commit)?;
        self.check_facts(commit)?;
        for table in TABLES {
            let path = format!("{commit}:{}", table_path(table));
            match self.store.table_state(commit, table) {
                Err(error) => self.find_error(rule::TABLE_FILE, &path, error)?,
                Ok(state) => {
                    if let Some(what) = state_fault(&state) {
                        self.find(rule::TABLE_FILE, &path, what, Vec::new());
                    }
                    state.segments.iter().for_each(|s| named.name_segment(table, false, s, &path));
                    state.removals.iter().for_each(|line| named.name_removal(line, &path));
                }
            }
        }
        let path = format!("{commit}:{CHANGE_FILE}");
        match self.store.change(commit) {
            Err(error) => self.find_error(rule::CHANGE_FILE, &path, error)?,
            Ok(record) => self.read_record(&record, &path, named),
        }
        Ok(())
    }

    fn read_record(&mut self, record: &ChangeRecord, path: &str, named: &mut Named) {
        for (name, change) in &record.tables {
            let Some(table) = Table::by_name(name) else {
                let what = format!("it changes `{name}`, which is no table");
                self.find(rule::CHANGE_FILE, path, what, Vec::new());
                continue;
            };
            if let Some(what) = change_fault(change) {
                self.find(rule::CHANGE_FILE, path, format!("{name}: {what}"), Vec::new());
            }
            named.name_change(table, change, path);
        }
        if let Some(digest) = record.meta {
            push(named.metas.entry(digest).or_default(), path);
        }
    }

    fn check_paths(&mut self, commit: CommitId) -> Result<()> {
        let paths = match self.store.history.paths(commit) {
            Err(error) => return self.find_error(rule::TREE_FILES, format!("{commit}:"), error),
            Ok(paths) => paths,
        };
        for (path, plain) in paths {
            if !plain || !is_known_path(&path) {
                let what = "it is no file of a label commit";
                self.find(rule::TREE_FILES, format!("{commit}:{path}"), what, Vec::new());
            }
        }
        Ok(())
    }

    fn check_facts(&mut self, commit: CommitId) -> Result<()> {
        let path = format!("{commit}:{FACTS_FILE}");
        let bytes = match self.store.history.file(commit, FACTS_FILE) {
            Err(error) => return self.find_error(rule::FACTS, &path, error),
            Ok(bytes) => bytes.unwrap_or_default(),
        };
        let own = self.store.facts();
        let what = match toml::from_str::<Facts>(&String::from_utf8_lossy(&bytes)) {
            Err(e) => e.message().to_owned(),
            Ok(facts) if facts.store_id != own.store_id => "it is of another store".to_owned(),
            Ok(facts) if facts.format != own.format || facts.hash != own.hash => {
                "it is of another format than `config.toml`".to_owned()
            }
            Ok(facts) if !facts.features.read.is_empty() => {
                format!("it needs `{}`, which is unknown", facts.features.read[0])
            }
            Ok(_) => return Ok(()),
        };
        self.find(rule::FACTS, &path, what, Vec::new());
        Ok(())
    }

    fn read_stage(&mut self, named: &mut Named) -> Result<()> {
        // Also one that is committed: what it names stays until its file goes.
        let stage = match self.store.stage_file() {
            Err(error) => return self.find_error(rule::STAGE, STAGE_FILE, error),
            Ok(None) => return Ok(()),
            Ok(Some(stage)) => stage,
        };
        for (name, change) in stage.layers.iter().flat_map(|layer| &layer.tables) {
            match Table::by_name(name) {
                Some(table) => named.name_change(table, change, STAGE_FILE),
                None => {
                    let what = format!("it changes `{name}`, which is no table");
                    self.find(rule::STAGE, STAGE_FILE, what, Vec::new());
                }
            }
            if let Some(what) = change_fault(change) {
                self.find(rule::STAGE, STAGE_FILE, format!("{name}: {what}"), Vec::new());
            }
        }
        // Where a commit does not read, those below it were not seen.
        let seen_all = !self.bad.iter().any(|object| object.len() == GIT_ID_CHARS);
        let lost = stage.base.filter(|base| seen_all && !named.commits.contains(base));
        if let Some(base) = lost {
            let what = format!("its base {base} is no commit of the history");
            self.find(rule::STAGE, STAGE_FILE, what, Vec::new());
        }
        named.stage = Some(stage);
        Ok(())
    }
}

/// Whether a path may stand in the tree of a label commit.
fn is_known_path(path: &str) -> bool {
    let name = |text: &str| text.parse::<RefName>().is_ok();
    match path.split('/').collect::<Vec<_>>()[..] {
        [file] => [FACTS_FILE, CHANGE_FILE, RELABEL_FILE].contains(&file),
        ["tables", file] => {
            file.strip_suffix(".jsonl").is_some_and(|stem| Table::by_name(stem).is_some())
        }
        ["rights", file] => file.strip_suffix(".toml").is_some_and(name),
        ["policies", policy, file] => {
            name(policy) && ["policy.toml", "guideline.md", "label-config.xml"].contains(&file)
        }
        _ => false,
    }
}

fn line_fault(line: &SegmentRef) -> Option<String> {
    if line.schema != SCHEMA_VERSION {
        return Some(format!("{} has the unknown schema {}", line.segment, line.schema));
    }
    let rows = line.rows as usize;
    (rows == 0 || rows > SEGMENT_ROWS_MAX).then(|| format!("{} has {rows} rows", line.segment))
}

fn state_fault(state: &TableState) -> Option<String> {
    let mut seen = HashSet::new();
    let segments = state.segments.iter().map(|line| line.segment);
    let twice = segments.chain(state.removals.iter().map(|r| r.removed)).find(|d| !seen.insert(*d));
    if let Some(digest) = twice {
        return Some(format!("{digest} stands twice"));
    }
    if state.removals.iter().any(|line| line.count == 0) {
        return Some("a removal of no rows".to_owned());
    }
    state.segments.iter().find_map(line_fault)
}

fn change_fault(change: &TableChange) -> Option<String> {
    change.added.iter().chain(&change.before).find_map(line_fault)
}
