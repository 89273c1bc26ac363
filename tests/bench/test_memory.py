"""Memory of a task does not grow with its file: scripts/memory, in small."""

import pyarrow.parquet as pq
from _bench import big_file, memory

# Each run has its own Python with torch, some 350 MB; what a reader or writer that hoards would
# add is at least the difference of the files.
SMALL, LARGE, ALLOWED = 150_000_000, 500_000_000, 100_000_000


def test_memory_is_flat_in_the_size_of_a_row_group(tmp_path):
    # a busy machine lets the queues between the threads run full or not: the least of three
    # runs is what a file needs, and one that grows with the file does so in each
    small = [memory.predict_file(tmp_path, SMALL, None) for _ in range(3)]
    large = [memory.predict_file(tmp_path, LARGE, None) for _ in range(3)]
    assert large[0].rows > 3 * small[0].rows
    assert least(large) - least(small) < ALLOWED, (small, large)


def least(runs):
    return min(run.memory for run in runs)


def test_a_file_of_one_row_group(tmp_path):
    path = tmp_path / "whole.parquet"
    rows = big_file.write(str(path), 20_000_000)
    found = pq.read_metadata(path)
    assert (found.num_rows, found.num_row_groups) == (rows, 1)
    assert abs(path.stat().st_size - 20_000_000) < 1_000_000
    assert pq.read_table(path, columns=["id"]).column("id").to_pylist() == list(range(rows))


def test_a_file_of_many_row_groups(tmp_path):
    path = tmp_path / "cut.parquet"
    rows = big_file.write(str(path), 20_000_000, 5_000_000)
    found = pq.read_metadata(path)
    assert found.num_rows == rows
    assert found.num_row_groups in (4, 5)
    assert pq.read_table(path, columns=["id"]).column("id").to_pylist() == list(range(rows))


def test_a_run_over_its_limit_is_killed(tmp_path):
    uri = str(tmp_path / "rows.parquet")
    big_file.write(uri, 30_000_000)
    try:
        memory.predict(uri, tmp_path, limit=50_000_000)
    except memory.CommandFailed as error:
        assert "more memory than it may have" in str(error)
    else:
        raise AssertionError("expected a Python with torch to need more than 50 MB")
