//! Random sequences of commands against a plain table: whatever is done in whatever order, every
//! branch and tag holds the rows that the table says, and the store is whole.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at once, and drop caches"
)]

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use glossator_lineage::between;
use glossator_lineage::merge::{Conflict, How, Sides, merge};
use glossator_store::history::RefName;
use glossator_store::intake::{Edit, Edits, Intake, IntakeOptions};
use glossator_store::merging::Take;
use glossator_store::schema::{ANNOTATIONS, AnnotationRow};
use glossator_store::{CommitId, Error, Layer, Made, Snapshot, Stage, Store, Transaction};
use glossator_testkit::{TestStore, batch, choice, commit, for_each_annotation, identity, options};
use proptest::prelude::*;

type Key = (String, String);
type Table = BTreeMap<Key, String>;
/// Item, annotation, label.
type Answers = Vec<(u8, u8, u8)>;

#[derive(Debug, Clone)]
enum Command {
    /// Answers, whether they come in order of their keys, and whether they are staged.
    Import(Answers, bool, bool),
    CommitStage,
    RestoreStage,
    /// Labels of annotations that are there.
    Update(Answers),
    Remove(Answers),
    Revert,
    /// A branch into the one that we are on; conflicts go our way.
    Merge(u8),
    /// The latest commit of a branch, likewise.
    CherryPick(u8),
    Branch(u8),
    Switch(u8),
    DeleteBranch(u8),
    Tag(u8),
    Gc,
    Compact,
    DropCaches,
    Reopen,
}

fn command() -> impl Strategy<Value = Command> {
    let answers = || prop::collection::vec((0..6_u8, 0..4_u8, 0..3_u8), 1..9);
    prop_oneof![
        6 => (answers(), any::<bool>(), prop::bool::weighted(0.3))
            .prop_map(|(answers, in_order, staged)| Command::Import(answers, in_order, staged)),
        2 => Just(Command::CommitStage),
        1 => Just(Command::RestoreStage),
        3 => answers().prop_map(Command::Update),
        2 => answers().prop_map(Command::Remove),
        2 => Just(Command::Revert),
        3 => (0..3_u8).prop_map(Command::Merge),
        1 => (0..3_u8).prop_map(Command::CherryPick),
        2 => (0..3_u8).prop_map(Command::Branch),
        3 => (0..3_u8).prop_map(Command::Switch),
        1 => (0..3_u8).prop_map(Command::DeleteBranch),
        1 => (0..3_u8).prop_map(Command::Tag),
        2 => Just(Command::Gc),
        2 => Just(Command::Compact),
        1 => Just(Command::DropCaches),
        1 => Just(Command::Reopen),
    ]
}

/// A commit and the rows that it should have.
#[derive(Debug, Clone, Default)]
struct Version {
    commit: Option<CommitId>,
    rows: Table,
}

struct World {
    test: TestStore,
    /// Opened anew by [`Command::Reopen`].
    store: Store,
    current: String,
    branches: BTreeMap<String, Version>,
    tags: BTreeMap<String, Version>,
    /// The rows that the stage makes, where something is staged.
    staged: Option<Table>,
    /// The rows of every commit that was made.
    made: BTreeMap<CommitId, Table>,
}

fn table(answers: &Answers) -> Table {
    let key = |item: &u8, id: &u8| (format!("item-{item}"), format!("a{id}"));
    answers.iter().map(|(item, id, label)| (key(item, id), format!("label-{label}"))).collect()
}

/// Each answer is by somebody of its own: what one person answers twice is for other tests.
fn rows(table: &Table) -> Vec<AnnotationRow<'_>> {
    table
        .iter()
        .map(|((item, id), label)| AnnotationRow { annotator_id: id, ..choice(item, id, label) })
        .collect()
}

/// Whoever alone changed a row has it; else ours stays.
fn three_way(base: &Table, ours: &Table, theirs: &Table) -> Table {
    let keys = base.keys().chain(ours.keys()).chain(theirs.keys());
    let row = |key: &Key| {
        let (was, own, other) = (base.get(key), ours.get(key), theirs.get(key));
        Some((key.clone(), if was == own { other } else { own }?.clone()))
    };
    keys.filter_map(row).collect()
}

fn read(snapshot: &Snapshot<'_>) -> Table {
    let mut found = Table::new();
    let rows = snapshot.table(&ANNOTATIONS).unwrap().scan().unwrap();
    for_each_annotation(rows, |row| {
        let key = (row.item_id.to_owned(), row.annotation_id.to_owned());
        found.insert(key, row.label.unwrap().to_owned());
    })
    .unwrap();
    found
}

impl World {
    fn new() -> Self {
        let test = TestStore::new();
        let store = test.reopen().unwrap();
        let (branches, tags) = ([("main".to_owned(), Version::default())].into(), BTreeMap::new());
        let (current, made) = ("main".to_owned(), BTreeMap::new());
        Self { test, store, current, branches, tags, staged: None, made }
    }

    fn head(&self) -> &Version {
        &self.branches[&self.current]
    }

    /// Commits layers on the head; the rows are then as given.
    fn commit(&mut self, layers: &[Layer], rows: Table) {
        let before = self.head().clone();
        let made = commit(&self.store, before.commit, layers).unwrap();
        assert_eq!(made.is_some(), before.rows != rows, "a commit where something changed");
        self.moves(made.or(before.commit), rows);
    }

    /// The branch that we are on is at a commit that has these rows.
    fn moves(&mut self, commit: Option<CommitId>, rows: Table) {
        self.made.extend(commit.map(|commit| (commit, rows.clone())));
        self.branches.insert(self.current.clone(), Version { commit, rows });
    }

    fn merge(&mut self, number: u8, pick: bool) {
        let theirs = self.branches.get(&format!("b{number}")).and_then(|version| version.commit);
        let (Some(theirs), Some(ours)) = (theirs, self.head().commit) else { return };
        let base = match pick {
            true => self.store.history.first_parent(theirs).unwrap(),
            // Branches that were merged into each other have several.
            false => match self.store.history.merge_bases(ours, theirs).unwrap()[..] {
                [only] => Some(only),
                _ => return,
            },
        };
        let rows_of = |commit: &CommitId| self.made[commit].clone();
        let base_rows = base.as_ref().map(rows_of).unwrap_or_default();
        let rows = three_way(&base_rows, &self.head().rows, &rows_of(&theirs));
        let sides = Sides { base, ours, theirs };
        let layer = {
            let snapshot = self.store.snapshot(Some(ours), &[]).unwrap();
            let mut transaction = Transaction::new(&snapshot);
            let mut ours = |_: &Conflict<'_>| Ok(Some(Take::Ours));
            let open =
                merge(&self.store, sides, How::default(), &mut ours, &mut |table, deltas| {
                    transaction.apply_with_origins(table, deltas).map(drop)
                });
            assert_eq!(open.unwrap(), 0);
            transaction.finish().unwrap()
        };
        let made = Made { merged: (!pick).then_some(theirs), ..Made::of(&layer) };
        let commit = self.store.commit_on(Some(ours), &made, &options()).unwrap();
        assert_eq!(commit.is_some(), !pick || self.head().rows != rows);
        self.moves(commit.or(Some(ours)), rows);
    }

    fn take(&self, snapshot: &Snapshot<'_>, new: &Table, in_order: bool) -> Vec<Layer> {
        let mut intake =
            Intake::new(snapshot, IntakeOptions { in_order, ..IntakeOptions::default() });
        let mut all = rows(new);
        if !in_order {
            all.reverse();
        }
        for part in all.chunks(3) {
            intake.rows(&ANNOTATIONS, batch(part)).unwrap();
        }
        intake.finish().unwrap().layers
    }

    fn import(&mut self, answers: &Answers, in_order: bool) {
        let new = table(answers);
        let mut all = self.head().rows.clone();
        all.extend(new.clone());
        let layers = {
            let snapshot = self.store.snapshot(self.head().commit, &[]).unwrap();
            self.take(&snapshot, &new, in_order)
        };
        self.commit(&layers, all);
    }

    fn stage(&mut self, answers: &Answers, in_order: bool) {
        let new = table(answers);
        let mut stage = self.store.stage().unwrap();
        let layers = {
            let snapshot = self.store.snapshot(stage.base, &stage.layers).unwrap();
            self.take(&snapshot, &new, in_order)
        };
        if layers.is_empty() {
            return;
        }
        let mut all = self.staged.clone().unwrap_or_else(|| self.head().rows.clone());
        all.extend(new);
        stage.layers.extend(layers);
        self.store.write_stage(&stage).unwrap();
        self.staged = Some(all);
    }

    /// Stages apply to what they were made on; nothing else is done while one waits.
    fn commit_stage(&mut self) {
        let made = self.store.commit_stage(&options()).unwrap();
        let Some(rows) = self.staged.take() else {
            assert_eq!(made, None);
            return;
        };
        let before = self.head().clone();
        assert_eq!(made.is_some(), before.rows != rows);
        self.moves(made.or(before.commit), rows);
    }

    fn edit(&mut self, answers: &Answers, edit: Edit) {
        let mut all = self.head().rows.clone();
        let mut wanted = table(answers);
        wanted.retain(|key, _| all.contains_key(key));
        if wanted.is_empty() {
            return;
        }
        let layers = {
            let snapshot = self.store.snapshot(self.head().commit, &[]).unwrap();
            let mut edits = Edits::new(&snapshot, None, edit);
            let label = ANNOTATIONS.column("label").unwrap();
            let columns = if edit == Edit::Update { vec![0, 1, label] } else { vec![0, 1] };
            let part: RecordBatch = batch(&rows(&wanted)).project(&columns).unwrap();
            edits.push(&columns, part).unwrap();
            let (made, refused) = edits.finish().unwrap();
            assert!(refused.missing.is_empty() && refused.changed_since.is_empty());
            made.layers
        };
        match edit {
            Edit::Update => all.extend(wanted),
            Edit::Remove => all.retain(|key, _| !wanted.contains_key(key)),
        }
        self.commit(&layers, all);
    }

    fn revert(&mut self) {
        let Some(head) = self.head().commit else { return };
        let parent = self.store.history.first_parent(head).unwrap();
        let (layer, rows) = {
            let rows = read(&self.store.snapshot(parent, &[]).unwrap());
            let snapshot = self.store.snapshot(Some(head), &[]).unwrap();
            let mut transaction = Transaction::new(&snapshot);
            let deltas = between(&self.store, parent, Some(head), &ANNOTATIONS).unwrap();
            let inverse = Box::new(deltas.map(|delta| delta?.inverted()));
            transaction.apply(&ANNOTATIONS, inverse).unwrap();
            (transaction.finish().unwrap(), rows)
        };
        self.commit(&[layer], rows);
    }

    fn make_ref(&mut self, tag: bool, name: &str) {
        let version = self.head().clone();
        let Some(target) = version.commit else { return };
        let known = if tag { &mut self.tags } else { &mut self.branches };
        let full: RefName = name.parse().unwrap();
        match self.store.make_ref(tag, &full, target, &identity(), tag.then_some("a tag".into())) {
            Ok(()) => assert!(known.insert(name.to_owned(), version).is_none()),
            Err(Error::RefExists(_)) => assert!(known.contains_key(name)),
            Err(error) => panic!("{error}"),
        }
    }

    fn run(&mut self, command: &Command) {
        match command {
            // While something is staged, only the stage and what touches no rows goes on.
            Command::Import(answers, in_order, true) => self.stage(answers, *in_order),
            Command::CommitStage => self.commit_stage(),
            Command::RestoreStage => {
                self.store.clear_stage().unwrap();
                self.staged = None;
            }
            Command::Branch(number) => self.make_ref(false, &format!("b{number}")),
            Command::Tag(number) => self.make_ref(true, &format!("t{number}")),
            Command::Gc => {
                let plan = self.store.plan_gc().unwrap();
                self.store.run_gc(plan).unwrap();
            }
            Command::DropCaches => {
                let _ = std::fs::remove_dir_all(self.store.root().join("cache"));
            }
            Command::Reopen => self.store = self.test.reopen().unwrap(),
            _ if self.staged.is_some() => {}
            Command::Import(answers, in_order, false) => self.import(answers, *in_order),
            Command::Update(answers) => self.edit(answers, Edit::Update),
            Command::Remove(answers) => self.edit(answers, Edit::Remove),
            Command::Revert => self.revert(),
            Command::Merge(number) => self.merge(*number, false),
            Command::CherryPick(number) => self.merge(*number, true),
            Command::Switch(number) => {
                let name = format!("b{number}");
                if self.branches.contains_key(&name) {
                    self.store.switch(&name.parse().unwrap(), &identity()).unwrap();
                    self.current = name;
                }
            }
            Command::DeleteBranch(number) => {
                let name = format!("b{number}");
                if name != self.current && self.branches.remove(&name).is_some() {
                    self.store.delete_ref(false, &name.parse().unwrap(), &identity()).unwrap();
                }
            }
            Command::Compact => {
                let rows = self.head().rows.clone();
                if let Some(commit) = self.store.compact(&options()).unwrap() {
                    self.moves(Some(commit), rows);
                }
            }
        }
    }

    fn check_head(&self) {
        let found = self.store.history.head().unwrap();
        assert_eq!(found.branch.unwrap().to_string(), self.current);
        assert_eq!(found.commit, self.head().commit);
        assert_eq!(read(&self.store.snapshot(found.commit, &[]).unwrap()), self.head().rows);
    }

    fn check_all(&self) {
        for (name, version) in self.branches.iter().chain(&self.tags) {
            let rows = read(&self.store.snapshot(version.commit, &[]).unwrap());
            assert_eq!(rows, version.rows, "{name}");
        }
        let stage: Stage = self.store.stage().unwrap();
        assert_eq!(stage.is_empty(), self.staged.is_none());
        if let Some(staged) = &self.staged {
            let snapshot = self.store.snapshot(stage.base, &stage.layers).unwrap();
            assert_eq!(read(&snapshot), *staged);
        }
        let report = self.store.verify(&mut |_| {}).unwrap();
        assert!(report.ok, "{:?}", report.findings);
    }
}

fn run(commands: &[Command]) {
    let mut world = World::new();
    for command in commands {
        world.run(command);
        world.check_head();
    }
    world.check_all();
}

/// The row of every small segment dies in the very commit that folds them: nothing is written anew.
#[test]
fn a_fold_of_rows_that_die_at_once_is_no_checkpoint() {
    let import = |round: u8| Command::Import(vec![(0, 0, round % 3)], false, false);
    let mut commands: Vec<Command> = (0..40).map(import).collect();
    commands.extend([Command::Remove(vec![(0, 0, 0)]), Command::Compact]);
    run(&commands);
    commands.extend((0..3).map(import).chain([Command::Compact]));
    run(&commands);
}

// 500 sequences of 40 commands, in two halves for two cores.
proptest! {
    #![proptest_config(ProptestConfig { cases: 250, max_shrink_iters: 400, ..Default::default() })]

    #[test]
    fn a_store_is_what_its_commands_say(commands in prop::collection::vec(command(), 40)) {
        run(&commands);
    }

    #[test]
    fn a_store_is_still_what_its_commands_say(commands in prop::collection::vec(command(), 40)) {
        run(&commands);
    }
}
