//! The binary `gloss`.

fn main() -> std::process::ExitCode {
    glossator::run(std::env::args_os())
}
