"""Trying a model out: one tiny real call for each capability it declares."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lookalike.core.errors import LookalikeError
from lookalike.core.protocols import (
    Completion,
    CompletionRequest,
    LanguageModel,
    Media,
    ModelCapabilities,
    PromptStyle,
)
from lookalike.core.types import Usage
from lookalike.models.capabilities import capabilities_of
from lookalike.models.registry import make_model

WARM = 1.2
_PLAY = "A dark room.\n> light lamp\nThe lamp is on.\n> get key\nTaken.\n"
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class CapabilityCheck:
    """What came of trying one capability.

    Attributes:
        capability: ``text``, ``temperature``, or a field of ModelCapabilities.
        declared: Whether the back end says that it can.
        works: Whether it did; ``None`` where it was not tried.
        detail: What came back, or what went wrong.
        seconds: Wall time of its calls.
        usage: What its calls used and cost.
    """

    capability: str
    declared: bool
    works: bool | None
    detail: str
    seconds: float
    usage: Usage


@dataclass(frozen=True)
class ModelCheck:
    """What came of trying a model.

    Attributes:
        name: As it was asked for.
        style: How prompts are rendered for it.
        fingerprint: Back end, model and address, never a key.
        checks: One a capability; the first one is ``text``.
        usage: Of all calls together. With ``unpriced_calls`` the cost is not known.
        currency: Of its cost.
        price_known: Whether the price file, or the entry, has a price for it.
        remedy: What to do where nothing works, or ``None``.
    """

    name: str
    style: PromptStyle
    fingerprint: str
    checks: tuple[CapabilityCheck, ...]
    usage: Usage
    currency: str
    price_known: bool
    remedy: str | None

    @property
    def works(self) -> bool:
        """Whether everything it declares worked."""
        return all(check.works is not False for check in self.checks)


def check_model(name: str) -> ModelCheck:
    """Try a model: one tiny real call for each capability it declares. Nothing is cached.

    Args:
        name: As given to :func:`lookalike.models.make_model`.

    Returns:
        What worked, with latency, tokens and cost; calls that fail are part of it.

    Raises:
        UnknownNameError: No such model.
        UsageError: A settings file cannot be meant.
        ModelError: There is no key, or a library is missing.
    """
    from lookalike.models.prices import load_prices, price_of

    prices = load_prices()
    model = make_model(name)
    has = capabilities_of(model)
    checks = [_text(model)]
    remedy: str | None = None
    if checks[0].works:
        checks += [_try(model, capability, has) for capability in _TRIALS]
    else:
        remedy = checks[0].detail
        checks += [
            CapabilityCheck(c, bool(getattr(has, c, True)), None, "not tried", 0.0, Usage()) for c in _TRIALS
        ]
    close = getattr(model, "close", None)
    if close is not None:
        close()
    total = Usage()
    for check in checks:
        total = total + check.usage
    return ModelCheck(
        name=name,
        style=model.style,
        fingerprint=model.fingerprint,
        checks=tuple(checks),
        usage=total,
        currency=prices.currency,
        price_known=price_of(name, prices=prices) is not None,
        remedy=remedy,
    )


Trial = Callable[[LanguageModel], tuple[bool, str, Usage]]


def _run(name: str, declared: bool, trial: Callable[[], tuple[bool, str, Usage]]) -> CapabilityCheck:
    started = time.perf_counter()
    try:
        works, detail, usage = trial()
    except LookalikeError as error:
        works, detail, usage = False, " ".join(error.render().split()), Usage()
    return CapabilityCheck(name, declared, works, detail[:400], time.perf_counter() - started, usage)


def _text(model: LanguageModel) -> CapabilityCheck:
    def trial() -> tuple[bool, str, Usage]:
        reply = _ask(model, _request(model, "Say one word."))
        return reply.text != "", _shown(reply), reply.usage

    return _run("text", True, trial)


def _try(model: LanguageModel, capability: str, has: ModelCapabilities) -> CapabilityCheck:
    declared = (
        has.max_temperature is not None if capability == "temperature" else bool(getattr(has, capability))
    )
    if not declared:
        return CapabilityCheck(capability, False, None, "not declared", 0.0, Usage())
    return _run(capability, True, lambda: _TRIALS[capability](model))


def _temperature(model: LanguageModel) -> tuple[bool, str, Usage]:
    most = capabilities_of(model).max_temperature
    warm = WARM if most is None else min(WARM, most)
    reply = _ask(model, replace(_request(model, "Say one word."), temperature=warm))
    return reply.text != "", f"at {warm:g}: {_shown(reply)}", reply.usage


def _list(model: LanguageModel) -> tuple[bool, str, Usage]:
    allowed = ("go north", "go south")
    reply = _ask(model, replace(_request(model, "go north or go south?"), allowed_replies=allowed))
    return reply.text in allowed, _shown(reply), reply.usage


def _probabilities(model: LanguageModel) -> tuple[bool, str, Usage]:
    reply = _ask(model, replace(_request(model, "Say one word."), max_tokens=3))
    return reply.probability is not None, f"{_shown(reply)} with {reply.probability}", reply.usage


def _schema(model: LanguageModel) -> tuple[bool, str, Usage]:
    request = _request(model, "What is 1 + 1? Answer as JSON with the field answer.")
    reply = _ask(model, replace(request, json_schema=SCHEMA, max_tokens=64))
    return reply.problem is None, _shown(reply), reply.usage


def _seed(model: LanguageModel) -> tuple[bool, str, Usage]:
    request = replace(_request(model, "Name an animal."), max_tokens=6, temperature=1.0, seed=7)
    # One after the other: in one batch they would be one draw.
    first, second = _ask(model, request), _ask(model, request)
    same = first.text == second.text
    return same, f"{_shown(first)}, again {_shown(second)}", first.usage + second.usage


def _several(model: LanguageModel) -> tuple[bool, str, Usage]:
    request = replace(_request(model, "Name an animal."), max_tokens=4, temperature=1.0)
    lane = getattr(model, "lane", None)
    before = lane.counts.tries if lane is not None else 0
    replies = model.complete([request, replace(request, sample=1)])
    calls = lane.counts.tries - before if lane is not None else 1
    usage = replies[0].usage + replies[1].usage
    return calls == 1, f"2 replies from {calls} call{'s' if calls != 1 else ''}", usage


def _images(model: LanguageModel) -> tuple[bool, str, Usage]:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 20, 20)).save(out, "PNG")
    request = _request(model, "Which colour is this? One word.")
    reply = _ask(model, replace(request, images=(Media(out.getvalue(), "image/png"),)))
    return reply.text != "", f"a red square: {_shown(reply)}", reply.usage


def _video(model: LanguageModel) -> tuple[bool, str, Usage]:
    video = Media(tiny_video(), "video/mp4")
    reply = _ask(model, replace(_request(model, "Which colour is this? One word."), video=video))
    return reply.text != "", f"a second of blue: {_shown(reply)}", reply.usage


_TRIALS: dict[str, Trial] = {
    "temperature": _temperature,
    "allowed_replies": _list,
    "probabilities": _probabilities,
    "json_schema": _schema,
    "seed": _seed,
    "n": _several,
    "images": _images,
    "video": _video,
}


def tiny_video() -> bytes:
    """Return one second of a blue picture, 64 x 64, 4 frames, as MP4."""
    import av
    import numpy as np

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream: Any = container.add_stream("mpeg4", rate=4)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[..., 2] = 200
        frames: Sequence[Any] = [av.VideoFrame.from_ndarray(picture, format="rgb24") for _ in range(4)]
        for frame in [*frames, None]:
            container.mux(stream.encode(frame))
    return out.getvalue()


def _request(model: LanguageModel, text: str) -> CompletionRequest:
    # A transcript shows how it goes on; a bare ">" is often answered with an empty line.
    prompt = f"{_PLAY}{text}\n>" if model.style == "transcript" else (("user", text),)
    return CompletionRequest(prompt, temperature=_calm(model), seed=1, max_tokens=16)


def _calm(model: LanguageModel) -> float:
    return 1.0 if capabilities_of(model).max_temperature is None else 0.0


def _ask(model: LanguageModel, request: CompletionRequest) -> Completion:
    return model.complete([request])[0]


def _shown(reply: Completion) -> str:
    problem = f" ({reply.problem})" if reply.problem is not None else ""
    return f"{reply.text[:60]!r}{problem}"
