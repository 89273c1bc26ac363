"""Show what `mrmodel predict` wrote for the digits: `python examples/digits/show.py OUTPUT`.

Prints a few predictions, the accuracy on all rows and on the rows that training never saw, and
the job's own summary.
"""

import json
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds

COLUMNS = ["id", "label", "digit", "confidence"]
TABLE_ROWS = 10


def read_output(output):
    """The predictions as a table; a job that did not finish leaves no _SUCCESS."""
    if not (output / "_SUCCESS").exists():
        sys.exit(f"{output} is not the output of a finished job: there is no {output}/_SUCCESS")
    return ds.dataset(output, format="parquet").to_table().sort_by("id")


def print_table(rows):
    """One line per row."""
    print("  ".join(f"{name:>10}" for name in COLUMNS))
    for row in rows.select(COLUMNS).to_pylist():
        mark = "" if row["label"] == row["digit"] else "  wrong"
        cells = [f"{row[name]:>10}" for name in COLUMNS[:-1]]
        print("  ".join([*cells, f"{row['confidence']:>10.4f}"]) + mark)


def print_accuracy(name, rows):
    """The share of rows whose digit is the label."""
    right = pc.sum(pc.equal(rows["label"], rows["digit"])).as_py()
    print(f"{name:<14} {right} of {len(rows)} right: accuracy {right / len(rows):.4f}")


def print_summary(run):
    """Where the time went, from the output's own run.json."""
    rows, seconds = run["rows"], run["seconds"]
    print(f"{'rows':<14} {rows['in']} in, {rows['ok']} ok, {rows['bad']} bad")
    print(f"{'seconds':<14} {seconds['total']:.1f} in all, {seconds['forward']:.2f} in the model")
    print(f"{'runner':<14} {run['runner']}")


def main(output):
    rows = read_output(output)
    held_out = rows.filter(pc.equal(rows["split"], "test"))
    wrong = held_out.filter(pc.not_equal(held_out["label"], held_out["digit"]))
    print_table(rows.slice(0, TABLE_ROWS))
    print("held-out digits that it got wrong:")
    print_table(wrong)
    print()
    print_accuracy("all rows", rows)
    print_accuracy("held-out rows", held_out)
    print_summary(json.loads((output / "_mrmodel" / "run.json").read_text()))
    print(f"{'output':<14} {output.resolve()}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/digits/show.py OUTPUT")
    main(Path(sys.argv[1]))
