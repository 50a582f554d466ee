#!/usr/bin/env bash
# Plants each bug of tests/planted in a copy of the tree, and runs the test that must catch it.
#
#   scripts/planted-bugs.sh [PATCH…]
#
# Fails where a bug survives. A bug that does not compile, or a test that fails without it, is no
# proof: both fail the script as well.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

# A place of its own for what is built, kept for the next run: cargo takes a copy of the tree for the
# tree, and would take a broken crate for a good one.
place=${CARGO_TARGET_DIR:-$root/target}/planted
export CARGO_TARGET_DIR=$place/target
copy=$place/tree
log=$place/log
rm -rf "$copy"
mkdir -p "$copy"
trap 'rm -rf "$copy"' EXIT
export RUST_BACKTRACE=0

git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
cd "$copy"
# Not a part of the repository around it.
git init --quiet
patches=("$@")
[ ${#patches[@]} -gt 0 ] || patches=("$copy"/tests/planted/*.patch)

field() { sed -n "s/^$1: //p" "$2" | head -1; }

# Shellwords of the field are meant to be split.
# shellcheck disable=SC2046
runs() { cargo test --quiet $(field Test "$1") >"$log" 2>&1; }

failed=0
verdict() { printf '%-10s %-22s %s\n' "$1" "$(basename "$2" .patch)" "$(field Plants "$2")"; }

for patch in "${patches[@]}"; do
    git apply "$patch"
    # shellcheck disable=SC2046
    if ! cargo test --quiet --no-run $(field Test "$patch" | cut -d' ' -f1-4) >"$log" 2>&1; then
        verdict "NO BUILD" "$patch"
        grep -m 3 -A 5 '^error' "$log" || true
        failed=1
    elif runs "$patch"; then
        verdict SURVIVED "$patch"
        failed=1
    elif grep -q '^test result: FAILED' "$log"; then
        verdict caught "$patch"
    else
        verdict "NO RESULT" "$patch"
        tail -5 "$log"
        failed=1
    fi
    git apply -R "$patch"
    # Cargo goes by dates: the file that is as before is newer than what was built.
    sed -n 's,^+++ b/,,p' "$patch" | xargs touch
done

# Without a bug the same tests pass.
sort -u <(for patch in "${patches[@]}"; do field Test "$patch"; done) | while read -r words; do
    # shellcheck disable=SC2086
    cargo test --quiet $words >"$log" 2>&1 || { echo "FAILS WITHOUT A BUG: $words"; exit 1; }
done || failed=1
exit $failed
