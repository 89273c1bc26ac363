"""mrmodel predict on a real cluster: the same rows as elsewhere, read where they lie."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from mrmodel import storage as st
from mrmodel.parallel import map_parallel
from tests.driver.helpers import run as run_here

from . import running
from .running import on_hadoop, write_file

pytestmark = [pytest.mark.hadoop, pytest.mark.usefixtures("cluster")]

EXAMPLES = Path(__file__).parents[2] / "examples"
MB = 1 << 20
SENTENCES = 500


@pytest.fixture(scope="module")
def root(cluster):
    root = f"{cluster.namenode}/tmp/mrmodel-test-predict-{os.getpid()}"
    yield root
    st.storage_for(root).delete(root)


# embeddings of real sentences, everywhere the same


@pytest.fixture(scope="module")
def embed_example():
    """examples/embed as modules: find_weights and make_sentences."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES / "embed")
        import find_weights
        import make_sentences

        yield find_weights, make_sentences


@pytest.fixture(scope="module")
def sentences(embed_example, tmp_path_factory):
    """Rows, and the folder in which they lie in two files of each format."""
    folder = tmp_path_factory.mktemp("sentences")
    found = embed_example[1].take(SENTENCES)
    for kind in ("parquet", "jsonl"):
        embed_example[1].write(found, folder / kind, kind, files=2)
    return found, folder


@pytest.fixture(scope="module")
def weights(embed_example):
    return str(embed_example[0].find_weights())


@pytest.fixture(scope="module")
def expected(sentences, weights):
    """id → embedding, by transformers alone."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(weights)
    model = AutoModel.from_pretrained(weights).eval()
    config = json.loads((Path(weights) / "sentence_bert_config.json").read_text())
    found = {}
    ordered = sorted(sentences[0], key=lambda row: len(row["text"]))
    for start in range(0, len(ordered), 32):
        batch = ordered[start : start + 32]
        tokens = tokenizer(
            [row["text"] for row in batch], padding=True, truncation=True,
            max_length=config["max_seq_length"], return_tensors="pt",
        )  # fmt: skip
        with torch.inference_mode():
            vectors = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(2)
        means = torch.nn.functional.normalize((vectors * mask).sum(1) / mask.sum(1))
        found |= {row["id"]: mean.numpy() for row, mean in zip(batch, means, strict=True)}
    return found


def assert_same_embeddings(found, expected):
    assert sorted(row["id"] for row in found) == sorted(expected)
    difference = max(np.abs(np.array(r["embedding"]) - expected[r["id"]]).max() for r in found)
    assert difference <= 1e-5


@pytest.mark.parametrize("runner", ["inline", "local"])
@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_embeddings_here(kind, runner, sentences, weights, expected, tmp_path):
    run_here(
        f"{EXAMPLES}/embed/model.py:Embed", sentences[1] / kind, tmp_path / "out",
        weights=weights, runner=runner, threads=1,
    )  # fmt: skip
    found = ds.dataset(tmp_path / "out", format="parquet").to_table().to_pylist()
    assert_same_embeddings(found, expected)


@pytest.mark.parametrize(
    ("kind", "form"),
    [("parquet", []), ("jsonl", ["--compile"]), ("jsonl", ["--prepare-workers", "2"])],
)
def test_embeddings_on_the_cluster(kind, form, sentences, weights, expected, root):
    for path in (sentences[1] / kind).iterdir():
        write_file(f"{root}/{kind}/{path.name}", path.read_bytes())
    output = f"{root}/{kind}-out{''.join(form)}"
    done = on_hadoop(
        EXAMPLES / "embed" / "model.py:Embed", f"{root}/{kind}", output,
        "--weights", weights, "--shard-size", "128KB", *form,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert_same_embeddings(running.rows(output), expected)
    run = running.run_json(output)
    assert len(run["shards"]) == 2  # each file was a task of its own
    calls = run["model"].get("calls", {})
    assert (calls.get("compiled", 0) > 10) == ("--compile" in form)
    assert calls.get("as_it_is", 0) == 0


# a file of many blocks

# Each split is in one block: of one in several Hadoop names the node by its address, and on one
# machine all have the same.
COPIES = 64


def write_evenly(cluster, uri, data):
    """Write `data` so that no node has more of its blocks than it can run maps at once."""
    for _ in range(50):
        write_file(uri, data, block_size=4 * MB)
        if max(running.blocks_per_node(cluster, uri).values()) <= 3:
            return
    raise AssertionError("HDFS does not spread the blocks of a file")


@pytest.fixture(scope="module")
def many_blocks(cluster, root):
    """The digits, many times, in a file of 8 blocks: its rows and size, Hadoop's counters of the
    job over it."""
    table = ds.dataset(EXAMPLES / "digits" / "data").to_table().sort_by("id")
    table = pa.concat_tables([table] * COPIES).select(["pixels", "label"])
    table = table.append_column("id", pa.array(range(len(table)), pa.int64()))
    sink = pa.BufferOutputStream()
    row_bytes = 64 * 4 + 8 + 8
    pq.write_table(
        table, sink, compression="none", use_dictionary=False, row_group_size=MB // row_bytes
    )
    data = sink.getvalue()
    write_evenly(cluster, f"{root}/blocks/digits.parquet", data)
    # With three nodes, YARN takes any of them for a map once others have called four times, a
    # second: on a busy machine the right one may be later. By chance a map is local one time in
    # three, so a second look at eight maps takes nothing from what this shows.
    for _ in range(4):
        counters = count_digits(cluster, root)
        if share_of_local_maps(counters) >= 0.9:
            break
    return table, data.size, counters


def count_digits(cluster, root):
    done = on_hadoop(
        EXAMPLES / "digits" / "model.py:Digits", f"{root}/blocks", f"{root}/blocks-out",
        "--weights", EXAMPLES / "digits" / "digits.safetensors", "--shard-size", "4MB",
        # a duplicate runs where there is room, not where the data is
        "--jobconf", "mapreduce.map.speculative=false", "--memory", "1GB", "--overwrite",
    )  # fmt: skip
    assert done.code == 0, done.err
    (application,) = done.summary["applications"]
    return running.counters(cluster, application)


def share_of_local_maps(counters):
    jobs = counters["JobCounter"]
    return jobs.get("DATA_LOCAL_MAPS", 0) / jobs["TOTAL_LAUNCHED_MAPS"]


def test_every_row_of_many_blocks_is_predicted_once(many_blocks, root):
    table = many_blocks[0]
    found = running.rows(f"{root}/blocks-out")
    assert [row["id"] for row in found] == list(range(len(table)))  # in input order, too
    right = sum(row["digit"] == row["label"] for row in found)
    assert right / len(found) > 0.98


def test_maps_run_where_their_blocks_are(many_blocks):
    _, size, counters = many_blocks
    assert counters["JobCounter"]["TOTAL_LAUNCHED_MAPS"] == -(-size // (4 * MB)) == 8
    assert share_of_local_maps(counters) >= 0.9


def test_counters_of_mrmodel_are_hadoops(many_blocks):
    table, size, counters = many_blocks
    own = counters["mrmodel"]
    assert own["rows in"] == own["rows ok"] == len(table)
    assert 0.5 * size < own["bytes read"] < 1.5 * size
    assert own["forward milliseconds"] > 0


# bad rows among good ones, and a model that prints

LINES = 10_000
FAULTS = {
    "InvalidJSON": b'{"id": 1, "x": 2.5, "te',
    "WrongType": json.dumps({"id": 1, "x": "two and a half"}).encode(),
    "NullInput": json.dumps({"id": 1, "text": "x is missing"}).encode(),
    "NotUtf8": b'{"id": 1, "x": 2.5, "text": "\xff\xfe"}',
    "ValueError": json.dumps({"id": 1, "x": -2.5}).encode(),
}


def lines_out(root):
    """A name that no other session has: jobs are found by it."""
    return f"{root}/lines-out-{os.getpid()}"


def is_bad(number):
    """One line in a hundred, the first of them far behind what planning looks at."""
    return number % 100 == 57


def lines_with_faults():
    """LINES lines of about 300 bytes."""
    kinds = list(FAULTS.values())
    for number in range(LINES):
        if is_bad(number):
            yield kinds[number // 100 % len(kinds)]
        else:
            yield {"id": number, "x": float(number), "text": "añ" * 130}


@pytest.fixture(scope="module")
def with_faults(root):
    """The first run over lines with faults, cut into several splits."""
    write_file(f"{root}/lines/in.jsonl", running.json_lines(lines_with_faults()), block_size=MB)
    return on_hadoop(
        "doubler.py:Noisy", f"{root}/lines", lines_out(root),
        "--shard-size", "1MB", "--keep", "id",
    )  # fmt: skip


def test_more_bad_rows_than_allowed(with_faults, root):
    assert with_faults.code == 3, with_faults.err
    assert "100 of 10000 rows are bad" in with_faults.err
    assert with_faults.summary["rows"] == {"in": LINES, "ok": LINES - 100, "bad": 100}
    assert "_SUCCESS" not in running.names(lines_out(root))


def test_good_rows_beside_bad_ones(with_faults, root):
    good = {number: 2.0 * number for number in range(LINES) if not is_bad(number)}
    found = running.rows(lines_out(root))
    assert len(found) == len(good)
    assert {row["id"]: row["twice"] for row in found} == good


def test_dead_letters_have_reason_and_line(with_faults, root):
    assert len(running.run_json(lines_out(root))["shards"]) > 2
    letters = running.dead_letters(lines_out(root))
    # lines are counted from the beginning of the file, whatever split they are in
    assert sorted(letter["row"] for letter in letters) == list(filter(is_bad, range(LINES)))
    assert {letter["source"] for letter in letters} == {f"{root}/lines/in.jsonl"}
    kinds = {}
    for letter in letters:
        kinds.setdefault(letter["row"] // 100 % len(FAULTS), set()).add(letter["error"])
    assert all(len(errors) == 1 for errors in kinds.values()), kinds
    assert kinds[list(FAULTS).index("ValueError")] == {"ValueError"}


def test_what_a_model_prints_changes_nothing(with_faults, cluster):
    (application,) = with_faults.summary["applications"]
    own = running.counters(cluster, application)["mrmodel"]
    assert (own["rows in"], own["rows ok"], own["rows bad"]) == (LINES, LINES - 100, 100)


def test_bad_rows_accepted_later(with_faults, cluster, root):
    """Nothing runs again."""
    before = running.applications(cluster, lines_out(root))
    done = on_hadoop(
        "doubler.py:Noisy", f"{root}/lines", lines_out(root),
        "--shard-size", "1MB", "--keep", "id", "--resume", "--max-bad", "2%",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "_SUCCESS" in running.names(lines_out(root))
    assert running.applications(cluster, lines_out(root)).keys() == before.keys()
    assert len(running.rows(lines_out(root))) == LINES - 100


# many files, and what they may be called

SMALL_FILES = 1000
SNAPSHOTS = [f"copy={number}" for number in range(10)]


@pytest.fixture
def ten_thousand_files(cluster, root):
    """The folders of ten snapshots of a thousand files: HDFS takes a minute to write 10,000, but
    these are as many to list and to read."""
    folder = f"{root}/small"
    storage = st.storage_for(folder)

    def write(number):
        with storage.create(f"{folder}/{number % 10}/{number}.jsonl") as file:
            file.write(b'{"id": %d, "x": %d}\n' % (number, number))

    map_parallel(write, range(SMALL_FILES), threads=32)
    running.change(cluster, folder, "ALLOWSNAPSHOT")
    for name in SNAPSHOTS:
        running.change(cluster, folder, "CREATESNAPSHOT", snapshotname=name)
    yield [f"{folder}/.snapshot/{name}" for name in SNAPSHOTS]
    for name in SNAPSHOTS:
        running.change(cluster, folder, "DELETESNAPSHOT", "DELETE", snapshotname=name)
    running.change(cluster, folder, "DISALLOWSNAPSHOT")


def test_ten_thousand_small_files_are_few_tasks(ten_thousand_files, root):
    output = f"{root}/small-out"
    done = on_hadoop("doubler.py:Doubler", ten_thousand_files, output, "--shard-size", "512MB")
    assert done.code == 0, done.err
    found = sorted((row["copy"], row["id"], row["twice"]) for row in running.rows(output))
    assert found == [(copy, n, 2 * n) for copy in range(10) for n in range(SMALL_FILES)]
    assert len(running.run_json(output)["shards"]) == 3


STRANGE = ["a b,c", "{x},{y}", "größe=☕", "50%25 *?"]


def test_paths_and_columns_of_every_kind(root):
    columns = ["a, b", "{c}", "größe", 'say "d"']
    for number, name in enumerate(STRANGE):
        values = {column: [f"{column} {number}"] for column in columns}
        table = pa.table({"id": pa.array([number], pa.int64()), **values})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        day = f"{root}/{{odd}}, ñ/dt=2026-01-0{number % 2 + 1}"
        write_file(f"{day}/{name}.parquet", sink.getvalue())
    output = f"{root}/out, {{ñ}} put"
    done = on_hadoop(
        "doubler.py:Anything", f"{root}/{{odd}}, ñ", output,
        "--inputs", '"a, b",{c},größe,"say ""d"""',
    )  # fmt: skip
    assert done.code == 0, done.err
    found = sorted(running.rows(output), key=lambda row: row["id"])
    days = ["2026-01-01", "2026-01-02"] * 2
    assert [(row["id"], str(row["dt"])) for row in found] == list(enumerate(days))
    assert {row["länge"] for row in found} == {sum(len(c) + 2 for c in columns)}
