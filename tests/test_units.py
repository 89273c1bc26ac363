"""Sizes, shares and column lists as people write them."""

import pytest

from mrmodel.errors import UsageError
from mrmodel.units import format_size, parse_budget, parse_columns, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("128MB", 128 << 20), ("128m", 128 << 20), ("128MiB", 128 << 20), (" 4 GB ", 4 << 30),
        ("1.5g", 3 << 29), (".5k", 512), ("4096", 4096), (4096, 4096), ("1TB", 1 << 40), ("1B", 1),
    ],
)  # fmt: skip
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "0MB", "-1", "MB", "1X", "1 2", "1e3", "nan", "0.1B", "9" * 400, None]
)
def test_what_is_no_size(text):
    with pytest.raises(UsageError, match="--memory: expected a size such as 128MB"):
        parse_size(text, "--memory")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (1536, "1.5 KB"), (200 << 10, "200 KB"),
        (128 << 20, "128 MB"), (3 << 29, "1.5 GB"), (5 << 40, "5.0 TB"), (5000 << 40, "5000.0 TB"),
    ],
)  # fmt: skip
def test_sizes_for_people(size, text):
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("0", (0, None)), (10, (10, None)), (" 7 ", (7, None)), ("2%", (None, 0.02)),
        ("0.5%", (None, 0.005)), ("100%", (None, 1.0)), ("0%", (None, 0.0)),
    ],
)  # fmt: skip
def test_budgets(text, budget):
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text", ["", "%", "-1", "-1%", "101%", "nan%", "inf%", "1.5", "few", "1 %%"]
)
def test_what_is_no_budget(text):
    with pytest.raises(UsageError, match="--max-bad: expected a number of rows"):
        parse_budget(text)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (None, None), ("", ()), ("x", ("x",)), ("x,y", ("x", "y")), ("x, y,", ("x", "y")),
        ('id,"last, first"', ("id", "last, first")),
        ('"a ""b"""', ('a "b"',)), ("é,{y}", ("é", "{y}")),
    ],
)  # fmt: skip
def test_columns(text, columns):
    assert parse_columns(text) == columns
