"""Local training whose deltas are sent as fewer bytes."""

import math
import shutil

import pytest
import torch

from mrmodel.errors import JobError, UsageError
from mrmodel.training.compression import DTYPES
from tests.driver.helpers import Listener

from .test_train import go, lake, table, weights  # noqa: F401 fixtures
from .test_train_local import LOCAL, by_hand

PARAMETERS = 4 * 8 + 8 + 8 * 3 + 3
HEAD = 3 + 8 + 8


@pytest.mark.parametrize("runner", ["inline", "local"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_to_the_same_in_one_process(lake, runner, dtype):  # noqa: F811
    """With uneven shards and one without rows; what was lost comes in the next round."""
    go(lake, runner=runner, workers=2, delta_dtype=dtype, **LOCAL)
    expected, found = by_hand(lake / "ck", 3, 5, dtype=dtype), weights(lake, 3)
    without = by_hand(lake / "ck", 3, 5)
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-10)
    assert (found["first.weight"] - without["first.weight"]).abs().max() > 1e-5


@pytest.mark.parametrize(
    ("dtype", "nbytes"), [("bfloat16", 2 * PARAMETERS), ("int8", 4 + PARAMETERS)]
)
def test_bytes_are_those_that_were_sent(lake, dtype, nbytes):  # noqa: F811
    run = go(lake, delta_dtype=dtype, rounds=1, **LOCAL)
    assert run.history[0]["bytes"] == 4 * (HEAD + nbytes)


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_learns_as_well(lake, dtype):  # noqa: F811
    options = {**LOCAL, "inner_steps": 20, "rounds": 6, "validation": (str(lake / "in"),)}
    whole = go(lake, output="whole", **options).validation_loss
    found = go(lake, delta_dtype=dtype, **options).validation_loss
    assert math.isclose(found, whole, rel_tol=0.03)


@pytest.mark.parametrize("dtype", DTYPES)
def test_resumed_training_comes_to_the_same_bits(lake, dtype):  # noqa: F811
    options = {**LOCAL, "rounds": 4, "delta_dtype": dtype}
    go(lake, **options)
    whole = weights(lake, 4)
    shutil.rmtree(lake / "ck" / "round-000004")
    listener = Listener()
    go(lake, listener, resume=True, **options)
    assert listener.said[0] == "resuming after round 3"
    assert all(torch.equal(whole[name], value) for name, value in weights(lake, 4).items())
    with pytest.raises(UsageError, match="--resume: --delta-dtype differ from what"):
        go(lake, resume=True, rounds=5, **LOCAL)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_delta_that_is_not_finite_ends_the_job(lake, dtype):  # noqa: F811
    options = {**LOCAL, "optimizer": "sgd", "lr": 1e300, "inner_steps": 1, "delta_dtype": dtype}
    with pytest.raises(JobError, match="the gradient of round 1 is not finite; no round was comp"):
        go(lake, **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"sync": "gradient"}, "--delta-dtype: expected --sync local but received --sync gradient"),
        ({"sync": "allreduce"}, "which has no deltas: leave --delta-dtype out"),
        ({"delta_dtype": "int4"}, "--delta-dtype: expected bfloat16 or int8 but received int4"),
    ],
)
def test_wrong_usage(lake, options, text):  # noqa: F811
    with pytest.raises(UsageError, match=text):
        go(lake, **{**LOCAL, "delta_dtype": "int8", **options})
