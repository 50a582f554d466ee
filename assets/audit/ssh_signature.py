"""SSH signatures checked against the hash of what they are over.

PROTOCOL.sshsig and PROTOCOL.u2f of OpenSSH, RFC 8032, RFC 8017, FIPS 186-5. ssh-keygen wants the
file itself, which a bundle does not hold.
"""

import base64
import hashlib
import struct

from glossator_format import Failure, check

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
P256 = {
    "p": 2**256 - 2**224 + 2**192 + 2**96 - 1, "a": -3,
    "n": 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
    "g": (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
          0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5),
    "hash": hashlib.sha256,
}
P384 = {
    "p": 2**384 - 2**128 - 2**96 + 2**32 - 1, "a": -3,
    "n": int("ffffffffffffffffffffffffffffffffffffffffffffffff"
             "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16),
    "g": (int("aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b98"
              "59f741e082542a385502f25dbf55296c3a545e3872760ab7", 16),
          int("3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147c"
              "e9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f", 16)),
    "hash": hashlib.sha384,
}
DIGEST_INFO = {
    b"rsa-sha2-256": (hashlib.sha256, "3031300d060960864801650304020105000420"),
    b"rsa-sha2-512": (hashlib.sha512, "3051300d060960864801650304020305000440"),
}


def edwards_add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    g, h = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def edwards_point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    check(y < P, "a point that is none")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    check((x * x - square) % P == 0, "a point that is none")
    if x % 2 != sign:
        x = P - x
    return x, y, 1, x * y % P


def edwards_times(number, point):
    total = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = edwards_add(total, point)
        point, number = edwards_add(point, point), number >> 1
    return total


def ed25519(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    base_y = 4 * pow(5, P - 2, P) % P
    base = edwards_point(base_y.to_bytes(32, "little"))
    a, r = edwards_point(public), edwards_point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    left, right = edwards_times(s, base), edwards_add(r, edwards_times(h, a))
    same = all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))
    return s < Q and same


def weierstrass_add(curve, a, b):
    if a is None or b is None:
        return a or b
    p = curve["p"]
    if a[0] == b[0]:
        if (a[1] + b[1]) % p == 0:
            return None
        slope = (3 * a[0] * a[0] + curve["a"]) * pow(2 * a[1], -1, p)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, p)
    x = (slope * slope - a[0] - b[0]) % p
    return x, (slope * (a[0] - x) - a[1]) % p


def weierstrass_times(curve, number, point):
    total = None
    while number:
        if number & 1:
            total = weierstrass_add(curve, total, point)
        point, number = weierstrass_add(curve, point, point), number >> 1
    return total


def ecdsa(curve, public, message, r, s):
    n, size = curve["n"], (curve["p"].bit_length() + 7) // 8
    if len(public) != 2 * size + 1 or public[0] != 4 or not (0 < r < n and 0 < s < n):
        return False
    point = tuple(int.from_bytes(part, "big") for part in (public[1:size + 1], public[size + 1:]))
    e, w = int.from_bytes(curve["hash"](message).digest(), "big"), pow(s, -1, n)
    found = weierstrass_add(curve, weierstrass_times(curve, e * w % n, curve["g"]),
                            weierstrass_times(curve, r * w % n, point))
    return found is not None and found[0] % n == r


def rsa(algorithm, e, n, message, signature):
    hashed, info = DIGEST_INFO[algorithm]
    size = (n.bit_length() + 7) // 8
    end = bytes.fromhex(info) + hashed(message).digest()
    expected = b"\0\1" + b"\xff" * (size - len(end) - 3) + b"\0" + end
    return pow(int.from_bytes(signature, "big"), e, n) == int.from_bytes(expected, "big")


def ssh_text(data, at):
    (length,) = struct.unpack_from(">I", data, at)
    check(at + 4 + length <= len(data), "a signature is cut")
    return data[at + 4:at + 4 + length], at + 4 + length


def check_ssh_hash(armour, namespace, hashed):
    """Checks an SSH signature against the hash of what it is over; gives the key's fingerprint."""
    lines = armour.strip().splitlines()
    data = base64.b64decode("".join(lines[1:-1]))
    check(data[:10] == b"SSHSIG\0\0\0\1", "it is no SSH signature")
    parts, at = [], 10
    for _ in range(5):
        part, at = ssh_text(data, at)
        parts.append(part)
    public, named, reserved, algorithm, signature = parts
    check(named == namespace.encode(), f"it was made for {named!r}")
    check(len(hashed) == {b"sha256": 32, b"sha512": 64}.get(algorithm), "a hash of another length")
    message = b"SSHSIG"
    for part in (named, reserved, algorithm, hashed):
        message += struct.pack(">I", len(part)) + part
    made_by, at = ssh_text(signature, 0)
    blob, at = ssh_text(signature, at)
    tail = signature[at:]
    kind, at = ssh_text(public, 0)
    fields = []
    while at < len(public):
        field, at = ssh_text(public, at)
        fields.append(field)
    if kind.startswith(b"sk-"):
        hashes = [hashlib.sha256(part).digest() for part in (fields[-1], message)]
        message = hashes[0] + tail + hashes[1]
    number = lambda data: int.from_bytes(data, "big")
    if kind in (b"ssh-ed25519", b"sk-ssh-ed25519@openssh.com"):
        good = made_by == kind and ed25519(fields[0], message, blob)
    elif b"nistp256" in kind or b"nistp384" in kind:
        r, at = ssh_text(blob, 0)
        s, _ = ssh_text(blob, at)
        curve = P256 if b"nistp256" in kind else P384
        good = made_by == kind and ecdsa(curve, fields[1], message, number(r), number(s))
    elif kind == b"ssh-rsa" and made_by in DIGEST_INFO:
        good = rsa(made_by, number(fields[0]), number(fields[1]), message, blob)
    else:
        raise Failure(f"a key of the kind {kind!r}")
    check(good, "the signature is not of this key and these bytes")
    digest = base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"
