#!/usr/bin/env python3
"""Checks an audit bundle of Glossator, or one proof, without Glossator.

    python3 check.py [BUNDLE] [--digest HEX] [--signers FILE]
    python3 check.py --proof proof.json

Needs git and the Python packages blake3 and pyarrow; uses ssh-keygen where it is there. Written from
the description of the format alone (schemas/format-v1.md); README.md beside this file says what each
check shows. Prints a line a check and exits with 1 where one fails.
"""

import argparse
import heapq
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

from blake3 import blake3

# A bundle holds the files that MANIFEST names and no others.
sys.dont_write_bytecode = True

from glossator_format import (
    KEY_COLUMNS, SYSTEM, Failure, cell_bytes, check, check_proof, dead_rows, leaf_of, padded_digest,
    removal, root_of, table_lines, varint,
)
from ssh_signature import check_ssh_hash

# Above so many live rows, keys that a commit added are not looked for among all rows before it.
ROWS_SCANNED_MAX = 2_000_000
META_NAMES_MAX = 10_000
# What annotators.jsonl counts live rows by.
TOLD = ("annotator_id", "origin", "policy", "status")


class History:
    """The git history of the bundle, in a repository of its own."""

    def __init__(self, bundle, work):
        self.dir = work / "git"
        nothing = work / "gitconfig"
        nothing.write_text("")
        self.environment = {
            "PATH": os.environ.get("PATH", ""), "HOME": str(work), "LC_ALL": "C", "TZ": "UTC",
            "GIT_CONFIG_GLOBAL": str(nothing), "GIT_CONFIG_NOSYSTEM": "1",
        }
        self.run("init", "--quiet", "--bare", str(self.dir), place=False)
        self.git("config", "fetch.fsckObjects", "true")
        self.git("fetch", "--quiet", str(bundle.resolve()), "+refs/*:refs/*")
        self.git("fsck", "--strict", "--no-dangling", "--no-progress")
        self.reader = None

    def run(self, *arguments, place=True):
        command = ["git", *(["-C", str(self.dir)] if place else []), *arguments]
        ran = subprocess.run(command, capture_output=True, env=self.environment)
        said = ran.stderr.decode(errors="replace").strip().replace("\n", "; ")
        return ran.returncode, ran.stdout, said

    def git(self, *arguments):
        code, out, said = self.run(*arguments)
        check(code == 0, f"git {arguments[0]}: {said}")
        return out

    def lines(self, *arguments):
        return self.git(*arguments).decode(errors="replace").split("\n")[:-1]

    def read(self, name):
        """The bytes of a git object; None where there is none."""
        if self.reader is None:
            command = ["git", "-C", str(self.dir), "cat-file", "--batch"]
            pipe = subprocess.PIPE
            self.reader = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=self.environment)
        self.reader.stdin.write(name.encode() + b"\n")
        self.reader.stdin.flush()
        head = self.reader.stdout.readline().split()
        if len(head) != 3:
            return None
        data = self.reader.stdout.read(int(head[2]))
        self.reader.stdout.read(1)
        return data

    def close(self):
        if self.reader is not None:
            self.reader.stdin.close()
            self.reader.wait()

    def notes(self, ref):
        """Lines of notes by the commit that they are on."""
        found = []
        if self.run("rev-parse", "--quiet", "--verify", ref)[0] != 0:
            return found
        for path in self.lines("ls-tree", "-r", "--name-only", ref):
            commit = path.replace("/", "")
            for line in self.read(f"{ref}:{path}").decode(errors="replace").split("\n"):
                if line.strip():
                    found.append((commit, line.removesuffix("\r")))
        return sorted(found)


class Bundle:
    """The directory, and what has been checked of it."""

    def __init__(self, directory, work, signers=None):
        self.dir, self.work = directory.resolve(), work
        self.signers = (signers or directory / "allowed_signers").resolve()
        self.segments = {}
        self.states = {}
        # What stands for objects of which rows were erased, and which rows are empty in them.
        self.replaced, self.empty = {}, {}
        self.failed = False
        # Commits whose counts by name are gone.
        self.erased = 0

    def part(self, name, run):
        """Runs one check, and says what came of it; gives what it gave, None where it failed."""
        try:
            told, value = run()
            print(f"ok      {name}: {told}")
            return value
        except Failure as failure:
            what = str(failure)
        # Whatever a forged file makes of this script is a finding, too.
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
        print(f"FAILED  {name}: {what}")
        self.failed = True
        return None

    def lines(self, name):
        """The values of a JSON Lines file, one at a time; none where there is no such file."""
        path = self.dir / name
        if not path.exists():
            return
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise Failure(f"{name}: line {number}: {error}")

    def files(self, digest):
        """Every file is there, is what MANIFEST says, and there is no other."""
        named, last = set(), ""
        text = (self.dir / "MANIFEST").read_bytes()
        check(not text or text.endswith(b"\n"), "MANIFEST: its last line is cut")
        for number, line in enumerate(text.decode().split("\n")[:-1], 1):
            words = line.split("  ", 2)
            well = len(words) == 3 and words[1] == str(int(words[1])) and words[2] > last
            check(well, f"MANIFEST: line {number} is not what was written")
            expected, length, last = words
            path = self.dir / last
            check(".." not in last and path.is_file(), f"{last}, which MANIFEST names, is missing")
            hasher = blake3()
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    hasher.update(block)
            same = path.stat().st_size == int(length) and hasher.hexdigest() == expected
            check(same, f"{last} is not what MANIFEST says")
            named.add(last)
        found = {str(p.relative_to(self.dir)) for p in self.dir.rglob("*") if not p.is_dir()}
        found -= {"MANIFEST"}
        check(found <= named, f"{min(found - named, default='')} is not in MANIFEST")
        own = blake3(text).hexdigest()
        check(digest in (None, own), f"MANIFEST has the digest {own}, not the one that was stated")
        return f"{len(named)} files, digest {own}", True

    def redactions(self, history):
        """Which object stands for which, by the records of the notes: part 15."""
        records = {}
        for _, line in history.notes("refs/notes/gloss-redactions"):
            record = json.loads(line)
            records[record["id"]] = record
        found = {}
        for record in sorted(records.values(), key=lambda record: (record["at"], record["id"])):
            for one in record["objects"]:
                found.setdefault(one["old"], []).append(one)
            if record["erased"]:
                for segment, rows in removal(self.object(record["erased"]["removed"])).items():
                    self.empty.setdefault(segment, set()).update(rows)
        for old, made in found.items():
            used = {one["from"] for one in made}
            left = [one for one in made if one["new"] not in used]
            self.replaced[old] = max(left, key=lambda one: (one["rows"], one["new"]))
        rows = sum(one["rows"] for one in self.replaced.values())
        return f"{len(records)} records, {rows} rows of objects are empty", True

    def object(self, digest):
        digest = self.replaced.get(digest, {"new": digest})["new"]
        path = self.dir / "objects" / digest[:2] / digest
        check(path.is_file(), f"object {digest} is missing")
        data = path.read_bytes()
        check(blake3(data).hexdigest() == digest, f"object {digest} has other bytes")
        return data

    def objects(self):
        count = 0
        for path in sorted((self.dir / "objects").rglob("*")):
            if path.is_file():
                self.object(path.name)
                count += 1
        return f"{count} objects have the digests that they are named by", True

    def history(self):
        history = History(self.dir / "history.bundle", self.work)
        count = len(history.lines("rev-list", "refs/audit/tip"))
        return f"{count} commits, sound for git", history

    # Segments.

    def batches(self, table, digest):
        """Rows of a segment as (key, values by column, _changed), with their types."""
        import pyarrow as pa
        import pyarrow.parquet as pq
        parquet = pq.ParquetFile(pa.BufferReader(self.object(digest)))
        facts = parquet.metadata.metadata
        check(facts[b"glossator.table"].decode() == table, f"{digest} is of another table")
        fields, last = [], 0
        for field in parquet.schema_arrow:
            if field.name not in SYSTEM:
                number = int(field.metadata[b"PARQUET:field_id"])
                check(number > last, f"{digest}: columns out of order")
                last = number
                kind = pa.int64() if pa.types.is_timestamp(field.type) else field.type
                fields.append((field.name, kind, number))
        seed = bytes.fromhex(facts.get(b"glossator.seed", b"").decode())
        return pa, seed, fields, parquet

    def rows(self, table, digest, wanted=None):
        """Each row of a segment: key, canonical cells by number, `_changed`, values by name."""
        pa, _, fields, parquet = self.batches(table, digest)
        if wanted is not None:
            names = {name for name, _, _ in fields[:KEY_COLUMNS[table]]} | set(wanted)
            fields = [field for field in fields if field[0] in names]
        read = [name for name, _, _ in fields]
        read += ["_changed"] if "_changed" in parquet.schema_arrow.names else []
        for batch in parquet.iter_batches(batch_size=4096, columns=read):
            columns = []
            for name, kind, number in fields:
                column = batch.column(batch.schema.names.index(name))
                if pa.types.is_timestamp(column.type):
                    unit = (column.type.unit, column.type.tz)
                    check(unit == ("us", "UTC"), f"{digest}: a time of another unit")
                    column = column.cast(pa.int64())
                if column.null_count < len(column):
                    columns.append((name, kind, varint(number), number, column.to_pylist()))
            changed = [None] * batch.num_rows
            if "_changed" in read:
                changed = batch.column(batch.schema.names.index("_changed")).to_pylist()
            for row in range(batch.num_rows):
                cells, values = {}, {}
                for name, kind, prefix, number, column in columns:
                    value = column[row]
                    if value is not None:
                        values[name] = value
                        if wanted is None:
                            cells[number] = prefix + cell_bytes(pa, kind, value)
                key = tuple(column[row] for *_, column in columns[:KEY_COLUMNS[table]])
                yield key, cells, changed[row], values

    def visit(self, table, line):
        """As `rows`, of a segment that is checked on the way if it was not; the digests of its
        rows are then in a file."""
        digest = line["segment"]
        if digest in self.segments:
            check(self.segments[digest] == line, f"segment {digest} is named in two ways")
            yield from (row for row in self.rows(table, digest) if any(row[0]))
            return
        check(line["schema"] == 1, f"segment {digest} has the schema {line['schema']}")
        _, seed, _, parquet = self.batches(table, digest)
        stands = self.replaced.get(digest)
        length = stands["bytes"] if stands else line["bytes"]
        check(len(self.object(digest)) == length, f"segment {digest} has another length")
        check(parquet.metadata.num_rows == line["rows"], f"segment {digest}: other rows")
        if stands is None:
            salts = blake3(b"glossator row salt v1", key=seed).digest(length=16 * line["rows"])
            proof = [(salts[at:at + 16], None) for at in range(0, len(salts), 16)]
        else:
            proof = proof_rows(self.object(stands["proof"]), line["rows"])
        empty = self.empty.get(digest, set()) if stands else set()
        gone = {number for number, (_, leaf) in enumerate(proof) if leaf is not None}
        check(gone == empty, f"segment {digest}: its proof has other empty rows than the record")
        leaves, last = [], None
        with open(self.work / f"{digest}.rows", "wb") as file:
            for number, row in enumerate(self.rows(table, digest)):
                salt, leaf = proof[number]
                if leaf is not None:
                    check(not any(row[0]), f"segment {digest}: row {number} is not empty")
                    leaves.append(leaf)
                    file.write(bytes(64))
                    continue
                order = [part.encode() for part in row[0]]
                check(last is None or last < order, f"segment {digest}: rows out of order")
                last, found = order, row_digest(row[1])
                leaves.append(leaf_of(salt, found))
                file.write(key_digest(row[0]) + found)
                yield row
        root = root_of(leaves).hex()
        check(root == line["root"], f"segment {digest} has another row root")
        self.segments[digest] = line

    def segment(self, table, line):
        """The file with the digests of a segment's rows, once the segment is checked."""
        if self.segments.get(line["segment"]) != line:
            for _ in self.visit(table, line):
                pass
        return self.work / f"{line['segment']}.rows"

    def entries(self, table, line, dead=frozenset()):
        """(key digest, row digest) of all rows of a segment but the dead and the erased."""
        number, dead = 0, dead | self.empty.get(line["segment"], set())
        with open(self.segment(table, line), "rb") as file:
            while block := file.read(64 * 4096):
                for at in range(0, len(block), 64):
                    if number not in dead:
                        yield block[at:at + 32], block[at + 32:at + 64]
                    number += 1

    def chosen(self, table, line, numbers):
        """The same of some rows."""
        with open(self.segment(table, line), "rb") as file:
            for number in sorted(numbers - self.empty.get(line["segment"], set())):
                file.seek(64 * number)
                entry = file.read(64)
                yield entry[:32], entry[32:]

    # Commits.

    def state(self, history, commit, table):
        """The segments and dead rows of a table at a commit."""
        data = history.read(f"{commit}:tables/{table}.jsonl") if commit else None
        if data is None:
            return [], {}
        key = blake3(data).digest()
        if key not in self.states:
            self.states.clear() if len(self.states) > 32 else None
            segments, removals = table_lines(data.decode())
            self.states[key] = (segments, dead_rows(segments, removals, self.object))
        return self.states[key]

    def commits(self, history, audit):
        base = audit["base"]
        tip = history.git("rev-parse", "refs/audit/tip").decode().strip()
        check(tip == audit["tip"], "refs/audit/tip is not the commit of audit.json")
        listed = history.lines("rev-list", tip, *([f"^{base}"] if base else []))
        check(len(listed) == audit["commits"], "audit.json counts other commits")
        facts = history.read(f"{tip}:gloss.toml").decode()
        check(f'store_id = "{audit["store_id"]}"' in facts, "audit.json names another store")
        rows = 0
        for commit in listed:
            try:
                rows += self.commit(history, commit)
            except Failure as failure:
                raise Failure(f"{commit}: {failure}")
        told = f"{len(listed)} commits did what they say, to {rows} rows"
        if self.erased:
            told += f"; the names of {self.erased} were erased"
        return f"{told}; {len(self.segments)} segments have their row roots", listed

    def commit(self, history, commit):
        change = json.loads(history.read(f"{commit}:change.json"))
        head = history.read(commit).split(b"\n\n", 1)
        parents = [line[7:].decode() for line in head[0].split(b"\n") if line[:7] == b"parent "]
        parent = parents[0] if parents else None
        trailers = head[1].decode(errors="replace").strip().split("\n\n")[-1].splitlines()
        found, names = 0, {"annotators": {}, "labels": {}, "policies": {}}
        rewritten = []
        for table in KEY_COLUMNS:
            before = self.state(history, parent, table)
            after = self.state(history, commit, table)
            done = change["tables"].get(table)
            done = done or {"added": [], "before": [], "removed": None, "counts": None}
            moved = self.table(table, before, after, done, names)
            found += sum((done["counts"] or {"": 0}).values())
            if moved:
                rewritten.append(table)
        counts = (change["tables"].get("annotations") or {}).get("counts") or {}
        said = "Gloss-Change: +{} ~{} -{}".format(
            *(counts.get(what, 0) for what in ("added", "changed", "removed")))
        check(said in trailers, "its trailer counts other changes")
        said = f"Gloss-Checkpoint: {', '.join(rewritten)}"
        check(not rewritten or said in trailers, "segments were written anew and it does not say so")
        meta = self.meta(change)
        if any(self.touched(done) for done in change["tables"].values()):
            self.erased += 1
        elif meta is not None:
            for group, counted in names.items():
                if len(counted) < META_NAMES_MAX:
                    check(meta[group] == counted, f"its meta object counts other {group}")
        elif change.get("meta"):
            self.erased += 1
        return found

    def meta(self, change):
        """Counts by name; None where they were erased."""
        digest = change.get("meta")
        digest = self.replaced.get(digest, {"new": digest})["new"]
        if not digest or not (self.dir / "objects" / digest[:2] / digest).exists():
            return None
        import pyarrow as pa
        stream = pa.input_stream(pa.BufferReader(self.object(digest)), compression="zstd")
        return json.loads(stream.read())

    def table(self, table, before, after, done, names):
        """Checks what a commit did to a table; tells whether segments were written anew."""
        old_lines = {line["segment"]: line for line in before[0]}
        gone = {}
        if done["removed"]:
            gone = removal(self.object(done["removed"]["removed"]))
            count = sum(map(len, gone.values()))
            check(count == done["removed"]["count"], f"{table}: a removal of another count")
        old = {}
        for segment, numbers in gone.items():
            line = old_lines.get(segment)
            check(line is not None, f"{table}: it removes rows of no segment of its parent")
            check(max(numbers) < line["rows"], f"{table}: it removes a row that is not there")
            dead = before[1][segment]
            check(dead.isdisjoint(numbers), f"{table}: it removes a row that was dead")
            old.update(self.chosen(table, line, numbers))
        added, changed, fresh = self.added(table, done["added"], old, before, names)
        removed = self.before(table, done["before"], old, fresh, names)
        counts = {"added": added, "changed": changed, "removed": removed}
        if self.touched(done):
            fewer = all(counts[what] <= done["counts"][what] for what in counts)
            check(fewer, f"{table}: it has more rows than it counts")
        else:
            check(done["counts"] in (None, counts), f"{table}: its counts are not those of its rows")
        live = sum(line["rows"] - len(after[1][line["segment"]]) for line in after[0])
        check(done.get("rows", live) == live, f"{table}: it says that other rows are live")
        return self.same_rows(table, before, after, done["added"], gone)

    def touched(self, done):
        """Whether rows of a change were erased."""
        return any(line["segment"] in self.replaced for line in [*done["added"], *done["before"]])

    def added(self, table, lines, old, before, names):
        """Counts new rows and new content, and keeps that content by the digest of its key."""
        fresh, new, added, last = {}, set(), 0, None
        rows_before = sum(line["rows"] for line in before[0])
        for line in lines:
            for key, cells, _, values in self.visit(table, line):
                order, digest = [part.encode() for part in key], key_digest(key)
                check(last is None or last < order, f"{table}: added rows out of order")
                last = order
                if digest in old:
                    fresh[digest] = (cells, values)
                    continue
                added += 1
                if 0 < rows_before <= ROWS_SCANNED_MAX:
                    new.add(digest)
                if table == "annotations":
                    count_row(names, values, "added")
        for line in before[0] if new else ():
            dead = before[1][line["segment"]]
            check(self.absent(table, line, dead, new), f"{table}: a row that it adds was there")
        return added, len(fresh), fresh

    def absent(self, table, line, dead, keys):
        """Whether none of the keys is that of a live row of a segment."""
        with open(self.segment(table, line), "rb") as file:
            while block := file.read(64 * 65536):
                if not keys.isdisjoint(block[at:at + 32] for at in range(0, len(block), 64)):
                    live = self.entries(table, line, dead=dead)
                    return all(key not in keys for key, _ in live)
        return True

    def before(self, table, lines, old, fresh, names):
        """Old values are those of the rows that were there. Gives how many rows are gone."""
        removed, seen = 0, set()
        for line in lines:
            for key, cells, columns, values in self.visit(table, line):
                digest = key_digest(key)
                check(digest in old and digest not in seen, f"{table}: an old row was not there")
                seen.add(digest)
                if columns is None:
                    check(digest not in fresh, f"{table}: a removed row is added")
                    removed += 1
                else:
                    check(digest in fresh, f"{table}: a changed row has no new content")
                    numbers = {int(number) for number in columns.split(",")}
                    whole = {n: c for n, c in fresh[digest][0].items() if n not in numbers}
                    cells = whole | {n: c for n, c in cells.items() if n in numbers}
                if table == "annotations":
                    now = values if columns is None else fresh[digest][1]
                    count_row(names, now, "removed" if columns is None else "changed")
                check(old[digest] == row_digest(cells), f"{table}: an old row was another one")
        check(len(seen) == len(old), f"{table}: it removes rows and does not keep them")
        return removed

    def same_rows(self, table, before, after, added, gone):
        """The rows after are those before without the removed ones and with the added ones."""
        expected = {line["segment"]: (line, before[1].get(line["segment"], set())
                                      | gone.get(line["segment"], set()))
                    for line in [*before[0], *added]}
        found = {line["segment"]: (line, after[1][line["segment"]]) for line in after[0]}
        for segment in expected.keys() & found.keys():
            if expected[segment] == found[segment]:
                del expected[segment], found[segment]
        rows = [sorted(entry for line, dead in side.values()
                       for entry in self.entries(table, line, dead=dead))
                for side in (expected, found)]
        check(rows[0] == rows[1], f"{table}: its rows are not those before with the change")
        return any(segment not in expected for segment in found)

    def tip(self, history, audit):
        """The rows at the tip: each key once; what they say of people and reviews."""
        people, reviews, total = Counter(), [], 0
        for table in KEY_COLUMNS:
            segments, dead = self.state(history, audit["tip"], table)
            streams = [self.live(table, line, dead[line["segment"]]) for line in segments]
            last = None
            for key, values in heapq.merge(*streams, key=lambda row: row[0]):
                check(last != key, f"{table}: the key {key} is live twice")
                last, total = key, total + 1
                if table == "annotations":
                    people[tuple(values.get(name) for name in TOLD)] += 1
                if table == "reviews":
                    reviews.append(values)
        stated = Counter()
        for line in self.lines("annotators.jsonl"):
            key = tuple(line[name] for name in ("annotator", "origin", "policy", "status"))
            stated[key] += line["rows"]
        check(stated == people, "annotators.jsonl: the rows say otherwise who decided")
        stated = list(self.lines("reviews.jsonl"))
        check(len(stated) == len(reviews), "reviews.jsonl: there are other reviews")
        for ours, theirs in zip(reviews, stated):
            ours = {name: shown(name, value) for name, value in ours.items()}
            check(ours == theirs, f"reviews.jsonl: review {ours['review_id']} is another one")
        return f"{total} live rows, each key once; {len(reviews)} reviews", True

    def live(self, table, line, dead):
        wanted = {"annotations": TOLD, "reviews": None}.get(table, ())
        self.segment(table, line)
        rows = self.rows(table, line["segment"], wanted)
        dead = dead | self.empty.get(line["segment"], set())
        for number, (key, _, _, values) in enumerate(rows):
            if number not in dead:
                yield tuple(part.encode() for part in key), values

    # What is told of the history.

    def told(self, history, listed):
        stated = {}
        for line in self.lines("commits.jsonl"):
            stated[line["commit"]] = line
        check(set(stated) == set(listed), "commits.jsonl: other commits")
        for commit, line in stated.items():
            change = json.loads(history.read(f"{commit}:change.json"))
            counts = {name: table["counts"] for name, table in change["tables"].items()}
            counts.setdefault("annotations", {"added": 0, "changed": 0, "removed": 0})
            check(line["changes"] == counts, f"commits.jsonl: {commit} made other changes")
            check(line["policies"] == change["policies"], f"commits.jsonl: {commit}: policies")
            about = history.lines("show", "-s", "--format=%P%n%an%n%ae%n%aI", commit)
            author = {"name": about[1], "email": about[2]}
            check(line["parents"] == about[0].split(), f"commits.jsonl: {commit}: its parents")
            check(line["author"] == author, f"commits.jsonl: {commit} has another author")
            message = history.read(commit).split(b"\n\n", 1)[1].decode(errors="replace")
            same = line["message"] and message.startswith(line["message"])
            check(same, f"commits.jsonl: {commit} has another message")
            time = about[3].replace("Z", "+00:00")
            check(line["time"].replace("Z", "+00:00") == time, f"commits.jsonl: {commit}: its time")
            meta = self.meta(change)
            for name in ("annotators", "labels", "sources"):
                same = line.get(name) == (meta or {}).get(name)
                check(same, f"commits.jsonl: {commit}: its {name} are others")
        tip = history.git("rev-parse", "refs/audit/tip").decode().strip()
        found = {str(path.relative_to(self.dir))
                 for path in (self.dir / "policies").rglob("*") if path.is_file()}
        names = history.lines("ls-tree", "-r", "--name-only", tip)
        named = {path for path in names if path.startswith("policies/")}
        check(found == named, "policies: there are other files than in the commit")
        for path in named:
            same = (self.dir / path).read_bytes() == history.read(f"{tip}:{path}")
            check(same, f"{path} is not that of the commit")
        notes = 0
        for name in ("runs", "quality"):
            stated = [(line["commit"], line["note"]) for line in self.lines(f"{name}.jsonl")]
            same = sorted(stated) == history.notes(f"refs/notes/gloss-{name}")
            check(same, f"{name}.jsonl: the notes of the history are others")
            notes += len(stated)
        told = f"{len(listed)} commits, {notes} notes, {len(named)} files of policies"
        return f"{told}, all as in the history", True

    def signatures(self, history, listed):
        signers = self.signers
        keygen = shutil.which("ssh-keygen")
        counts, not_checked, seen = Counter(), 0, set()
        tags = {}
        for line in history.lines("for-each-ref", "--format=%(objecttype) %(refname)", "refs/tags"):
            kind, name = line.split(" ", 1)
            if kind == "tag":
                tags[name.removeprefix("refs/tags/")] = name
        for line in self.lines("signatures.jsonl"):
            subject, result, name = line["subject"], line["result"], line.get("name")
            what = f"signatures.jsonl: {subject} {name or line['commit']}"
            counts[result] += 1
            seen.add((subject, name or line["commit"]))
            if subject == "batch":
                self.batch(history, line, what, signers if keygen else None)
                continue
            if subject == "commit":
                raw, verify = history.read(line["commit"]), ("verify-commit", line["commit"])
                signed = b"\ngpgsig " in raw.split(b"\n\n", 1)[0]
                of_ssh = b"gpgsig -----BEGIN SSH" in raw
            else:
                check(name in tags, f"{what}: there is no such tag")
                raw, verify = history.read(tags[name]), ("verify-tag", name)
                signed, of_ssh = b"\n-----BEGIN " in raw, b"\n-----BEGIN SSH" in raw
            check(signed == (result != "unsigned"), f"{what}: it is said to be {result}")
            if signed and of_ssh and keygen:
                known = signers if signers.exists() else os.devnull
                code, _, said = history.run(
                    "-c", f"gpg.ssh.allowedSignersFile={known}", *verify)
                check((code == 0) == (result == "good"), f"{what}: it is said to be {result}: {said}")
                told = result != "good" or (line["signer"] in said and line["key"] in said)
                check(told, f"{what}: it is said to be of {line['signer']}, {line['key']}")
            elif signed:
                not_checked += 1
        expected = {("commit", commit) for commit in listed} | {("tag", name) for name in tags}
        check(expected <= seen, f"signatures.jsonl: {min(expected - seen, default='')} is missing")
        told = ", ".join(f"{count} {result}" for result, count in sorted(counts.items()))
        if not_checked:
            told += f"; {not_checked} not checked here (no ssh-keygen, or of gpg)"
        return told or "nothing to check", True

    def batch(self, history, line, what, signers):
        change = json.loads(history.read(f"{line['commit']}:change.json"))
        meta = self.meta(change)
        check(meta is not None, f"{what}: its commit names no files")
        kept = [file["signature"] for file in meta["sources"]
                if file["name"] == line["name"] and "signature" in file]
        check(kept, f"{what}: its commit keeps no signature of it")
        good = []
        for signature in kept:
            try:
                hashed = bytes.fromhex(signature["hash"])
                key = check_ssh_hash(signature["armour"], "gloss-batch", hashed)
                good.append(key == line["key"])
            except (Failure, ValueError, struct.error):
                good.append(False)
        check(any(good) == (line["result"] in ("good", "unknown-key")),
              f"{what}: it is said to be {line['result']}")
        if signers is not None and signers.exists() and line["result"] == "good":
            path = self.work / "batch.sig"
            path.write_text(kept[good.index(True)]["armour"])
            when = history.lines("show", "-s", "--format=%cd", "--date=format:%Y%m%d%H%M%S",
                                 line["commit"])[0]
            find = ["ssh-keygen", "-Y", "find-principals", "-f", str(signers), "-s", str(path)]
            found = subprocess.run([*find, f"-Overify-time={when}"], capture_output=True,
                                   env=history.environment)
            known = line["signer"] in found.stdout.decode().splitlines()
            check(known, f"{what}: the key is not of {line['signer']}")

    def proofs(self, listed):
        count = 0
        for path in sorted((self.dir / "proofs").glob("*.json")):
            name = path.relative_to(self.dir)
            try:
                proof = json.loads(path.read_text(encoding="utf-8"))
                check_proof(proof)
                check(proof["commit"] in listed, "it is of no commit of this bundle")
            except (Failure, ValueError, KeyError, TypeError) as failure:
                raise Failure(f"{name}: {failure}")
            count += 1
        return f"{count} rows are proved to be in their commits", True

    def all(self, digest):
        self.part("files", lambda: self.files(digest))
        audit = self.part("audit.json", self.audit)
        self.part("objects", self.objects)
        history = self.part("history", self.history)
        if history is None or audit is None:
            return
        if self.part("redactions", lambda: self.redactions(history)) is None:
            return
        listed = self.part("commits", lambda: self.commits(history, audit))
        if listed is None:
            base = [f"^{audit['base']}"] if audit["base"] else []
            listed = history.lines("rev-list", "refs/audit/tip", *base)
        self.part("rows", lambda: self.tip(history, audit))
        self.part("records", lambda: self.told(history, listed))
        self.part("signatures", lambda: self.signatures(history, listed))
        self.part("proofs", lambda: self.proofs(set(listed)))
        history.close()

    def audit(self):
        audit = json.loads((self.dir / "audit.json").read_text(encoding="utf-8"))
        check(audit["audit"] == 1, "it is of another version")
        return f"{audit['commits']} commits of the store {audit['store_id']}", audit


def proof_rows(data, rows):
    """What proves each row of a segment with erased rows: (salt, None) or (None, leaf)."""
    check(data[:8] == b"glossrp1", "a proof object of another form")
    found, at = [], 8
    while at < len(data):
        tag, length = data[at], 16 if data[at] == 0 else 32
        check(tag in (0, 1) and at + 1 + length <= len(data), "a proof object that is cut")
        part = data[at + 1:at + 1 + length]
        found.append((part, None) if tag == 0 else (None, part))
        at += 1 + length
    check(len(found) == rows, "a proof object of another number of rows")
    return found


def key_digest(key):
    return blake3(b"".join(varint(len(part.encode())) + part.encode() for part in key)).digest()


def row_digest(cells):
    return padded_digest(b"".join(cells[number] for number in sorted(cells)))


def shown(name, value):
    """A cell of a review as JSON lines have it."""
    if name == "at":
        time = datetime(1970, 1, 1) + timedelta(microseconds=value)
        return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return json.loads(value) if name == "extra" else value


def count_row(names, values, what):
    """Counts a row by who decided, by its label and its policy: part 7."""
    for group, name in (("annotators", values["annotator_id"]), ("labels", values.get("label")),
                        ("policies", values.get("policy", "unstated"))):
        if name is not None:
            counts = names[group].setdefault(name, {"added": 0, "changed": 0, "removed": 0})
            counts[what] += 1


def main():
    parser = argparse.ArgumentParser(description="Checks an audit bundle, or one proof.")
    parser.add_argument("bundle", nargs="?", default=Path(__file__).resolve().parent, type=Path)
    parser.add_argument("--digest", help="the digest of MANIFEST that was stated elsewhere")
    parser.add_argument("--signers", type=Path, help="whose keys are known, by your own word")
    parser.add_argument("--proof", type=Path, help="check this proof alone")
    given = parser.parse_args()
    if given.proof:
        try:
            proof = json.loads(given.proof.read_text(encoding="utf-8"))
            texts = check_proof(proof)
        except (Failure, ValueError, KeyError, TypeError, OSError) as failure:
            print(f"FAILED  proof: {failure}")
            sys.exit(1)
        print(f"ok      proof: this row was in commit {proof['commit']}")
        for name, text in texts.items():
            print(f"  {name}: {json.dumps(text, ensure_ascii=False)}")
        return
    with tempfile.TemporaryDirectory() as work:
        bundle = Bundle(given.bundle, Path(work), given.signers)
        bundle.all(given.digest)
    print("the bundle FAILED" if bundle.failed else "every check passed")
    sys.exit(1 if bundle.failed else 0)


if __name__ == "__main__":
    main()
