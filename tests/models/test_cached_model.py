from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lookalike.core.errors import DamagedResponseError, ModelError, StoreLostError
from lookalike.core.protocols import Completion, CompletionRequest, Media
from lookalike.core.types import Usage
from lookalike.models.cached import CachedModel, response_key
from lookalike.store.response_cache import ResponseStore
from lookalike.testing.scripted_model import ScriptedModel

REQUEST = CompletionRequest("a room\n>", 0.7, 1)


class Counting(ScriptedModel):
    """Says how often it was asked; each reply is another one."""

    def __init__(self) -> None:
        super().__init__([f"reply {i}" for i in range(100)])


class Memory(dict[str, bytes]):
    def put(self, key: str, value: bytes) -> None:
        self.setdefault(key, value)


def test_an_equal_request_is_asked_once_and_says_so() -> None:
    inner = Counting()
    model = CachedModel(inner, Memory())
    first = model.complete([REQUEST])[0]
    second = model.complete([REQUEST])[0]
    assert (first.text, second.text, len(inner.requests)) == ("reply 0", "reply 0", 1)
    assert (first.usage.cached_calls, second.usage.cached_calls) == (0, 1)
    assert second.usage.calls == 1
    assert second.usage.prompt_tokens == first.usage.prompt_tokens
    assert (second.usage.cost, second.usage.unpriced_calls) == (0, 0)


def test_an_equal_request_within_one_batch_is_one_draw() -> None:
    inner = Counting()
    replies = CachedModel(inner, Memory()).complete([REQUEST, replace(REQUEST, sample=1), REQUEST])
    assert [r.text for r in replies] == ["reply 0", "reply 1", "reply 0"]
    assert len(inner.requests) == 2
    assert [r.usage.cached_calls for r in replies] == [0, 0, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "another\n>"},
        {"prompt": (("user", "a room\n>"),)},
        {"temperature": 0.8},
        {"seed": 2},
        {"sample": 1},
        {"max_tokens": 17},
        {"allowed_replies": ("go",)},
        {"allowed_replies": ()},
        {"json_schema": {"type": "object"}},
        {"images": (Media(b"1", "image/png"),)},
        {"video": Media(b"1", "video/mp4")},
    ],
)
def test_everything_a_response_may_depend_on_is_in_its_key(change: dict[str, Any]) -> None:
    assert response_key("m", REQUEST) != response_key("m", replace(REQUEST, **change))
    assert response_key("m", REQUEST) != response_key("n", REQUEST)


def test_media_count_by_their_content() -> None:
    one, same, other = (replace(REQUEST, images=(Media(d, "image/png"),)) for d in (b"1", b"1", b"2"))
    assert response_key("m", one) == response_key("m", same) != response_key("m", other)


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"body": 3, "sha256": 4}', None]
)
def test_a_damaged_entry_is_asked_again_once(damage: bytes | None) -> None:
    cache, inner = Memory(), Counting()
    CachedModel(inner, cache).complete([REQUEST])
    key = next(iter(cache))
    cache[key] = cache[key].replace(b"reply", b"repla") if damage is None else damage
    model = CachedModel(inner, cache)
    assert model.complete([REQUEST])[0].text == "reply 1"
    assert model.complete([REQUEST])[0].text == "reply 1"
    assert len(inner.requests) == 2


def test_a_cache_that_finds_its_own_damage_is_asked_again_too() -> None:
    class Broken(Memory):
        def get(self, key: str, default: Any = None) -> bytes | None:
            if key == damaged:
                raise DamagedResponseError("A response in the cache is damaged.")
            return super().get(key)

    damaged = response_key("m", REQUEST)
    inner = Counting()
    inner.fingerprint = "m"
    model = CachedModel(inner, Broken())
    model._cache.put(damaged, b"damaged")
    texts = [model.complete([REQUEST])[0].text for _ in range(3)]
    assert texts == ["reply 0"] * 3


def test_a_cache_that_cannot_be_read_is_no_reason_to_pay_twice() -> None:
    class Lost(Memory):
        def get(self, key: str, default: Any = None) -> bytes | None:
            raise StoreLostError("The connection to the database server was lost.")

    inner = Counting()
    with pytest.raises(StoreLostError):
        CachedModel(inner, Lost()).complete([REQUEST])
    assert inner.requests == []


def test_each_response_is_on_disk_before_it_is_handed_on(tmp_path: Path) -> None:
    path = tmp_path / "responses.sqlite"

    class Looking(Counting):
        gives_replies_as_they_come = True

        def complete(
            self, requests: Sequence[CompletionRequest], *, on_reply: Any = None
        ) -> list[Completion]:
            found = []
            for index, request in enumerate(requests):
                found.append(self._answer(request))
                on_reply(index, found[-1])
                with ResponseStore(path) as other:
                    assert len(other) == len(found)
            return found

    with ResponseStore(path) as cache:
        CachedModel(Looking(), cache).complete([REQUEST, replace(REQUEST, seed=2)])


def test_threads_that_ask_the_same_wait_for_one_answer() -> None:
    class Slow(Counting):
        def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            time.sleep(0.1)
            return super().complete(requests)

    inner = Slow()
    model = CachedModel(inner, Memory())
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(model.complete([REQUEST])[0].text)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["reply 0"] * 6
    assert len(inner.requests) == 1


def test_who_waited_for_a_call_that_failed_asks_on_its_own() -> None:
    class FailsOnce(Counting):
        def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            time.sleep(0.1)
            if not self.requests:
                self.requests.append(requests[0])
                raise ModelError("The first call fails.")
            return super().complete(requests)

    model = CachedModel(FailsOnce(), Memory())
    results: list[object] = []

    def run() -> None:
        try:
            results.append(model.complete([REQUEST])[0].text)
        except ModelError as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    assert sorted(type(r).__name__ for r in results) == ["ModelError", "str"]


def test_problems_and_notes_are_kept_with_the_reply() -> None:
    class Refusing(ScriptedModel):
        def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            self.requests += requests
            return [Completion("", 0.5, Usage(calls=1, cost=0.3), "The service refused.", ("smaller",))]

    inner = Refusing(["x"])
    model = CachedModel(inner, Memory())
    first, second = (model.complete([REQUEST])[0] for _ in range(2))
    assert (second.problem, second.notes, second.probability) == ("The service refused.", ("smaller",), 0.5)
    assert (first.usage.cost, second.usage.cost) == (0.3, 0.0)


CHILD = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[3])
    from remote_models import ask, remote
    from lookalike.models.cached import CachedModel
    from lookalike.store.response_cache import open_response_cache
    cache = open_response_cache(sys.argv[2], paid=True)
    model = CachedModel(remote(sys.argv[1], concurrency=4, capabilities={"seed": True}), cache)
    for step in range(6):
        for reply in model.complete([ask(f"step {step}", seed=s) for s in range(4)]):
            print(step, reply.text, flush=True)
    print("end", flush=True)
    """
)


@pytest.mark.slow
def test_a_run_that_is_killed_and_resumed_pays_no_received_response_twice(tmp_path: Path) -> None:
    pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")
    from loopback import Asked, Loopback, Said, chat_answer

    counts: dict[str, int] = {}
    lock = threading.Lock()
    sent: list[str] = []

    def answer(asked: Asked) -> Said:
        body = asked.body
        key = f"{body['messages'][0]['content']}/{body['seed']}"
        with lock:
            counts[key] = counts.get(key, 0) + 1
            sent.append(key)
        time.sleep(0.02)
        return Said(chat_answer(f"reply to {key}"))

    with Loopback(answer) as server:
        here = str(Path(__file__).parent)
        command = [sys.executable, "-c", CHILD, server.url, str(tmp_path / "responses.sqlite"), here]
        seen: list[str] = []
        outputs = []
        for kill_after in (6, 15, None):
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout is not None
                lines = []
                for line in child.stdout:
                    lines.append(line)
                    if kill_after is not None and len(lines) == kill_after:
                        child.send_signal(signal.SIGKILL)
                        break
                outputs.append(lines)
            seen += lines
    assert outputs[-1][-1] == "end\n"
    assert len(outputs[-1]) == 25
    # What was handed on before a kill is never asked for again; at most what was under way at a kill is.
    repeated = {key: n for key, n in counts.items() if n > 1}
    assert len(counts) == 24
    assert sum(n - 1 for n in repeated.values()) <= 2 * 4
    handed_on = {line.split("reply to ")[1].strip() for lines in outputs[:2] for line in lines}
    assert not handed_on & repeated.keys()
