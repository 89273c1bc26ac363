"""Images: one row per file, RGB, bad files as bad rows."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from mrmodel.errors import InputError
from mrmodel.formats import get_format, images
from mrmodel.formats.base import IMAGE, InspectOptions, ReadOptions
from mrmodel.shards.shard import Piece
from tests.formats.helpers import bad, read, rows, whole, write

SCHEMA = [("path", pa.string()), ("image", IMAGE)]


def encoded(pixels: np.ndarray, kind: str = "PNG", mode: str | None = None) -> bytes:
    image = Image.fromarray(pixels)
    out = io.BytesIO()
    (image.convert(mode) if mode else image).save(out, kind)
    return out.getvalue()


def pixels_of(row: dict) -> np.ndarray:
    image = row["image"]
    flat = np.frombuffer(image["data"], np.uint8)
    return flat.reshape(image["height"], image["width"], 3)


def random_pixels(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_pixels(tmp_path):
    pixels = random_pixels(5, 7)
    uri = write(tmp_path / "ä b,{c}.png", encoded(pixels))
    blocks = read("images", whole(uri, label="cat"), [*SCHEMA, ("label", pa.string())])
    (row,) = rows(blocks)
    assert (row["path"], row["label"]) == (uri, "cat")
    np.testing.assert_array_equal(pixels_of(row), pixels)


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "L"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "1"), ("JPEG", "CMYK")]
)
def test_every_mode_becomes_rgb(tmp_path, kind, mode):
    uri = write(tmp_path / "f.png", encoded(random_pixels(4, 6), kind, mode))
    (row,) = rows(read("images", whole(uri), SCHEMA))
    assert pixels_of(row).shape == (4, 6, 3)


def test_resize_is_height_and_width(tmp_path):
    pixels = random_pixels(20, 30)
    uri = write(tmp_path / "f.png", encoded(pixels))
    (row,) = rows(read("images", whole(uri), SCHEMA, image_size=(8, 10)))
    expected = Image.fromarray(pixels).resize((10, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(pixels_of(row), np.asarray(expected))


def test_only_the_path(tmp_path):
    uri = write(tmp_path / "f.png", b"never decoded")
    assert rows(read("images", whole(uri), SCHEMA[:1])) == [{"path": uri}]


def test_name_that_is_not_utf8(tmp_path):
    folder = os.fsencode(tmp_path)
    with open(folder + b"/\xff.png", "wb") as file:
        file.write(encoded(random_pixels(2, 2)))
    uri = os.fsdecode(folder + b"/\xff.png")
    (row,) = rows(read("images", whole(uri), SCHEMA))
    assert row["path"].endswith("/\\udcff.png")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "UnidentifiedImageError"),
        (b"this is no image", "UnidentifiedImageError"),
        (encoded(random_pixels(50, 50), "JPEG")[:-2000], "OSError"),
        (encoded(random_pixels(50, 50))[:200], "OSError"),
    ],
)
def test_corrupt_image_is_a_bad_row(tmp_path, data, error):
    uri = write(tmp_path / "f.png", data)
    blocks = read("images", whole(uri), SCHEMA)
    assert rows(blocks) == []
    (row,) = bad(blocks)
    assert (row.source, row.row, row.error, row.record) == (uri, 0, error, uri)
    assert row.message and "BytesIO" not in row.message


def test_image_of_too_many_pixels_is_a_bad_row(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 99)
    uri = write(tmp_path / "f.png", encoded(random_pixels(10, 10)))
    (row,) = bad(read("images", whole(uri), SCHEMA))
    assert row.error == "ImageTooLarge"
    assert "at most 99 pixels but received 10 x 10" in row.message


def test_decompression_bomb_is_a_bad_row(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(header))
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + checksum
    data += struct.pack(">I", 10) + b"IDAT" + bytes(14)
    uri = write(tmp_path / "f.png", data)
    (row,) = bad(read("images", whole(uri), SCHEMA))
    assert row.error in ("DecompressionBombError", "ImageTooLarge")


def test_file_of_too_many_bytes_is_a_bad_row(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 10)
    uri = write(tmp_path / "f.png", encoded(random_pixels(10, 10)))
    assert bad(read("images", whole(uri), SCHEMA))[0].error == "ImageTooLarge"


def test_missing_file(tmp_path):
    piece = Piece(str(tmp_path / "gone.png"), 0, 5, 5)
    with pytest.raises(InputError, match=r"gone\.png: expected a file but there is none"):
        read("images", piece, SCHEMA)


def test_piece_of_an_image_is_refused(tmp_path):
    uri = write(tmp_path / "f.png", encoded(random_pixels(4, 4)))
    with pytest.raises(InputError, match="cannot be cut"):
        read("images", Piece(uri, 0, 3, whole(uri).size), SCHEMA)


def test_inspect():
    found = get_format("images").inspect(["a", "b"], InspectOptions())
    assert found.schema == pa.schema(SCHEMA)
    assert found.rows == [1, 1]
    with pytest.raises(InputError, match="expected a column 'label' but its columns are 'path'"):
        get_format("images").inspect(["a"], InspectOptions(columns=("label",)))


def test_many_small_files_cost_little_each(tmp_path):
    uri = write(tmp_path / "f.png", encoded(random_pixels(8, 8)))
    reader, piece, options = get_format("images"), whole(uri), ReadOptions(pa.schema(SCHEMA))
    start = time.process_time()
    for _ in range(500):
        list(reader.read(piece, options))
    assert (time.process_time() - start) / 500 < 0.005
