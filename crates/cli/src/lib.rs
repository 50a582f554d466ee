//! The command line of Glossator: arguments, commands, and what people read.
//!
//! Each command is a file in `commands/`: its arguments with their help, and one function.

mod answers;
mod args;
mod audit;
mod commands;
mod context;
mod croissant;
mod error;
mod filter;
mod measure;
mod merging;
mod nearest;
mod network;
mod pin;
mod policies;
mod post;
mod protect;
mod records;
mod relabelling;
mod render;
mod rights;
mod signing;
mod staging;
mod tasks;
mod uses;
mod view;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use args::Args;
use context::Context;

/// Runs the command that the arguments say.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => {
            // Help goes to stdout and is no failure; what cannot be printed is nobody's loss.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    quiet_guarded_panics();
    let mut context = Context::new(args.directory, args.json);
    let done = commands::run(&mut context, &args.command);
    let flushed = context.flush();
    match done.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => error.report(),
    }
}

/// Panics that are caught and become errors are not reported as panics.
fn quiet_guarded_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !glossator_store::guard::is_guarded() {
            report(info);
        }
    }));
}
