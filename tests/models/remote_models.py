"""Remote models that talk to a loopback server, with short waits."""

from __future__ import annotations

import io
import os
from typing import Any

from lookalike.core.protocols import CompletionRequest, Media
from lookalike.models.prices import PriceList
from lookalike.models.remote.entries import Entry, Limits
from lookalike.models.remote.model import RemoteModel

CHAT = (("system", "You play a text game."), ("user", "What now?"))
QUICK = Limits(attempts=5, attempt_timeout_s=20, total_timeout_s=60, first_wait_s=0.01, longest_wait_s=0.05)
KEY = "sk-test-0123456789"
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}, "why": {"type": "string"}},
    "required": ["answer", "why"],
    "additionalProperties": False,
}


def entry(url: str, back_end: str = "openai", **more: Any) -> Entry:
    os.environ.setdefault("LOOKALIKE_TEST_KEY", KEY)
    data: dict[str, Any] = {
        "back_end": back_end,
        "model": "m",
        "base_url": url,
        "key": "LOOKALIKE_TEST_KEY",
        "limits": QUICK,
        **more,
    }
    return Entry.model_validate(data)


def remote(url: str, back_end: str = "openai", *, notify: Any = None, **more: Any) -> RemoteModel:
    base = f"{url}/v1" if back_end == "openai" else url
    return RemoteModel("mine", entry(base, back_end, **more), prices=PriceList(), notify=notify)


def ask(text: str = "What now?", **more: Any) -> CompletionRequest:
    data: dict[str, Any] = {"prompt": (("user", text),), "temperature": 0.7, "seed": 1, **more}
    return CompletionRequest(**data)


def picture(width: int, height: int) -> Media:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (width, height), (10, 200, 30)).save(out, "PNG")
    return Media(out.getvalue(), "image/png")
