//! The binary `gloss`.

/// Codecs ask for large buffers by the thousand, which the system's allocator maps anew each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    glossator::run(std::env::args_os())
}
