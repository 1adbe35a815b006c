"""Whether a reply is what was asked for. Nothing is guessed, completed or repaired."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

_BLANKS = re.compile(" +")
_DECORATION = " \t>.!\"'`*"
REPLY_FIELD = "reply"
"""The one field of the object that a list of allowed replies is wrapped in, where a schema holds it."""


def list_schema(replies: Sequence[str]) -> dict[str, Any]:
    """Return a JSON schema that only the given replies fit."""
    return {
        "type": "object",
        "properties": {REPLY_FIELD: {"type": "string", "enum": list(replies)}},
        "required": [REPLY_FIELD],
        "additionalProperties": False,
    }


def list_grammar(replies: Sequence[str]) -> str:
    """Return a GBNF grammar (llama.cpp) that only the given replies fit."""
    # A JSON string is a GBNF literal: the same quotes and the same escapes.
    return "root ::= " + " | ".join(json.dumps(reply, ensure_ascii=False) for reply in replies)


def unwrap(text: str) -> str:
    """Return the reply inside :func:`list_schema`'s object; any other text as it is."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(data, dict) and list(data) == [REPLY_FIELD] and isinstance(data[REPLY_FIELD], str):
        return str(data[REPLY_FIELD])
    return text


def normal_form(reply: str) -> str:
    """Return a reply in one case, with single blanks, without quotes, ``>`` or a full stop around it."""
    line = unicodedata.normalize("NFKC", reply).strip()
    return _BLANKS.sub(" ", line.strip(_DECORATION).lower()) if "\n" not in line else line


def among(reply: str, allowed: Sequence[str]) -> tuple[str, str | None]:
    """Return the allowed reply that was said, and what is wrong.

    Args:
        reply: As it came.
        allowed: What it must be one of.

    Returns:
        An entry of ``allowed`` and ``None``; or the reply as it came and a sentence.
    """
    if reply in allowed:
        return reply, None
    said = normal_form(reply)
    same = [entry for entry in allowed if normal_form(entry) == said]
    if len(same) == 1:
        return same[0], None
    return reply, "The reply is empty." if not said else "The reply is not in the list."


def schema_problem(text: str, schema: Mapping[str, Any]) -> str | None:
    """Return why a reply does not fit a JSON schema, as one sentence, or ``None`` where it fits."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from referencing import Registry

    try:
        data = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return f"The reply is no JSON: {str(error)[:120] or 'nested too deeply'}."
    # An empty registry: a schema that refers elsewhere is never fetched.
    validator = Draft202012Validator(dict(schema), registry=Registry())
    try:
        worst = best_match(validator.iter_errors(data))
    except RecursionError:
        return "The reply does not fit the schema: nested too deeply."
    if worst is None:
        return None
    return f"The reply does not fit the schema at {worst.json_path[:80]}: {worst.message[:200]}."


def schema_mistake(schema: Mapping[str, Any]) -> str | None:
    """Return why a schema is none, or ``None`` where it is one."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        return error.message[:200]
    return None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
