#!/usr/bin/env python3
"""Many processes commit to one store at once; with --kill one of them is killed each second.

    scripts/race.py [--writers 16] [--commits 200] [--kill] [--seed N] [--gloss PATH]

Every commit that was acknowledged is in the history once, with its row; one that was refused is
not; `verify` finds nothing; nobody waits longer than a minute.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PATIENCE = 60


class Race:
    def __init__(self, args):
        self.args = args
        self.gloss = str(Path(args.gloss).resolve())
        self.folder = tempfile.TemporaryDirectory(prefix="gloss-race-")
        self.dir = Path(self.folder.name)
        self.running, self.lock = {}, threading.Lock()
        self.acknowledged, self.killed, self.faults, self.longest = set(), set(), [], 0.0
        self.over = threading.Event()

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
        out, err = process.communicate()
        if process.returncode != 0:
            sys.exit(f"{words}: exit {process.returncode}: {out}{err}")
        return out

    def write(self, writer):
        for round in range(self.args.commits):
            name = f"w{writer}-{round}"
            table = self.dir / f"{name}.csv"
            table.write_text(f"item,annotator,label\n{name},ann,cat\n")
            started = time.monotonic()
            process = self.command("import", table.name, "-m", name)
            with self.lock:
                self.running[writer] = process
            out, err = process.communicate()
            with self.lock:
                del self.running[writer]
                self.longest = max(self.longest, time.monotonic() - started)
                if process.returncode == 0:
                    self.acknowledged.add(name)
                elif process.returncode == -9:
                    self.killed.add(name)
                else:
                    self.faults.append(f"{name}: exit {process.returncode}: {out}{err}")

    def kill(self):
        chance = random.Random(self.args.seed)
        while not self.over.wait(1):
            with self.lock:
                if self.running:
                    self.running[chance.choice(sorted(self.running))].kill()

    def run(self):
        self.ok("init")
        writers = [threading.Thread(target=self.write, args=(w,)) for w in range(self.args.writers)]
        killer = threading.Thread(target=self.kill)
        for thread in writers + ([killer] if self.args.kill else []):
            thread.start()
        for thread in writers:
            thread.join()
        self.over.set()
        log = [json.loads(line)["message"].strip() for line in self.ok("log", "--json").splitlines()]
        items = {json.loads(line)["item_id"] for line in self.ok("ls", "--json").splitlines()}
        self.ok("verify")
        if len(log) != len(set(log)):
            self.faults.append("a commit is there twice")
        if lost := self.acknowledged - set(log):
            self.faults.append(f"acknowledged and lost: {sorted(lost)}")
        if strange := set(log) - self.acknowledged - self.killed:
            self.faults.append(f"refused and there: {sorted(strange)}")
        if items != set(log):
            self.faults.append(f"rows and history differ: {sorted(items ^ set(log))}")
        if self.longest > PATIENCE:
            self.faults.append(f"somebody waited {self.longest:.0f} s")
        print(f"{len(self.acknowledged)} acknowledged, {len(self.killed)} killed, "
              f"the longest took {self.longest:.1f} s")
        if self.faults:
            sys.exit("\n".join(self.faults))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--commits", type=int, default=200)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--gloss", default="target/release/gloss")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    Race(args).run()


if __name__ == "__main__":
    main()
