"""Content addresses: the same bytes or the same JSON value always have the same id."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def hash_bytes(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, read in 1 MiB pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def hash_path(path: Path) -> str:
    """Return the SHA-256 of a file, or of all of a folder's files with their names."""
    if not path.is_dir():
        return hash_file(path)
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return hash_json([[str(p.relative_to(path)), hash_file(p)] for p in files])


def canonical_json(value: object) -> str:
    """Return ``value`` as JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_json(value: object) -> str:
    """Return the SHA-256 of :func:`canonical_json` of ``value``."""
    return hash_bytes(canonical_json(value).encode())
