"""`mrmodel predict`: what people see, and what scripts can rely on."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrmodel.cli.main import main
from tests.driver import helpers
from tests.driver.helpers import COUNTING, DOUBLER, jsonl, model, names, parquet


@pytest.fixture
def lake(tmp_path):
    parquet(tmp_path / "in" / "a.parquet", range(20))
    model(tmp_path)
    return tmp_path


@pytest.fixture
def predict(lake, capsys):
    """Run the command with MODEL, INPUT and OUTPUT as they are by default: (code, out, err)."""

    def run(*options, ref=f"{lake}/model.py:Model", data=lake / "in", output=lake / "out"):
        words = ["predict", ref, *(data if isinstance(data, list) else [data]), "-o", output]
        code = main([str(word) for word in [*words, *options]])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def check_refused(told, text, code=2):
    """Exit code, nothing on stdout, one line that says what and what to do."""
    assert (told[0], told[1]) == (code, "")
    first, _, rest = told[2].partition("\n")
    assert first.startswith("Error: ")
    assert text in first
    return rest


def test_complete(predict, lake):
    code, out, err = predict()
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "rows           20 in = 20 ok + 0 bad"
    assert f"output         {lake}/out" in out
    assert names(lake) == ["in", "model.py", "out"]


def test_quiet(predict):
    assert predict("-q") == (0, "", "")


def test_more_bad_rows_than_allowed(predict, lake):
    parquet(lake / "in" / "b.parquet", [-1, 7])
    model(lake, COUNTING)
    code, out, err = predict()
    assert code == 3
    assert out.splitlines()[0] == "rows           22 in = 21 ok + 1 bad"
    assert err.startswith("Error: 1 of 22 rows are bad, more than --max-bad 0 allows: see ")
    assert not (lake / "out" / "_SUCCESS").exists()
    code, out, err = predict("--resume", "--max-bad", "5%")
    assert (code, err) == (0, "mrmodel: every shard was finished already: nothing to run\n")
    assert (lake / "out" / "_SUCCESS").exists()


def test_json_is_all_there_is_on_stdout(lake):
    """Even when the model prints, by Python, by C and by a child, while loading and after."""
    code = DOUBLER + (
        "\n        def load(self, weights, device):"
        "\n            print('one'); os.write(1, b'two\\n'); os.system('echo three')"
        "\n"
        "\n    print('imported')"
    )
    code = code.replace("return {", "print('four')\n            return {")
    ref = model(lake, code, "loud.py")
    words = ["predict", ref, f"{lake}/in", "-o", f"{lake}/out", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "mrmodel", *words], capture_output=True, text=True, timeout=120
    )
    told = json.loads(done.stdout)
    assert told["rows"] == {"in": 20, "ok": 20, "bad": 0}
    assert told["success"] is True and told["output"] == f"{lake}/out" and "shards" not in told
    for word in ("one", "two", "three", "four", "imported"):
        assert word in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("ref", "text"),
    [
        ("{lake}/no.py:Model", "no.py does not exist: the folder holds model.py"),
        ("{lake}/model.py:Net", "does not define 'Net': it defines Model"),
        ("{lake}/model.py", "it defines Model; say"),
        ("no.such.module:Net", "module no.such.module does not exist"),
        ("{lake}/no.pt2", "no.pt2 does not exist"),
    ],
)
def test_no_such_model(predict, lake, ref, text):
    check_refused(predict(ref=ref.format(lake=lake)), text)
    assert names(lake) == ["in", "model.py"]


def test_a_model_that_does_not_load_shows_the_users_own_stack(predict, lake):
    code = """
        class Model(mrmodel.Predictor):
            inputs = ["x"]

            def load(self, weights, device):
                self.weights = open("/no/such/weights")
    """
    model(lake, code)
    rest = check_refused(predict(), "the model failed to load: FileNotFoundError")
    assert 'self.weights = open("/no/such/weights")' in rest
    assert rest.count("  File ") == 1
    assert names(lake) == ["in", "model.py"]


def test_a_model_that_is_not_python(predict, lake):
    (lake / "model.py").write_text("class Model(:")
    check_refused(predict(), "model.py:1: invalid syntax")


def test_no_such_input(predict, lake):
    check_refused(predict(data=lake / "no"), f"{lake}/no")
    check_refused(predict(data=lake / "*.parquet"), "*.parquet")


def test_a_column_that_is_not_there(predict):
    line = "column 'y' is not in the input; there are: id, x"
    check_refused(predict("--inputs", "y"), line)
    check_refused(predict("--keep", "y"), line)


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.parquet", b"PAR1 and not much more", "not a whole Parquet file"),
        ("a.parquet", b"", "a.parquet is truncated"),
        ("a.jsonl", b"no json\nnor this\n", "not JSON Lines"),
        ("a.what", b"x", "its ending does not tell its format; name it with --format"),
    ],
)
def test_files_that_cannot_be_read(predict, lake, name, data, text):
    (lake / "broken").mkdir()
    (lake / "broken" / name).write_bytes(data)
    check_refused(predict(data=lake / "broken"), text)
    assert names(lake) == ["broken", "in", "model.py"]


def test_a_file_with_another_schema(predict, lake):
    pq.write_table(pa.table({"id": [1], "x": ["text"]}), lake / "in" / "b.parquet")
    check_refused(predict(), "b.parquet")


def test_an_output_that_is_there(predict, lake):
    (lake / "out").mkdir()
    check_refused(predict(), "exists already: use --overwrite to replace it, --resume")
    check_refused(predict(output=lake / "model.py" / "out"), "Not a directory")


def test_wrong_options(predict, lake):
    check_refused(predict("--batch-size", "few"), "--batch-size")
    check_refused(predict("--max-bad", "many"), "--max-bad")
    check_refused(predict("--shard-size", "0"), "--shard-size")
    check_refused(predict("--overwrite", "--resume"), "at most one")
    check_refused(predict("-r", "emr"), "later release")
    for options in (["--batch-timeout", "0"], ["--model-args", "[1]"], ["--jobconf", "a"]):
        code, out, err = predict(*options)
        assert (code, out) == (2, "") and "Error: Invalid value for" in err
    assert names(lake) == ["in", "model.py"]


def test_a_model_that_breaks_its_contract(predict, lake):
    model(lake, DOUBLER.replace("* 2", "[1:]"))
    line = "predict returned 15 rows in column 'twice' for a batch of 16 rows; return one entry per"
    check_refused(predict(), line, code=1)
    assert names(lake) == ["in", "model.py"]


def letters(lake):
    return [(letter["row"], letter["error"]) for letter in helpers.bad(lake / "out")]


def test_lines_that_are_bad_rows(predict, lake):
    """Invalid JSON, a short CSV row, undecodable text, a null: the others are predicted."""
    rows = [{"id": n, "x": n} for n in range(9)]
    jsonl(lake / "j" / "a.jsonl", [rows[0], "{", rows[2], {"id": 3, "x": None}])
    assert predict("--max-bad", "2", data=lake / "j")[0] == 0
    assert letters(lake) == [(1, "JSONDecodeError"), (3, "NullInput")]
    (lake / "c").mkdir()
    (lake / "c" / "a.csv").write_bytes(b"id,x\n0,1\n1\n2,\xff\n3,4\n")
    assert predict("--max-bad", "50%", "--overwrite", data=lake / "c")[0] == 0
    assert [row["id"] for row in helpers.rows(lake / "out")] == [0, 3]
    assert [row for row, _ in letters(lake)] == [1, 2]


def test_a_corrupt_image_is_a_bad_row(predict, lake):
    from PIL import Image

    (lake / "pictures").mkdir()
    Image.new("RGB", (4, 3), "red").save(lake / "pictures" / "a.png")
    (lake / "pictures" / "b.png").write_bytes((lake / "pictures" / "a.png").read_bytes()[:40])
    (lake / "pictures" / "c.jpg").write_bytes(b"")
    code = """
        class Model(mrmodel.Predictor):
            inputs = ["image"]

            def predict(self, batch):
                return {"red": [float(image[..., 0].mean()) for image in batch["image"]]}
    """
    model(lake, code)
    assert predict(data=lake / "pictures")[0] == 3
    (row,) = helpers.rows(lake / "out")
    assert row["path"].endswith("a.png") and row["red"] == 255.0
    assert len(helpers.bad(lake / "out")) == 2


def test_nan_is_allowed(predict, lake):
    pq.write_table(pa.table({"id": [1, 2], "x": [float("nan"), 1.0]}), lake / "in" / "a.parquet")
    assert predict()[0] == 0
    assert str(helpers.rows(lake / "out")[0]["twice"]) == "nan"


def test_options_reach_the_job(predict, lake):
    code = """
        class Model(mrmodel.Predictor):
            def __init__(self, factor=1):
                self.factor = factor

            def predict(self, batch):
                return {"y": batch["x"] * self.factor, "rows": [len(batch["x"])] * len(batch["x"])}
    """
    model(lake, code)
    options = ["--model-args", '{"factor": 3}', "--inputs", "x", "--keep", "", "--batch-size", "5"]
    assert predict(*options, "--output-format", "jsonl", "--threads", "1")[0] == 0
    assert names(lake / "out") == ["_SUCCESS", "_mrmodel", "part-00000.jsonl"]
    assert helpers.rows(lake / "out")[2] == {"y": 6.0, "rows": 5}


def test_a_row_per_group(predict, lake):
    code, out, _ = predict("--group-by", "id", "--aggregate", "mean", "--reducers", "2")
    assert code == 0
    assert out.splitlines()[0] == "rows           20 in = 20 ok + 0 bad"
    assert {row["rows"] for row in helpers.rows(lake / "out")} == {1}


@pytest.fixture
def ensemble(lake, capsys):
    """Run the command with two --model, to which OPTIONS add: (code, out, err)."""
    other = model(lake, DOUBLER.replace("* 2", "* 4"), "other.py")

    def run(*options, words=(f"{lake}/in",)):
        models = ["--model", f"{lake}/model.py:Model", "--model", other]
        code = main(["predict", *models, *map(str, words), "-o", f"{lake}/out", *options])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_an_ensemble(ensemble, lake):
    parquet(lake / "more.parquet", [20])
    code, out, _ = ensemble("--aggregate", "mean", words=(lake / "in", lake / "more.parquet"))
    assert code == 0
    assert out.splitlines()[0] == "rows           21 in = 21 ok + 0 bad"
    assert helpers.rows(lake / "out")[5] == {"id": 5, "twice": 15.0}


def test_one_model_by_its_option(lake, capsys):
    assert main(["predict", "--model", f"{lake}/model.py:Model", f"{lake}/in", "-o",
                 f"{lake}/out"]) == 0  # fmt: skip
    assert helpers.rows(lake / "out")[5] == {"id": 5, "twice": 10.0}


def test_words_that_may_be_models_or_input(ensemble, lake):
    mean = ("--aggregate", "mean")
    ref = f"{lake}/model.py:Model"
    check_refused(
        ensemble(*mean, words=(ref, lake / "in")),
        f"{ref} is a MODEL and --model names others: with --model name all models that way",
    )
    check_refused(
        ensemble(*mean, "--weights", "w=1.pt"),
        f"expected the weights of each model after its name, as in --model {ref}=w=1.pt",
    )
    check_refused(ensemble(), "2 models need --aggregate HOW")
    code, _, err = ensemble(*mean, words=())
    assert code == 2 and "Error: Missing argument 'INPUT...'" in err
    assert "out" not in names(lake)


def test_half_of_what_groups_need(predict):
    check_refused(predict("--aggregate", "mean"), "--aggregate needs --group-by, too")
    check_refused(predict("--group-by", "id"), "--group-by needs --aggregate, too")
    check_refused(
        predict("--group-by", "id", "--aggregate", "median"), "--aggregate median: expected mean"
    )
