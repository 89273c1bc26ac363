"""Training as one mrjob job: map tasks that train together, and write the checkpoints themselves.

All rounds of ``mrmodel train --sync allreduce`` are one such job.
"""

from __future__ import annotations

from mrmodel.jobs.mr_predict import MRPredict


class MRGang(MRPredict):
    """The job: a map task per worker, and nothing to reduce."""

    TASK = "mrmodel.tasks.gang:gang_task"


if __name__ == "__main__":
    MRGang.run()
