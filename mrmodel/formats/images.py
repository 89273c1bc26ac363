"""Images: one row per file, columns ``path`` (the URI) and ``image`` (see IMAGE in base)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from mrmodel.errors import InputError
from mrmodel.formats.base import IMAGE, Block, Inspection, InspectOptions, ReadOptions
from mrmodel.formats.columns import Column, deliver, file_fields, make_block
from mrmodel.formats.lines import Fault
from mrmodel.formats.schemas import choose, require
from mrmodel.formats.source import check_size, open_file
from mrmodel.shards.shard import Piece

SCHEMA = pa.schema([("path", pa.string()), ("image", IMAGE)])
MAX_FILE_BYTES = 256 << 20
MAX_PIXELS = 89_000_000  # 267 MB as RGB; from here on Pillow itself warns of bombs


class ImagesFormat:
    """One row per image file: RGB, 8 bits, as large as it is or resized (bilinear)."""

    name = "images"
    splittable = False

    def inspect(self, uris: Sequence[str], options: InspectOptions) -> Inspection:
        where = uris[0] if uris else "images"
        return Inspection(choose(SCHEMA, options, where), [1] * len(uris))

    def rows_span_lines(self, uri: str) -> bool:
        return False

    def read(self, piece: Piece, options: ReadOptions) -> Iterator[Block]:
        fields = file_fields(piece, options.schema)
        require(piece, fields, SCHEMA.names)
        if not piece.is_whole:
            raise InputError(f"{piece.uri}: an image cannot be cut into pieces")
        return deliver(piece, options, _blocks(piece, fields, options))


def _blocks(piece: Piece, fields: Sequence[pa.Field], options: ReadOptions) -> Iterator[Block]:
    columns = {}
    for field in fields:
        if field.name == "path":
            # the name of a local file need not be UTF-8, but Arrow's strings must be
            path = piece.uri.encode(errors="backslashreplace").decode()
            columns["path"] = Column(pa.array([path], pa.string()).cast(field.type))
        else:
            columns["image"] = _image_column(piece, options.image_size)
    yield make_block(
        piece,
        options.schema,
        np.zeros(1, dtype=np.int64),
        columns,
        (),
        lambda i: piece.uri,
        piece.length,
    )


def _image_column(piece: Piece, size: tuple[int, int] | None) -> Column:
    image = decode(_read(piece), size) if piece.size <= MAX_FILE_BYTES else _too_large(piece)
    if isinstance(image, Fault):
        return Column(pa.nulls(1, IMAGE), {0: image})
    height, width, data = image
    return Column(pa.array([{"height": height, "width": width, "data": data}], IMAGE))


def _read(piece: Piece) -> bytes:
    with open_file(piece.uri) as file:
        check_size(piece, file.size())
        try:
            return file.read()
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{piece.uri}: cannot be read: {error}") from error


def _too_large(piece: Piece) -> Fault:
    return Fault(
        "ImageTooLarge",
        f"expected an image file of at most {MAX_FILE_BYTES} bytes but received {piece.size}",
    )


def decode(data: bytes, size: tuple[int, int] | None = None) -> tuple[int, int, bytes] | Fault:
    """The image in `data` as (height, width, RGB bytes row by row), resized to `size` (height,
    width); a Fault when it cannot be decoded."""
    from PIL import Image  # only tasks that read images pay for it

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                return _too_many_pixels(image.width, image.height)
            rgb = image.convert("RGB")
        if size is not None:
            rgb = rgb.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return rgb.height, rgb.width, rgb.tobytes()
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - decoders of broken files raise anything
        message = re.sub(r" ?<_io\.BytesIO[^>]*>", "", str(error))
        return Fault(type(error).__name__, message or "the image cannot be decoded")


def _too_many_pixels(width: int, height: int) -> Fault:
    return Fault(
        "ImageTooLarge",
        f"expected at most {MAX_PIXELS} pixels but received {width} x {height}: make it smaller",
    )
