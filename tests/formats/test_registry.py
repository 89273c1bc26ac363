"""Names and extensions of formats."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mrmodel.errors import UsageError
from mrmodel.formats import FORMATS, compression_of, detect, get_format, is_splittable


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/d/a.parquet", "parquet"),
        ("hdfs://n/d/part-0.snappy.PARQUET", "parquet"),
        ("a.pq", "parquet"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson.gz", "jsonl"),
        ("a.json", "jsonl"),
        ("a.csv", "csv"),
        ("a.tsv.zst", "csv"),
        ("a b,{c}.CSV.BZ2", "csv"),
        ("notes.txt", "text"),
        ("README.md", "text"),
        ("x.text.zstd", "text"),
        ("cat.JPG", "images"),
        ("cat.jpeg", "images"),
        ("cat.png", "images"),
        ("cat.png.gz", None),
        ("a.parquet.gz", None),
        ("part-00000", None),
        ("a.gz", None),
        ("a.csv.lz4", None),
        ("/data.csv/part-0", None),
    ],
)
def test_detect(uri, expected):
    assert detect(uri) == expected


def test_compression_of():
    names = ["a.gz", "a.csv.bz2", "a.zst", "a.ZSTD", "a.csv", "gz"]
    assert [compression_of(n) for n in names] == ["gzip", "bz2", "zstd", "zstd", None, None]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_had(name):
    found = get_format(name)
    assert found.name == name
    assert is_splittable(name, "f") == (name != "images")
    assert not is_splittable(name, "f.gz")


def test_unknown_format():
    with pytest.raises(UsageError, match="expected auto or one of csv, images.*'avro'"):
        get_format("avro")


def test_names_cost_no_heavy_import():
    code = (
        "import sys, mrmodel.formats as f; f.detect('a.csv'); "
        "sys.exit(any(m in sys.modules for m in ('pyarrow', 'torch', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
