"""Frames and videos beside the log, each under the SHA-256 of its bytes.

The name is the check: a file whose bytes changed no longer has its name. Equal frames are one file, however
many steps show it. A file gets its name only when it is whole and on the disk, and before the event that
mentions it is appended, so an event never names a file that a power cut could take.
"""

from __future__ import annotations

import io
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lookalike.core.errors import StoreError
from lookalike.core.ids import hash_bytes, hash_file
from lookalike.core.types import Frame

FRAME_SUFFIX = ".png"
_NAME = re.compile(r"([0-9a-f]{64})(\.[a-z0-9]{1,8})?")
_TEMPORARY = ".part"
_MAX_PIXELS = 64_000_000
"""A frame larger than this (8,000 x 8,000) is no frame of a game."""

_counter = itertools.count()


class FileStore:
    """Content-addressed files: ``FOLDER/ab/abcdef….png``.

    Safe for several threads and processes on one folder. The folder belongs to one store.

    Args:
        folder: Where files go, usually ``files`` beside the log; made when the first is put.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"FileStore({str(self.folder)!r})"

    def put(self, data: bytes, suffix: str) -> str:
        """Store bytes, unless they are there already.

        Args:
            data: The file's content.
            suffix: Ending of its name, for people and viewers, e.g. ``".png"``.

        Returns:
            SHA-256 of ``data``, 64 hexadecimal digits.

        Raises:
            StoreError: The folder cannot be written, or the disk is full. Nothing is left behind then.
        """
        digest = hash_bytes(data)
        if not _NAME.fullmatch(digest + suffix):
            raise ValueError(f"a suffix is a dot and up to 8 small letters or digits, got {suffix!r}")
        path = self._place(digest, suffix)
        try:
            if _holds(path, data):
                os.utime(path)  # in use again: see garbage.collect_garbage
            else:
                _write_whole(path, data)
        except OSError as error:
            raise _unwritable(path, error) from error
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes stored under a SHA-256.

        Raises:
            StoreError: There is no such file, or its bytes have changed; the file is named.
        """
        path = self.path(digest)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _missing(path, error.strerror) from error
        if hash_bytes(data) != digest:
            raise StoreError(
                "A file of the store is damaged: its bytes do not have the hash it is named after.",
                got=str(path),
                remedy="restore it from a copy, or remove it and run the experiment again",
            )
        return data

    def path(self, digest: str) -> Path:
        """Return where the file with this SHA-256 is.

        Raises:
            StoreError: There is no such file.
        """
        usual = self._place(digest, FRAME_SUFFIX)
        if usual.exists():
            return usual
        found = sorted(usual.parent.glob(f"{digest}*"))
        named = [path for path in found if _NAME.fullmatch(path.name)]
        if not named:
            raise _missing(usual, "no such file")
        return named[0]

    def damage(self, digest: str) -> tuple[Path, str | None]:
        """Return a file's place and what is wrong with it, ``None`` where nothing is: for a report over many.

        Raises:
            StoreError: ``digest`` is no SHA-256.
        """
        path = self._place(digest, FRAME_SUFFIX)
        try:
            path = self.path(digest)
            if hash_file(path) == digest:
                return path, None
        except StoreError:
            return path, "is missing"
        except OSError as error:
            return path, f"cannot be read ({error.strerror})"
        return path, "has changed: its bytes do not have the hash it is named after"

    def put_frame(self, frame: Frame) -> str:
        """Store a picture without loss, as PNG; equal pictures have equal files.

        Args:
            frame: RGB, uint8 ``[H, W, 3]``.

        Returns:
            SHA-256 of the PNG file. It is the same wherever the same versions of Pillow and its compressor
            are used.
        """
        from PIL import Image

        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"frame must be uint8 [H, W, 3], got {frame.dtype} {list(frame.shape)}")
        buffer = io.BytesIO()
        # Nothing but pixels goes in: no time, no software name.
        Image.fromarray(np.ascontiguousarray(frame)).save(buffer, "PNG", compress_level=6)
        return self.put(buffer.getvalue(), FRAME_SUFFIX)

    def get_frame(self, digest: str) -> Frame:
        """Return a picture that :meth:`put_frame` stored: uint8 ``[H, W, 3]``.

        Raises:
            StoreError: It is missing, damaged or no picture.
        """
        from PIL import Image, UnidentifiedImageError

        data = self.get(digest)
        try:
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                if image.width * image.height > _MAX_PIXELS:
                    raise ValueError(f"{image.width} x {image.height} pixels")
                return np.array(image.convert("RGB"), dtype=np.uint8)
        except (
            UnidentifiedImageError,
            ValueError,
            OSError,
            SyntaxError,
            Image.DecompressionBombError,
        ) as error:
            raise StoreError(
                "A file of the store is no frame.",
                got=f"{self.path(digest)}: {error}",
                expected=f"a PNG picture of at most {_MAX_PIXELS:,} pixels",
            ) from error

    def digests(self) -> Iterator[tuple[str, Path]]:
        """List all files with their SHA-256 by name (their bytes are not read)."""
        for path in sorted(self.folder.glob("??/*")):
            if (match := _NAME.fullmatch(path.name)) and match[1].startswith(path.parent.name):
                yield match[1], path

    def leftovers(self) -> Iterator[Path]:
        """List temporary files: of writes going on, and of writers that were killed."""
        yield from sorted(self.folder.glob(f"??/*{_TEMPORARY}"))

    def _place(self, digest: str, suffix: str) -> Path:
        if not _NAME.fullmatch(digest):
            raise StoreError(
                "This is no SHA-256 of a file.", got=f"{digest:.80}", expected="64 hexadecimal digits"
            )
        return self.folder / digest[:2] / (digest + suffix)


def _holds(path: Path, data: bytes) -> bool:
    """Return whether the file is there and unchanged; a damaged one is written again."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file under a name of its own, and give it the real one when it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem[:16]}-{os.getpid()}-{next(_counter)}{_TEMPORARY}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the name lasts too
    finally:
        os.close(folder)


def _missing(path: Path, why: str | None) -> StoreError:
    return StoreError(
        "A file of the store is missing.",
        got=f"{path}: {why}",
        remedy="restore it from a copy, or run the experiment again",
    )


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        "A file of the store cannot be written; nothing of it was kept.",
        got=f"{path}: {error.strerror}",
        remedy="free some space, or make the folder writable, and run the same command again",
    )
