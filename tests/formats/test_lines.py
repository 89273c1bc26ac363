"""Each line in exactly one piece, wherever the cuts are."""

from __future__ import annotations

import bz2
import gzip
import io
import random

import pyarrow as pa
import pytest
import zstandard

from mrmodel.errors import InputError
from mrmodel.formats import lines as lines_module
from mrmodel.formats.lines import Fault, read_lines, slices
from mrmodel.shards.shard import Piece
from tests.formats.helpers import pieces, whole, write

FILES = {
    "newlines": b"one\ntwo\nthree\n",
    "windows": b"one\r\ntwo\r\n\r\nthree\r\n",
    "mixed": b"a\r\nb\nc\rd\r\r\n\n",
    "no final newline": b"one\ntwo\nthree",
    "final carriage return": b"one\ntwo\r",
    "empty": b"",
    "one newline": b"\n",
    "only newlines": b"\n" * 37,
    "only windows newlines": b"\r\n" * 20,
    "empty lines": b"\n\na\n\n\nb\n\n",
    "multi-byte": "ä\n漢字\n😀😀\nñ".encode() * 5,
    "byte order mark": b"\xef\xbb\xbfone\ntwo",
    "only a byte order mark": b"\xef\xbb\xbf",
    "one line": b"x" * 100,
    "long and short": b"a\n" + b"b" * 200 + b"\nc\n" + b"d" * 50,
}


def expected(data: bytes) -> list[str]:
    text = data.removeprefix(b"\xef\xbb\xbf").decode()
    parts = text.split("\n")
    ended, last = parts[:-1], parts[-1]
    return [line.removesuffix("\r") for line in ended] + ([last] if last else [])


def random_lines(count: int) -> bytes:
    """Lines that do not compress to nothing."""
    rng = random.Random(1)
    return b"".join(b"%x\n" % rng.getrandbits(128) for _ in range(count))


def decoded(piece: Piece, chunk_bytes: int = 1 << 20) -> list[str]:
    return [line for lines in read_lines(piece, 0, chunk_bytes) for line in lines.decoded()]


@pytest.mark.parametrize("name", FILES)
def test_every_line_once_at_every_single_cut(tmp_path, name):
    uri = write(tmp_path / "f.txt", FILES[name])
    for cut in range(len(FILES[name]) + 1):
        found = [line for piece in pieces(uri, [cut]) for line in decoded(piece)]
        assert found == expected(FILES[name]), cut


@pytest.mark.parametrize("name", FILES)
def test_every_line_once_at_random_cuts_and_chunks(tmp_path, name):
    data, rng = FILES[name], random.Random(name)
    uri = write(tmp_path / "f.txt", data)
    for _ in range(60):
        cuts = [rng.randint(0, len(data)) for _ in range(rng.randint(0, 8))]
        chunk = rng.choice([1, 2, 3, 7, 64])
        found = [line for piece in pieces(uri, cuts) for line in decoded(piece, chunk)]
        assert found == expected(data), (cuts, chunk)


def test_random_files_at_random_cuts(tmp_path):
    rng = random.Random(7)
    for _ in range(150):
        data = "".join(rng.choices(["\n", "\r\n", "\r", "a", "é", "漢"], k=rng.randint(0, 60)))
        uri = write(tmp_path / "f.txt", data)
        size = len(data.encode())
        cuts = [rng.randint(0, size) for _ in range(rng.randint(0, 6))]
        found = [line for p in pieces(uri, cuts) for line in decoded(p, rng.randint(1, 20))]
        assert found == expected(data.encode()), (data, cuts)


def test_line_belongs_to_the_piece_it_begins_in(tmp_path):
    uri = write(tmp_path / "f.txt", b"aa\nbb\ncc\n")
    assert [decoded(p) for p in pieces(uri, [3, 7])] == [["aa"], ["bb", "cc"], []]


def test_bytes_are_shared_out_exactly(tmp_path):
    uri = write(tmp_path / "f.txt", b"one\ntwo two two\nthree\n")
    for cut in range(23):
        for piece in pieces(uri, [cut]):
            taken = [lines.nbytes for lines in read_lines(piece, 0, 4)]
            assert sum(taken) == (piece.length if taken else 0)


def test_line_that_is_not_utf8_is_a_fault_alone(tmp_path):
    uri = write(tmp_path / "f.txt", b"good\nb\xe4d\n\xe6\xbc\xa2\n")
    first, fault, last = next(iter(read_lines(whole(uri)))).decoded()
    assert (first, last) == ("good", "漢")
    assert fault.error == "UnicodeDecodeError"
    assert fault.record == "b\\xe4d"
    assert "byte 0xe4 at position 1" in fault.message


@pytest.mark.parametrize("chunk", [3, 10, 64, 1000])
def test_line_that_is_too_long_is_one_fault(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 100)
    uri = write(tmp_path / "f.txt", b"first\n" + b"x" * 5000 + b"\nlast\n" + b"y" * 3000)
    found = [line for lines in read_lines(whole(uri), 0, chunk) for line in lines.decoded()]
    kinds = [line.error if isinstance(line, Fault) else line for line in found]
    if chunk == 1000:  # a line that lies in one chunk anyhow costs no memory that counts
        kinds = ["LineTooLong" if len(kind) > 2000 else kind for kind in kinds]
    assert kinds == ["first", "LineTooLong", "last", "LineTooLong"]


def test_long_line_belongs_to_one_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", 100)
    uri = write(tmp_path / "f.txt", b"first\n" + b"x" * 5000 + b"\nlast\n")
    for cuts in ([3, 50], [6, 4000], [5006, 5007], [5008]):
        found = [line for p in pieces(uri, cuts) for line in decoded(p, 16)]
        assert [f.error if isinstance(f, Fault) else f for f in found] == [
            "first",
            "LineTooLong",
            "last",
        ]


COMPRESS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.compress,
    ".zstd": zstandard.compress,
}


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_file(tmp_path, suffix):
    data = random_lines(20_000)
    uri = write(tmp_path / f"f.txt{suffix}", COMPRESS[suffix](data))
    found = list(read_lines(whole(uri), 0, 64 << 10))
    assert [line for lines in found for line in lines.decoded()] == expected(data)
    assert all(lines.nbytes >= 0 for lines in found)
    assert sum(lines.nbytes for lines in found) <= whole(uri).length
    assert len(found) > 5  # streamed


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_files_one_after_the_other(tmp_path, suffix):
    compress = COMPRESS[suffix]
    uri = write(tmp_path / f"f.txt{suffix}", compress(b"a\nb") + compress(b"c\nd\n"))
    assert decoded(whole(uri)) == ["a", "bc", "d"]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_truncated_compressed_file_gives_its_rows_and_then_an_error(tmp_path, suffix):
    data = random_lines(60_000)
    compressed = COMPRESS[suffix](data)
    uri = write(tmp_path / f"f.txt{suffix}", compressed[: len(compressed) // 2])
    found = []
    with pytest.raises(InputError, match=r"f\.txt.*at byte \d+ of \d+.*truncated") as caught:
        for lines in read_lines(whole(uri)):
            found += lines.decoded()
    assert caught.value.exit_code == 2
    assert found == expected(data)[: len(found)]
    assert suffix == ".bz2" or len(found) > 10_000  # bz2 has blocks of 900 KB


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_file_that_is_none(tmp_path, suffix):
    uri = write(tmp_path / f"f.txt{suffix}", b"this is not compressed at all")
    with pytest.raises(InputError, match="cannot be read on at byte"):
        list(read_lines(whole(uri)))


def test_piece_of_a_compressed_file_is_refused(tmp_path):
    uri = write(tmp_path / "f.txt.gz", gzip.compress(b"a\n"))
    with pytest.raises(InputError, match="cannot be cut"):
        list(read_lines(pieces(uri, [3])[1]))


def test_file_that_changed_since_planning_is_refused(tmp_path):
    uri = write(tmp_path / "f.txt", b"a\nb\n")
    piece = whole(uri)
    write(tmp_path / "f.txt", b"a\nb\nc\n")
    with pytest.raises(InputError, match="expected 4 bytes, as when the job was planned.* has 6"):
        list(read_lines(piece))


class Stingy(io.BytesIO):
    """A file that gives fewer bytes than it is asked for, as those of remote storage may."""

    def read(self, size: int = -1) -> bytes:
        return super().read(min(size, 1 + self.tell() % 1000) if size > 0 else size)


class StingyStorage:
    def open(self, uri: str) -> pa.NativeFile:
        with open(uri, "rb") as file:
            return pa.PythonFile(Stingy(file.read()), "r")


@pytest.mark.parametrize("suffix", ["", *COMPRESS])
def test_storage_that_gives_fewer_bytes_than_asked_for(tmp_path, monkeypatch, suffix):
    data = random_lines(2000)
    uri = write(tmp_path / f"f.txt{suffix}", COMPRESS.get(suffix, bytes)(data))
    monkeypatch.setattr("mrmodel.formats.source.storage_for", lambda uri: StingyStorage())
    cuts = [] if suffix else [100, 10_000]
    assert [line for p in pieces(uri, cuts) for line in decoded(p)] == expected(data)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"gone\.txt: expected a file but there is none"):
        list(read_lines(Piece(str(tmp_path / "gone.txt"), 0, 1, 1)))


def test_slices_share_out_bytes():
    assert list(slices([1, 2, 3, 4, 5], 11, 2)) == [(0, [1, 2], 4), (2, [3, 4], 4), (4, [5], 3)]
    assert list(slices([], 11, 2)) == [(0, [], 11)]
