"""`mrmodel run`: a job written down has the names of the command line."""

import json

import pytest

from mrmodel.cli.main import main
from mrmodel.cli.predict import predict
from mrmodel.cli.run import _key
from tests.driver import helpers


@pytest.fixture
def lake(tmp_path):
    helpers.parquet(tmp_path / "in" / "a.parquet", range(20))
    helpers.parquet(tmp_path / "more" / "b.parquet", range(20, 25))
    helpers.model(tmp_path)
    return tmp_path


@pytest.fixture
def run(lake, capsys):
    """Run a job file: (exit code, stdout, stderr)."""

    def go(text, *options):
        path = lake / "job é.toml"
        path.write_text(text.replace("LAKE", str(lake)), "utf-8")
        code = main(["run", str(path), *options])
        told = capsys.readouterr()
        return code, told.out, told.err

    return go


JOB = """
model = "LAKE/model.py:Model"
input = ["LAKE/in", "LAKE/more"]
output = "LAKE/out"
quiet = true
"""


def test_a_job_file(run, lake):
    assert run(JOB) == (0, "", "")
    assert helpers.ids(lake / "out") == list(range(25))


def test_every_kind_of_value(run, lake):
    code, out, _ = run(
        """
        command = "predict"
        model = "LAKE/model.py:Model"
        input = "LAKE/in"
        output = "LAKE/out"
        output-format = "jsonl"
        inputs = ["x"]
        keep = "id,x"
        max-bad = 5
        batch-size = 7
        batch_timeout = 60
        shard-size = "1MB"
        overwrite = true
        json = true
        [model-args]
        [jobconf]
        "a.b" = 1
        """
    )
    assert code == 0
    assert json.loads(out)["rows"]["in"] == 20
    assert helpers.rows(lake / "out")[3] == {"id": 3, "x": 3.0, "twice": 6.0}


def test_the_command_line_wins(run, lake):
    options = ["--keep", "x", "-o", f"{lake}/other", "--output-format", "jsonl"]
    assert run(JOB + 'keep = ["id"]', *options)[0] == 0
    assert not (lake / "out").exists()
    assert helpers.rows(lake / "other")[1] == {"x": 1.0, "twice": 2.0}


def test_flags_are_added(run):
    assert run(JOB)[0] == 0
    assert run(JOB)[0] == 2
    assert run(JOB, "--resume")[0] == 0


def test_the_model_may_come_from_the_command_line(run, lake):
    code = helpers.DOUBLER.replace("twice", "other")
    ref = helpers.model(lake, code, "other.py")
    assert run(JOB, ref)[0] == 0
    assert "other" in helpers.rows(lake / "out")[0]


def test_several_models(run, lake):
    other = helpers.model(lake, helpers.DOUBLER.replace("* 2", "* 4"), "other.py")
    text = JOB.replace('"LAKE/model.py:Model"', f'["LAKE/model.py:Model", "{other}"]')
    assert run(text, "--aggregate", "mean")[0] == 0
    assert helpers.rows(lake / "out")[5] == {"id": 5, "twice": 15.0}
    # those of the command line, and its input, win
    more = ["--model", other, f"{lake}/more", "--overwrite"]
    assert run(text, *more)[0] == run(JOB, *more)[0] == 0
    assert helpers.rows(lake / "out")[0] == {"id": 20, "twice": 80.0}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("colour = 1", "unknown key 'colour': expected one of aggregate, batch-size, "),
        ("inputs_ = 'x'", "unknown key 'inputs_'"),
        ("types = 'x=int64'", "unknown key 'types'"),
        ("[predict]", "unknown key 'predict'"),
        ("command = 'fly'", "command: expected predict, evaluate, train but received 'fly'"),
        ("inputs = 5", "expected column names but received 5"),
        ("batch-timeout = 'long'", "'long' is not a valid float"),
        ("x = ", "cannot be read as TOML"),
    ],
)
def test_what_is_wrong_with_a_file(run, lake, line, text):
    code, out, err = run(JOB + line)
    assert (code, out) == (2, "")
    assert text in " ".join(err.split())
    assert not (lake / "out").exists()


def test_no_such_file(lake, capsys):
    assert main(["run", f"{lake}/no.toml"]) == 2
    assert capsys.readouterr().err == f"Error: job file {lake}/no.toml does not exist\n"


def test_something_that_is_missing(run):
    code, _, err = run('model = "m.py:Net"\ninput = "x"')
    assert code == 2 and "Missing option '-o' / '--output'" in err


def test_every_option_has_its_name_in_a_file(run):
    """What is listed for an unknown key is accepted."""
    _, _, err = run(JOB + "colour = 1")
    listed = err.strip().rpartition("expected one of ")[2].split(", ")
    options = {o.lstrip("-") for p in predict.params for o in p.opts if o.startswith("--")}
    assert set(listed) == options | {"model", "input"}
    assert {_key(parameter.name) for parameter in predict.params} == set(listed)
