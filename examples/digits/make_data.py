"""Export scikit-learn's 1,797 handwritten digits to Parquet: `python examples/digits/make_data.py`.

Columns: id (int64), pixels (64 × float32, 0 to 16), label (int64) and split, which is "test" in
every fifth row and "train" elsewhere. train.py never reads a test row. The files are in the
repository; this script is how they were made (pip install scikit-learn).
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_digits

DATA = Path(__file__).parent / "data"
FILES = 4


def digits_table():
    """All digits, in scikit-learn's order."""
    pixels, labels = load_digits(return_X_y=True)
    ids = np.arange(len(labels))
    flat = pa.array(pixels.astype(np.float32).ravel())
    columns = {
        "id": ids,
        "pixels": pa.FixedSizeListArray.from_arrays(flat, 64),
        "label": labels.astype(np.int64),
        "split": np.where(ids % 5 == 4, "test", "train"),
    }
    return pa.table(columns)


def write(table, folder, files):
    """Write `table` as `files` Parquet files of almost equal length."""
    folder.mkdir(parents=True, exist_ok=True)
    bounds = np.linspace(0, len(table), files + 1).astype(int)
    for number, (start, stop) in enumerate(zip(bounds, bounds[1:], strict=False)):
        path = folder / f"digits-{number}.parquet"
        pq.write_table(table.slice(start, stop - start), path, compression="zstd")


if __name__ == "__main__":
    write(digits_table(), DATA, FILES)
    print(f"wrote {FILES} files to {DATA}")
