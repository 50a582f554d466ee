//! Two processes: one is held at each of its calls until the other is done or waits for it.

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use glossator_store::fs::Disk;
use glossator_store::store::STORE_DIR;
use glossator_store::{Error, Result, Store};
use glossator_testkit::faults::{FaultFs, Hook, Moment};
use glossator_testkit::operations::{GARBAGE, Model, OPERATIONS, Operation, Tip, upsert};
use glossator_testkit::{identity, scratch};

use crate::bench::{Bench, End, Seen, Tally, benches, turns};

/// Whoever takes longer than this is in a deadlock.
const DEADLOCK: Duration = Duration::from_secs(120);

fn named(name: &str) -> &'static Operation {
    OPERATIONS.iter().find(|operation| operation.name == name).expect("an operation")
}

/// A reader without caches: it writes them again.
const READ: Operation = Operation { name: "read", run: read, effect: |_| (), rival: None };

fn read(disk: &Disk, dir: &Path) -> Result<()> {
    let root = dir.join(STORE_DIR);
    for entry in disk.list(&root.join("cache/index"))? {
        disk.remove_file(&root.join("cache/index").join(entry.name))?;
    }
    let store = Store::open(disk, &root)?;
    let rows = Model::of(&store)?.branches["side"].rows.len();
    // An item's rows are found with the caches.
    let main = store.history.resolve("main")?;
    let snapshot = store.snapshot(Some(main), &[])?;
    let found = snapshot.table(&glossator_store::schema::ANNOTATIONS)?.locate_item("b")?.len();
    match (rows, found) {
        (4, 1) => Ok(()),
        other => Err(Error::Stage(format!("read {other:?} rows"))),
    }
}

/// Brings back a commit that gc may take.
const RESCUE: Operation = Operation { name: "rescue", run: rescue, effect: rescued, rival: None };

fn rescue(disk: &Disk, dir: &Path) -> Result<()> {
    let store = Store::open(disk, &dir.join(STORE_DIR))?;
    let id = String::from_utf8_lossy(&disk.read(&dir.join(GARBAGE))?).into_owned();
    let garbage = store.history.resolve(&id)?;
    store.make_ref(false, &"rescued".parse()?, garbage, &identity(), None)
}

fn rescued(model: &mut Model) {
    let mut tip: Tip = model.branches["main"].clone();
    tip.log.insert(0, "garbage".to_owned());
    tip.rows.insert("e".to_owned(), "cat".to_owned());
    model.branches.insert("rescued".to_owned(), tip);
}

/// A commit of other rows than those of `direct commit`.
const OTHER: Operation = Operation {
    name: "other commit",
    run: |disk, dir| {
        let store = Store::open(disk, &dir.join(STORE_DIR))?;
        upsert(&store, "other", &[("b", "owl"), ("v", "cat")]).map(drop)
    },
    effect: |m| m.commits("other", &[("b", "owl"), ("v", "cat")]),
    rival: None,
};

type Told = Result<()>;

fn run(operation: &'static Operation, hook: Hook, dir: &Path) -> Told {
    (operation.run)(&Disk::new(Arc::new(FaultFs::hooked(hook))), dir)
}

/// Runs `first` up to a call, then `second` until it is done or waits, then both to their ends.
/// None where `first` has no such call.
fn interleave(
    bench: &Bench,
    first: &'static Operation,
    second: &'static Operation,
    step: usize,
    dir: &Path,
) -> Option<(Told, Told)> {
    bench.image.write_to(dir).unwrap();
    let (done, ends) = channel();
    let started: Arc<Mutex<Option<JoinHandle<Told>>>> = Arc::default();
    let (there, slot) = (dir.to_owned(), started.clone());
    let hook: Hook = Arc::new(move |moment| {
        if moment == Moment::Step(step) {
            let (waits, reached) = channel();
            let ended = waits.clone();
            let there = there.clone();
            let thread = std::thread::spawn(move || {
                let told = run(second, tells(waits), &there);
                let _ = ended.send(());
                told
            });
            *slot.lock().unwrap() = Some(thread);
            reached.recv_timeout(DEADLOCK).expect("the second ends or waits");
        }
    });
    let there = dir.to_owned();
    std::thread::spawn(move || {
        let told = run(first, hook, &there);
        let second = started.lock().unwrap().take();
        let _ = done.send((told, second.map(|thread| thread.join().expect("no panic"))));
    });
    let (first, second) = ends.recv_timeout(DEADLOCK).expect("both come to an end");
    Some((first, second?))
}

/// Tells when a process has to wait.
fn tells(waits: Sender<()>) -> Hook {
    let waits = Mutex::new(waits);
    Arc::new(move |moment| {
        if moment == Moment::Waits {
            let _ = waits.lock().unwrap().send(());
        }
    })
}

/// Holds `first` at each of its calls while `second` runs.
fn each(
    tally: &mut Tally,
    first: &'static Operation,
    second: &'static Operation,
    holds: impl Fn(&Bench, &Told, &Told) -> Vec<Model>,
) {
    let (_, bench) = benches().nth(1).expect("a bench");
    let mut disks = Seen::default();
    let alone = scratch();
    let calls = FaultFs::counting();
    assert!(matches!(bench.run(first, &calls, alone.path()), End::Told(Ok(()))));
    for step in turns(&calls.steps()) {
        let dir = scratch();
        let Some((one, two)) = interleave(bench, first, second, step, dir.path()) else { return };
        let allowed = holds(bench, &one, &two);
        let case = || {
            let (first, second) = (first.name, second.name);
            format!("`{second}` at call {step} of `{first}`: {one:?}, {two:?}")
        };
        tally.count(case, disks.check(dir.path(), &allowed));
    }
}

/// What both leave, if each did what it was to do.
fn both(first: &Operation, second: &Operation, bench: &Bench, told: [&Told; 2]) -> Vec<Model> {
    let [Ok(()), Ok(())] = told else { return Vec::new() };
    let orders = [[first, second], [second, first]];
    let model = |order: [&Operation; 2]| {
        let mut model = bench.model.clone();
        order.iter().for_each(|operation| (operation.effect)(&mut model));
        model
    };
    orders.map(model).into()
}

/// gc against whoever writes or reads, and the other way round.
#[test]
fn gc_and_others() {
    let gc = named("gc");
    let others =
        ["stage", "commit", "direct commit", "revert", "branch", "tag", "people", "switch", "gc"];
    let others = others.map(named).into_iter().chain([&READ, &OTHER]);
    let mut tally = Tally::new("gc and others");
    for other in others {
        each(&mut tally, gc, other, |bench, a, b| both(gc, other, bench, [a, b]));
        each(&mut tally, other, gc, |bench, a, b| both(gc, other, bench, [a, b]));
    }
    tally.end(300);
}

/// A commit that nothing leads to gets a name while gc runs: it is whole, or refused.
#[test]
fn gc_and_a_rescue() {
    let gc = named("gc");
    let holds = |bench: &Bench, gc: &Told, rescue: &Told| match (gc, rescue) {
        (Ok(()), Ok(())) => vec![bench.after(&RESCUE)],
        (Ok(()), Err(Error::Damaged { .. } | Error::NoCommit(_))) => vec![bench.model.clone()],
        _ => Vec::new(),
    };
    let mut tally = Tally::new("gc and a rescue");
    each(&mut tally, gc, &RESCUE, holds);
    each(&mut tally, &RESCUE, gc, |bench, rescue, gc| holds(bench, gc, rescue));
    tally.end(50);
}

/// Two commits at once, at each call: both are in the history, in one order or the other.
#[test]
fn two_at_once() {
    let direct = named("direct commit");
    let mut tally = Tally::new("two at once");
    let others = ["stage", "commit", "tag", "switch", "delete packed branch"].map(named);
    for other in others.into_iter().chain([&OTHER]) {
        each(&mut tally, direct, other, |bench, a, b| both(direct, other, bench, [a, b]));
        each(&mut tally, other, direct, |bench, a, b| both(direct, other, bench, [a, b]));
    }
    tally.end(300);
}
