#!/usr/bin/env python3
"""Reads a store by `schemas/format-v1.md` alone: an oracle that shares no code with Glossator.

    python read_store.py DIR [REV]

Prints every live row of every table at a commit as JSON Lines (`{"table": …, column: value, …}`,
nulls left out, in key order), after it has checked what it read: digests of objects, sorts, row
counts and row roots. Fails on the first thing that the format does not allow. Bytes are printed as
hexadecimal digits, times as microseconds since 1970.

Needs git, pyarrow and blake3 (`requirements.txt`).
"""

import json
import math
import struct
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3

NODE_KEY = blake3(b"glossator row tree node v1").digest()
KEY_COLUMNS = {
    "annotations": 2, "submissions": 2, "reviews": 2, "items": 1, "sources": 1, "annotators": 1,
}
SYSTEM = {"_origin", "_changed"}


def check(condition, what):
    if not condition:
        sys.exit(f"the format does not allow it: {what}")


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def padded(message):
    return message + b"\0" * (-len(message) % 64)


class Store:
    """Part 1: the directory."""

    def __init__(self, directory):
        self.root = Path(directory) / ".gloss"

    def git(self, *arguments):
        command = ["git", "-C", str(self.root / "git"), *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def paths(self, commit):
        return set(self.git("ls-tree", "-r", "--name-only", commit).decode().splitlines())

    def object(self, digest):
        data = (self.root / "objects" / digest[:2] / digest).read_bytes()
        check(blake3(data).hexdigest() == digest, f"object {digest} has another digest")
        return data


def removal(data):
    """Part 6: dead row numbers by segment."""
    check(data.startswith(b"glossrm1"), "a removal begins otherwise")
    at, dead, last = 8, {}, b""
    while at < len(data):
        segment = data[at:at + 32]
        check(segment > last, "segments of a removal do not rise")
        last = segment
        count, at = read_varint(data, at + 32)
        check(count > 0, "a removal of no rows")
        row, rows = None, []
        for _ in range(count):
            step, at = read_varint(data, at)
            check(row is None or step > 0, "a row is removed twice")
            row = step if row is None else row + step
            rows.append(row)
        dead[segment.hex()] = rows
    return dead


def cell_bytes(kind, value):
    """Part 9: the canonical bytes of a value."""
    if pa.types.is_string(kind):
        data = value.encode()
        return varint(len(data)) + data
    if pa.types.is_binary(kind):
        return varint(len(value)) + value
    if pa.types.is_boolean(kind):
        return bytes([value])
    if pa.types.is_floating(kind):
        check(math.isfinite(value), "a float that is not finite")
        return struct.pack("<d", 0.0 if value == 0 else value)
    if pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
        return struct.pack("<q", value)
    if pa.types.is_list(kind):
        parts = [cell_bytes(kind.value_type, one) for one in value]
        return varint(len(parts)) + b"".join(parts)
    sys.exit(f"a column of type {kind}")


def root_of(leaves):
    """Part 9: RFC 6962, section 2.1."""
    if not leaves:
        return blake3(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    left = 1
    while left * 2 < len(leaves):
        left *= 2
    pair = root_of(leaves[:left]) + root_of(leaves[left:])
    return blake3(pair, key=NODE_KEY).digest()


def segment_rows(store, table, line):
    """Part 4: the rows of a segment as dicts, in order, after its row root was recomputed."""
    check(line["schema"] == 1, f"schema {line['schema']}")
    data = store.object(line["segment"])
    check(len(data) == line["bytes"], "a segment of another length")
    parquet = pq.ParquetFile(pa.BufferReader(data))
    facts = parquet.metadata.metadata
    check(facts[b"glossator.table"].decode() == table, "a segment of another table")
    rows = parquet.read()
    check(rows.num_rows == line["rows"], "a segment of another number of rows")
    numbers, columns = [], []
    for field in parquet.schema_arrow:
        if field.name in SYSTEM:
            continue
        number = int(field.metadata[b"PARQUET:field_id"])
        check(not numbers or number > numbers[-1], "columns out of order")
        numbers.append(number)
        column = rows.column(field.name)
        if pa.types.is_timestamp(field.type):
            check(field.type.unit == "us" and field.type.tz == "UTC", "a time of another unit")
            column = column.cast(pa.int64())
        columns.append((field.name, field.type, number, column.to_pylist()))
    seed = bytes.fromhex(facts[b"glossator.seed"].decode())
    salts = blake3(b"glossator row salt v1", key=seed).digest(length=16 * rows.num_rows)
    found, leaves, last = [], [], None
    for row in range(rows.num_rows):
        canonical, values = b"", {}
        for name, kind, number, cells in columns:
            if cells[row] is not None:
                canonical += varint(number) + cell_bytes(kind, cells[row])
                values[name] = cells[row]
        digest = blake3(padded(canonical)).digest()
        leaves.append(blake3(padded(b"\0" + salts[16 * row:16 * row + 16] + digest)).digest())
        key = [values[name].encode() for name, *_ in columns[:KEY_COLUMNS[table]]]
        check(last is None or last < key, "rows out of order")
        last = key
        found.append((key, values))
    check(root_of(leaves).hex() == line["root"], f"another row root in {line['segment']}")
    return found


def snapshot(store, commit, table):
    """Part 5: the live rows of a table, by key."""
    lines = store.git("show", f"{commit}:tables/{table}.jsonl").decode().splitlines()
    segments, dead = [], {}
    for line in map(json.loads, lines):
        if "segment" in line:
            check(not dead, "a segment after a removal")
            segments.append(line)
        else:
            named = removal(store.object(line["removed"]))
            check(sum(map(len, named.values())) == line["count"], "a removal of another count")
            for segment, rows in named.items():
                known = dead.setdefault(segment, set())
                check(known.isdisjoint(rows), "a row is removed twice")
                known.update(rows)
    check(set(dead) <= {line["segment"] for line in segments}, "a removal in no segment")
    live = {}
    for line in segments:
        gone = dead.get(line["segment"], set())
        for number, (key, values) in enumerate(segment_rows(store, table, line)):
            if number not in gone:
                check(tuple(key) not in live, f"the key {key} is live twice")
                live[tuple(key)] = values
    return [live[key] for key in sorted(live)]


def main():
    store = Store(sys.argv[1])
    commit = store.git("rev-parse", (sys.argv[2:] or ["HEAD"])[0]).decode().strip()
    paths = store.paths(commit)
    change = json.loads(store.git("show", f"{commit}:change.json"))
    for table in sorted(KEY_COLUMNS):
        if f"tables/{table}.jsonl" not in paths:
            continue
        rows = snapshot(store, commit, table)
        if table in change["tables"]:
            check(change["tables"][table]["rows"] == len(rows), f"{table}: another count of rows")
        for row in rows:
            shown = {name: v.hex() if isinstance(v, bytes) else v for name, v in row.items()}
            print(json.dumps({"table": table, **shown}, ensure_ascii=False))


if __name__ == "__main__":
    main()
