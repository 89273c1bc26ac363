"""scripts/bench fixed: figures from runs."""

from _bench.fixed import Job, ratio, tables

JOBS = [
    Job("round", True, 8.0, {}),
    Job("round", False, 11.0, {"start": 7.0, "map": 1.0}),
    Job("round", False, 13.0, {"start": 9.0, "map": 1.5}),
    Job("round", False, 12.0, {"start": 8.0, "map": 3.0}),
    Job("round", True, 9.0, {}),
    Job("round", True, 7.0, {}),
    Job("predict", True, 5.0, {}),
    Job("predict", False, 10.0, {"start": 4.0, "map": 3.0, "end": 3.0}),
]


def test_medians_are_divided():
    assert ratio("round", JOBS) == 12.0 / 8.0
    assert ratio("predict", JOBS) == 2.0


def test_tables():
    told = tables(JOBS)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in told.splitlines()]
    assert lines[2] == ["predict", *["10.000 (10.000 to 10.000)", "5.000 (5.000 to 5.000)"],
                        "2.00", "≤ 1.3: not reached"]  # fmt: skip
    assert lines[3] == ["round", *["12.000 (11.000 to 13.000)", "8.000 (7.000 to 9.000)"],
                        "1.50", "≤ 1.5: reached"]  # fmt: skip
    assert ["round, seconds", "start", "map"] in lines
    assert ["median", "8.00", "1.50"] in lines


def test_a_kind_that_was_not_measured_is_left_out():
    told = tables([job for job in JOBS if job.kind == "round"])
    assert "predict" not in told
