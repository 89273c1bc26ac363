"""From Arrow to what a model is given: a dict of column → numpy array or list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

IMAGE_FIELDS = ("height", "width", "data")


def to_batch(
    record_batch: pa.RecordBatch, columns: Sequence[str], writable: bool = True
) -> dict[str, Any]:
    """`columns` of `record_batch` as a dict, in the order asked for, one entry per row.

    Numbers and booleans: a numpy array of shape (rows,). Fixed-size lists of them, nested or
    not: (rows, …). Variable lists: (rows, length) when all rows have one length, else a list of
    arrays. Images: uint8 (rows, height, width, 3) when all have one size, else a list of
    (height, width, 3). Dates, timestamps and durations: datetime64 and timedelta64. The rest
    (text, bytes, decimals, structs): a list.

    Arrays are writable and belong to the caller: Arrow's memory is copied once, because kept
    columns share it and models often work in place. Where they need not be `writable`, arrays of
    numbers are Arrow's memory itself.

    The rows must hold no nulls (see `valid_rows`). Raises KeyError for a column that is missing.
    """
    return {name: to_values(record_batch.column(name), writable) for name in columns}


def valid_rows(record_batch: pa.RecordBatch, columns: Sequence[str]) -> np.ndarray:
    """Which rows have a value in all of `columns`: bool (rows,).

    A null inside a list of numbers counts as a missing value: an array cannot hold it.
    """
    valid = np.ones(record_batch.num_rows, dtype=bool)
    for name in columns:
        valid &= _valid(_storage(record_batch.column(name)))
    return valid


def to_values(array: pa.Array, writable: bool = True) -> np.ndarray | list[Any]:
    """One column without nulls as `to_batch` gives it."""
    array = _storage(array)
    if is_image(array.type):
        return _images(array)
    dense = _dense(array, writable)
    if dense is not None:
        return dense
    if _is_list(array.type):
        return _lists(array)
    return array.to_pylist()


def is_image(kind: pa.DataType) -> bool:
    """True for the struct in which formats deliver a decoded image."""
    return pa.types.is_struct(kind) and tuple(f.name for f in kind) == IMAGE_FIELDS


def length(batch: Any) -> int | None:
    """The rows of `batch`: a mapping of arrays, tensors and lists, or one array or tensor.

    None when that cannot be told: entries of different lengths, or anything else.
    """
    if isinstance(batch, Mapping):
        lengths = {_rows(value) for value in batch.values()}
        return lengths.pop() if len(lengths) == 1 else None
    return None if isinstance(batch, (list, tuple)) else _rows(batch)


def take(batch: Any, indices: Sequence[int] | np.ndarray | slice) -> Any:
    """The rows `indices` of `batch`, in that order; `batch` is one whose `length` is known."""
    if isinstance(batch, Mapping):
        return {name: take(value, indices) for name, value in batch.items()}
    if isinstance(indices, slice):
        return batch[indices]
    if isinstance(batch, (list, tuple)):
        return [batch[i] for i in indices]
    if isinstance(batch, (pa.Array, pa.ChunkedArray)):
        return batch.take(pa.array(np.asarray(indices, dtype=np.int64)))
    if isinstance(batch, np.ndarray):
        return batch[np.asarray(indices, dtype=np.int64)]
    return batch[_tensor_index(batch, indices)]


def _rows(value: Any) -> int | None:
    if isinstance(value, Mapping):
        return length(value)
    if isinstance(value, (list, tuple, pa.Array, pa.ChunkedArray)):
        return len(value)
    shape = getattr(value, "shape", None)
    return int(shape[0]) if shape else None


def _tensor_index(tensor: Any, indices: Sequence[int] | np.ndarray) -> Any:
    import torch

    return torch.as_tensor(np.asarray(indices, dtype=np.int64), device=tensor.device)


def _storage(array: pa.Array) -> pa.Array:
    """`array` without the wrappings that change how values are stored, not what they are."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.FixedShapeTensorArray):
        shape = array.type.shape
        array = array.storage
        for size in reversed(shape[1:]):
            array = _regroup(array, size)
        return array
    if isinstance(array, pa.ExtensionArray):
        return array.storage
    if pa.types.is_dictionary(array.type):
        return array.dictionary_decode()
    if pa.types.is_run_end_encoded(array.type):
        return pc.run_end_decode(array)
    return array


def _regroup(array: pa.FixedSizeListArray, size: int) -> pa.FixedSizeListArray:
    """The same rows with the innermost lists cut into lists of `size`."""
    inner = pa.FixedSizeListArray.from_arrays(array.flatten(), size)
    return pa.FixedSizeListArray.from_arrays(inner, array.type.list_size // size)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _is_array_type(kind: pa.DataType) -> bool:
    """True for types that one numpy array holds."""
    return (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_date(kind)
        or pa.types.is_duration(kind)
    )


def _dense(array: pa.Array, writable: bool = True) -> np.ndarray | None:
    """Numbers and fixed-size lists of numbers as one array (rows, …); None for other types."""
    sizes = []
    rows = len(array)
    while pa.types.is_fixed_size_list(array.type):
        sizes.append(array.type.list_size)
        array = array.flatten()
    if not _is_array_type(array.type):
        return None
    if array.null_count:
        raise ValueError("a null inside a list: an array cannot hold it")
    return array.to_numpy(zero_copy_only=False, writable=writable).reshape((rows, *sizes))


def _lists(array: pa.Array) -> np.ndarray | list[Any]:
    values = _dense(array.flatten())
    if values is None:
        return array.to_pylist()
    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
    if len(lengths) == 0 or (lengths == lengths[0]).all():
        size = int(lengths[0]) if len(lengths) else 0
        return values.reshape((len(lengths), size, *values.shape[1:]))
    ends = np.cumsum(lengths)
    return [values[end - n : end] for end, n in zip(ends, lengths, strict=True)]


def _images(array: pa.StructArray) -> np.ndarray | list[np.ndarray]:
    heights = array.field("height").to_numpy(zero_copy_only=False)
    widths = array.field("width").to_numpy(zero_copy_only=False)
    data = array.field("data")
    if len(array) and (heights == heights[0]).all() and (widths == widths[0]).all():
        return _same_size(data, int(heights[0]), int(widths[0]))
    sizes = zip(heights, widths, data, strict=True)
    return [
        np.frombuffer(d.as_buffer(), dtype=np.uint8).reshape(h, w, 3).copy() for h, w, d in sizes
    ]


def _same_size(data: pa.Array, height: int, width: int) -> np.ndarray:
    images = np.empty((len(data), height, width, 3), dtype=np.uint8)
    for image, value in zip(images, data, strict=True):
        image[:] = np.frombuffer(value.as_buffer(), dtype=np.uint8).reshape(image.shape)
    return images


def _valid(array: pa.Array) -> np.ndarray:
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    kind = array.type
    if not (_is_list(kind) or pa.types.is_fixed_size_list(kind)):
        return valid
    if array.flatten().null_count == 0 and not pa.types.is_nested(kind.value_type):
        return valid
    inner = _valid(array.flatten())
    if not _is_array_type(_leaf(kind)):
        return valid
    parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
    valid[parents[~inner]] = False
    return valid


def _leaf(kind: pa.DataType) -> pa.DataType:
    while _is_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return kind
