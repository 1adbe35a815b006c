"""The names of Minari's dataset format in one place for the writer and the reader.

As published in Minari 0.5 (``minari/dataset``, MIT; names and shapes only). A dataset is a folder ``data``
with ``metadata.json`` and ``main_data.hdf5``, one group an episode.
"""

from __future__ import annotations

import json
import re
from typing import Any

MINARI_VERSION = "0.5.4"
DATA_FOLDER = "data"
METADATA_FILE = "metadata.json"
HDF5_FILE = "main_data.hdf5"
NUL_STANDS_AS = "\u2400"
"""HDF5 ends a string at a NUL, so it is written as the picture of one."""
OWN_PREFIX = "lookalike/"


def dataset_id(name: str) -> str:
    """Return a folder's name as an id that Minari accepts: letters, digits, ``-``, ``_``, and a version."""
    cleaned = re.sub(r"[^-_\w]", "-", name, flags=re.ASCII).strip("-") or "run"
    return cleaned if re.search(r"-v\d+$", cleaned) else f"{cleaned}-v0"


def text_space(max_length: int, characters: set[str]) -> dict[str, Any]:
    """Return a Gymnasium text space as Minari writes it."""
    return {
        "type": "Text",
        "max_length": max(1, max_length),
        "min_length": 0,
        "charset": "".join(sorted(characters)) or " ",
    }


def picture_space(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the space of pictures of one size, uint8 ``[H, W, 3]``, as Minari writes it."""

    def filled(value: int) -> list[list[list[int]]]:
        return [[[value] * shape[2]] * shape[1]] * shape[0]

    return {"type": "Box", "dtype": "uint8", "shape": list(shape), "low": filled(0), "high": filled(255)}


def observation_space(text: dict[str, Any] | None, picture: dict[str, Any] | None) -> str:
    """Return the observation space as the JSON text that stands in the metadata."""
    if text is not None and picture is not None:
        return json.dumps({"type": "Dict", "subspaces": {"frame": picture, "text": text}})
    return json.dumps(text if text is not None else picture)
