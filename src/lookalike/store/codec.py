"""Events to bytes and back: canonical when written, readable in every version when read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lookalike.core.errors import StoreError
from lookalike.store.events import Event
from lookalike.store.records import Measured

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)

CURRENT_VERSIONS: Mapping[str, int] = {
    "run_started": 1,
    "episode_started": 1,
    "step_taken": 1,
    "environment_restarted": 1,
    "episode_paused": 1,
    "episode_finished": 1,
    "episode_failed": 1,
    "run_finished": 1,
}
"""The version this package writes, by kind."""

UPGRADES: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""For (kind, old version): how to rewrite the plain data into the next version. Applied until current."""

_CURRENT_HEADS = tuple(f'{{"kind":"{kind}","version":{n},'.encode() for kind, n in CURRENT_VERSIONS.items())
"""How a body of the current version begins; such a body is read in one go."""

_DIGEST = re.compile(rb"[0-9a-f]{64}")


_WITHOUT = {"measured"}
_ADDED_LATER = {
    "episode_started": ("first_frame", {"measured", "first_frame"}),
    "step_taken": ("next_frame", {"measured", "next_frame"}),
}
"""By kind: a field that version 1 did not have at first, and what to leave out where it is ``None``."""


def canonical_bytes(event: Event) -> bytes:
    """Return what two runs of one seed must agree on: the event as UTF-8 JSON, without ``measured``.

    A field that was added later is left out where it says nothing, so that an event that could have been
    written before has the bytes it had then, and digests that were published stay true.
    """
    name, without = _ADDED_LATER.get(event.kind, ("", _WITHOUT))
    leave_out = without if name and getattr(event, name) is None else _WITHOUT
    # What model_dump_json calls; straight to bytes, because every step of every episode comes through here.
    return event.__pydantic_serializer__.to_json(event, exclude=leave_out)


def measured_bytes(measured: Measured) -> bytes:
    """Return what was measured as JSON, without the time (a column of its own) and without defaults."""
    leave_out = None if measured.at is None else {"at"}
    return measured.__pydantic_serializer__.to_json(measured, exclude=leave_out, exclude_defaults=True)


def mentioned_digests(body: bytes) -> set[str]:
    """Return every SHA-256 a body mentions, whatever it names: files under one of them are in use."""
    return {digest.decode() for digest in _DIGEST.findall(body)}


def parse_event(body: bytes, measured: bytes = b"{}", *, at: float | None = None) -> Event:
    """Read an event that any version of this package up to this one wrote.

    Args:
        body: What :func:`canonical_bytes` returned when it was written.
        measured: The JSON of its :class:`~lookalike.store.records.Measured`.
        at: Seconds since 1970 when it was appended, for ``measured.at``.

    Raises:
        StoreError: It is damaged, of an unknown kind, or from a newer version.
    """
    if isinstance(body, bytes) and body.startswith(_CURRENT_HEADS) and body.endswith(b"}"):
        try:
            return _EVENT.validate_json(_joined(body, measured, at))
        except (ValidationError, TypeError):
            pass  # the slower way below finds the words for what is wrong
    return _parse_carefully(body, measured, at)


def _joined(body: bytes, measured: bytes, at: float | None) -> bytes:
    if at is None:
        return b'%s,"measured":%s}' % (body[:-1], measured)
    rest = b"}" if measured == b"{}" else b"," + measured[1:]
    return b'%s,"measured":{"at":%s%s}' % (body[:-1], repr(at).encode(), rest)


def _parse_carefully(body: bytes, measured: bytes, at: float | None) -> Event:
    try:
        data = json.loads(body)
        data["measured"] = json.loads(measured)
        if at is not None:
            data["measured"]["at"] = at
        kind, version = data["kind"], data["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            "An event in the log is damaged.",
            got=repr(body[:200]),
            expected="a JSON object with a kind and a version",
            remedy="restore the store from a copy; the other runs in it are not affected",
        ) from error
    current = CURRENT_VERSIONS.get(kind) if isinstance(kind, str) else None
    if current is None or not isinstance(version, int) or version > current:
        raise StoreError(
            "An event in the log was written by a newer version of LookALike.",
            got=f"{kind!r}, version {version!r}",
            expected=f"one of {', '.join(f'{k} <= {v}' for k, v in CURRENT_VERSIONS.items())}",
            remedy="update the package: pip install --upgrade lookalike",
        )
    while data["version"] < current:
        data = UPGRADES[kind, data["version"]](data)
    try:
        return _EVENT.validate_python(data, strict=False)
    except ValidationError as error:
        raise StoreError(
            "An event in the log does not have the fields of its kind.",
            got=f"{kind!r}: {error.errors(include_url=False)[0]['msg']} at {error.errors()[0]['loc']}",
            remedy="restore the store from a copy; the other runs in it are not affected",
        ) from error
