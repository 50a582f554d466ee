//! The power goes.

use std::path::Path;

use glossator_testkit::faults::{Call, Errno, Fault, FaultFs, Plan, power_cuts, power_cuts_at_end};
use glossator_testkit::operations::OPERATIONS;
use glossator_testkit::scratch;

use crate::bench::{End, Seen, Tally, benches, check};

/// Before each sync and at the end, with every single change lost that was not synced.
#[test]
fn power_is_lost_at_each_sync() {
    let mut tally = Tally::new("power");
    for (operation, bench) in benches() {
        let (dir, calls) = (scratch(), FaultFs::counting());
        let end = bench.run(operation, &calls, dir.path());
        assert!(matches!(end, End::Told(Ok(()))), "{}: {end:?}", operation.name);
        for cut in power_cuts(&bench.image, dir.path(), &calls) {
            let allowed = match cut.at_end {
                true => vec![bench.after(operation)],
                false => bench.any(operation),
            };
            let disk = scratch();
            cut.image.write_to(disk.path()).unwrap();
            let case = || format!("{}, after {}, lost {}", operation.name, cut.after, cut.lost);
            tally.count(case, check(disk.path(), &allowed));
        }
    }
    tally.end(500);
}

/// A process died, another does the same thing to its end, then the power goes: what the first had
/// not synced is not taken for durable by the second.
#[test]
fn power_is_lost_after_a_second_process() {
    let (mut tally, mut disks) = (Tally::new("power after a second process"), Seen::default());
    for (operation, bench) in benches() {
        let (dir, calls) = (scratch(), FaultFs::counting());
        bench.run(operation, &calls, dir.path());
        for (step, call) in calls.steps().iter().enumerate() {
            // To die before a read leaves what dying before the next change does.
            if matches!(call.call, Call::Read | Call::Open | Call::List | Call::Lock) {
                continue;
            }
            // Of the 256 directories that `init` makes alike, the first and the last.
            if operation.name == "init" && is_inner_shard(&call.path) {
                continue;
            }
            let dir = scratch();
            let plan = Plan { step, fault: Fault::Kill, lasting: false };
            let calls = FaultFs::with(plan);
            bench.run(operation, &calls, dir.path());
            calls.revive();
            let disk = glossator_store::fs::Disk::new(std::sync::Arc::new(calls.clone()));
            if (operation.run)(&disk, dir.path()).is_err() {
                // Done already, or a rival was first: the next test says what holds.
                continue;
            }
            let seen = crate::bench::look(dir.path()).unwrap();
            let cuts = power_cuts_at_end(&bench.image, dir.path(), &calls);
            for cut in cuts {
                let disk = scratch();
                cut.image.write_to(disk.path()).unwrap();
                let case = || format!("{}, {plan:?}, lost {}", operation.name, cut.lost);
                let checked = disks.check(disk.path(), std::slice::from_ref(&seen));
                tally.count(case, checked);
            }
        }
    }
    tally.end(500);
}

fn is_inner_shard(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_shard = name.len() == 2 && u8::from_str_radix(name, 16).is_ok();
    is_shard && !["00", "ff"].contains(&name)
}

/// gc goes by what it sees; what it saw lasts as long as what it removed.
#[test]
fn power_is_lost_after_gc() {
    let gc = OPERATIONS.iter().find(|operation| operation.name == "gc").unwrap();
    let (mut tally, mut disks) = (Tally::new("power after gc"), Seen::default());
    for (operation, bench) in benches().skip(1) {
        // A process that died before the last sync of its operation, and one that did not.
        let (dir, calls) = (scratch(), FaultFs::counting());
        bench.run(operation, &calls, dir.path());
        for step in 0..=calls.steps().len() {
            let plan = Plan { step, fault: Fault::Kill, lasting: false };
            let (dir, calls) = (scratch(), FaultFs::with(plan));
            bench.run(operation, &calls, dir.path());
            calls.revive();
            let disk = glossator_store::fs::Disk::new(std::sync::Arc::new(calls.clone()));
            (gc.run)(&disk, dir.path()).unwrap();
            let seen = crate::bench::look(dir.path()).unwrap();
            let cuts = power_cuts_at_end(&bench.image, dir.path(), &calls);
            for cut in cuts {
                let disk = scratch();
                cut.image.write_to(disk.path()).unwrap();
                let case = || format!("{}, {plan:?}, lost {}", operation.name, cut.lost);
                let mut allowed = bench.any(operation);
                allowed.push(seen.clone());
                tally.count(case, disks.check(disk.path(), &allowed));
            }
        }
    }
    tally.end(200);
}

/// A sync that failed is not made good by a later one.
#[test]
fn power_is_lost_after_a_failed_sync() {
    let (mut tally, mut disks) = (Tally::new("power after a failed sync"), Seen::default());
    for (operation, bench) in benches() {
        let (dir, calls) = (scratch(), FaultFs::counting());
        bench.run(operation, &calls, dir.path());
        let steps = calls.steps();
        let syncs = |call| matches!(call, Call::Sync | Call::SyncDir);
        for step in (0..steps.len()).filter(|step| syncs(steps[*step].call)) {
            let dir = scratch();
            let plan = Plan { step, fault: Fault::Fails(Errno::Eio), lasting: false };
            let calls = FaultFs::with(plan);
            let allowed = match bench.run(operation, &calls, dir.path()) {
                End::Told(Ok(())) => vec![bench.after(operation)],
                _ => bench.any(operation),
            };
            let cuts = power_cuts_at_end(&bench.image, dir.path(), &calls);
            for cut in cuts {
                let disk = scratch();
                cut.image.write_to(disk.path()).unwrap();
                let case = || format!("{}, {plan:?}, lost {}", operation.name, cut.lost);
                tally.count(case, disks.check(disk.path(), &allowed));
            }
        }
    }
    tally.end(200);
}
