//! What people do to a store, one entry an operation, with what must be there afterwards: the list
//! that faults are tried on.
//!
//! [`Model`] says what a store holds in plain words; each operation says by hand how it changes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use glossator_store::delta::DeltaStream;
use glossator_store::fs::{Disk, Fs, RealFs};
use glossator_store::history::RefName;
use glossator_store::intake::{Intake, IntakeOptions};
use glossator_store::merging::{Decision, MergeKind, Merging, Take};
use glossator_store::redaction::{Erase, Grounds, REDACTIONS_REF};
use glossator_store::remote::{self, Remote};
use glossator_store::schema::ANNOTATIONS;
use glossator_store::store::STORE_DIR;
use glossator_store::transaction::Moving;
use glossator_store::{
    CommitId, CommitOptions, Layer, Made, Result, Stage, Store, Transaction, change::read_change,
};

use crate::{batch, choice, for_each_annotation, identity};

/// The file beside the store that holds the id of a commit that only a reflog leads to.
pub const LOGGED: &str = "logged";

/// What a branch or tag leads to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tip {
    /// The label of each item.
    pub rows: BTreeMap<String, String>,
    /// The messages, the newest first.
    pub log: Vec<String>,
}

impl Tip {
    fn then(&self, message: &str, labels: &[(&str, &str)]) -> Self {
        let mut tip = self.clone();
        tip.log.insert(0, message.to_owned());
        tip.rows.extend(labels.iter().map(|(item, label)| (item.to_string(), label.to_string())));
        tip
    }
}

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Model {
    /// The branch that `HEAD` names.
    pub head: String,
    /// All branches.
    pub branches: BTreeMap<String, Tip>,
    /// All tags.
    pub tags: BTreeMap<String, Tip>,
    /// What is staged, with the rows under it; none where nothing is.
    pub staged: Option<BTreeMap<String, String>>,
    /// How many conflicts are decided of the merge that waits; none where none does.
    pub merging: Option<usize>,
    /// Persons of whom something is known.
    pub people: BTreeSet<String>,
}

impl Model {
    /// Adds a commit on the branch of `HEAD`.
    pub fn commits(&mut self, message: &str, labels: &[(&str, &str)]) {
        let head = self.head.clone();
        let tip = self.branches.entry(head).or_default();
        *tip = tip.then(message, labels);
    }

    /// Reads what a store holds.
    ///
    /// # Errors
    /// Whatever reading says.
    pub fn of(store: &Store) -> Result<Self> {
        let head = store.history.head()?;
        let tips = |tags| -> Result<BTreeMap<String, Tip>> {
            let refs = store.history.refs(tags)?.into_iter();
            refs.map(|(name, commit)| Ok((name, tip(store, commit)?))).collect()
        };
        let stage = store.stage()?;
        let staged = match stage.is_empty() {
            true => None,
            false => Some(rows(store, stage.base, &stage.layers)?),
        };
        let people = store.people()?;
        Ok(Self {
            head: head.branch.map(|name| name.to_string()).unwrap_or_default(),
            branches: tips(false)?,
            tags: tips(true)?,
            staged,
            merging: store.merging()?.map(|merging| merging.decisions.len()),
            people: people.facts(PERSON).map(|_| PERSON.to_owned()).into_iter().collect(),
        })
    }
}

fn tip(store: &Store, commit: CommitId) -> Result<Tip> {
    let mut log = Vec::new();
    for id in store.history.walk(commit)? {
        log.push(store.history.commit(id?)?.title().to_owned());
    }
    Ok(Tip { rows: rows(store, Some(commit), &[])?, log })
}

/// The label of each item. Ids name contents: what was read once is not read again.
fn rows(
    store: &Store,
    commit: Option<CommitId>,
    layers: &[Layer],
) -> Result<BTreeMap<String, String>> {
    static KNOWN: Mutex<BTreeMap<String, BTreeMap<String, String>>> = Mutex::new(BTreeMap::new());
    let erased = store.history.resolve(REDACTIONS_REF).ok();
    let id = format!("{commit:?} {layers:?} {erased:?}");
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(rows) = known().get(&id) {
        return Ok(rows.clone());
    }
    let snapshot = store.snapshot(commit, layers)?;
    let mut rows = BTreeMap::new();
    for_each_annotation(snapshot.table(&ANNOTATIONS)?.scan()?, |row| {
        let label = row.label.unwrap_or_default().to_owned();
        let before = rows.insert(row.item_id.to_owned(), label);
        assert!(before.is_none(), "item {} has two rows", row.item_id);
    })?;
    known().insert(id, rows.clone());
    Ok(rows)
}

/// Something that is done to a store.
#[derive(Debug)]
pub struct Operation {
    /// Its name.
    pub name: &'static str,
    /// Does it, in the directory around `.gloss`.
    pub run: fn(&Disk, &Path) -> Result<()>,
    /// What it changes.
    pub effect: fn(&mut Model),
    /// What another process does meanwhile, which is there if this does not come to its end.
    pub rival: Option<fn(&mut Model)>,
}

/// Makes a store.
pub const INIT: Operation =
    operation("init", |disk, dir| Store::init(disk, dir).map(drop), |m| m.head = "main".to_owned());

/// All operations, but for [`INIT`], on the store that [`base`] makes.
pub const OPERATIONS: &[Operation] = &[
    operation("stage", stage, |m| set_staged(m, "y")),
    operation("commit", commit_stage, staged_is_committed),
    operation("restore", restore, |m| m.staged = None),
    operation("direct commit", direct, |m| m.commits("direct", &[("a", "newt"), ("w", "cat")])),
    Operation {
        rival: Some(|m| m.commits("rival", &[("r", "cat")])),
        ..operation("lost race", lost_race, |m| {
            m.commits("rival", &[("r", "cat")]);
            m.commits("mine", &[("a", "newt")]);
        })
    },
    operation("revert", revert, |m| {
        m.commits("revert", &[("a", "cat")]);
        m.branches.entry("main".to_owned()).or_default().rows.remove("c");
    }),
    operation("resolve", resolve, |m| m.merging = Some(1)),
    operation("abort", abort, |m| m.merging = None),
    operation("merge", merge, |m| {
        m.commits("merge", &[("d", "cat")]);
        m.branches.entry("main".to_owned()).or_default().log.insert(2, "aside".to_owned());
        m.merging = None;
    }),
    operation("policy", policy, |m| m.commits("policy", &[])),
    operation("branch", branch, |m| {
        let main = m.branches["main"].clone();
        m.branches.insert("new".to_owned(), main);
    }),
    operation("tag", tag, |m| {
        m.tags.insert("v2".to_owned(), m.branches["main"].clone());
    }),
    operation(
        "delete branch",
        |disk, dir| delete(disk, dir, "side"),
        |m| m.branches.retain(|name, _| name != "side"),
    ),
    operation(
        "delete packed branch",
        |disk, dir| delete(disk, dir, "packed"),
        |m| m.branches.retain(|name, _| name != "packed"),
    ),
    operation("switch", switch, |m| m.head = "side".to_owned()),
    operation("people", people, |m| m.people.extend([PERSON.to_owned()])),
    operation("compact", compact, |m| m.commits("compact", &[])),
    operation("gc", gc, |_| ()),
    operation("pull", pull, |m| m.commits("theirs", &[("t", "cat")])),
    operation(REDACT, redact, |m| {
        m.branches.entry("side".to_owned()).or_default().rows.remove("d");
    }),
];

const fn operation(
    name: &'static str,
    run: fn(&Disk, &Path) -> Result<()>,
    effect: fn(&mut Model),
) -> Operation {
    Operation { name, run, effect, rival: None }
}

const PERSON: &str = "7";

/// The id of the merge that waits.
const MERGE_ID: &str = "00112233445566778899aabbccddeeff";

/// The file beside the store that holds the id of a commit to which nothing leads.
pub const GARBAGE: &str = "garbage";

fn set_staged(model: &mut Model, item: &str) {
    model.staged.get_or_insert_default().insert(item.to_owned(), "dog".to_owned());
}

fn staged_is_committed(model: &mut Model) {
    model.commits("staged", &[("x", "cat")]);
    model.staged = None;
}

/// The one that is done where nothing waits for a commit: on the store that [`quiet`] makes.
pub const REDACT: &str = "redact";

/// Makes the store that operations are done to.
///
/// # Errors
/// Whatever the store says.
pub fn base(dir: &Path) -> Result<Model> {
    let disk = Disk::default();
    let store = Store::init(&disk, dir)?;
    let first = upsert(&store, "first", &[("a", "cat"), ("b", "dog")])?;
    let second = upsert(&store, "second", &[("a", "bird"), ("c", "cat")])?;
    let who = identity();
    store.make_ref(true, &"v1".parse()?, first, &who, None)?;
    for name in ["side", "packed", "gone", "ahead"] {
        store.make_ref(false, &name.parse()?, second, &who, None)?;
    }
    let on = |branch: &str, message: &str, labels: &[(&str, &str)]| -> Result<CommitId> {
        let layers = layers(&store, Some(second), &[], labels)?;
        commit_to(&store, Some(branch.parse()?), Some(second), &layers, message)
    };
    let aside = on("side", "aside", &[("d", "cat")])?;
    // What gc finds: nothing leads to it once the branch and its reflog are gone.
    let garbage = on("gone", "garbage", &[("e", "cat")])?;
    disk.write(&dir.join(GARBAGE), garbage.to_string().as_bytes())?;
    store.delete_ref(false, &"gone".parse()?, &who)?;
    on("ahead", "rival", &[("r", "cat")])?;
    // What only the reflog of HEAD leads to stays.
    let (logged, main) = ("logged".parse()?, "main".parse()?);
    store.make_ref(false, &logged, second, &who, None)?;
    store.switch(&logged, &who)?;
    let commit = upsert(&store, "logged", &[("l", "cat")])?;
    disk.write(&dir.join(LOGGED), commit.to_string().as_bytes())?;
    store.switch(&main, &who)?;
    store.delete_ref(false, &logged, &who)?;
    pack_ref(&store, "packed")?;
    offer_theirs(&store, dir)?;
    let staged = layers(&store, Some(second), &[], &[("x", "cat")])?;
    store.write_stage(&Stage::new(Some(second), staged)?)?;
    store.write_merging(&Merging {
        id: MERGE_ID.to_owned(),
        kind: MergeKind::Merge,
        branch: "main".to_owned(),
        name: "side".to_owned(),
        base: Some(second),
        ours: second,
        theirs: aside,
        message: "merge".to_owned(),
        strict: false,
        decisions: Vec::new(),
    })?;
    drop(store.people()?);

    let one = Tip::default().then("first", &[("a", "cat"), ("b", "dog")]);
    let two = one.then("second", &[("a", "bird"), ("c", "cat")]);
    let mut staged = two.rows.clone();
    staged.insert("x".to_owned(), "cat".to_owned());
    let branches = [
        ("main", two.clone()),
        ("side", two.then("aside", &[("d", "cat")])),
        ("packed", two.clone()),
        ("ahead", two.then("rival", &[("r", "cat")])),
    ];
    Ok(Model {
        head: "main".to_owned(),
        branches: branches.into_iter().map(|(name, tip)| (name.to_owned(), tip)).collect(),
        tags: BTreeMap::from([("v1".to_owned(), one)]),
        staged: Some(staged),
        merging: Some(0),
        people: BTreeSet::new(),
    })
}

/// The same store with neither a stage nor a merge that waits.
///
/// # Errors
/// Whatever the store says.
pub fn quiet(dir: &Path) -> Result<Model> {
    let model = base(dir)?;
    let store = open(&Disk::default(), dir)?;
    store.clear_stage()?;
    store.clear_merging()?;
    Ok(Model { staged: None, merging: None, ..model })
}

/// The directory beside the store that is its remote, one commit ahead.
const REMOTE: &str = "remote";

fn remote_at(dir: &Path) -> remote::Result<Remote> {
    // Requests are tried elsewhere: here only the store's own calls fail.
    Remote::open(&Disk::default(), &format!("file://{}", dir.join(REMOTE).display()))
}

/// Faults of a remote are none of the store.
fn of_store<T>(done: remote::Result<T>) -> Result<T> {
    done.map_err(|error| match error {
        remote::Error::Store(error) => error,
        other => panic!("a remote without faults: {other}"),
    })
}

/// Pushes the branch to the remote, and a commit on top of it from another store.
fn offer_theirs(store: &Store, dir: &Path) -> Result<()> {
    let made = || -> remote::Result<()> {
        let (remote, who) = (remote_at(dir)?, identity());
        let request = remote::PushRequest {
            remote: "origin".to_owned(),
            branches: vec!["main".parse()?],
            tags: false,
            force: false,
            people: false,
            delete: Vec::new(),
            dry_run: false,
            who: who.clone(),
        };
        remote.push(store, &request, &remote::Silent)?;
        let other = crate::scratch();
        let disk = Disk::default();
        let request_to_clone = remote::CloneRequest {
            name: "origin",
            branch: None,
            rows_stay: false,
            with_people: false,
        };
        let (copy, ..) = remote::clone_store(
            &disk,
            other.path(),
            &remote,
            &request_to_clone,
            &who,
            &remote::Silent,
        )?;
        upsert(&copy, "theirs", &[("t", "cat")])?;
        remote.push(&copy, &request, &remote::Silent).map(drop)
    };
    of_store(made())
}

fn pull(disk: &Disk, dir: &Path) -> Result<()> {
    let store = Store::open(disk, &dir.join(STORE_DIR))?;
    let pulled = remote_at(dir).and_then(|remote| {
        remote.pull(&store, "origin", &identity(), &|_, _, _| Ok(()), &remote::Silent)
    });
    of_store(pulled).map(drop)
}

/// Moves a ref to where stock git packs it.
fn pack_ref(store: &Store, name: &str) -> Result<()> {
    let dir = store.history.dir();
    let loose = dir.join("refs/heads").join(name);
    let id = String::from_utf8_lossy(&store.disk().read(&loose)?).trim().to_owned();
    let packed = format!("# pack-refs with: peeled fully-peeled sorted \n{id} refs/heads/{name}\n");
    store.disk().write(&dir.join("packed-refs"), packed.as_bytes())?;
    store.disk().remove_file(&loose)
}

fn open(disk: &Disk, dir: &Path) -> Result<Store> {
    Store::open(disk, &dir.join(STORE_DIR))
}

fn head(store: &Store) -> Result<Option<CommitId>> {
    Ok(store.history.head()?.commit)
}

fn layers(
    store: &Store,
    base: Option<CommitId>,
    staged: &[Layer],
    labels: &[(&str, &str)],
) -> Result<Vec<Layer>> {
    let snapshot = store.snapshot(base, staged)?;
    let mut intake = Intake::new(&snapshot, IntakeOptions::default());
    let rows: Vec<_> = labels.iter().map(|(item, label)| choice(item, "id", label)).collect();
    intake.rows(&ANNOTATIONS, batch(&rows))?;
    Ok(intake.finish()?.layers)
}

fn options<'o>(branch: Option<RefName>, message: &'o str) -> CommitOptions<'o> {
    CommitOptions {
        branch,
        message,
        author: identity(),
        committer: identity(),
        code_commit: None,
        action: "commit",
        stage: None,
        signer: None,
        guards: &[],
    }
}

fn commit_to(
    store: &Store,
    branch: Option<RefName>,
    base: Option<CommitId>,
    layers: &[Layer],
    message: &str,
) -> Result<CommitId> {
    let made = store.commit(base, layers, &options(branch, message))?;
    made.ok_or_else(|| glossator_store::Error::Stage(format!("`{message}` changed nothing")))
}

/// The rows of the commit that only a reflog leads to, read anew; none in a store without it.
///
/// # Errors
/// Whatever reading says.
pub fn logged_rows(store: &Store, dir: &Path) -> Result<Option<usize>> {
    let Some(id) = store.disk().read_optional(&dir.join(LOGGED))? else { return Ok(None) };
    let commit = store.history.resolve(&String::from_utf8_lossy(&id))?;
    let mut rows = 0;
    for_each_annotation(store.snapshot(Some(commit), &[])?.table(&ANNOTATIONS)?.scan()?, |_| {
        rows += 1;
    })?;
    Ok(Some(rows))
}

/// Commits what is staged.
///
/// # Errors
/// Whatever the store says.
pub fn commit_staged(store: &Store) -> Result<Option<CommitId>> {
    store.commit_stage(&options(None, "staged"))
}

/// Sets labels of items and commits, as `import -m` does.
///
/// # Errors
/// Whatever the store says.
pub fn upsert(store: &Store, message: &str, labels: &[(&str, &str)]) -> Result<CommitId> {
    let _writing = store.writing()?;
    let base = head(store)?;
    commit_to(store, None, base, &layers(store, base, &[], labels)?, message)
}

fn stage(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let _lock = store.lock_stage()?;
    let _writing = store.writing()?;
    let mut stage = store.stage()?;
    let more = layers(&store, stage.base, &stage.layers, &[("y", "dog")])?;
    stage.layers.extend(more);
    store.write_stage(&stage)
}

fn commit_stage(disk: &Disk, dir: &Path) -> Result<()> {
    commit_staged(&open(disk, dir)?).map(drop)
}

fn restore(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let _lock = store.lock_stage()?;
    store.clear_stage()
}

fn direct(disk: &Disk, dir: &Path) -> Result<()> {
    upsert(&open(disk, dir)?, "direct", &[("a", "newt"), ("w", "cat")]).map(drop)
}

/// Another process moves the branch right before this one takes the lock.
fn lost_race(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let base = head(&store)?;
    let mine = layers(&store, base, &[], &[("a", "newt")])?;
    let first = AtomicBool::new(true);
    let rival = |store: &Store, _: &Moving<'_>| -> Result<()> {
        if first.swap(false, Ordering::Relaxed) {
            let heads = store.history.dir().join("refs/heads");
            let moved = Disk::default();
            moved.write(&heads.join("main"), &moved.read(&heads.join("ahead"))?)?;
        }
        Ok(())
    };
    store.commit(base, &mine, &CommitOptions { guards: &[&rival], ..options(None, "mine") })?;
    Ok(())
}

fn revert(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let _writing = store.writing()?;
    let base = head(&store)?;
    let snapshot = store.snapshot(base, &[])?;
    let mut transaction = Transaction::new(&snapshot);
    let tip = base.ok_or_else(|| glossator_store::Error::NoCommit("HEAD".to_owned()))?;
    let record = store.change(tip)?;
    let deltas = read_change(store.objects(), &ANNOTATIONS, &record.tables["annotations"])?;
    let inverse: DeltaStream<'_> = Box::new(deltas.map(|delta| delta?.inverted()));
    transaction.apply(&ANNOTATIONS, inverse)?;
    commit_to(&store, None, base, &[transaction.finish()?], "revert").map(drop)
}

/// The merge that waits.
fn merging(store: &Store) -> Result<Merging> {
    let waits = || glossator_store::Error::Stage("no merge waits".to_owned());
    store.merging()?.ok_or_else(waits)
}

fn resolve(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let _lock = store.lock_stage()?;
    let mut merging = merging(&store)?;
    merging.decisions.push(Decision {
        table: ANNOTATIONS.name.to_owned(),
        item: "d".to_owned(),
        key: "id".to_owned(),
        take: Take::Theirs,
        rule: None,
        by: "Test".to_owned(),
    });
    store.write_merging(&merging)
}

fn abort(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let _lock = store.lock_stage()?;
    store.clear_merging()
}

fn merge(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let _lock = store.lock_stage()?;
    let _writing = store.writing()?;
    let merging = merging(&store)?;
    let snapshot = store.snapshot(Some(merging.ours), &[])?;
    let mut transaction = Transaction::new(&snapshot);
    let record = store.change(merging.theirs)?;
    let deltas = read_change(store.objects(), &ANNOTATIONS, &record.tables["annotations"])?;
    transaction.apply_with_origins(&ANNOTATIONS, deltas)?;
    let mut layer = transaction.finish()?;
    layer.meta.merge = Some(merging.record());
    let made = Made { merged: Some(merging.theirs), ..Made::of(&layer) };
    let options = CommitOptions { stage: Some(&merging.id), ..options(None, "merge") };
    store.commit_on(Some(merging.ours), &made, &options)?;
    // What fails here is no failure: the commit says that the merge is done.
    let _ = store.clear_merging();
    Ok(())
}

/// Commits a file of a policy, and no row.
fn policy(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let path = "policies/p/policy.toml".to_owned();
    let files = [(path, Some(b"name = \"p\"\nversion = \"1\"\n".to_vec()))];
    let layer = Layer::default();
    let made = Made { files: &files, ..Made::of(&layer) };
    store.commit_on(head(&store)?, &made, &options(None, "policy")).map(drop)
}

fn compact(disk: &Disk, dir: &Path) -> Result<()> {
    let made = open(disk, dir)?.compact(&options(None, "compact"))?;
    made.map(drop).ok_or_else(|| glossator_store::Error::Stage("nothing to compact".to_owned()))
}

fn branch(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let main = store.history.resolve("main")?;
    store.make_ref(false, &"new".parse()?, main, &identity(), None)
}

fn tag(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let main = store.history.resolve("main")?;
    store.make_ref(true, &"v2".parse()?, main, &identity(), Some("the second".into()))
}

fn delete(disk: &Disk, dir: &Path, name: &str) -> Result<()> {
    open(disk, dir)?.delete_ref(false, &name.parse()?, &identity())
}

fn switch(disk: &Disk, dir: &Path) -> Result<()> {
    open(disk, dir)?.switch(&"side".parse()?, &identity())
}

fn people(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let _writing = store.writing()?;
    let mut people = store.people()?;
    people.identify(Some(PERSON), Some("ann@example.com"), Some(r#"{"id":7}"#));
    store.save_people(&mut people)
}

/// Erases an item that one branch alone has.
fn redact(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let erase = Erase::Items(vec!["d".to_owned()]);
    let (ground, reason) = ("mistake".to_owned(), "a test".to_owned());
    let grounds = Grounds { ground, reason, who: identity() };
    store.redact(&erase, &grounds, &mut |_| Ok::<_, glossator_store::Error>(true)).map(drop)
}

fn gc(disk: &Disk, dir: &Path) -> Result<()> {
    let store = open(disk, dir)?;
    let plan = store.plan_gc()?;
    store.run_gc(plan).map(drop)
}

/// What a file system's listing of a store must not show once gc has run: files that never became
/// whole, and lock files of git.
///
/// # Errors
/// Whatever listing says.
pub fn leftovers(root: &Path) -> std::io::Result<Vec<String>> {
    let (mut found, mut dirs) = (Vec::new(), vec![root.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in RealFs.list(&dir)? {
            let path = dir.join(&entry.name);
            if entry.is_dir {
                dirs.push(path);
            } else if entry.name.starts_with("tmp-") || entry.name.ends_with(".lock") {
                found.push(path.display().to_string());
            }
        }
    }
    Ok(found)
}
