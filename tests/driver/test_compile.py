"""--compile: before the job, once; the job comes to the same."""

import json

import pytest

from mrmodel.driver import compiling
from mrmodel.errors import ModelError, UsageError
from tests.driver import helpers

NET = """
    class Model(mrmodel.Predictor):
        inputs = ["x"]

        def load(self, weights, device):
            torch.manual_seed(0)
            self.net = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh())
            self.net[1].register_forward_pre_hook(self.note)

        # where the module runs, and not its machine code
        def note(self, module, args):
            with (pathlib.Path(__file__).parent / "seen").open("a") as file:
                file.write(f"{os.getpid()}\\n")

        def predict(self, batch):
            x = torch.from_numpy(batch["x"]).float().unsqueeze(1)
            return {"y": self.net(x)}
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MRMODEL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "compiled"


def run(tmp_path, name, code=NET, rows=300, **options):
    data = helpers.parquet(tmp_path / "in.parquet", range(rows))
    watcher = helpers.Listener()
    ref = helpers.model(tmp_path, code)
    helpers.run(ref, data, tmp_path / name, watcher, batch_size="32", **options)
    return helpers.rows(tmp_path / name), watcher.said


def close(rows, others):
    pairs = zip(rows, others, strict=True)
    return all(a["id"] == b["id"] and a["y"] == pytest.approx(b["y"], abs=1e-6) for a, b in pairs)


def test_outputs_are_the_same_and_it_is_compiled_once(tmp_path, cache, monkeypatch):
    plain, _ = run(tmp_path, "plain")
    inline, said = run(tmp_path, "inline", compile=True)
    assert close(inline, plain)
    run_json = json.loads((tmp_path / "inline" / "_mrmodel" / "run.json").read_text())
    assert run_json["model"]["calls"] == {"compiled": 10, "as_it_is": 0}
    assert said == ["compiling the model, unless it was before (half a minute or so)"]
    assert sorted(p.name for p in cache.glob("*/*")) == ["compiled.json", "module-0.pt2"]
    monkeypatch.setattr(compiling, "compile_modules", None)
    (tmp_path / "seen").unlink()
    local, _ = run(tmp_path, "local", compile=True, runner="local", workers=2)
    assert close(local, plain)
    # the first batch of each process says what outputs look like
    processes = (tmp_path / "seen").read_text().split()
    assert 0 < len(processes) == len(set(processes))


def test_a_model_that_cannot_be_compiled_ends_the_job(tmp_path, cache):
    code = (
        NET.replace("torch.nn.Tanh()", "Deciding()")
        + """
    class Deciding(torch.nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() > 0 else x
    """
    )
    with pytest.raises(ModelError, match=r"--compile: net \(Sequential\) cannot be compiled"):
        run(tmp_path, "out", code, compile=True)
    assert list(cache.iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_a_handful_of_rows_is_not_worth_it(tmp_path, cache):
    rows, _ = run(tmp_path, "out", rows=5, compile=True)
    assert len(rows) == 5
    assert not cache.exists()


def test_it_is_for_one_model(tmp_path, cache):
    ref = helpers.model(tmp_path, NET)
    data = helpers.parquet(tmp_path / "in.parquet", range(9))
    job = helpers.job(ref, data, tmp_path / "out", compile=True)
    with pytest.raises(UsageError, match="--compile and several models"):
        compiling_two = type(job)(**{**vars(job), "others": (job.model,)})
        helpers.predict(compiling_two)
