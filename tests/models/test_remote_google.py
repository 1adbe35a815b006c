"""The Gemini back end against a local server that checks with the official SDK's own types.

The real service is out of reach of the tests; answers are built from the SDK's response types, errors and
the resumable upload as the API reference documents them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")

from loopback import Asked, Loopback, Said
from remote_models import CHAT, KEY, SCHEMA, ask, picture, remote

from lookalike.core.errors import CapabilityError, ModelError, ModelUnavailableError
from lookalike.core.protocols import CompletionRequest, Media
from lookalike.models.checks import tiny_video
from lookalike.models.prices import Price

MODEL = "gemini-2.5-flash"


def strict(asked: Asked) -> dict[str, Any]:
    """Check a request: headers as documented, body against the SDK's models, which forbid what is unknown."""
    from google.genai import types

    assert asked.path.split("?")[0] == f"/v1beta/models/{MODEL}:generateContent", asked.path
    assert asked.headers.get("x-goog-api-key") == KEY, "x-goog-api-key"
    assert "key=" not in asked.path, "the key is in the address"
    body = dict(asked.body)
    # The API reads both spellings of a name, and so do the SDK's models.
    for content in body.pop("contents"):
        types.Content.model_validate(content)
    if "systemInstruction" in body:
        types.Content.model_validate(body.pop("systemInstruction"))
    config = types.GenerationConfig.model_validate(body.pop("generationConfig", {}))
    assert config.max_output_tokens
    assert not body, f"unknown: {sorted(body)}"
    return dict(asked.body)


def reply_body(text: str, *, finish: str = "STOP", blocked: str | None = None) -> dict[str, Any]:
    from google.genai import types

    data: dict[str, Any] = {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": text}] if text else []},
                "finishReason": finish,
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 30,
            "candidatesTokenCount": 5,
            "totalTokenCount": 35,
            "cachedContentTokenCount": 10,
        },
        "modelVersion": MODEL,
        "responseId": "r1",
    }
    if blocked:
        data["candidates"] = []
        data["promptFeedback"] = {"blockReason": blocked}
    types.GenerateContentResponse.model_validate(data)
    return data


def says(text: str, **more: Any) -> Any:
    def answer(asked: Asked) -> Said:
        strict(asked)
        return Said(reply_body(text, **more))

    return answer


def error(status: int, name: str, text: str = "no", details: list[Any] | None = None) -> Said:
    body = {"error": {"code": status, "message": text, "status": name, "details": details or []}}
    return Said(body, status)


def gemini(url: str, **more: Any) -> Any:
    return remote(url, "google", **{"model": MODEL, **more})


def test_a_chat_is_sent_as_the_api_describes() -> None:
    with Loopback(says("go north")) as server:
        model = gemini(server.url, price=Price(input=3, cached_input=0.3, output=15))
        reply = model.complete([CompletionRequest(CHAT, 1.4, 3, max_tokens=9)])[0]
        model.close()
    assert not server.mistakes
    assert (reply.text, reply.problem) == ("go north", None)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (30, 5)
    assert reply.usage.cost == pytest.approx((20 * 3 + 10 * 0.3 + 5 * 15) / 1e6)
    config = server.asked[0].body["generationConfig"]
    assert (config["temperature"], config["seed"], config["maxOutputTokens"]) == (1.4, 3, 9)
    assert server.asked[0].body["systemInstruction"]["parts"][0]["text"] == CHAT[0][1]


def test_images_videos_lists_and_schemas_are_sent_as_the_api_describes() -> None:
    from google.genai import types

    image, video = picture(40, 30), Media(tiny_video(), "video/mp4")
    with Loopback(says('{"reply": "go north"}')) as server:
        model = gemini(server.url)
        held = model.complete([ask(images=(image,), video=video, allowed_replies=("go north", "go south"))])[
            0
        ]
        server.answer = says('{"answer": 2, "why": "x"}')
        fits = model.complete([ask(json_schema=SCHEMA)])[0]
        server.answer = says('{"answer": 2}')
        misses = model.complete([ask(json_schema=SCHEMA)])[0]
    assert not server.mistakes
    assert (held.text, held.problem, fits.problem) == ("go north", None, None)
    assert "does not fit the schema" in (misses.problem or "")
    body = server.asked[0].body
    sent = [part.inline_data for part in types.Content.model_validate(body["contents"][0]).parts[:2]]
    assert [(blob.mime_type, blob.data) for blob in sent] == [
        ("video/mp4", video.data),
        ("image/png", image.data),
    ]
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    assert '"enum": ["go north", "go south"]' in json.dumps(body["generationConfig"])


class Files:
    """The resumable upload of the Files API, as documented."""

    def __init__(self, url: str, *, state: str = "ACTIVE", looks: int = 1) -> None:
        self.url, self.state, self.looks = url, state, looks
        self.received = b""
        self.deleted: list[str] = []

    def file(self, state: str) -> dict[str, Any]:
        uri = "https://generativelanguage.googleapis.com/v1beta/files/abc"
        return {"name": "files/abc", "uri": uri, "mimeType": "video/mp4", "state": state}

    def __call__(self, asked: Asked) -> Said:
        path = asked.path.split("?")[0]
        if path == "/upload/v1beta/files":
            assert asked.headers["x-goog-upload-protocol"] == "resumable"
            assert asked.headers["x-goog-upload-command"] == "start"
            assert asked.headers["x-goog-upload-header-content-type"] == "video/mp4"
            return Said(
                {}, headers={"x-goog-upload-url": f"{self.url}/put", "x-goog-upload-status": "active"}
            )
        if path == "/put":
            self.received += asked.raw
            last = "finalize" in asked.headers["x-goog-upload-command"]
            headers = {"x-goog-upload-status": "final" if last else "active"}
            return Said({"file": self.file("PROCESSING")} if last else {}, headers=headers)
        if path == "/v1beta/files/abc" and asked.method == "DELETE":
            self.deleted.append("abc")
            return Said({})
        if path == "/v1beta/files/abc":
            self.looks -= 1
            return Said(self.file("PROCESSING" if self.looks > 0 else self.state))
        return says("a lamp")(asked)


def test_a_large_video_is_uploaded_once_watched_and_deleted() -> None:
    from google.genai import types

    video = Media(tiny_video(), "video/mp4")
    with Loopback(says("x")) as server:
        files = server.answer = Files(server.url, looks=2)
        model = gemini(server.url)
        model._service.inline_video_bytes, model._service.look_again_s = 100, 0.01
        replies = model.complete([ask(video=video, temperature=t) for t in (0.2, 0.9)])
        model.close()
    assert not server.mistakes
    assert [r.text for r in replies] == ["a lamp", "a lamp"]
    assert files.received == video.data
    assert files.deleted == ["abc"]
    watched = types.Content.model_validate(server.posts(":generateContent")[0].body["contents"][0])
    assert watched.parts[0].file_data.file_uri.endswith("/files/abc")


def test_a_video_that_cannot_be_read_or_is_too_large_is_refused() -> None:
    video = Media(tiny_video(), "video/mp4")
    with Loopback(says("x")) as server:
        server.answer = Files(server.url, state="FAILED")
        model = gemini(server.url)
        model._service.inline_video_bytes, model._service.look_again_s = 100, 0.01
        with pytest.raises(ModelError, match="cannot read an uploaded video"):
            model.complete([ask(video=video)])
        with pytest.raises(ModelError, match="given as a video is none"):
            model.complete([ask(video=Media(b"x", "text/plain"))])
    with Loopback(says("x")) as server:
        with pytest.raises(CapabilityError, match="sample frames"):
            remote(server.url).complete([ask(video=video)])


def test_refusals_say_so() -> None:
    with Loopback(says("", blocked="PROHIBITED_CONTENT")) as server:
        blocked = gemini(server.url).complete([ask()])[0]
        server.answer = says("", finish="SAFETY")
        unsafe = gemini(server.url).complete([ask()])[0]
        server.answer = says("{", finish="MAX_TOKENS")
        cut = gemini(server.url).complete([ask(json_schema=SCHEMA)])[0]
    assert "PROHIBITED_CONTENT" in (blocked.problem or "")
    assert "refused" in (unsafe.problem or "")
    assert "cut off" in (cut.problem or "")


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.2s"}


@pytest.mark.parametrize(
    ("status", "name"),
    [(429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL"), (503, "UNAVAILABLE"), (504, "DEADLINE_EXCEEDED")],
)
def test_overload_is_tried_again_after_the_delay_it_names(status: int, name: str) -> None:
    answers = [error(status, name, details=[RETRY]), Said(reply_body("x"))]
    with Loopback(lambda _: answers.pop(0)) as server:
        assert gemini(server.url).complete([ask()])[0].text == "x"
    first, second = server.asked
    assert second.at - first.at >= 0.2


@pytest.mark.parametrize(
    ("status", "name", "text", "match"),
    [
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", "accept the key"),
        (403, "PERMISSION_DENIED", "no", "accept the key"),
        (400, "INVALID_ARGUMENT", "bad field", "refused the request"),
        (429, "RESOURCE_EXHAUSTED", "Quota GenerateRequestsPerDayPerProject", "nothing left"),
    ],
)
def test_what_cannot_pass_is_not_tried_again(status: int, name: str, text: str, match: str) -> None:
    with Loopback(lambda _: error(status, name, text)) as server:
        with pytest.raises(ModelError, match=match):
            gemini(server.url).complete([ask()])
    assert len(server.asked) == 1


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    def answer(asked: Asked) -> Said:
        if asked.method == "GET":
            return Said({"models": [{"name": f"models/{MODEL}"}]})
        return error(404, "NOT_FOUND", "models/gemini-25-flash is not found")

    with Loopback(answer) as server:
        with pytest.raises(ModelError, match=f"did you mean '{MODEL}'"):
            gemini(server.url, model="gemini-25-flash").complete([ask()])


def test_malformed_and_broken_answers_are_errors_and_not_replies() -> None:
    for body in (b"<html>", b'{"candidates": [', [1], {"hello": 1}, b""):
        with Loopback(lambda _, body=body: Said(body)) as server:
            with pytest.raises(ModelError):
                gemini(server.url).complete([ask()])
        assert len(server.asked) == 1, body
    with Loopback(lambda _: Said(reply_body("x"), break_off=True)) as server:
        with pytest.raises(ModelUnavailableError, match="broke in the middle"):
            gemini(server.url).complete([ask()])
    with Loopback(lambda _: Said(reply_body("x" * 5_000_000))) as server:
        with pytest.raises(ModelError, match="too large"):
            gemini(server.url).complete([ask()])
