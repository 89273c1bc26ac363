"""What a queue may have of a cluster, as YARN's schedulers tell it."""

import pytest

from mrmodel.runners.queues import most_of

CLUSTER = {"memory": 8000, "vCores": 20}


def leaf(path, sure=0.0, most=100.0, factor=1.0):
    return {
        "type": "capacitySchedulerLeafQueueInfo",
        "queueName": path.rpartition(".")[2],
        "queuePath": path,
        "absoluteCapacity": sure,
        "absoluteMaxCapacity": most,
        "userLimitFactor": factor,
    }


CAPACITY = {"scheduler": {"schedulerInfo": {
    "type": "capacityScheduler",
    "queueName": "root",
    "queuePath": "root",
    "queues": {"queue": [
        leaf("root.default", 70.0, 100.0),
        {"queueName": "team", "queuePath": "root.team", "absoluteMaxCapacity": 100.0, "queues": {
            "queue": [
                leaf("root.team.night", 20.0, 50.0, 2.0),
                leaf("root.team.wide", 10.0, 50.0, -1.0),
                leaf("root.team.empty", 0.0, 25.0),
            ],
        }},
    ]},
}}}  # fmt: skip

FAIR = {"scheduler": {"schedulerInfo": {
    "type": "fairScheduler",
    "rootQueue": {
        "queueName": "root",
        "maxResources": {"memory": 8000, "vCores": 20},
        "childQueues": {"queue": [
            {"queueName": "root.default", "maxResources": {"memory": 8000, "vCores": 20}},
            {
                "queueName": "root.team",
                "maxResources": {"memory": 4000, "vCores": 20},
                "childQueues": {"queue": [
                    {"queueName": "root.team.day", "maxResources": {"memory": 8000, "vCores": 20}},
                    {"queueName": "root.team.one", "maxResources": {"memory": 8000, "vCores": 2}},
                ]},
            },
        ]},
    },
}}}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "queue", "share"),
    [
        # one user may not have more than the queue is sure of
        (CAPACITY, "default", 0.7),
        (CAPACITY, "root.default", 0.7),
        (CAPACITY, "night", 0.4),
        (CAPACITY, "root.team.night", 0.4),
        (CAPACITY, "wide", 0.5),
        (CAPACITY, "empty", 0.25),
        (CAPACITY, "unknown", 1.0),
        (FAIR, "default", 1.0),
        (FAIR, "root.team.day", 0.5),  # the queues above have limits, too
        (FAIR, "team.one", 0.1),
        (FAIR, "unknown", 1.0),
        ({"scheduler": {"schedulerInfo": {"type": "fifoScheduler"}}}, "default", 1.0),
        ({"scheduler": None}, "default", 1.0),
        (None, "default", 1.0),
    ],
)
def test_what_one_user_may_have(told, queue, share):
    assert most_of(told, queue, CLUSTER) == pytest.approx(share)
