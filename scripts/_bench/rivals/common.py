"""What the rivals' programs share: their command line, and when the first batch was predicted.

None of it counts as lines of user code, nor does a line that calls it.
"""

import argparse
import json
import os
import time

FIRST_BATCH = "MRMODEL_BENCH_FIRST"  # names the file that `first_batch` writes
WINDOW = 8192  # rows that are sorted by length together: as many as in mrmodel

_noted = []


def arguments():
    """The options that every program has."""
    parser = argparse.ArgumentParser()
    parser.add_argument("input", nargs="+", help="Parquet files")
    parser.add_argument("--out", required=True, help="folder for Parquet with id and outputs")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--sorted", action="store_true", help="batches of texts of one length")
    return parser.parse_args()


def first_batch():
    """Call after each batch: the first one of all processes notes its time and process."""
    if _noted or FIRST_BATCH not in os.environ:
        return
    _noted.append(True)
    words = json.dumps({"time": time.time(), "pid": os.getpid()})
    own = f"{os.environ[FIRST_BATCH]}.{os.getpid()}"
    with open(own, "w", encoding="utf-8") as file:
        file.write(words)
    try:
        os.link(own, os.environ[FIRST_BATCH])  # whole, and only if nobody was earlier
    except FileExistsError:
        pass
    os.unlink(own)


def after_forward(*_):
    """`first_batch` as a hook of a torch module."""
    first_batch()
