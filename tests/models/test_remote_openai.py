"""The OpenAI back end against a strict server: requests are checked against the SDK's own types."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")

from loopback import Asked, Loopback, Said, chat_answer, models_answer, openai_error
from remote_models import CHAT, KEY, QUICK, SCHEMA, ask, picture, remote

from lookalike.core.errors import (
    CapabilityError,
    ModelCancelledError,
    ModelError,
    ModelUnavailableError,
)
from lookalike.core.protocols import CompletionRequest
from lookalike.models.prices import Price

EXTENSIONS = {"grammar", "guided_choice", "structured_outputs"}


def strict(asked: Asked) -> dict[str, Any]:
    """Check a chat request against the SDK's types: nothing unknown, nothing of another type."""
    from openai.types.chat import ChatCompletionContentPartParam
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
    from pydantic import TypeAdapter

    assert asked.headers.get("authorization") == f"Bearer {KEY}", "authorization"
    assert asked.headers.get("content-type", "").startswith("application/json"), "content-type"
    body = {k: v for k, v in asked.body.items() if k not in EXTENSIONS}
    assert body.pop("stream", False) is False
    # pydantic reads the SDK's Iterable inside a union only once, so parts of a message are checked alone.
    parts = [p for m in body["messages"] if isinstance(m["content"], list) for p in m["content"]]
    body["messages"] = [
        {**m, "content": ""} if isinstance(m["content"], list) else m for m in body["messages"]
    ]
    for kind, values in (
        (CompletionCreateParamsNonStreaming, [body]),
        (ChatCompletionContentPartParam, parts),
    ):
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        for value in values:
            again = adapter.dump_python(adapter.validate_python(value), mode="json")
            assert again == value, f"unknown to the SDK: {value} became {again}"
    return dict(asked.body)


def says(*texts: str, **more: Any) -> Any:
    def answer(asked: Asked) -> Said:
        if asked.path.endswith("/models"):
            return Said(models_answer("m"))
        body = strict(asked)
        return Said(chat_answer(list(texts) * body.get("n", 1), **more))

    return answer


def test_a_chat_is_sent_as_the_api_describes() -> None:
    with Loopback(says("go north")) as server:
        model = remote(server.url)
        reply = model.complete([CompletionRequest(CHAT, 0.7, 3, max_tokens=9)])[0]
        model.close()
    assert not server.mistakes
    assert (reply.text, reply.problem, reply.probability) == ("go north", None, None)
    assert (reply.usage.calls, reply.usage.prompt_tokens, reply.usage.completion_tokens) == (1, 20, 4)
    body = server.asked[0].body
    assert body["messages"] == [{"role": r, "content": t} for r, t in CHAT]
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0.7, 9, "m")
    assert "seed" not in body  # nothing is known about this server


def test_the_vendors_own_api_gets_seeds_a_cache_key_and_the_new_limit() -> None:
    with Loopback(says("x")) as server:
        model = remote(server.url, server="openai")
        model.complete([ask(seed=5), ask(seed=5, temperature=1.0)])
    first, second = (a.body for a in server.asked)
    assert first["seed"] == 5
    assert first["max_completion_tokens"] == 16
    assert first["prompt_cache_key"] == second["prompt_cache_key"]


def test_members_that_differ_in_temperature_send_the_same_bytes_and_those_that_do_not_share_a_call() -> None:
    with Loopback(says("x")) as server:
        model = remote(server.url, server="vllm")
        replies = model.complete([ask(temperature=t, seed=s) for s, t in enumerate((0.2, 0.6, 0.6, 0.6))])
    assert len(replies) == 4
    bodies = sorted((a.body for a in server.asked), key=lambda b: b["temperature"])
    assert [b.get("n", 1) for b in bodies] == [1, 3]
    assert bodies[0]["messages"] == bodies[1]["messages"]
    assert sum(r.usage.calls for r in replies) == 4


def test_a_server_that_does_not_know_n_is_asked_for_the_rest() -> None:
    with Loopback(lambda asked: Said(chat_answer(f"reply {asked.body.get('n', 1)}"))) as server:
        replies = remote(server.url, server="vllm").complete([ask(seed=s) for s in range(3)])
    assert [r.text for r in replies] == ["reply 3", "reply 2", "reply 1"]


def test_what_a_call_with_several_replies_cost_is_counted_once() -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 11, "total_tokens": 1011}
    with Loopback(says("x", usage=usage)) as server:
        model = remote(server.url, server="vllm", price=Price(input=1, output=10))
        replies = model.complete([ask(seed=s) for s in range(3)])
    assert sum(r.usage.cost for r in replies) == pytest.approx((1000 * 1 + 11 * 10) / 1e6)
    assert sum(r.usage.completion_tokens for r in replies) == 11
    assert not any(r.usage.unpriced_calls for r in replies)


def test_cached_input_is_cheaper_and_an_unknown_price_is_unknown() -> None:
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 10,
        "total_tokens": 1010,
        "prompt_tokens_details": {"cached_tokens": 600},
    }
    with Loopback(says("x", usage=usage)) as server:
        priced = remote(server.url, price=Price(input=2, cached_input=1, output=4)).complete([ask()])[0]
        unknown = remote(server.url).complete([ask()])[0]
    assert priced.usage.cost == pytest.approx((400 * 2 + 600 * 1 + 10 * 4) / 1e6)
    assert (unknown.usage.cost, unknown.usage.unpriced_calls) == (0.0, 1)


def test_a_reply_without_usage_has_an_unknown_cost_even_with_a_price() -> None:
    def answer(asked: Asked) -> Said:
        data = chat_answer("x")
        del data["usage"]
        return Said(data)

    with Loopback(answer) as server:
        reply = remote(server.url, price=Price(input=1, output=1)).complete([ask()])[0]
    assert reply.usage.unpriced_calls == 1


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"server": "vllm"}, "structured_outputs"),
        ({"server": "vllm", "allowed_replies_by": "guided_choice"}, "guided_choice"),
        ({"server": "llama.cpp"}, "grammar"),
        ({"server": "openai"}, "response_format"),
        ({"server": "ollama"}, "response_format"),
    ],
)
def test_a_list_of_replies_is_held_as_the_server_can(more: dict[str, Any], field: str) -> None:
    allowed = ("go north", 'say "hi"')
    text = json.dumps({"reply": "go north"}) if field == "response_format" else "go north"
    with Loopback(says(text)) as server:
        model = remote(server.url, **more)
        assert model.capabilities.allowed_replies
        reply = model.complete([ask(allowed_replies=allowed)])[0]
    assert not server.mistakes
    assert (reply.text, reply.problem) == ("go north", None)
    held = server.asked[0].body[field]
    if field == "grammar":
        assert held == 'root ::= "go north" | "say \\"hi\\""'
    elif field == "guided_choice":
        assert held == list(allowed)
    elif field == "structured_outputs":
        assert held == {"choice": list(allowed)}
    else:
        assert held["json_schema"]["schema"]["properties"]["reply"]["enum"] == list(allowed)


@pytest.mark.parametrize(
    ("said", "text", "problem"),
    [
        ("go north", "go north", None),
        (' "Go  North." ', "go north", None),
        ("I would go north", "I would go north", "not in the list"),
        ("go north\nor south", "go north\nor south", "not in the list"),
        ("", "", "empty"),
        ("north", "north", "not in the list"),
    ],
)
def test_without_a_holding_server_a_reply_is_exactly_one_of_the_list_or_wrong(
    said: str, text: str, problem: str | None
) -> None:
    with Loopback(says(said)) as server:
        model = remote(server.url)
        assert not model.capabilities.allowed_replies
        reply = model.complete([ask(allowed_replies=("go north", "go south"))])[0]
    assert reply.text == text
    assert reply.problem is None if problem is None else problem in (reply.problem or "")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ('{"answer": 2, "why": "sum"}', None),
        ('{"answer": 2}', "'why' is a required property"),
        ('{"answer": 2, "why": "x", "more": 1}', "'more' was unexpected"),
        ('{"answer": "two", "why": "x"}', "not of type 'integer'"),
        ('{"answer": 2, "why": ', "no JSON"),
        ('```json\n{"answer": 2, "why": "x"}\n```', "no JSON"),
        ('{"answer": NaN, "why": "x"}', "no JSON"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_a_reply_by_schema_is_checked(said: str, problem: str | None) -> None:
    with Loopback(says(said)) as server:
        reply = remote(server.url, server="vllm").complete([ask(json_schema=SCHEMA)])[0]
    assert not server.mistakes
    assert reply.text == said.strip()
    assert reply.problem is None if problem is None else problem in (reply.problem or "")
    assert server.asked[0].body["response_format"]["json_schema"]["strict"] is True


def test_a_reply_cut_at_its_limit_and_a_refusal_say_so() -> None:
    with Loopback(says('{"answer": 1', finish="length")) as server:
        cut = remote(server.url, server="vllm").complete([ask(json_schema=SCHEMA)])[0]
        server.answer = lambda _: Said(chat_answer("", refusal="I cannot help with that."))
        refused = remote(server.url).complete([ask()])[0]
        server.answer = lambda _: Said(chat_answer("", finish="content_filter"))
        filtered = remote(server.url).complete([ask()])[0]
    assert "cut off" in (cut.problem or "")
    assert "refused" in (refused.problem or "")
    assert "I cannot help" in (refused.problem or "")
    assert "refused" in (filtered.problem or "")


def test_a_transcript_goes_on_up_to_the_lines_end() -> None:
    from openai.types import Completion as SdkCompletion

    def answer(asked: Asked) -> Said:
        assert asked.path == "/v1/completions", asked.path
        data = {
            "id": "1",
            "object": "text_completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "text": " north", "finish_reason": "stop", "logprobs": None}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
        }
        SdkCompletion.model_validate(data, strict=True)
        return Said(data)

    with Loopback(answer) as server:
        model = remote(server.url, style="transcript", server="llama.cpp")
        reply = model.complete([CompletionRequest("A room.\n>", 0.5, 4, ("north", "south"))])[0]
        with pytest.raises(ModelError, match="transcripts"):
            model.complete([CompletionRequest(CHAT, 0.5, 4)])
    assert not server.mistakes
    assert (reply.text, reply.problem) == ("north", None)
    body = server.asked[0].body
    assert (body["prompt"], body["stop"], body["seed"]) == ("A room.\n>", ["\n"], 4)
    assert body["grammar"] == 'root ::= " north" | " south"'


def test_images_go_with_the_last_message_and_large_ones_are_made_smaller_and_said() -> None:
    from PIL import Image

    told: list[str] = []
    small, large = picture(40, 30), picture(5000, 2500)
    with Loopback(says("green")) as server:
        model = remote(server.url, server="openai", notify=told.append)
        reply = model.complete([ask("Which colour?", images=(small, large))])[0]
        with pytest.raises(ModelError, match="cannot be sent"):
            model.complete([ask(images=(type(small)(b"not an image", "image/png"),))])
    assert not server.mistakes
    content = server.asked[0].body["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "text"]
    first, second = (part["image_url"]["url"].split(",", 1)[1] for part in content[:2])
    assert base64.b64decode(first) == small.data
    with Image.open(io.BytesIO(base64.b64decode(second))) as sent:
        assert sent.size == (2048, 1024)
    assert "5000 x 2500" in told[0]
    assert reply.notes == tuple(told)


def test_what_is_not_declared_is_refused_before_anything_is_sent() -> None:
    with Loopback(says("x")) as server:
        model = remote(server.url)
        for more in ({"images": (picture(8, 8),)}, {"json_schema": SCHEMA}, {"temperature": 2.5}):
            with pytest.raises(CapabilityError) as caught:
                model.complete([ask(), ask(**more)])
            assert caught.value.remedy
        with pytest.raises(ModelError, match="schema of a request is none"):
            remote(server.url, server="vllm").complete([ask(json_schema={"type": "banana"})])
    assert not server.asked


@pytest.mark.filterwarnings("ignore:Sampling parameters")
def test_a_temperature_that_would_be_left_out_is_refused() -> None:
    with Loopback(says("x")) as server:
        reasoning = remote(server.url, server="openai", model="o3-mini")
        assert reasoning.capabilities.max_temperature is None
        with pytest.raises(CapabilityError, match="takes no temperature"):
            reasoning.complete([ask(temperature=0.2)])
        assert not server.asked
        reasoning.complete([ask(temperature=1.0)])
        assert "temperature" not in server.asked[0].body
        # Declared by mistake: found out at the first call, not ignored.
        mistaken = remote(server.url, server="openai", model="o3-mini", capabilities={"max_temperature": 2.0})
        with pytest.raises(CapabilityError, match="left out"):
            mistaken.complete([ask(temperature=0.2)])


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(status: int) -> None:
    left = [3]

    def answer(asked: Asked) -> Said:
        left[0] -= 1
        return openai_error("wait", status) if left[0] > 0 else Said(chat_answer("at last"))

    with Loopback(answer) as server:
        model = remote(server.url)
        assert model.complete([ask()])[0].text == "at last"
    assert len(server.asked) == 3
    assert model.lane.counts.retries == 2


@pytest.mark.parametrize(
    ("status", "code", "match"),
    [
        (400, None, "refused the request"),
        (422, None, "refused the request"),
        (413, None, "refused the request"),
        (401, "invalid_api_key", "does not accept the key"),
        (403, None, "does not accept the key"),
        (429, "insufficient_quota", "nothing left"),
    ],
)
def test_what_cannot_pass_is_not_tried_again(status: int, code: str | None, match: str) -> None:
    with Loopback(lambda _: openai_error("insufficient_quota: no", status, code=code)) as server:
        with pytest.raises(ModelError, match=match) as caught:
            remote(server.url).complete([ask()])
    assert len(server.asked) == 1
    assert caught.value.remedy


def test_it_gives_up_after_its_tries_and_says_how_many() -> None:
    with Loopback(lambda _: openai_error("too busy", 503)) as server:
        with pytest.raises(ModelUnavailableError, match=r"too busy(.|\n)*tried 5 times"):
            remote(server.url).complete([ask()])
    assert len(server.asked) == QUICK.attempts


def test_retry_after_is_kept_to_and_a_pause_that_is_too_long_ends_the_call() -> None:
    answers = [openai_error("slow", 429, retry_after="0.3"), Said(chat_answer("x"))]
    with Loopback(lambda _: answers.pop(0)) as server:
        remote(server.url).complete([ask()])
        first, second = server.asked
        assert second.at - first.at >= 0.3
        server.answer = lambda _: openai_error("slow", 429, retry_after="3600")
        started = time.monotonic()
        with pytest.raises(ModelUnavailableError, match="3600 s later"):
            remote(server.url).complete([ask()])
        assert time.monotonic() - started < 5
        # Whoever comes after does not wait for an hour without a word.
        with pytest.raises(ModelUnavailableError, match="pause"):
            remote(server.url).complete([ask()])


def test_an_unknown_model_is_answered_with_the_nearest_the_server_has() -> None:
    def answer(asked: Asked) -> Said:
        if asked.method == "GET":
            return Said(models_answer("qwen3-8b", "llama-3-70b"))
        return openai_error("The model does not exist", 404, code="model_not_found")

    with Loopback(answer) as server, pytest.raises(ModelError, match="did you mean 'qwen3-8b'"):
        remote(server.url, model="qwen-8b").complete([ask()])


def test_no_network_is_said_after_the_tries() -> None:
    with Loopback(says("x")) as server:
        url = server.url
    with pytest.raises(ModelUnavailableError, match="cannot be reached"):
        remote(url).complete([ask()])


def test_a_slow_answer_is_given_up_after_its_time() -> None:
    wait = threading.Event()

    def answer(asked: Asked) -> Said:
        wait.wait(6)
        return Said(chat_answer("late"))

    limits = QUICK.model_copy(update={"attempts": 2, "attempt_timeout_s": 0.2})
    with Loopback(answer) as server:
        started = time.monotonic()
        with pytest.raises(ModelUnavailableError, match="in time"):
            remote(server.url, limits=limits).complete([ask()])
        assert time.monotonic() - started < 4
        wait.set()


def endless() -> Iterator[bytes]:
    yield b'{"id": "'
    while True:
        yield b"x" * 4096


def drip() -> Iterator[bytes]:
    for _ in range(200):
        yield b" "
        time.sleep(0.05)


def test_a_reply_of_ten_megabytes_and_an_endless_one_are_cut_off() -> None:
    big = chat_answer("x" * 10_000_000)
    with Loopback(lambda _: Said(big)) as server:
        with pytest.raises(ModelError, match="too large"):
            remote(server.url).complete([ask()])
        server.answer = lambda _: Said(endless())
        with pytest.raises(ModelError, match="more than 4,194,304 bytes"):
            remote(server.url).complete([ask()])
        server.answer = lambda _: Said(chat_answer("x"), headers={"content-encoding": "gzip"})
        with pytest.raises(ModelError, match="content-encoding"):
            remote(server.url).complete([ask()])
    assert len(server.asked) == 3  # none of them is tried again


def test_a_body_that_drips_does_not_outlive_its_time() -> None:
    limits = QUICK.model_copy(update={"attempts": 1, "attempt_timeout_s": 0.3})
    with Loopback(lambda _: Said(drip())) as server:
        with pytest.raises(ModelUnavailableError, match="in time"):
            remote(server.url, limits=limits).complete([ask()])


def test_a_broken_connection_is_tried_again_and_malformed_answers_are_not() -> None:
    answers = [Said(chat_answer("x"), break_off=True), Said(chat_answer("whole"))]
    with Loopback(lambda _: answers.pop(0)) as server:
        assert remote(server.url).complete([ask()])[0].text == "whole"
    malformed: list[Any] = [b"<html>gateway</html>", b'{"choices": ', {"choices": []}, {"hello": 1}, [1], b""]
    for body in malformed:
        with Loopback(lambda _, body=body: Said(body)) as server:
            with pytest.raises(ModelError, match="not what its API describes"):
                remote(server.url).complete([ask()])
        assert len(server.asked) == 1, body


def test_the_others_of_a_batch_are_kept_when_one_fails() -> None:
    def answer(asked: Asked) -> Said:
        if asked.body["messages"][0]["content"] == "bad":
            return openai_error("no", 400)
        time.sleep(0.1)
        return Said(chat_answer("good"))

    kept: dict[int, str] = {}
    with Loopback(answer) as server:
        model = remote(server.url)
        model.complete([ask("first")])
        with pytest.raises(ModelError, match="refused the request"):
            model.complete(
                [ask("good 1"), ask("bad"), ask("good 2")],
                on_reply=lambda index, completion: kept.update({index: completion.text}),
            )
    assert kept == {0: "good", 2: "good"}


def test_calls_can_be_cancelled_from_another_thread() -> None:
    arrived, wait = threading.Event(), threading.Event()

    def answer(asked: Asked) -> Said:
        arrived.set()
        wait.wait(5)
        return Said(chat_answer("late"))

    with Loopback(answer) as server:
        model = remote(server.url)
        caught: list[BaseException] = []

        def run() -> None:
            try:
                model.complete([ask(), ask("two")])
            except ModelCancelledError as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        assert arrived.wait(5)
        model.cancel()
        thread.join(5)
        wait.set()
        assert not thread.is_alive()
        assert len(caught) == 1
        for _ in range(100):
            if not model.lane.limiter.under_way:
                break
            time.sleep(0.01)
        assert not model.lane.limiter.under_way
        server.answer = lambda _: Said(chat_answer("again"))
        assert model.complete([ask()])[0].text == "again"
