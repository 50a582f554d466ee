//! A store that each case starts from, and what must hold after it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use glossator_store::fs::Disk;
use glossator_store::store::STORE_DIR;
use glossator_store::verify::FindingKind;
use glossator_store::{Error, Store};
use glossator_testkit::faults::{Call, FaultFs, Image, Step};
use glossator_testkit::operations::{
    INIT, Model, OPERATIONS, Operation, REDACT, base, commit_staged, leftovers, logged_rows, quiet,
    upsert,
};
use glossator_testkit::scratch;

/// What an operation starts from.
pub struct Bench {
    pub image: Image,
    pub model: Model,
}

/// The operations, with what they start from.
pub fn benches() -> impl Iterator<Item = (&'static Operation, &'static Bench)> {
    static BASE: OnceLock<Bench> = OnceLock::new();
    static EMPTY: OnceLock<Bench> = OnceLock::new();
    static QUIET: OnceLock<Bench> = OnceLock::new();
    let made = |make: fn(&Path) -> Result<Model, Error>| {
        let dir = scratch();
        let model = make(dir.path()).unwrap();
        Bench { image: Image::of(dir.path()).unwrap(), model }
    };
    let base = BASE.get_or_init(|| made(base));
    let quiet = QUIET.get_or_init(|| made(quiet));
    let empty = EMPTY.get_or_init(|| Bench { image: Image::default(), model: Model::default() });
    let on_base = OPERATIONS.iter().map(move |operation| match operation.name {
        REDACT => (operation, quiet),
        _ => (operation, base),
    });
    std::iter::once((&INIT, empty)).chain(on_base)
}

/// How an operation ended.
#[derive(Debug)]
pub enum End {
    Died,
    Told(Result<(), Error>),
}

impl Bench {
    fn with(&self, change: fn(&mut Model)) -> Model {
        let mut model = self.model.clone();
        change(&mut model);
        model
    }

    /// The state after an operation.
    pub fn after(&self, operation: &Operation) -> Model {
        self.with(operation.effect)
    }

    /// All states that a loss of power or of the process may leave.
    pub fn any(&self, operation: &Operation) -> Vec<Model> {
        let mut states = vec![self.model.clone(), self.after(operation)];
        states.extend(operation.rival.map(|change| self.with(change)));
        states
    }

    /// The states that an end leaves.
    pub fn allowed(&self, operation: &Operation, end: &End) -> Vec<Model> {
        match end {
            End::Died => self.any(operation),
            // It is done where that is not known to last, too; and the stage that is left is known
            // to be committed, and counts as empty.
            End::Told(Ok(()) | Err(Error::Unsure { .. } | Error::StageKept { .. })) => {
                vec![self.after(operation)]
            }
            End::Told(Err(_)) => {
                let mut states = vec![self.model.clone()];
                states.extend(operation.rival.map(|change| self.with(change)));
                states
            }
        }
    }

    /// Does an operation on a copy of the store.
    pub fn run(&self, operation: &Operation, calls: &FaultFs, dir: &Path) -> End {
        self.image.write_to(dir).unwrap();
        let disk = Disk::new(Arc::new(calls.clone()));
        let told = (operation.run)(&disk, dir);
        if calls.is_dead() { End::Died } else { End::Told(told) }
    }
}

/// The calls at which something can change: of listings in a row the first alone, since gc lists
/// 256 directories twice.
pub fn turns(steps: &[Step]) -> Vec<usize> {
    let lists = |step: usize| steps[step].call == Call::List;
    (0..steps.len()).filter(|step| *step == 0 || !(lists(*step) && lists(step - 1))).collect()
}

/// What is there: an empty model where there is no store.
pub fn look(dir: &Path) -> Result<Model, Error> {
    match Store::open(&Disk::default(), &dir.join(STORE_DIR)) {
        Err(Error::NoStore(_)) => Ok(Model::default()),
        store => Model::of(&store?),
    }
}

/// What must hold after each case.
pub fn check(dir: &Path, allowed: &[Model]) -> Result<(), String> {
    works_on(dir, is_one_of(dir, allowed)?)
}

fn is_one_of(dir: &Path, allowed: &[Model]) -> Result<Model, String> {
    let seen = look(dir).map_err(told("cannot be read"))?;
    if allowed.contains(&seen) {
        return Ok(seen);
    }
    Err(format!("is {seen:#?}, none of {allowed:#?}"))
}

/// Disks that were checked: what several faults leave alike is checked in full once.
#[derive(Default)]
pub struct Seen(HashSet<Vec<String>>);

impl Seen {
    /// As [`check`], but what follows from the disk alone is checked once a disk.
    pub fn check(&mut self, dir: &Path, allowed: &[Model]) -> Result<(), String> {
        let shape = Image::of(dir).unwrap().shape();
        let seen = is_one_of(dir, allowed)?;
        if self.0.insert(shape) { works_on(dir, seen) } else { Ok(()) }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The store takes a further commit, and is whole afterwards.
pub fn works_on(dir: &Path, mut model: Model) -> Result<(), String> {
    let disk = Disk::default();
    if model == Model::default() {
        Store::init(&disk, dir).map_err(told("cannot be made"))?;
        (INIT.effect)(&mut model);
    }
    let root = dir.join(STORE_DIR);
    let store = Store::open(&disk, &root).map_err(told("cannot be opened"))?;
    // A new row, and another label for each there is: all of them are looked up. Not for what may
    // still be staged, which would be a conflict.
    let rows = model.branches.get(&model.head).map(|tip| tip.rows.clone()).unwrap_or_default();
    let staged = |item: &&str| !["x", "y"].contains(item);
    let items = rows.keys().map(String::as_str).filter(staged).chain(["z"]);
    let labels: Vec<(&str, &str)> = items.map(|item| (item, "owl")).collect();
    upsert(&store, "further", &labels).map_err(told("takes no further commit"))?;
    model.commits("further", &labels);
    let plan = store.plan_gc().map_err(told("has no plan for gc"))?;
    store.run_gc(plan).map_err(told("cannot be cleaned"))?;
    let left = leftovers(&root).map_err(|error| error.to_string())?;
    if !left.is_empty() {
        return Err(format!("keeps {left:?}"));
    }
    // What gc was to leave alone is there.
    if let Some(mut staged) = model.staged.take() {
        let tip = &model.branches[&model.head];
        staged
            .retain(|item, _| ["x", "y"].contains(&item.as_str()) && !tip.rows.contains_key(item));
        let staged: Vec<_> = staged.iter().map(|(i, l)| (i.as_str(), l.as_str())).collect();
        commit_staged(&store).map_err(told("does not commit its stage"))?;
        if !staged.is_empty() {
            model.commits("staged", &staged);
        }
    }
    let logged = logged_rows(&store, dir).map_err(told("lost what a reflog leads to"))?;
    assert!(logged.is_none_or(|rows| rows == 4));
    let mut found = store.verify(&mut |_| ()).map_err(told("cannot be verified"))?.findings;
    found.retain(|finding| finding.kind != FindingKind::Cache);
    if !found.is_empty() {
        return Err(format!("is damaged: {found:#?}"));
    }
    let seen = look(dir).map_err(told("cannot be read in the end"))?;
    if seen == model { Ok(()) } else { Err(format!("is {seen:#?} in the end, not {model:#?}")) }
}

fn told(what: &str) -> impl Fn(Error) -> String {
    move |error| {
        let mut text = format!("{what}: {error}");
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text.push_str(&format!(": {error}"));
            source = error.source();
        }
        text
    }
}

/// Failures after which no further cases are tried.
const FAILURES_MAX: usize = 8;

/// Counts cases, and keeps the first failures.
pub struct Tally {
    row: &'static str,
    cases: usize,
    failed: Vec<String>,
}

impl Tally {
    pub fn new(row: &'static str) -> Self {
        Self { row, cases: 0, failed: Vec::new() }
    }

    pub fn count(&mut self, case: impl Fn() -> String, outcome: Result<(), String>) {
        self.cases += 1;
        if let Err(what) = outcome {
            self.failed.push(format!("{}: the store {what}", case()));
            assert!(self.failed.len() < FAILURES_MAX, "{}", self.failed.join("\n"));
        }
    }

    /// All passed, and there were as many as there should be.
    #[track_caller]
    pub fn end(self, at_least: usize) {
        println!("{}: {} cases", self.row, self.cases);
        assert!(self.failed.is_empty(), "{}", self.failed.join("\n"));
        assert!(self.cases >= at_least, "only {} cases", self.cases);
    }
}
