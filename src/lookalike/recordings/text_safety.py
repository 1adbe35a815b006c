"""Recordings are untrusted: what comes out of one is plain, bounded text, whatever went into it."""

from __future__ import annotations

import re

MAX_LINE_CHARACTERS = 4_000
"""Longest line kept of any text, in characters; what follows is cut."""
MAX_TEXT_CHARACTERS = 200_000
"""Longest observation kept, in characters."""
MAX_COMMAND_CHARACTERS = 400
"""Longest command kept, in characters."""
MAX_FILE_BYTES = 256 * 1024 * 1024
"""Largest text recording that is read at all, in bytes. Videos are streamed and have no such limit."""
MAX_STEPS = 200_000
"""Most commands a recording may hold."""

# CSI, OSC (ended by BEL or ST), other two-byte escapes; then every control character but newline and tab.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")


def clean_text(text: str) -> str:
    """Return ``text`` without terminal escapes and control characters, bounded in size.

    Newlines stay, tabs become spaces, and a Windows line end becomes a newline. Unpaired surrogates, which
    no file can hold, become the replacement character.
    """
    text = text[: 2 * MAX_TEXT_CHARACTERS].replace("\r\n", "\n").expandtabs(4)
    text = _CONTROLS.sub("", _ESCAPES.sub("", text)).encode("utf-8", "replace").decode("utf-8")
    lines = [line[:MAX_LINE_CHARACTERS].rstrip() for line in text.split("\n")]
    return "\n".join(lines)[:MAX_TEXT_CHARACTERS]


def clean_observation(text: str) -> str:
    """Return ``text`` cleaned, without blank lines around it; line breaks and paragraphs inside stay."""
    return clean_text(text).strip("\n").rstrip()


def clean_command(text: str) -> str:
    """Return a command cleaned, on one line, with single spaces."""
    return " ".join(clean_text(text[: 4 * MAX_COMMAND_CHARACTERS]).split())[:MAX_COMMAND_CHARACTERS].rstrip()


def normalise_whitespace(text: str) -> str:
    """Return ``text`` with every run of whitespace as one space: the form two readings are compared in."""
    return " ".join(text.split())
