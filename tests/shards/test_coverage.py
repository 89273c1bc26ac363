"""The ledger's question: was every byte read exactly once?"""

from dataclasses import replace

import pytest

from mrmodel.shards.coverage import check_coverage
from mrmodel.shards.plan import Source

A = Source("a", 100)


def check(*ranges, file=A):
    return check_coverage([file], [file.piece(start, end - start) for start, end in ranges])


def test_tiles_are_well_in_any_order():
    assert check((0, 40), (40, 100)) == []
    assert check((60, 100), (0, 60)) == []
    assert check((0, 100)) == []


@pytest.mark.parametrize(
    ("ranges", "problem"),
    [
        ([], "a: not read"),
        ([(0, 40), (50, 100)], "a: bytes 40 to 50 not read"),
        ([(10, 100)], "a: bytes 0 to 10 not read"),
        ([(0, 90)], "a: bytes 90 to 100 not read"),
        ([(0, 60), (50, 100)], "a: bytes 50 to 60 read more than once"),
        ([(0, 100), (0, 100)], "a: bytes 0 to 100 read more than once"),
        ([(0, 100), (20, 30)], "a: bytes 20 to 30 read more than once"),
        ([(0, 120)], "a: read to byte 120 of 100"),
    ],
)
def test_a_gap_an_overlap_or_a_surplus_is_named(ranges, problem):
    assert check(*ranges) == [problem]


def test_an_empty_file_needs_exactly_one_piece():
    empty = Source("e", 0)
    assert check((0, 0), file=empty) == []
    assert check(file=empty) == ["e: not read"]
    assert check((0, 0), (0, 0), file=empty) == ["e: read more than once"]


def test_a_file_that_is_not_of_the_input_is_named():
    stranger = Source("b", 5)
    assert check_coverage([A], [A.piece(), stranger.piece()]) == [
        "b: read, but not part of the input"
    ]


def test_a_file_that_changed_is_named():
    (problem, *_) = check_coverage([A], [Source("a", 110).piece()])
    assert problem == "a: 100 bytes at planning but 110 when it was read"


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        ([(0, 5), (5, 9)], []),
        ([(0, 5), (6, 9)], ["a: rows 5 to 6 not read"]),
        ([(1, 5), (5, 9)], ["a: rows 0 to 1 not read"]),
        ([(0, 6), (5, 9)], ["a: rows 5 to 6 read more than once"]),
        ([(0, 5), None], ["a: read partly by row numbers, partly by row groups"]),
    ],
)
def test_rows_are_tiled_too(rows, problems):
    pieces = [replace(A.piece(n * 50, 50), rows=some) for n, some in enumerate(rows)]
    assert check_coverage([A], pieces) == problems
