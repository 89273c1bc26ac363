"""Where the seconds between a job's start and its first batch went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mrmodel.driver.ledger import Record

# what has been done by then, in this order; the driver sees the first four, a task the others
MARKS = ("plan", "upload", "submit", "application")
PARTS = (*MARKS, "process", "imports", "weights", "batch")


def parts(
    started: float, marks: Mapping[str, float], records: Sequence[Record]
) -> dict[str, float]:
    """Part → seconds, one after the other, from `started` to the end of the first batch of the
    task that had one first; without the parts that this runner does not have. `marks` says when
    the driver had done what. Empty where no task had a batch."""
    had = [record for record in records if record.get("first_batch")]
    if not had:
        return {}
    first = min(had, key=lambda record: record["first_batch"])
    ends = {name: marks.get(name) for name in MARKS} | {
        "process": first["born"],
        "imports": first["begun"],
        "weights": first["begun"] + first["seconds"]["load"],
        "batch": first["first_batch"],
    }
    found, last = {}, started
    for name in PARTS:
        end = ends[name]
        if end is not None and end > last:  # the inline runner's process is older than the job
            found[name], last = round(end - last, 3), end
    return found
