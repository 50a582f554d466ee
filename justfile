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

# The walk through a store
demo:
    cargo run --release -- demo
