//! Does one operation, and gets a signal at one of its calls.
//!
//! Arguments: operation, call, signal, directory. Exits with 0 where there is no such call.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use glossator_store::fs::Disk;
use glossator_testkit::faults::{FaultFs, Hook, Moment};
use glossator_testkit::operations::OPERATIONS;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let [_, name, call, signal, dir] = &words[..] else { return ExitCode::from(2) };
    let Some(operation) = OPERATIONS.iter().find(|operation| operation.name == name) else {
        return ExitCode::from(2);
    };
    let Ok(call) = call.parse::<usize>() else { return ExitCode::from(2) };
    let signal = signal.clone();
    let hook: Hook = Arc::new(move |moment| {
        if moment == Moment::Step(call) {
            let id = std::process::id().to_string();
            let sent = Command::new("kill").args([&format!("-{signal}"), &id]).status();
            // It may take a moment to arrive; nothing more is done until then.
            while sent.is_ok() {
                std::thread::park();
            }
        }
    });
    match (operation.run)(&Disk::new(Arc::new(FaultFs::hooked(hook))), Path::new(dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
