"""Messages of somebody who may connect and speaks nonsense: octets, records, greetings."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from flightsw.codec.wire import HEADER, Kind, pack

KINDS = tuple(int(kind) for kind in Kind)
HELLO = pack(Kind.HELLO, payload=json.dumps({"protocol": 1, "name": "x", "pid": 1}).encode())
#: what a greeting may hold besides a greeting
BAD_HELLOS = (
    b"",
    b"[]",
    b"{}",
    b"nan",
    b"\xff",
    b"[" * 100_000,
    b'{"protocol": 2}',
    b'{"protocol": 1, "local": 7}',
    b'{"protocol": 1, "local": {"i2c-1": []}}',
    b'{"protocol": 1, "local": [["i2c-1"], {}, null, 1e400]}',
    b'{"protocol": 1, "local": ["nothing"]}',
    b'{"protocol": NaN, "pid": null}',
    b'{"protocol": "1"}',
    b'{"protocol": 1, "pid": ' + b"9" * 5000 + b"}",
)
#: greetings that are one, whatever they say of the process
ODD_HELLOS = (
    b'{"protocol": 1}',
    b'{"protocol": 1, "pid": "x"}',
    b'{"protocol": 1, "pid": 1e400}',
    b'{"protocol": 1, "local": {"i2c-1": "/dev/i2c-1", "can0": "can0"}}',
)


def record(chance: random.Random, now_ns: int) -> bytes:
    """Return a record that may be nearly right in any of its fields."""
    body = chance.randbytes(chance.choice((0, 1, 2, 4, 5, 8, 16, chance.randrange(200))))
    times = (now_ns, now_ns + chance.randrange(10**6), 0, 1 << 63, chance.getrandbits(64))
    return (
        HEADER.pack(
            chance.choice(KINDS) if chance.random() < 0.9 else chance.randrange(256),
            chance.choice((0, 1, 2, 3, 4, 5, chance.getrandbits(8))),
            chance.choice((0, 0, 0, 1, 2, 4, chance.getrandbits(8))),
            chance.choice((0, 0, chance.getrandbits(8))),
            len(body) if chance.random() < 0.9 else chance.getrandbits(32),
            chance.choice(times),
            chance.choice((0, chance.getrandbits(64))),
            chance.getrandbits(32),
            chance.choice((0, 1, 0x50, chance.getrandbits(32))),
        )
        + body
    )


def message(chance: random.Random, now_ns: int) -> bytes:
    """Return a message: random octets, or some records."""
    if chance.random() < 0.15:
        return chance.randbytes(chance.choice((0, 1, 31, 32, 33, chance.randrange(5000))))
    return b"".join(record(chance, now_ns) for _ in range(chance.choice((1, 1, 1, 2, 5))))


def conversation(seed: int, count: int = 50) -> Iterator[bytes]:
    """Yield what one such peer says: nonsense at once, or after a good greeting and some waits."""
    chance = random.Random(seed)
    if seed % 8 == 0:
        yield message(chance, 0)
    elif seed % 8 == 1:
        yield pack(Kind.HELLO, payload=chance.choice(BAD_HELLOS))
    else:
        yield HELLO if seed % 8 > 3 else pack(Kind.HELLO, payload=chance.choice(ODD_HELLOS))
    now_ns = 0
    for _ in range(count):
        now_ns += chance.randrange(1, 10**6)
        yield pack(Kind.NEXT, t_ns=now_ns) if chance.random() < 0.6 else message(chance, now_ns)
