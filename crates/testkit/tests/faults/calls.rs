//! A process that dies, and calls that fail, at each call.

use glossator_testkit::faults::{Call, Errno, Fault, FaultFs, Plan, Step};
use glossator_testkit::operations::Operation;
use glossator_testkit::scratch;

use crate::bench::{Bench, End, Seen, Tally, benches, check, turns};

/// The calls of an operation that nothing disturbs.
fn steps(operation: &Operation, bench: &Bench) -> Vec<Step> {
    let (dir, calls) = (scratch(), FaultFs::counting());
    let end = bench.run(operation, &calls, dir.path());
    assert!(matches!(end, End::Told(Ok(()))), "{}: {end:?}", operation.name);
    check(dir.path(), &[bench.after(operation)]).unwrap();
    calls.steps()
}

fn one(operation: &Operation, bench: &Bench, plan: Plan, seen: &mut Seen) -> Result<(), String> {
    let (dir, calls) = (scratch(), FaultFs::with(plan));
    let end = bench.run(operation, &calls, dir.path());
    let checked = seen.check(dir.path(), &bench.allowed(operation, &end));
    checked.map_err(|what| format!("{what}\n{end:?}"))
}

/// Tries faults at each call of each operation.
fn each(row: &'static str, faults: impl Fn(&Step) -> Vec<(Fault, bool)>, at_least: usize) {
    let (mut tally, mut seen) = (Tally::new(row), Seen::default());
    for (operation, bench) in benches() {
        let steps = steps(operation, bench);
        for number in turns(&steps) {
            let step = &steps[number];
            for (fault, lasting) in faults(step) {
                let plan = Plan { step: number, fault, lasting };
                let case = || format!("{}, {plan:?}, {step:?}", operation.name);
                tally.count(case, one(operation, bench, plan, &mut seen));
            }
        }
    }
    println!("{row}: {} different disks", seen.len());
    tally.end(at_least);
}

#[test]
fn killed_at_each_call() {
    let faults = |step: &Step| {
        let mut faults = vec![(Fault::Kill, false)];
        if step.call == Call::Write {
            faults.push((Fault::KillWithin, false));
        }
        faults
    };
    each("killed", faults, 500);
}

fn errors(step: &Step, lasting: bool) -> Vec<(Fault, bool)> {
    let errors = Errno::ALL.into_iter().filter(|errno| errno.is_of(step.call));
    let mut faults: Vec<_> = errors.map(|errno| (Fault::Fails(errno), lasting)).collect();
    if step.call == Call::Write {
        faults.extend([(Fault::Short, lasting), (Fault::ShortThenFull, lasting)]);
    }
    faults
}

#[test]
fn each_call_fails_once() {
    each("fails once", |step| errors(step, false), 1_000);
}

#[test]
fn each_call_fails_from_then_on() {
    each("fails from then on", |step| errors(step, true), 1_000);
}
