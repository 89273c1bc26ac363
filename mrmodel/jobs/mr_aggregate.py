"""Predictions by groups as an mrjob job: mappers predict, reducers make one row of each group.

On the nodes this file is mapper and reducer. What goes between them is bytes (`tensors.wire`).
"""

from __future__ import annotations

from mrmodel.jobs.mr_evaluate import MRReduced


class MRAggregate(MRReduced):
    """The job: a record per shard and bucket of groups, a part file per bucket."""

    TASK = "mrmodel.tasks.aggregate:AggregateTask"
    REDUCE = "mrmodel.tasks.bucket_parts:aggregate"


if __name__ == "__main__":
    MRAggregate.run()
