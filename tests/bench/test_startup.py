"""scripts/bench startup: figures from runs."""

from _bench.startup import Start, ratio, tables

STARTS = [
    Start("bare", 2.0, 1.5, {}),
    Start("bare", 4.0, 1.5, {}),
    Start("bare", 1.0, 1.5, {}),
    Start("inline", 3.0, 1.0, {"command": 0.5, "plan": 0.25, "imports": 2.0, "end": 0.25}),
    Start("local", 2.5, 2.0, {"command": 0.5, "plan": 0.25, "process": 1.5, "end": 0.25}),
]


def test_medians_are_divided():
    assert ratio("inline", STARTS) == 1.5
    assert ratio("bare", STARTS) == 1.0


def test_tables():
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in tables(STARTS).split("\n")
    ]
    assert lines[3] == ["inline", "3.000 (3.000 to 3.000)", "1.00", "1.50", "≤ 1.3: not reached"]
    assert lines[4][-2:] == ["1.25", ""]
    head = next(line for line in lines if line[0] == "seconds")
    by_name = dict(zip(head, lines[-1], strict=True))
    assert (by_name["process"], by_name["imports"], by_name["end"]) == ("1.50", "", "0.25")
