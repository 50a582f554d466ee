#!/usr/bin/env python3
"""Times blame, history and recall beside git's own on the same labels as JSON lines.

    python3 scripts/bench_lineage.py [--gloss target/release/gloss] [--commits 1000] [--rows 100000]
        [--reps 5] [--keep DIR]

Makes a store of ROWS answers of ten annotators and COMMITS commits that each relabel 20 of them,
and a git repository with the same rows as one JSON file a line, committed at the same steps. Every
measurement is a process of its own; the first of gloss builds the file of commits and is printed
apart. `git blame` is asked for the line of one item, `git log -G` for its id and for an annotator.
Prints a Markdown table of wall times, medians of --reps runs. Needs Python 3.9, git, nothing else.
"""
import argparse, json, os, pathlib, random, shutil, statistics, subprocess, sys, tempfile, time

WHO = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
       for what, value in (("NAME", "Bench"), ("EMAIL", "bench@example.com"))}
LABELS = ["car", "truck", "bus", "bike"]


def run(command, cwd):
    """Wall milliseconds of a command, and what it printed."""
    begin = time.perf_counter()
    done = subprocess.run(list(map(str, command)), cwd=cwd, env={**os.environ, **WHO},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wall = (time.perf_counter() - begin) * 1e3
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr.decode()}")
    return wall, done.stdout


def line(row, label, who):
    return json.dumps({"item_id": f"images/{row // 1000:05}/{row:08}.jpg", "annotation_id": "answer",
                       "annotator_id": f"annotator-{who}", "origin": "human", "field": "label",
                       "kind": "choice", "label": label, "status": "submitted"})


def build(args, store, git):
    rng = random.Random(7)
    rows = [(rng.choice(LABELS), rng.randrange(9)) for _ in range(args.rows)]
    run([args.gloss, "init"], store)
    run(["git", "init", "-q"], git)
    labels = git / "labels.jsonl"
    text = [line(row, *value) for row, value in enumerate(rows)]
    for commit in range(args.commits + 1):
        touched = sorted(rng.sample(range(args.rows), 20)) if commit else range(args.rows)
        for row in touched if commit else ():
            # The last annotator works in one commit of a hundred.
            rows[row] = (rng.choice(LABELS), 9 if commit % 100 == 50 else rng.randrange(9))
            text[row] = line(row, *rows[row])
        change = store / "change.jsonl"
        change.write_text("\n".join(text[row] for row in touched) + "\n")
        run([args.gloss, "import", change, "--source", "table", "-m", f"step {commit}"], store)
        labels.write_text("\n".join(text) + "\n")
        run(["git", "add", "labels.jsonl"], git)
        run(["git", "commit", "-qm", f"step {commit}"], git)
        last = touched[0]
        if commit % 100 == 0:
            print(f"commit {commit}", file=sys.stderr)
    run(["git", "gc", "-q"], git)
    return last


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gloss", default="target/release/gloss", type=pathlib.Path)
    parser.add_argument("--commits", default=1_000, type=int)
    parser.add_argument("--rows", default=100_000, type=int)
    parser.add_argument("--reps", default=5, type=int)
    parser.add_argument("--keep", type=pathlib.Path, help="a directory to build in and keep")
    args = parser.parse_args()
    args.gloss = args.gloss.resolve()
    root = args.keep or pathlib.Path(tempfile.mkdtemp(prefix="bench-lineage-"))
    store, git = root / "store", root / "git"
    if store.exists():
        row = int((root / "row").read_text())
    else:
        store.mkdir(parents=True), git.mkdir()
        row = build(args, store, git)
        (root / "row").write_text(str(row))
    item = json.loads(line(row, "", 0))["item_id"]
    shutil.rmtree(store / ".gloss/cache/index/commits", ignore_errors=True)
    (store / ".gloss/cache/index/commits").unlink(missing_ok=True)
    first, _ = run([args.gloss, "blame", item], store)
    print(f"blame that builds the file of commits: {first:.0f} ms\n")
    gloss = lambda *words: (store, [args.gloss, *words])
    stock = lambda *words: (git, ["git", *words])
    table = [
        ("who made one label", gloss("blame", item),
         stock("blame", "-L", f"{row + 1},{row + 1}", "labels.jsonl")),
        ("the life of one item", gloss("history", item),
         stock("log", "--oneline", "-G", item, "--", "labels.jsonl")),
        ("all of an annotator, 10 commits", gloss("recall", "--annotator", "annotator-9"),
         stock("log", "--oneline", "-G", '"annotator-9"', "--", "labels.jsonl")),
        ("all of an annotator, all commits", gloss("recall", "--annotator", "annotator-3"),
         stock("log", "--oneline", "-G", '"annotator-3"', "--", "labels.jsonl")),
        ("all of one commit", gloss("recall", "--commit", "main~10"), None),
        ("all of one item", gloss("recall", "--item", item), None),
    ]
    print("| question | gloss, ms | git, ms | git command |\n|---|---|---|---|")
    for name, ours, theirs in table:
        median = lambda where: statistics.median(
            run(where[1], where[0])[0] for _ in range(args.reps))
        told = f"{median(theirs):,.0f} | `git {' '.join(theirs[1][1:3])}`" if theirs else "- | -"
        print(f"| {name} | {median(ours):,.1f} | {told} |")
    if not args.keep:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
