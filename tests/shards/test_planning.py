"""plan_data on real files of every format."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mrmodel.errors import InputError, UsageError
from mrmodel.shards.coverage import check_coverage
from mrmodel.shards.plan import Plan
from mrmodel.shards.planning import plan_data
from mrmodel.specs import DataSpec

SHARD = 128 << 20


def parquet(path, rows=10, row_group_size=None, **columns):
    columns = columns or {"id": list(range(rows)), "x": [float(n) for n in range(rows)]}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return path


def plan(*uris, model_inputs=None, shard_size=SHARD, also=(), **options):
    spec = DataSpec(uris=tuple(map(str, uris)), **options)
    return plan_data(spec, model_inputs, shard_size, also)


def columns(found):
    return {column.name: str(column.type) for column in found.schema}


def test_parquet_rows_come_from_the_footers(tmp_path):
    parquet(tmp_path / "a.parquet", 10)
    parquet(tmp_path / "b.parquet", 5)
    found = plan(tmp_path)
    assert (found.format, found.rows, found.files, len(found.shards)) == ("parquet", 15, 2, 1)
    assert found.shards[0].rows == 15
    assert found.nbytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert columns(found) == {"id": "int64", "x": "double"}
    assert found.inputs is None and found.keep == ("id", "x")


def test_a_large_parquet_file_is_cut_and_its_rows_are_shared_out(tmp_path):
    path = parquet(tmp_path / "a.parquet", 20_000, row_group_size=1000)
    found = plan(path, shard_size=path.stat().st_size // 4)
    assert len(found.shards) == 4
    assert sum(shard.rows for shard in found.shards) == 20_000
    assert all(3000 <= shard.rows <= 7000 for shard in found.shards)
    pieces = [piece for shard in found.shards for piece in shard.pieces]
    assert check_coverage(found.sources, pieces) == []


def test_what_is_kept_by_default_is_all_but_the_inputs(tmp_path):
    path = parquet(tmp_path / "a.parquet", id=[1], x=[1.0], y=[2.0])
    found = plan(path, inputs=("x",))
    assert (found.inputs, found.keep) == (("x",), ("id", "y"))
    assert list(columns(found)) == ["id", "x", "y"]


def test_only_columns_that_are_used_are_read(tmp_path):
    path = parquet(tmp_path / "a.parquet", id=[1], x=[1.0], y=[2.0], z=[3.0])
    found = plan(path, inputs=("z", "x"), keep=("id",))
    assert (found.inputs, found.keep) == (("z", "x"), ("id",))
    assert list(columns(found)) == ["id", "x", "z"]
    assert list(columns(plan(path, inputs=("x",), keep=(), also=("y",)))) == ["x", "y"]


def test_the_command_line_wins_over_the_model(tmp_path):
    path = parquet(tmp_path / "a.parquet")
    assert plan(path, model_inputs=["id"]).inputs == ("id",)
    assert plan(path, model_inputs=["id"], inputs=("x",)).inputs == ("x",)


def test_a_model_that_does_not_say_reads_all(tmp_path):
    path = parquet(tmp_path / "a.parquet")
    found = plan(path, keep=("id",))
    assert (found.inputs, found.keep, list(columns(found))) == (None, ("id",), ["id", "x"])


@pytest.mark.parametrize("option", ["inputs", "keep"])
def test_a_missing_column_lists_those_there_are(tmp_path, option):
    path = parquet(tmp_path / "a.parquet", text=["a"], label=[1])
    with pytest.raises(InputError) as caught:
        plan(path, **{option: ("txt",)})
    assert caught.value.message == (
        "column 'txt' is not in the input; there are: text, label; is it 'text'?"
    )


def test_a_missing_column_is_found_when_all_columns_are_named(tmp_path):
    path = parquet(tmp_path / "a.parquet", text=["a"], label=[1])
    with pytest.raises(InputError, match="'txt' is not in the input; there are: text, label; is"):
        plan(path, inputs=("txt",), keep=("label",))


@pytest.mark.parametrize("name", ["a b", "a,b", "{a}", "naïve ☕", "a.b", "'"])
def test_any_column_name_will_do(tmp_path, name):
    path = parquet(tmp_path / "a.parquet", **{name: [1.0], "id": [1]})
    found = plan(path, inputs=(name,))
    assert (found.inputs, found.keep) == ((name,), ("id",))


def test_partitions_become_columns(tmp_path):
    for n, day in enumerate(["2026-01-01", "2026-01-02"]):
        parquet(tmp_path / f"n={n}" / f"dt={day}" / "a.parquet")
    found = plan(tmp_path)
    assert columns(found) == {"id": "int64", "x": "double", "n": "int64", "dt": "string"}
    assert found.partitions == ("n", "dt")
    values = [piece.partition for piece in found.shards[0].pieces]
    assert values == [{"n": 0, "dt": "2026-01-01"}, {"n": 1, "dt": "2026-01-02"}]


def test_a_partition_can_be_read_kept_or_neither(tmp_path):
    parquet(tmp_path / "n=7" / "a.parquet")
    assert plan(tmp_path, inputs=("n",), keep=("id",)).schema.names == ["id", "n"]
    assert plan(tmp_path, inputs=("x",), keep=()).schema.names == ["x"]
    assert plan(tmp_path, inputs=("n",), keep=()).schema.names == ["n"]


def test_a_partition_wins_over_a_column_of_its_name(tmp_path):
    parquet(tmp_path / "id=seven" / "a.parquet")
    assert columns(plan(tmp_path)) == {"x": "double", "id": "string"}


def test_lines_are_not_counted_before_they_are_read(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "a"}\n{"id": 2, "text": "b"}\n')
    found = plan(tmp_path)
    assert (found.format, found.rows, found.shards[0].rows) == ("jsonl", None, None)
    assert columns(found) == {"id": "int64", "text": "string"}


def test_a_missing_column_of_lines(tmp_path):
    (tmp_path / "a.csv").write_text("id,text\n1,a\n")
    with pytest.raises(InputError, match="'txt' is not in the input; there are: id, text"):
        plan(tmp_path, inputs=("txt",), keep=("id",))


def test_text_has_one_column(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    assert columns(plan(tmp_path)) == {"text": "string"}


def test_compressed_files_are_never_cut(tmp_path):
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"id": n, "x": n**3 % 997}) + "\n" for n in range(5000))
    found = plan(tmp_path, shard_size=1000)
    assert [len(shard.pieces) for shard in found.shards] == [1]
    assert found.shards[0].pieces[0].is_whole


def test_images_are_rows_and_only_their_paths_are_kept(tmp_path):
    for name in ("a.png", "b.jpg"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    found = plan(tmp_path)
    assert (found.format, found.rows, found.keep) == ("images", 2, ("path",))
    assert found.schema.names == ["path", "image"]
    assert plan(tmp_path, keep=("path", "image")).keep == ("path", "image")


def test_an_empty_image_is_a_row_so_that_it_can_be_a_bad_one(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    Image.new("RGB", (4, 4)).save(tmp_path / "b.png")
    assert (plan(tmp_path).rows, plan(tmp_path).files) == (2, 2)


def test_an_empty_folder_is_a_plan_without_rows(tmp_path):
    found = plan(tmp_path, inputs=("x",))
    assert (found.shards, found.rows, found.nbytes, found.files) == ((), 0, 0, 0)


def test_empty_files_of_lines_have_no_rows(tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    found = plan(tmp_path, inputs=("x",))
    assert (found.format, found.shards, found.rows) == ("jsonl", (), 0)
    (tmp_path / "b.jsonl").write_text('{"x": 1}\n')
    assert plan(tmp_path).files == 1


def test_an_empty_parquet_file_is_truncated(tmp_path):
    parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"b\.parquet is truncated"):
        plan(tmp_path)


def test_an_empty_file_of_unknown_kind_is_no_reason_to_stop(tmp_path):
    parquet(tmp_path / "a.parquet")
    (tmp_path / "DONE").write_bytes(b"")
    with pytest.raises(InputError, match="DONE is truncated"):
        plan(tmp_path, format="parquet")
    assert plan(tmp_path).files == 1


def test_mixed_formats_name_two_files_and_the_remedy(tmp_path):
    parquet(tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("id\n1\n")
    with pytest.raises(InputError, match=r"a\.parquet is parquet but .*b\.csv is csv; .*--format"):
        plan(tmp_path)


def test_an_unknown_ending_names_the_file_and_the_remedy(tmp_path):
    (tmp_path / "a.dat").write_text("1")
    with pytest.raises(InputError, match=r"a\.dat.*--format"):
        plan(tmp_path)
    assert plan(tmp_path, format="text").format == "text"


def test_an_unknown_format_is_wrong_usage(tmp_path):
    parquet(tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="parquets"):
        plan(tmp_path, format="parquets")


def test_truncated_parquet_is_named(tmp_path):
    path = parquet(tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"a\.parquet"):
        plan(tmp_path)


def test_a_changed_schema_is_named_only_where_it_matters(tmp_path):
    parquet(tmp_path / "a.parquet", id=[1], x=[1.0], y=[1])
    parquet(tmp_path / "b.parquet", id=[1], x=[1.0], y=["1"])
    with pytest.raises(InputError, match=r"b\.parquet"):
        plan(tmp_path)
    assert plan(tmp_path, inputs=("x",), keep=("id",)).rows == 2


@pytest.mark.parametrize("inputs", [None, ("x",)])
def test_a_plan_travels_as_json(tmp_path, inputs):
    parquet(tmp_path / "n=1" / "a b.parquet", 3000, row_group_size=100)
    (tmp_path / "n=__HIVE_DEFAULT_PARTITION__").mkdir()
    parquet(tmp_path / "n=__HIVE_DEFAULT_PARTITION__" / "b.parquet")
    found = plan(tmp_path, inputs=inputs, shard_size=5000)
    again = Plan.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again == found
    assert again.shards[1].key == found.shards[1].key


def test_columns_come_in_the_order_of_the_files_whatever_the_order_of_options(tmp_path):
    path = parquet(tmp_path / "n=1" / "a.parquet", c=[1], b=[2], a=[3])
    found = plan(path, inputs=("a", "n", "b"), keep=("c",))
    assert found.schema.names == ["c", "b", "a", "n"]
    assert found.inputs == ("a", "n", "b")


def test_a_key_that_the_sample_lacks_must_be_given_a_type(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1}\n' * 2000 + '{"id": 2, "rare": 1.5}\n')
    with pytest.raises(InputError, match="'rare' is not in the input; there are: id"):
        plan(path, inputs=("rare",), keep=("id",))
    for keep in (None, ("id",)):
        found = plan(path, inputs=("rare",), keep=keep, types={"rare": "float32"})
        assert columns(found) == {"id": "int64", "rare": "float"}


def test_json_keys_that_are_not_needed_may_be_of_any_kind(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 1, "odd": 1}\n{"id": 2, "odd": {"a": "b"}}\n')
    with pytest.raises(InputError, match="odd"):
        plan(tmp_path, inputs=("id",))
    assert columns(plan(tmp_path, inputs=("id",), keep=())) == {"id": "int64"}
