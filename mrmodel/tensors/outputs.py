"""From what predict returned to Arrow, with the checks that keep rows aligned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from mrmodel.errors import ModelOutputError

_ONE_PER_ROW = "return one entry per row, in the order of the batch"


def to_arrow(outputs: Any, rows: int) -> pa.RecordBatch:
    """What predict returned for a batch of `rows` rows, as Arrow columns of the same names.

    A tensor or array of shape (rows,) becomes a plain column of its dtype, (rows, …) nested
    fixed-size lists; float16 and bfloat16 become float32. A list becomes the type that its
    values have; a list of arrays a column of variable lists, whatever their lengths, so that all
    batches of a job have one type. Values are copied: predict may reuse its memory.

    Raises ModelOutputError for anything but a dict of columns with one entry per row.
    """
    if not isinstance(outputs, Mapping):
        raise ModelOutputError(
            f"predict returned {_describe(outputs)}: expected a dict of column name → tensor, "
            "numpy array or list"
        )
    if not outputs:
        raise ModelOutputError(
            "predict returned an empty dict: expected at least one column, such as "
            "{'output': tensor}"
        )
    columns = {_name(name): _column(name, value, rows) for name, value in outputs.items()}
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def unify(schema: pa.Schema, batch: pa.RecordBatch) -> pa.RecordBatch:
    """`batch` cast to `schema`, that of the first batch; no value may change by it.

    Integers become floats, fixed-size lists and variable lists each other, nulls anything.
    Raises ModelOutputError for other columns, or values that the first type cannot hold.
    """
    if batch.schema.equals(schema):
        return batch
    if set(batch.schema.names) != set(schema.names):
        raise ModelOutputError(
            f"predict returned the columns {', '.join(batch.schema.names)} but "
            f"{', '.join(schema.names)} for the first batch: return the same for every batch"
        )
    arrays = [_cast(batch.column(field.name), field) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def widen(schema: pa.Schema, later: pa.Schema) -> pa.Schema:
    """`schema` with the types that were not known yet (every value None) taken from `later`."""
    known = {field.name: field for field in later}
    fields = [
        known.get(field.name, field) if pa.types.is_null(field.type) else field for field in schema
    ]
    return pa.schema(fields, metadata=schema.metadata)


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise ModelOutputError(
            f"predict returned a dict with the key {name!r}: expected column names (str)"
        )
    return name


def _column(name: str, value: Any, rows: int) -> pa.Array:
    if isinstance(value, pa.ChunkedArray):
        value = value.combine_chunks()
    if isinstance(value, pa.Array):
        _check_rows(name, len(value), rows)
        return value
    if isinstance(value, (list, tuple)):
        _check_rows(name, len(value), rows)
        return _from_list(name, value)
    if is_tensor(value):
        return _from_numpy(name, _tensor_to_numpy(name, value), rows)
    if hasattr(value, "__array__"):
        return _from_numpy(name, np.asarray(value), rows)
    raise ModelOutputError(
        f"predict returned {_describe(value)} in column {name!r}: expected a tensor, numpy array "
        f"or list; {_ONE_PER_ROW}"
    )


def _check_rows(name: str, received: int, rows: int) -> None:
    if received != rows:
        raise ModelOutputError(
            f"predict returned {_count(received)} in column {name!r} for a batch of "
            f"{_count(rows)}; {_ONE_PER_ROW}"
        )


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def is_tensor(value: Any) -> bool:
    """True for a torch tensor, found without importing torch."""
    return any(
        base.__name__ == "Tensor" and base.__module__.startswith("torch")
        for base in type(value).__mro__
    )


def _tensor_to_numpy(name: str, tensor: Any) -> np.ndarray:
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        kind = "meta" if tensor.is_meta else str(tensor.layout).replace("torch.", "")
        kind = "quantized" if tensor.layout == torch.strided and tensor.is_quantized else kind
        raise ModelOutputError(
            f"predict returned a {kind} tensor in column {name!r}: expected a dense one, as "
            "to_dense() or dequantize() give"
        )
    tensor = tensor.detach()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.to(torch.float32)
    return tensor.cpu().resolve_conj().resolve_neg().numpy()


def _from_numpy(name: str, array: np.ndarray, rows: int) -> pa.Array:
    if array.ndim == 0:
        raise ModelOutputError(
            f"predict returned a single value in column {name!r} for a batch of {_count(rows)}; "
            f"{_ONE_PER_ROW} (squeeze() and mean() can drop the first dimension)"
        )
    _check_rows(name, len(array), rows)
    if array.dtype.kind in "biuf":
        return fixed_lists(_numbers(array))
    if array.dtype.kind in "OUSMm" and array.ndim == 1:
        values = array if array.dtype.kind in "Mm" else array.tolist()
        return _from_list(name, values)
    raise ModelOutputError(
        f"predict returned {array.dtype} of {array.ndim} dimensions in column {name!r}: expected "
        "numbers or booleans; complex numbers go as two columns (x.real, x.imag)"
    )


def _numbers(array: np.ndarray) -> np.ndarray:
    """A contiguous copy in a dtype that Arrow and Parquet readers share."""
    dtype = array.dtype.newbyteorder("=")
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        dtype = np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    return np.array(array, dtype=dtype, order="C", copy=True)


def fixed_lists(array: np.ndarray) -> pa.Array:
    """An array of shape (rows, a, b) as FixedSizeList(a) of FixedSizeList(b)."""
    column = pa.array(array.reshape(-1))
    if 0 in array.shape[1:]:
        kind = column.type
        for size in reversed(array.shape[1:]):
            kind = pa.list_(kind, size)
        return pa.array(array.tolist(), type=kind)
    for size in reversed(array.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


def _from_list(name: str, values: Any) -> pa.Array:
    try:
        if isinstance(values, np.ndarray):
            return pa.array(values)
        return pa.array([_plain(name, value) for value in values])
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError) as e:
        raise ModelOutputError(
            f"predict returned values in column {name!r} that do not fit one type: {_first_line(e)}"
        ) from e


def _plain(name: str, value: Any) -> Any:
    """One row's value as Arrow takes it: tensors as arrays, deeper arrays as lists of arrays."""
    if is_tensor(value):
        value = _tensor_to_numpy(name, value)
    if isinstance(value, np.ndarray):
        return _row_array(name, value)
    if isinstance(value, Mapping):
        return {str(key): _plain(name, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(name, item) for item in value]
    return value


def _row_array(name: str, array: np.ndarray) -> Any:
    if array.dtype.kind == "c" or array.dtype.kind == "V":
        raise ModelOutputError(
            f"predict returned {array.dtype} in column {name!r}: expected numbers or booleans"
        )
    if array.dtype.kind in "biuf":
        array = _numbers(array)
    if array.ndim == 0:
        return array[()]
    return array if array.ndim == 1 else [_row_array(name, row) for row in array]


def _cast(array: pa.Array, field: pa.Field) -> pa.Array:
    if array.type.equals(field.type):
        return array
    if pa.types.is_null(field.type):
        raise ModelOutputError(
            f"predict returned only None in column {field.name!r} at first and {array.type} "
            "later: return a pyarrow array with its type, pa.array(values, pa.string())"
        )
    try:
        return array.cast(field.type, safe=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as e:
        raise ModelOutputError(
            f"predict returned {array.type} in column {field.name!r} but {field.type} for the "
            f"first batch ({_first_line(e)}): return one type for every batch"
        ) from e


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


def _describe(value: Any) -> str:
    if value is None:
        return "None"
    if is_tensor(value) or isinstance(value, np.ndarray):
        return f"a {type(value).__name__} of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
