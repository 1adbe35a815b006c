"""Refusing, before a run starts, what a model's back end cannot do.

Found out in the middle of a run, the same thing would have cost hours or money; ignored, it would have
made results that are not what they say (members of a swarm "at different temperatures" that all had one).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from lookalike.core.errors import CapabilityError, ModelError
from lookalike.core.protocols import CompletionRequest, LanguageModel, ModelCapabilities

_ELSE = {
    "allowed_replies": "let the player write freely (no admissible actions), or use a back end that can: "
    "embedded, or an OpenAI-compatible server whose entry in models.yaml says which (server: llama.cpp)",
    "probabilities": "use the embedded model, or set capabilities: {probabilities: true} if the server "
    "gives log-probabilities",
    "images": "use a vision model, and set capabilities: {images: 8} in models.yaml if this is one",
    "video": "use google:MODEL, which takes video; with other back ends let the expert sample frames",
    "json_schema": "use a back end that holds replies to a schema, or set capabilities: "
    "{json_schema: true} if the server does",
    "seed": "do without equal draws (responses that were received are kept all the same)",
    "n": "ask once a reply",
}


def capabilities_of(model: LanguageModel) -> ModelCapabilities:
    """Return what a model declares; one that declares nothing (an older plug-in) is taken as text-only."""
    found = getattr(model, "capabilities", None)
    return found if isinstance(found, ModelCapabilities) else ModelCapabilities()


def require(
    model: LanguageModel,
    *,
    temperatures: Iterable[float] = (),
    allowed_replies: bool = False,
    probabilities: bool = False,
    images: int = 0,
    video: bool = False,
    json_schema: bool = False,
    seed: bool = False,
    n: bool = False,
) -> None:
    """Check that a model can do what a run is going to ask of it. Call it before the run starts.

    Args:
        model: Whom to ask.
        temperatures: All that will be asked for.
        allowed_replies: Whether replies must be held to a list by the back end itself.
        probabilities: Whether completions must carry probabilities.
        images: Most images of one request.
        video: Whether a request carries a video.
        json_schema: Whether replies must be held to a schema by the back end itself.
        seed: Whether equal seeds must mean equal replies.
        n: Whether one call must draw several replies.

    Raises:
        CapabilityError: It cannot, with what to do instead.
    """
    has = capabilities_of(model)
    for name, wanted in {
        "allowed_replies": allowed_replies,
        "probabilities": probabilities,
        "video": video,
        "json_schema": json_schema,
        "seed": seed,
        "n": n,
    }.items():
        if wanted and not getattr(has, name):
            raise _refused(model.name, name, f"{name}: no")
    if images > has.images:
        raise _refused(model.name, "images", f"{images} images, at most {has.images}")
    _check_temperatures(model.name, has, temperatures)


def check_request(name: str, has: ModelCapabilities, request: CompletionRequest) -> None:
    """Check one request against what a back end declares.

    A list of allowed replies is let through where the back end cannot hold a reply to it: it stands in
    the prompt, and the reply is checked.

    Raises:
        CapabilityError: The back end cannot do this.
        ModelError: The request makes no sense for any back end.
    """
    if len(request.images) > has.images:
        raise _refused(name, "images", f"{len(request.images)} images, at most {has.images}")
    if request.video is not None and not has.video:
        raise _refused(name, "video", "a video")
    if request.json_schema is not None and not has.json_schema:
        raise _refused(name, "json_schema", "a JSON schema")
    _check_temperatures(name, has, (request.temperature,))
    if request.seed < 0 or request.sample < 0 or request.max_tokens < 1:
        raise ModelError(
            "A request has a number that is out of range.",
            got=f"seed {request.seed}, sample {request.sample}, max_tokens {request.max_tokens}",
            expected="seed >= 0, sample >= 0, max_tokens >= 1",
        )
    if request.allowed_replies is not None and request.json_schema is not None:
        raise ModelError(
            "A reply cannot be held to a list and to a JSON schema at once.",
            expected="either allowed_replies or json_schema",
            remedy="put the list into the schema as an enum",
        )
    if request.allowed_replies is not None and not request.allowed_replies:
        raise ModelError("The list of allowed replies is empty.", expected="at least one reply, or None")


def without_media(name: str, has: ModelCapabilities, request: CompletionRequest) -> None:
    """Refuse images, videos and schemas where they would be ignored otherwise.

    Raises:
        CapabilityError: The back end cannot take what the request carries.
    """
    if request.images or request.video is not None or request.json_schema is not None:
        check_request(name, replace(has, max_temperature=math.inf), request)


def _check_temperatures(name: str, has: ModelCapabilities, temperatures: Iterable[float]) -> None:
    asked = sorted(set(temperatures))
    wrong = [t for t in asked if not math.isfinite(t) or t < 0]
    if wrong:
        raise ModelError("A temperature is out of range.", got=repr(wrong[0]), expected="a number >= 0")
    if has.max_temperature is None:
        # A service that takes none answers at its own; one temperature asked for is then one it ignores.
        if asked and asked != [1.0]:
            raise CapabilityError(
                f"The model {name} takes no temperature.",
                got=f"temperatures {', '.join(f'{t:g}' for t in asked)}",
                expected="temperature 1 only (what such models do on their own)",
                remedy="use a model that samples at a given temperature (with some reasoning models: "
                "settings: {thinking: false} in models.yaml), or ask for temperature 1",
            )
        return
    if asked and asked[-1] > has.max_temperature:
        raise CapabilityError(
            f"The model {name} takes no temperature above {has.max_temperature:g}.",
            got=f"temperature {asked[-1]:g}",
            expected=f"0 to {has.max_temperature:g}",
            remedy=f"give the swarm temperatures up to {has.max_temperature:g}",
        )


def _refused(name: str, capability: str, got: str) -> CapabilityError:
    return CapabilityError(
        f"The model {name} does not declare the capability {capability!r}.",
        got=got,
        expected=f"a back end that declares {capability!r}",
        remedy=_ELSE[capability],
    )
