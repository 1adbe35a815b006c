"""Rows of Parquet files that anybody may have made: bounded, with errors that say what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lookalike.recordings.export.dataset import MAX_FRAME_BYTES, check_bytes, damaged
from lookalike.recordings.export.optional import need

MAX_GROUP_BYTES = MAX_FRAME_BYTES
"""Largest row group read, uncompressed; a row group is in memory as a whole."""


class ParquetRows:
    """A Parquet file opened for reading.

    Args:
        path: The file.

    Raises:
        RecordingError: Missing, cut off, or no Parquet file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parquet = need("pyarrow.parquet", what="Parquet files")
        import pyarrow as pa

        self._errors = (pa.ArrowException, OSError, ValueError)
        try:
            # No memory map: a file that shrinks under it would kill the process.
            self._file = self._parquet.ParquetFile(path, memory_map=False)
            self.columns: dict[str, Any] = {f.name: f.type for f in self._file.schema_arrow}
            self.metadata = _texts(self._file.schema_arrow.metadata)
        except self._errors as error:
            raise damaged(path, error, "a whole Parquet file") from error

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def rows(
        self, columns: Sequence[str], *, where: tuple[str, int] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Read rows.

        Args:
            columns: Names; those that the file does not have are left out.
            where: Only rows whose column of that name has this value.

        Raises:
            RecordingError: A column needed is missing, or the file is damaged.
        """
        wanted = [name for name in columns if name in self.columns]
        if where is not None:
            if where[0] not in self.columns:
                raise damaged(self.path, f"no column {where[0]!r}", "a dataset's table")
            wanted = list(dict.fromkeys([*wanted, where[0]]))
        for group in range(self._file.num_row_groups):
            if where is None or self._may_have(group, *where):
                yield from self.group(group, wanted, where=where)

    def require(self, *, texts: Sequence[str] = (), numbers: Sequence[str] = ()) -> None:
        """Make sure that the columns of these names, where they are there, have texts or numbers.

        Raises:
            RecordingError: One has something else.
        """
        import pyarrow as pa

        for names, what in ((texts, "texts"), (numbers, "numbers")):
            for name in names:
                kind = self.columns.get(name)
                if kind is None:
                    continue
                is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
                is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
                if not (is_text if what == "texts" else is_number):
                    raise damaged(self.path, f"{name} has {kind}", what)

    @property
    def groups(self) -> int:
        """How many row groups there are."""
        return int(self._file.num_row_groups)

    def group(
        self, number: int, columns: Sequence[str], *, where: tuple[str, int] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Read the rows of one row group.

        Raises:
            RecordingError: Damaged or too large.
        """
        import pyarrow.compute as pc

        try:
            about = self._file.metadata.row_group(number)
            chunks = [about.column(i) for i in range(about.num_columns)]
            size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".")[0] in columns)
            check_bytes(self.path, size, MAX_GROUP_BYTES)
            table = self._file.read_row_group(number, columns=list(columns))
            if where is not None:
                table = table.filter(pc.equal(table[where[0]], where[1]))
            for batch in table.to_batches(max_chunksize=256):
                yield from batch.to_pylist()
        except self._errors as error:
            raise damaged(self.path, error, "a whole Parquet file") from error

    def _may_have(self, group: int, column: str, value: int) -> bool:
        """Return whether a row group's bounds leave room for a value."""
        try:
            about = self._file.metadata.row_group(group)
            for index in range(about.num_columns):
                chunk = about.column(index)
                if chunk.path_in_schema == column:
                    bounds = chunk.statistics
                    if bounds is None or not bounds.has_min_max:
                        return True
                    return bool(bounds.min <= value <= bounds.max)
        except (*self._errors, TypeError) as error:
            raise damaged(self.path, error, "a whole Parquet file") from error
        return True


def _texts(metadata: dict[bytes, bytes] | None) -> dict[str, str]:
    found = (metadata or {}).items()
    return {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in found}
