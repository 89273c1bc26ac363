"""jobs/mr_train.py, and scripts like it, against mrmodel.train with the same options."""

import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

import mrmodel
from tests.jobs.test_mr_predict import DIGITS, run

GRADIENT = {"sync": "gradient", "rounds": 2, "optimizer": "sgd", "lr": 0.05, "batch_size": 512}
DATA = DIGITS / "data" / "digits-0.parquet"


def weights(folder, rounds=2):
    return safetensors.torch.load_file(folder / f"round-{rounds:06d}" / "weights.safetensors")


def assert_same_bits(one, two):
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_the_script_s_weights_are_those_of_train(tmp_path, runner):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in GRADIENT.items()]
    done = run("mr_train.py", "-r", runner, DATA, "--output-dir", tmp_path / "a", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "rounds         2"
    mrmodel.train(
        f"{DIGITS / 'model.py'}:DigitsCNN", DATA, tmp_path / "b", runner=runner,
        inputs=["pixels"], label="label", loss="cross_entropy", **GRADIENT,
    )  # fmt: skip
    assert_same_bits(weights(tmp_path / "a"), weights(tmp_path / "b"))


NET = """
    import torch

    def line():
        return torch.nn.Linear(3, 1).double()
"""
# options of the user's own are nobody's business but the script's
SCRIPT = """
    from mrmodel.jobs.mr_train import MRTrain

    class MRLine(MRTrain):
        MODEL = "{folder}/net.py:line"
        INPUTS = "x"
        LABEL = "y"
        LOSS = "mse"
        OPTIMIZER = "lbfgs"
        LR = 1.0
        ROUNDS = 3
        BATCH_SIZE = 16
        VALIDATION = ("{folder}/rows.parquet",)

        def configure_args(self):
            super().configure_args()
            self.add_passthru_arg("--note")
            self.add_passthru_arg("--loud", action="store_true")

        def run_job(self):
            super().run_job()
            print(self.options.note, self.options.loud)

    if __name__ == "__main__":
        MRLine.run()
"""


@pytest.fixture
def script(tmp_path):
    """run(*options) of a script of the user's own that fits a line; `table` has its rows."""
    random = np.random.default_rng(3)
    x = random.normal(size=(50, 3)).astype(np.float32)
    y = (x @ [1, -2, 3] + 0.5 + random.normal(size=50)).astype(np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 3)
    pq.write_table(pa.table({"x": vectors, "y": y}), tmp_path / "rows.parquet")
    (tmp_path / "net.py").write_text(textwrap.dedent(NET))
    path = tmp_path / "mr_line.py"
    path.write_text(textwrap.dedent(SCRIPT).format(folder=tmp_path))

    def go(*options):
        command = [sys.executable, path, tmp_path / "rows.parquet", *options]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)

    go.x, go.y = x, y
    return go


def test_a_class_says_all_of_it(script, tmp_path):
    """The weights are those of least squares, solved by numpy."""
    own = ["--note", "hello", "--loud"]
    done = script("-r", "inline", "--output-dir", tmp_path / "ck", *own)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "hello True"
    assert "validation" in done.stdout
    ones = np.ones((50, 1))
    wanted, *_ = np.linalg.lstsq(np.hstack([script.x, ones]), script.y, rcond=None)
    found = weights(tmp_path / "ck", 3)
    np.testing.assert_allclose(found["weight"][0], wanted[:3], rtol=1e-4)
    np.testing.assert_allclose(found["bias"][0], wanted[3], rtol=1e-4)


def test_resume_and_overwrite(script, tmp_path):
    out = ["--output-dir", tmp_path / "ck", "--rounds", 1]
    assert script(*out).returncode == 0
    again = script(*out)
    assert again.returncode == 2
    assert "use --resume to go on from the latest" in again.stderr
    more = script(*out, "--resume", "--rounds=2")
    assert more.returncode == 0, more.stderr
    assert "resuming after round 1" in more.stderr
    assert script(*out, "--overwrite").returncode == 0
    assert not (tmp_path / "ck" / "round-000002").exists()


def test_what_is_missing_is_said():
    done = run("mr_train.py", "-r", "inline", DATA)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: expected --model MODEL, INPUT... and --output-dir CHECK")
    done = run("mr_train.py", DATA, "--output-dir", "nowhere", "--sync", "hope")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: --sync hope: expected one of gradient, local, allreduce")
