"""JPEGs that look like something: smooth fields of colour, as of a landscape, and noise."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 320, 240
COARSE = (6, 8)  # rows and columns of the colours that are smoothed
NOISE = 8.0  # of 255, as a camera has it in the evening


def jpeg(number: int) -> bytes:
    """The same image for the same number."""
    random = np.random.default_rng(number)
    colours = random.integers(0, 256, (*COARSE, 3), dtype=np.uint8)
    smooth = Image.fromarray(colours).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    noise = random.normal(0.0, NOISE, (HEIGHT, WIDTH, 3))
    pixels = np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90)
    return out.getvalue()
