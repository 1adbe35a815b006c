"""The Anthropic back end against a local server that checks with the official SDK's own types.

The real service is out of reach of the tests; answers are built from the SDK's response types, errors as
the API reference documents them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")

from loopback import Asked, Loopback, Said
from remote_models import CHAT, KEY, SCHEMA, ask, picture, remote

from lookalike.core.errors import CapabilityError, ModelError
from lookalike.core.protocols import CompletionRequest
from lookalike.models.prices import Price

MODEL = "claude-sonnet-4-5"


def strict(asked: Asked) -> dict[str, Any]:
    """Check a request: headers as documented, body against the SDK's TypedDicts, nothing unknown."""
    from anthropic._client import ANTHROPIC_API_VERSION
    from anthropic.types.beta import BetaContentBlockParam
    from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming
    from pydantic import TypeAdapter

    assert asked.path.split("?")[0] == "/v1/messages", asked.path
    keys = [asked.headers.get("authorization"), asked.headers.get("x-api-key")]
    assert [k for k in keys if k] in ([f"Bearer {KEY}"], [KEY]), "one key, in one header"
    assert asked.headers.get("anthropic-version") == ANTHROPIC_API_VERSION, "anthropic-version"
    assert asked.headers.get("content-type") == "application/json", "content-type"
    body = dict(asked.body)
    # Documented, and left out of the SDK's types since newer models take none.
    temperature = body.pop("temperature", None)
    assert temperature is None or 0 <= temperature <= 1, "temperature"
    assert body.pop("stream", False) in (True, False)
    parts = [p for m in body["messages"] if isinstance(m["content"], list) for p in m["content"]]
    body["messages"] = [
        {**m, "content": ""} if isinstance(m["content"], list) else m for m in body["messages"]
    ]
    for kind, values in ((MessageCreateParamsNonStreaming, [body]), (BetaContentBlockParam, parts)):
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        for value in values:
            again = adapter.dump_python(adapter.validate_python(value), mode="json")
            assert again == value, f"unknown to the SDK: {value} became {again}"
    return dict(asked.body)


def message(text: str, *, stop: str = "end_turn", cached: int = 0) -> dict[str, Any]:
    from anthropic.types.beta import BetaMessage

    data = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 30,
            "output_tokens": 5,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": 0,
        },
    }
    BetaMessage.model_validate(data)
    return data


def says(text: str, **more: Any) -> Any:
    def answer(asked: Asked) -> Said:
        strict(asked)
        return Said(message(text, **more))

    return answer


def error(kind: str, status: int, text: str = "no", **headers: str) -> Said:
    body = {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}
    return Said(body, status, {k.replace("_", "-"): v for k, v in headers.items()})


def claude(url: str, **more: Any) -> Any:
    return remote(url, "anthropic", **{"model": MODEL, **more})


def test_a_chat_is_sent_as_the_api_describes() -> None:
    with Loopback(says("go north", cached=10)) as server:
        model = claude(server.url, price=Price(input=3, cached_input=0.3, output=15))
        reply = model.complete([CompletionRequest(CHAT, 0.7, 3, max_tokens=9)])[0]
        model.close()
    assert not server.mistakes
    assert (reply.text, reply.problem) == ("go north", None)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (40, 5)
    assert reply.usage.cost == pytest.approx((30 * 3 + 10 * 0.3 + 5 * 15) / 1e6)
    body = server.asked[0].body
    assert (body["model"], body["max_tokens"], body["temperature"]) == (MODEL, 9, 0.7)
    assert body["messages"][0]["role"] == "user"
    assert CHAT[0][1] in json.dumps(body["system"])


def test_images_lists_and_schemas_are_sent_as_the_api_describes() -> None:
    image = picture(40, 30)
    with Loopback(says('{"reply": "go north"}')) as server:
        model = claude(server.url)
        held = model.complete([ask(images=(image,), allowed_replies=("go north", "go south"))])[0]
        server.answer = says('{"answer": 2, "why": "x"}')
        fits = model.complete([ask(json_schema=SCHEMA)])[0]
        server.answer = says('{"answer": 2, "more": 1}')
        misses = model.complete([ask(json_schema=SCHEMA)])[0]
    assert not server.mistakes
    assert (held.text, held.problem) == ("go north", None)
    assert fits.problem is None
    assert "does not fit the schema" in (misses.problem or "")
    content = server.asked[0].body["messages"][0]["content"]
    source = next(part for part in content if part["type"] == "image")["source"]
    assert base64.b64decode(source["data"]) == image.data
    schemas = json.dumps(server.asked[0].body)
    assert '"enum": ["go north", "go south"]' in schemas


def test_it_takes_no_temperature_above_one_and_newer_models_none() -> None:
    with Loopback(says("x")) as server:
        with pytest.raises(CapabilityError, match="above 1"):
            claude(server.url).complete([ask(temperature=1.4)])
        newer = claude(server.url, model="claude-opus-4-8")
        assert newer.capabilities.max_temperature is None
        with pytest.raises(CapabilityError, match="takes no temperature"):
            newer.complete([ask(temperature=0.2)])
        assert not server.asked
        newer.complete([ask(temperature=1.0)])
    assert not server.mistakes
    assert "temperature" not in server.asked[0].body


def test_a_refusal_and_a_cut_say_so() -> None:
    with Loopback(says("", stop="refusal")) as server:
        refused = claude(server.url).complete([ask()])[0]
        server.answer = says('{"ans', stop="max_tokens")
        cut = claude(server.url).complete([ask(json_schema=SCHEMA)])[0]
    assert "refused" in (refused.problem or "")
    assert "cut off" in (cut.problem or "")


@pytest.mark.parametrize(
    ("kind", "status"),
    [("rate_limit_error", 429), ("api_error", 500), ("timeout_error", 504), ("overloaded_error", 529)],
)
def test_overload_is_tried_again(kind: str, status: int) -> None:
    answers = [error(kind, status, retry_after="0"), error(kind, status), Said(message("x"))]
    with Loopback(lambda _: answers.pop(0)) as server:
        assert claude(server.url).complete([ask()])[0].text == "x"
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("kind", "status", "match"),
    [
        ("authentication_error", 401, "does not accept the key"),
        ("permission_error", 403, "does not accept the key"),
        ("invalid_request_error", 400, "refused the request"),
        ("request_too_large", 413, "refused the request"),
        ("billing_error", 402, "nothing left"),
    ],
)
def test_what_cannot_pass_is_not_tried_again(kind: str, status: int, match: str) -> None:
    with Loopback(lambda _: error(kind, status)) as server:
        with pytest.raises(ModelError, match=match):
            claude(server.url).complete([ask()])
    assert len(server.asked) == 1


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    def answer(asked: Asked) -> Said:
        if asked.method == "GET":
            listed = {"type": "model", "id": MODEL, "display_name": "x", "created_at": "2025-01-01T00:00:00Z"}
            return Said({"data": [listed], "has_more": False, "first_id": MODEL, "last_id": MODEL})
        return error("not_found_error", 404, "model: claude-sonet-4-5")

    with Loopback(answer) as server:
        with pytest.raises(ModelError, match=f"did you mean '{MODEL}'"):
            claude(server.url, model="claude-sonet-4-5").complete([ask()])


def test_malformed_answers_are_errors_and_not_replies() -> None:
    for body in (b"<html>", b'{"type": "mess', {"hello": 1}, []):
        with Loopback(lambda _, body=body: Said(body)) as server:
            with pytest.raises(ModelError):
                claude(server.url).complete([ask()])
        assert len(server.asked) == 1, body


def events(text: str) -> Iterator[bytes]:
    """Return the beginning of a streamed message, as the API reference documents it."""
    listed: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message(""), "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
    ]
    for event in listed:
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def test_long_replies_are_asked_for_whole_and_half_of_one_is_never_used() -> None:
    def answer(asked: Asked) -> Said:
        assert not strict(asked).get("stream")
        return answers.pop(0)

    stream = {"content-type": "text/event-stream"}
    answers = [
        Said(message("half"), break_off=True),
        Said(events("half of a stream nobody asked for"), headers=stream),
        Said(message("whole")),
    ]
    with Loopback(answer) as server:
        reply = claude(server.url).complete([ask(max_tokens=60_000)])[0]
    assert not server.mistakes
    assert (reply.text, reply.problem) == ("whole", None)
    assert len(server.asked) == 3
