#!/usr/bin/env python3
"""Measures the real binary on a data directory and prints the table of docs/benchmarks.md.

    python3 scripts/bench.py --data DATA [--gloss target/release/gloss] [--scan …/examples/scan]

DATA holds base.parquet, base.jsonl, manifest.json and changes/NNN_{upsert,delete}.parquet. Every
measurement is a process of its own with caches on disk; CPU is user + system, medians of
--reps runs. One JSON line a step goes to --out, a Markdown table to standard output. Counts are
checked against the manifest. Needs Python 3.9 and nothing else.
"""
import argparse, json, os, pathlib, shutil, statistics, subprocess, sys, tempfile, time

WHO = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
       for what, value in (("NAME", "Bench"), ("EMAIL", "bench@example.com"))}
MAPPED = ["--value", "status:approved=accepted"]


def run(command, keep=False):
    """Runs a command: CPU seconds, wall seconds, peak memory in MB, and what it printed."""
    out = tempfile.TemporaryFile() if keep else subprocess.DEVNULL
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL,
                               env={**os.environ, **WHO})
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    if status:
        sys.exit(f"failed with {status}: {' '.join(map(str, command))}")
    text = b""
    if keep:
        out.seek(0)
        text = out.read()
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, text


def size(path):
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


class Bench:
    def __init__(self, args):
        self.args, self.lines = args, []
        self.data, self.work = pathlib.Path(args.data), pathlib.Path(args.work)
        self.manifest = json.loads((self.data / "manifest.json").read_text())
        self.out = open(args.out, "w") if args.out else None

    def gloss(self, store, *rest):
        return [self.args.gloss, "-C", str(store), *map(str, rest)]

    def note(self, step, runs, bytes_=None, check=None):
        line = {"step": step, "cpu_s": round(statistics.median(r[0] for r in runs), 4),
                "wall_s": round(statistics.median(r[1] for r in runs), 4),
                "rss_mb": round(max(r[2] for r in runs)), "bytes": bytes_, "runs": len(runs)}
        if check is not None:
            line["checked"] = check
        self.lines.append(line)
        if self.out:
            print(json.dumps(line), file=self.out, flush=True)
        print(json.dumps(line), file=sys.stderr, flush=True)

    def repeat(self, step, command, check=None):
        runs = [run(command) for _ in range(self.args.reps)]
        done = check(run(command, keep=True)[3]) if check else None
        self.note(step, runs, check=done)

    def fresh(self, name):
        store = self.work / name
        shutil.rmtree(store, ignore_errors=True)
        run([self.args.gloss, "init", str(store)])
        return store

    def durable(self, store):
        return size(store / ".gloss/objects") + size(store / ".gloss/git")

    def imports(self):
        for name in ("base.jsonl", "base.parquet"):
            runs = []
            for _ in range(min(3, self.args.reps)):
                store = self.fresh("base")
                command = self.gloss(store, "import", self.data / name, *MAPPED, "-m", "base")
                runs.append(run(command))
            self.note(f"import and first commit, {name}", runs, self.durable(store))
        caches = size(store / ".gloss/cache")
        print(f"caches of the first commit: {caches:,} bytes", file=sys.stderr)
        return store

    def commits(self, store):
        first = self.durable(store)
        runs, at = [], first
        for number in range(1, self.manifest["commits"] + 1):
            stem = self.data / "changes" / f"{number:03}"
            command = self.gloss(store, "import", f"{stem}_upsert.parquet", "--remove-keys",
                                 f"{stem}_delete.parquet", *MAPPED, "-m", f"round {number}")
            runs.append(run(command))
        end = self.durable(store)
        self.note("small commit", runs, (end - first) // len(runs))
        growth = round(end / first, 3)
        self.note("store after these commits / after the first", runs[:1], end, growth)

    def differ(self, step, store, old, expected):
        def check(text):
            found = json.loads(text)["tables"].get("annotations", {})
            if any(found.get(k, 0) != expected[k] for k in ("added", "changed", "removed")):
                sys.exit(f"{step}: {found} instead of {expected}")
            return found
        self.repeat(step, self.gloss(store, "diff", old, "HEAD", "--stat", "--json"), check)
        self.repeat(f"{step}, printed", self.gloss(store, "diff", old, "HEAD", "--json"))

    def reads(self, store):
        commits, item = self.manifest["commits"], self.manifest["tracked_item"]
        last = self.manifest["per_commit"][-1]
        self.differ("diff HEAD~1 HEAD", store, "HEAD~1", last)
        self.differ("diff of first and last", store, f"HEAD~{commits}", last["first_to_here"])
        for at in ("HEAD", f"HEAD~{commits // 2}"):
            self.repeat(f"rows of one item at {at}",
                        self.gloss(store, "ls", "--item", item, "--at", at, "--json"))
        versions = 1 + sum(c["tracked"] for c in self.manifest["per_commit"])

        def check(text):
            if len(text.splitlines()) != versions:
                sys.exit(f"history has {len(text.splitlines())} versions instead of {versions}")
            return versions
        self.repeat("history of one annotation",
                    self.gloss(store, "history", item, self.manifest["tracked_annotation"],
                               "--json"), check)
        if self.args.scan:
            self.repeat("whole table at an old version to Arrow",
                        [self.args.scan, str(store), f"HEAD~{commits // 2}"])

    def long_history(self):
        """Commits of ten changes each on a store of its own; one row changes in every tenth."""
        store, rows = self.fresh("long"), 100_000
        lines = self.work / "rows.jsonl"

        def row(number, label):
            return json.dumps({"item_id": f"item-{number // 5:07}", "annotation_id": f"a{number}",
                               "annotator_id": f"p{number % 50}", "label": label})
        lines.write_text("\n".join(row(n, "car") for n in range(rows)) + "\n")
        run(self.gloss(store, "import", lines, "-m", "base"))
        runs = []
        for commit in range(1, self.args.commits + 1):
            picked = [(commit * 7919 + i * 104729) % rows for i in range(10)]
            picked = sorted(set(picked) | ({7} if commit % 10 == 0 else set()))
            lines.write_text("\n".join(row(n, f"label-{commit}") for n in picked) + "\n")
            runs.append(run(self.gloss(store, "import", lines, "-m", f"round {commit}")))
            if commit in (100, 1_000, 10_000):
                self.note(f"commit {commit} of ten changes", runs[-20:])
        def check(text):
            return len(text.splitlines())
        tip = "HEAD" if self.args.commits <= 1_000 else f"HEAD~{self.args.commits - 1_000}"
        self.repeat("log of 1,000 commits", self.gloss(store, "log", "--json", "-n", "1000"), check)
        self.repeat("history of one annotation over 1,000 commits",
                    self.gloss(store, "history", "item-0000001", "a7", "--at", tip, "--json"),
                    check)

    def table(self):
        print("| what | CPU s | wall s | peak MB | bytes | |\n|---|---|---|---|---|---|")
        for line in self.lines:
            size_ = "" if line["bytes"] is None else f"{line['bytes']:,}"
            print(f"| {line['step']} | {line['cpu_s']} | {line['wall_s']} | {line['rss_mb']} "
                  f"| {size_} | {line.get('checked', '')} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--gloss", default="target/release/gloss")
    parser.add_argument("--scan", help="the example `scan` of crates/store, built with --release")
    parser.add_argument("--work", default=None, help="where stores are made; removed first")
    parser.add_argument("--reps", type=int, default=11)
    parser.add_argument("--commits", type=int, default=1_000, help="of the long history; 0: none")
    parser.add_argument("--store", help="measure reads on this store, and import nothing")
    parser.add_argument("--out", help="a file for the JSON lines")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        args.work = args.work or temporary
        os.makedirs(args.work, exist_ok=True)
        bench = Bench(args)
        if args.store:
            bench.reads(args.store)
        else:
            store = bench.imports()
            bench.commits(store)
            bench.reads(store)
        if args.commits:
            bench.long_history()
        bench.table()


if __name__ == "__main__":
    main()
