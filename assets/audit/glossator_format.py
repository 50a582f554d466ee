"""The parts of Glossator's format 1 that an auditor needs, and proofs: written from its description.

Sections named are those of schemas/format-v1.md. Needs the Python package blake3.
"""

import hashlib
import json
import math
import struct

from blake3 import blake3

NODE_KEY = blake3(b"glossator row tree node v1").digest()
KEY_COLUMNS = {
    "annotations": 2, "submissions": 2, "reviews": 2, "items": 1, "sources": 1, "annotators": 1,
}
SYSTEM = {"_origin", "_changed"}
ANNOTATION_COLUMNS = (
    "item_id annotation_id source submission_id region_id annotator_id origin field target kind "
    "label negative geometry unit frame seq refs text number mask score policy status gold "
    "parent_id created_at updated_at lead_time extra"
).split()


class Failure(Exception):
    """A check failed: what it says names the file, the commit or the row."""


def check(condition, what):
    if not condition:
        raise Failure(what)


# The canonical row, its leaf and the row root: format-v1.md, part 9.

def read_varint(data, at):
    value = shift = 0
    while True:
        check(at < len(data) and shift < 64, "a number is cut")
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


def padded_digest(message):
    return blake3(message + b"\0" * (-len(message) % 64)).digest()


def leaf_of(salt, canonical_digest):
    return padded_digest(b"\0" + salt + canonical_digest)


def node(left, right):
    return blake3(left + right, key=NODE_KEY).digest()


def root_of(leaves):
    """RFC 6962, section 2.1, without a call for each level."""
    stack = []
    for count, leaf in enumerate(leaves, 1):
        stack.append(leaf)
        while count % 2 == 0:
            right = stack.pop()
            stack.append(node(stack.pop(), right))
            count //= 2
    if not stack:
        return blake3(b"").digest()
    root = stack.pop()
    while stack:
        root = node(stack.pop(), root)
    return root


def root_by_path(leaf, index, size, path):
    """RFC 9162, section 2.1.3.2: the root that a path leads to."""
    last, root = size - 1, leaf
    check(0 <= index <= last, "the row is not in the segment")
    for beside in path:
        check(last > 0, "the path is too long")
        if index % 2 == 1 or index == last:
            root = node(beside, root)
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            root = node(root, beside)
        index, last = index // 2, last // 2
    check(last == 0, "the path is too short")
    return root


def cell_bytes(pa, kind, value):
    if pa.types.is_string(kind):
        data = value.encode()
        return varint(len(data)) + data
    if pa.types.is_binary(kind):
        return varint(len(value)) + value
    if pa.types.is_boolean(kind):
        return bytes([value])
    if pa.types.is_floating(kind):
        check(math.isfinite(value), "a float is not finite")
        return struct.pack("<d", 0.0 if value == 0 else value)
    if pa.types.is_integer(kind):
        return struct.pack("<q", value)
    if pa.types.is_list(kind):
        return varint(len(value)) + b"".join(cell_bytes(pa, kind.value_type, v) for v in value)
    raise Failure(f"a column of type {kind}")


def removal(data):
    """Dead row numbers by segment: part 6."""
    check(data.startswith(b"glossrm1"), "a removal begins otherwise")
    at, dead, last = 8, {}, b""
    while at < len(data):
        segment = data[at:at + 32]
        check(len(segment) == 32 and segment > last, "segments of a removal do not rise")
        last = segment
        count, at = read_varint(data, at + 32)
        check(count > 0, "a removal of no rows")
        row, rows = None, set()
        for _ in range(count):
            step, at = read_varint(data, at)
            check(row is None or step > 0, "a row is removed twice")
            row = step if row is None else row + step
            rows.add(row)
        dead[segment.hex()] = rows
    return dead


def table_lines(text):
    """Segments and removals of a table's file: part 5."""
    lines = [json.loads(line) for line in text.splitlines() if line]
    segments = [line for line in lines if "segment" in line]
    removals = [line for line in lines if "removed" in line]
    check(len(segments) + len(removals) == len(lines), "a line is neither segment nor removal")
    return segments, removals


def dead_rows(segments, removals, read):
    """The dead rows of a table's segments, by segment."""
    dead = {line["segment"]: set() for line in segments}
    rows = {line["segment"]: line["rows"] for line in segments}
    check(len(dead) == len(segments), "a segment is listed twice")
    for line in removals:
        named = removal(read(line["removed"]))
        check(sum(map(len, named.values())) == line["count"], "a removal of another count")
        for segment, numbers in named.items():
            check(segment in dead, "a removal in no segment")
            check(max(numbers) < rows[segment], "a removal of a row that is not there")
            check(dead[segment].isdisjoint(numbers), "a row is removed twice")
            dead[segment] |= numbers
    return dead


# One proof: part 14.

def git_id(kind, data):
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data).hexdigest()


def tree_entry(tree, name):
    """The mode and the id of an entry of a git tree."""
    at = 0
    while at < len(tree):
        space, end = tree.index(b" ", at), tree.index(b"\0", at)
        if tree[space + 1:end] == name.encode():
            return tree[at:space].decode(), tree[end + 1:end + 21].hex()
        at = end + 21
    raise Failure(f"the git tree has no `{name}`")


def shown_row(canonical):
    """What can be read of an annotation's canonical row without its types: its texts."""
    texts, at = {}, 0
    fixed = {12: 1, 15: 8, 16: 8, 19: 8, 21: 8, 24: 1, 26: 8, 27: 8, 28: 8}
    while at < len(canonical):
        number, at = read_varint(canonical, at)
        if number in fixed:
            at += fixed[number]
        elif number in (13, 17):
            count, at = read_varint(canonical, at)
            for _ in range(count):
                if number == 13:
                    at += 8
                else:
                    length, at = read_varint(canonical, at)
                    at += length
        else:
            length, at = read_varint(canonical, at)
            if number != 20 and number <= len(ANNOTATION_COLUMNS):
                name = ANNOTATION_COLUMNS[number - 1]
                texts[name] = canonical[at:at + length].decode(errors="replace")
            at += length
    return texts


def check_proof(proof):
    """Checks that a row was live in a commit; gives the row's texts."""
    check(proof["proof"] == 1, "a proof of another version")
    row, segment = proof["row"], proof["segment"]
    canonical = bytes.fromhex(row["canonical"])
    key = b""
    for number, part in enumerate(proof["key"], 1):
        key += varint(number) + varint(len(part.encode())) + part.encode()
    check(len(proof["key"]) == KEY_COLUMNS[proof["table"]], "a key of another length")
    check(canonical.startswith(key), "the row has another key")
    leaf = leaf_of(bytes.fromhex(row["salt"]), padded_digest(canonical))
    path = [bytes.fromhex(beside) for beside in row["path"]]
    root = root_by_path(leaf, row["number"], segment["rows"], path)
    check(root.hex() == segment["root"], "the path leads to another root")
    segments, removals = table_lines(proof["table_file"])
    check(segment in segments, "the table's file does not name the segment so")
    check(len(proof["removals"]) == len(removals), "removals are missing")
    objects = {}
    for data in map(bytes.fromhex, proof["removals"]):
        objects[blake3(data).hexdigest()] = data
    check(all(line["removed"] in objects for line in removals), "a removal has another digest")
    dead = dead_rows(segments, removals, objects.__getitem__)
    check(row["number"] not in dead[segment["segment"]], "the row was removed")
    blob = git_id("blob", proof["table_file"].encode())
    tables, tree = bytes.fromhex(proof["tables_tree"]), bytes.fromhex(proof["tree"])
    named = tree_entry(tables, f"{proof['table']}.jsonl")
    check(named == ("100644", blob), "the git tree `tables` names another file")
    named = tree_entry(tree, "tables")
    check(named == ("40000", git_id("tree", tables)), "the git tree names other tables")
    commit = bytes.fromhex(proof["commit_object"])
    begin = f"tree {git_id('tree', tree)}\n".encode()
    check(commit.startswith(begin), "the commit names another tree")
    check(git_id("commit", commit) == proof["commit"], "the commit has another id")
    return shown_row(canonical) if proof["table"] == "annotations" else {}
