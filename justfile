# What is done every day. `just` lists it.

default:
    @just --list

# Everything that CI runs
ci:
    bash .ci/run

# All tests
test:
    cargo test --workspace

# Formatting and lints
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings

# The documentation of all crates
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Licences and bans of dependencies (needs cargo-deny)
deny:
    cargo deny check licenses bans sources

# One fuzz target for some seconds, from the inputs that are kept (needs cargo-fuzz)
fuzz target seconds="60":
    mkdir -p fuzz/corpus/{{target}} tests/corpus/{{target}}
    RUSTC_BOOTSTRAP=1 cargo fuzz run -s none {{target}} fuzz/corpus/{{target}} \
        tests/corpus/{{target}} tests/data/bad -- -max_total_time={{seconds}} -rss_limit_mb=1024

# The walk through a store
demo:
    cargo run --release -- demo
