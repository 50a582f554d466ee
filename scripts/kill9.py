#!/usr/bin/env python3
"""Kills the real binary with SIGKILL at random moments, and checks the store after each kill.

    scripts/kill9.py [--kills 1000] [--seed N] [--gloss PATH]

A run is repeated with its seed, up to the timing of the machine. After each kill: `verify` finds
nothing; history and rows are those from before or those that the command was to make, and the
latter where it had said so; one further commit works.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KILLS_A_STORE = 40


class Store:
    def __init__(self, gloss):
        self.folder = tempfile.TemporaryDirectory(prefix="gloss-kill9-")
        self.dir = Path(self.folder.name)
        self.gloss = gloss
        self.number = 0
        # What is certain, and what may be there besides: a kill leaves either.
        self.staged, self.maybe_staged = set(), set()
        self.ok("init")

    def command(self, *words):
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.dir),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
        }
        return subprocess.Popen(
            [self.gloss, *words], cwd=self.dir, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def ok(self, *words):
        process = self.command(*words)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, f"{words}: exit {process.returncode}: {out}{err}"
        return out

    def json(self, *words):
        return [json.loads(line) for line in self.ok(*words, "--json").splitlines()]

    def name(self):
        self.number += 1
        return f"n{self.number}"

    def table(self):
        """A file of one new item, which has the file's name."""
        name = self.name()
        (self.dir / f"{name}.csv").write_text(f"item,annotator,label\n{name},ann,cat\n")
        return name

    def seen(self):
        log = [entry["message"].strip() for entry in self.json("log")]
        items = {row["item_id"] for row in self.json("ls")}
        refs = {ref[what] for what in ("branch", "tag") for ref in self.json(what)}
        return log, items, refs


def operations(store, chance):
    """A command, and what it changes: (messages, items, refs added, refs removed)."""
    name = store.table()
    _, _, refs = store.before
    spare = sorted(refs - {"main"})
    kinds = {
        "direct": (["import", f"{name}.csv", "-m", name], [name], {name}, set(), set()),
        "stage": (["import", f"{name}.csv"], [], set(), set(), set()),
        "commit": (["commit", "-m", name], [name], None, set(), set()),
        "restore": (["restore", "--staged"], [], set(), set(), set()),
        "branch": (["branch", name], [], set(), {name}, set()),
        "tag": (["tag", name], [], set(), {name}, set()),
        "gc": (["gc"], [], set(), set(), set()),
    }
    if spare:
        gone = chance.choice(spare)
        what = "tag" if gone in store.tags else "branch"
        kinds["delete"] = ([what, "-d", gone], [], set(), set(), {gone})
    kind = chance.choice(sorted(kinds))
    if kind == "tag":
        store.tags.add(name)
    return kind, name, *kinds[kind]


def one(store, chance, typical):
    store.before = store.seen()
    log, items, refs = store.before
    kind, name, words, messages, added, made, gone = operations(store, chance)
    started = time.monotonic()
    process = store.command(*words)
    try:
        out, err = process.communicate(timeout=chance.uniform(0, 1.1 * typical.get(kind, 0.2)))
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    code = process.returncode
    assert code in (0, -9), f"{words}: exit {code}: {out}{err}"
    done = code == 0
    if done:
        taken = time.monotonic() - started
        typical[kind] = 0.7 * typical.get(kind, taken) + 0.3 * taken

    store.ok("verify")
    now_log, now_items, now_refs = store.seen()
    grown = now_items - items
    assert items <= now_items, f"{words}: rows are gone: {items - now_items}"
    if kind == "commit":
        committed = now_log == messages + log
        assert committed or now_log == log, f"{words}: {log} became {now_log}"
        sure, maybe = store.staged, store.staged | store.maybe_staged
        assert not committed or sure <= grown <= maybe, f"{words}: {grown}, staged: {sure} {maybe}"
        assert committed or not grown, f"{words}: {grown} without a commit"
        assert not done or committed or not sure, f"{words}: {sure} was not committed"
        if done:
            store.staged, store.maybe_staged = set(), set()
        elif committed:
            store.staged, store.maybe_staged = set(), maybe - grown
    else:
        new = (messages + log, added, (refs | made) - gone)
        allowed = [new] if done else [(log, set(), refs), new]
        assert (now_log, grown, now_refs) in allowed, f"{words}: {now_log} {grown} {now_refs}"
    if kind == "stage":
        (store.staged if done else store.maybe_staged).add(name)
    if kind == "restore":
        store.maybe_staged = set() if done else store.staged | store.maybe_staged
        store.staged = set()

    further = store.table()
    store.ok("import", f"{further}.csv", "-m", further)
    return "done" if done else "killed"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--gloss", default="target/release/gloss")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    chance = random.Random(args.seed)
    gloss = str(Path(args.gloss).resolve())
    store, typical, counts = None, {}, {"done": 0, "killed": 0}
    while counts["killed"] < args.kills:
        case = sum(counts.values())
        if case % KILLS_A_STORE == 0:
            store = Store(gloss)
            store.tags = set()
            first = store.table()
            store.ok("import", f"{first}.csv", "-m", first)
        try:
            counts[one(store, chance, typical)] += 1
        except AssertionError as error:
            store.folder._finalizer.detach()
            sys.exit(f"case {case}, seed {args.seed}, store {store.dir}: {error}")
    print(f"{counts['killed']} killed, {counts['done']} done before the kill: no damage")


if __name__ == "__main__":
    main()
