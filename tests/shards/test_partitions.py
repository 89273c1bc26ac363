"""Hive-style partitions: ``key=value`` folders become typed columns."""

import pytest

from mrmodel.errors import InputError, UsageError
from mrmodel.shards.listing import InputFile, list_inputs
from mrmodel.shards.partitions import partition_types, typed_partition


def partitions(root, *inputs):
    return [file.partition for file in list_inputs([str(root / text) for text in inputs])]


@pytest.fixture
def lake(tmp_path):
    for folder in ["dt=2026-01-01/h=1", "dt=2026-01-02/h=2"]:
        (tmp_path / "lake" / folder).mkdir(parents=True)
        (tmp_path / "lake" / folder / "a.csv").write_text("x")
    return tmp_path / "lake"


BOTH = [{"dt": "2026-01-01", "h": "1"}, {"dt": "2026-01-02", "h": "2"}]


def test_folders_below_the_input_are_partitions(lake):
    assert partitions(lake, "") == BOTH


@pytest.mark.parametrize(
    "inputs",
    [
        ["dt=2026-01-01", "dt=2026-01-02"],
        ["dt=*"],
        ["dt=*/h=*/a.csv"],
        ["dt=2026-01-0{1,2}"],
        ["dt=2026-01-01/h=1/a.csv", "dt=2026-01-02/h=2"],
    ],
)
def test_naming_less_of_the_data_does_not_change_its_columns(lake, inputs):
    assert partitions(lake, *inputs) == BOTH


def test_values_are_decoded(tmp_path):
    folder = (
        tmp_path / "city=S%C3%A3o%20Paulo%2FBR" / "k=__HIVE_DEFAULT_PARTITION__" / "e=" / "a=b=c"
    )
    folder.mkdir(parents=True)
    (folder / "not=this.csv").write_text("x")
    assert partitions(tmp_path, "") == [{"city": "São Paulo/BR", "k": None, "e": "", "a": "b=c"}]


def file(uri="f", **partition):
    return InputFile(uri, 1, partition=partition)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "20", "-3", "0"], "int64"),
        (["1", None], "int64"),
        ([None], "string"),
        (["01", "2"], "string"),
        (["1", "2a"], "string"),
        (["2026-01-01"], "string"),
        (["+1"], "string"),
        (["-0"], "string"),
        (["1.0"], "string"),
        (["٣"], "string"),
        ([""], "string"),
        (["1_000"], "string"),
        (["9223372036854775807", "-9223372036854775808"], "int64"),
        (["9223372036854775808"], "string"),
        (["1" * 5000], "string"),
    ],
)
def test_types_follow_all_values(values, expected):
    files = [file(k=value) for value in values]
    assert partition_types(files, {}) == {"k": expected}


def test_values_are_typed():
    types = {"n": "int64", "s": "string"}
    assert typed_partition(file(n="7", s="07"), types) == {"n": 7, "s": "07"}
    assert typed_partition(file(n=None, s=None), types) == {"n": None, "s": None}


def test_integers_can_be_asked_for_as_strings():
    assert partition_types([file(k="1")], {"k": "string"}) == {"k": "string"}
    with pytest.raises(UsageError, match="'k': expected the type string but received float32"):
        partition_types([file(k="x")], {"k": "float32"})


def test_files_must_have_the_same_partition_columns():
    with pytest.raises(InputError, match="f2 has a, b but f1 has a$"):
        partition_types([file("f1", a="1"), file("f2", a="1", b="2")], {})
    with pytest.raises(InputError, match="f2 has none but f1 has a$"):
        partition_types([file("f1", a="1"), file("f2")], {})
