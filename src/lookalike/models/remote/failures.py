"""What went wrong with a call, whether asking again can help, and a message without a key in it.

The vendors' libraries put request headers, whole bodies and each other's exceptions into theirs. None of
that leaves this module: an error is made from what was seen on the wire, bounded, with every key struck
out, and without the original exception behind it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import urllib.parse
from dataclasses import dataclass

from lookalike.core.errors import LookalikeError, ModelError, ModelUnavailableError
from lookalike.models.remote.entries import Entry
from lookalike.models.remote.limits import seconds_until
from lookalike.models.remote.wire import Exchange

RETRYABLE = frozenset({408, 429, 500, 502, 503, 504, 529})
OVERLOAD = frozenset({429, 503, 529})
_SPENT = re.compile(r"insufficient_quota|billing|credit balance|spend_limit|PerDay", re.IGNORECASE)
_BAD_KEY = re.compile(r"api[_ ]key[_ ](not valid|invalid)|API_KEY_INVALID|invalid x-api-key", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")
STRUCK_OUT = "[key]"


@dataclass(eq=False)
class CallFailed(Exception):  # noqa: N818 - it never leaves the room
    """One try of a call failed.

    Attributes:
        error: What to tell the caller if nobody asks again.
        retryable: Whether asking again can help.
        overload: Whether the service said that it is too much.
        retry_after_s: How long the service asked to wait, or ``None``.
        unknown_model: Whether the service does not know the model.
    """

    error: LookalikeError
    retryable: bool = False
    overload: bool = False
    retry_after_s: float | None = None
    unknown_model: bool = False


def strike_out(text: str, secrets: tuple[str, ...]) -> str:
    """Return ``text`` without any of the secrets, as they are or as they stand in an address."""
    for secret in secrets:
        in_bytes, in_json = repr(secret.encode())[2:-1], json.dumps(secret)[1:-1]
        forms = {
            secret,
            in_bytes,
            in_json,
            in_json.replace("/", "\\/"),
            urllib.parse.quote(secret, safe=""),
            urllib.parse.quote(secret),
            base64.b64encode(secret.encode()).decode(),
        }
        # Longest first: a shorter form may be part of a longer one.
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, STRUCK_OUT)
    return text


def explain(error: BaseException, seen: Exchange, entry: Entry, secrets: tuple[str, ...]) -> CallFailed:
    """Return what a try's exception means.

    Args:
        error: What the vendor's library raised; only its kind counts.
        seen: The traffic of the try.
        entry: Whom it went to.
        secrets: Struck out of every text.
    """
    name = f"{entry.back_end}:{entry.model}"
    if seen.refused is not None:
        return CallFailed(
            ModelError(
                f"The answer of {name} was cut off: it is too large.",
                got=seen.refused,
                expected=f"at most {entry.limits.max_reply_bytes:,} bytes",
                remedy="see what answers at that address; limits: {max_reply_bytes: ...} in models.yaml "
                "allows more",
            )
        )
    if isinstance(error, asyncio.TimeoutError):
        return _unavailable(
            f"{name} did not answer in time.",
            got=f"no whole answer within {entry.limits.attempt_timeout_s:g} s",
            remedy="limits: {attempt_timeout_s: ...} in models.yaml waits longer",
        )
    if seen.status is None:
        return _no_answer(error, seen, entry, secrets)
    if seen.status < 400:
        return _broken_answer(seen, entry, secrets)
    return _refusal(seen, entry, secrets)


def _no_answer(error: BaseException, seen: Exchange, entry: Entry, secrets: tuple[str, ...]) -> CallFailed:
    if not seen.sent and not _is_transport(error):
        # Not even sent: something in the request that the library will not take.
        return CallFailed(
            ModelError(
                f"The request for {entry.back_end}:{entry.model} could not be made.",
                got=shortened(str(error), secrets),
                remedy="see settings: in models.yaml",
            )
        )
    return _unavailable(
        f"{entry.back_end}:{entry.model} cannot be reached.",
        got=f"no answer from {entry.address} ({type(error).__name__})",
        remedy="see whether the network is there, the address is right and the server runs",
    )


def _broken_answer(seen: Exchange, entry: Entry, secrets: tuple[str, ...]) -> CallFailed:
    name = f"{entry.back_end}:{entry.model}"
    if not seen.whole:
        return _unavailable(
            f"The connection to {name} broke in the middle of an answer.",
            got=f"{len(seen.body):,} bytes",
            remedy="ask again",
        )
    if seen.headers.get("content-type", "").startswith("text/event-stream"):
        return _unavailable(
            f"The streamed answer of {name} ended before it was finished, or with an error.",
            got=shortened(strike_out(_text(seen), secrets)[-300:], ()),
            remedy="ask again",
        )
    return CallFailed(
        ModelError(
            f"The answer of {name} is not what its API describes.",
            got=shortened(_text(seen), secrets),
            expected=f"JSON as {entry.back_end}'s API describes it",
            remedy=f"see what answers at {entry.address}",
        )
    )


def _refusal(seen: Exchange, entry: Entry, secrets: tuple[str, ...]) -> CallFailed:
    name, status = f"{entry.back_end}:{entry.model}", seen.status or 0
    body = _text(seen)
    said = f"HTTP {status}: {shortened(_message(body), secrets)}"
    if status in {401, 403} or (status == 400 and _BAD_KEY.search(body)):
        where = " or ".join(entry.key_variables) or "no key (key: in models.yaml names one)"
        return CallFailed(
            ModelError(
                f"{name} does not accept the key.",
                got=said,
                expected=f"a key for {entry.address}, from {where}",
                remedy="set that variable to a key that this service gave out",
            )
        )
    if status == 404:
        return CallFailed(
            ModelError(f"{entry.address} does not know the model {entry.model!r}.", got=said),
            unknown_model=True,
        )
    if status == 402 or (status == 429 and _SPENT.search(body)):
        return CallFailed(
            ModelUnavailableError(
                f"The account behind {name} has nothing left.",
                got=said,
                remedy="waiting does not help: see the account's credit and limits, then resume the run",
            )
        )
    if status in RETRYABLE:
        failed = _unavailable(
            f"{name} is overloaded or limits its callers."
            if status in OVERLOAD
            else f"{name} has an error of its own.",
            got=said,
            remedy="resume later, or with a lower concurrency: in models.yaml",
        )
        failed.overload = status in OVERLOAD
        failed.retry_after_s = _retry_after(seen, body)
        return failed
    return CallFailed(
        ModelError(
            f"{name} refused the request.",
            got=said,
            remedy="see capabilities: and settings: in models.yaml (lookalike models check tries each)",
        )
    )


def _unavailable(what: str, *, got: str, remedy: str) -> CallFailed:
    return CallFailed(ModelUnavailableError(what, got=got, remedy=remedy), retryable=True)


def _is_transport(error: BaseException) -> bool:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"TransportError", "APIConnectionError", "ModelConnectionError", "OSError"})


def _retry_after(seen: Exchange, body: str) -> float | None:
    milliseconds = seen.headers.get("retry-after-ms")
    if milliseconds is not None and milliseconds.replace(".", "", 1).isdigit():
        return float(milliseconds) / 1000
    if (asked := seconds_until(seen.headers.get("retry-after"))) is not None:
        return asked
    # Gemini says it in the body: google.rpc.RetryInfo.
    told = re.search(r'"retryDelay"\s*:\s*"(\d{1,6}(?:\.\d{1,9})?)s"', body)
    return float(told.group(1)) if told else None


def _text(seen: Exchange) -> str:
    return bytes(seen.body).decode("utf-8", "replace")


def _message(body: str) -> str:
    """Return the sentence in an error's body, or the body."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return body
    for _ in range(3):
        if isinstance(data, list) and data:
            data = data[0]
        if isinstance(data, dict):
            data = data.get("error", data.get("message", data))
    return data if isinstance(data, str) else body


def shortened(text: str, secrets: tuple[str, ...]) -> str:
    """Return untrusted text as one short line without secrets."""
    # Struck out first: a cut could leave half a key, which would not be recognised any more.
    line = _BLANKS.sub(" ", strike_out(text, secrets)).strip()
    return "".join(c if c.isprintable() else "?" for c in line)[:300]
