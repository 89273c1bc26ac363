"""One pass of training as an mrjob job: mappers sum gradients, reducers add the sums.

A round of ``mrmodel train --sync gradient`` is one such job; the driver takes the step.
"""

from __future__ import annotations

from mrmodel.jobs.mr_evaluate import MRReduced
from mrmodel.tasks.run import gradient_task
from mrmodel.training.gradients import add_up


class MRGradient(MRReduced):
    """The job: a record per shard and bucket, and one with the shard's rows and loss."""

    NEW_TASK = staticmethod(gradient_task)
    REDUCE = staticmethod(add_up)


if __name__ == "__main__":
    MRGradient.run()
