//! Ctrl-C and SIGTERM, as real signals to a real process, at each call.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use glossator_testkit::operations::{Operation, REDACT};
use glossator_testkit::scratch;

use crate::bench::{End, Seen, Tally, benches};

/// Whether a signal is not ignored: what a script runs in the background does not hear Ctrl-C.
fn is_heard((_, number): &(&str, i32)) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.unwrap_or_default() & (1 << (number - 1)) == 0
}

const EXIT: Duration = Duration::from_secs(2);

#[test]
fn signals_at_each_call() {
    let (mut tally, mut seen) = (Tally::new("signals"), Seen::default());
    // gc lists and reads much, and an erasure ends with it; their calls are killed in process.
    let quick = |operation: &Operation| !["gc", REDACT].contains(&operation.name);
    for (operation, bench) in benches().skip(1).filter(|(operation, _)| quick(operation)) {
        for (signal, number) in [("INT", 2), ("TERM", 15)].into_iter().filter(is_heard) {
            for call in 0.. {
                let dir = scratch();
                bench.image.write_to(dir.path()).unwrap();
                let started = Instant::now();
                let status = Command::new(env!("CARGO_BIN_EXE_signalled"))
                    .args([operation.name, &call.to_string(), signal])
                    .arg(dir.path())
                    .status()
                    .unwrap();
                if status.code() == Some(0) {
                    break;
                }
                // What a shell shows as 130 and 143.
                assert_eq!(status.signal(), Some(number), "{} {call}: {status}", operation.name);
                assert!(started.elapsed() < EXIT, "{} {call}", operation.name);
                let case = || format!("{}, {signal} at call {call}", operation.name);
                let allowed = bench.allowed(operation, &End::Died);
                tally.count(case, seen.check(dir.path(), &allowed));
            }
        }
    }
    tally.end(300);
}
