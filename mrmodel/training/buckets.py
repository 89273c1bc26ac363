"""What travels between mappers and reducers of a round of training, and how it is added up.

Nothing here needs torch: a reducer would spend a second on its import, in every round.

A bucket is the name of a dtype (``<f4`` or ``<f8``, 3 bytes) and its numbers, little-endian. A
compressed one is, little-endian: its kind (3 bytes), the rows that it is weighed by (uint64), the
count of its numbers n (uint64), for int8 ceil(n / 1024) scales (float32), and the numbers.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from mrmodel.tensors.wire import GROUP_BYTES

# after all buckets, which are numbered from 0
TALLY = b"\xff" * GROUP_BYTES
# one scale for all would be that of the layer that moves most; 4 bytes in 1,024 cost nothing
CHUNK = 1024
KINDS = {"bfloat16": b"bf2", "int8": b"i1c"}
HEAD = struct.Struct("<3sQQ")
_KIND_BYTES = 3


@dataclass(frozen=True)
class Tally:
    """What was read: `rows` that were good, the sum of their `loss`, rows that were `bad`, and of
    how many `shards`; `late` are the keys of those of them that a round went on without; `bytes` is
    the size of all the buckets that were sent."""

    rows: int = 0
    loss: float = 0.0
    bad: int = 0
    shards: int = 0
    late: tuple[str, ...] = ()
    bytes: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.rows + other.rows,
            self.loss + other.loss,
            self.bad + other.bad,
            self.shards + other.shards,
            self.late + other.late,
            self.bytes + other.bytes,
        )

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Tally:
        told = json.loads(data)
        return cls(**{**told, "late": tuple(told["late"])})


def add_up(values: Iterable[bytes]) -> bytes:
    """The sum of buckets, or of tallies, in the order in which they come. Numbers are added in
    double precision."""
    kind, total, tally = "", None, Tally()
    for value in values:
        if value.startswith(b"{"):
            tally = tally + Tally.from_bytes(value)
            continue
        part = _weighed(value) if is_compressed(value) else numbers_of(value)
        kind = kind or part.dtype.str
        total = part.astype(np.float64) if total is None else np.add(total, part, out=total)
    return tally.to_bytes() if total is None else bucket_of(kind, total)


def _weighed(value: bytes) -> np.ndarray:
    """The numbers of a compressed bucket in double precision, times its rows."""
    numbers, rows = decompress(value)
    return numbers.astype(np.float64) * rows


def numbers_of(value: bytes) -> np.ndarray:
    """The numbers of a bucket, where they lie."""
    return np.frombuffer(value, value[:_KIND_BYTES].decode(), offset=_KIND_BYTES)


def bucket_of(kind: str, numbers: np.ndarray) -> bytes:
    """A bucket of `numbers`, as `kind`."""
    return b"".join((kind.encode(), numbers.astype(kind, copy=False)))


def is_compressed(value: bytes) -> bool:
    """Whether `value` is of `compress`."""
    return value[:3] in KINDS.values()


def decompress(value: bytes) -> tuple[np.ndarray, int]:
    """(the numbers (n,) in float32, the rows) that `compress` made `value` of."""
    kind, rows, count = HEAD.unpack_from(value)
    if kind == KINDS["bfloat16"]:
        halves = np.frombuffer(value, "<u2", count, HEAD.size)
        return (halves.astype("<u4") << 16).view("<f4"), rows
    scales = np.frombuffer(value, "<f4", -(-count // CHUNK), HEAD.size)
    levels = np.frombuffer(value, "i1", count, HEAD.size + scales.nbytes)
    return (chunked(levels.astype("<f4")) * scales[:, None]).reshape(-1)[:count], rows


def chunked(flat: np.ndarray) -> np.ndarray:
    """`flat` (n,) as (ceil(n / 1024), 1024), with zeros at the end."""
    rows = -(-len(flat) // CHUNK)
    padded = np.zeros(rows * CHUNK, flat.dtype)
    padded[: len(flat)] = flat
    return padded.reshape(rows, CHUNK)
