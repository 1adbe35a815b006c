"""A canary key goes through every failure path; it must come out of none, in no form.

Servers here are the worst case: whatever they answer, they repeat the key they were sent, in bodies,
headers, addresses and even in replies. Searched are exceptions (rendered, chained, pickled), what the
commands print with ``--debug``, every log record of every library at DEBUG, and every file that is left.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import pickle
import traceback
import urllib.parse
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")

from loopback import Asked, Loopback, Said, chat_answer, models_answer
from remote_models import QUICK, ask
from typer.testing import CliRunner

from lookalike.core.errors import LookalikeError
from lookalike.models.prices import PriceList
from lookalike.models.remote.entries import Entry
from lookalike.models.remote.model import RemoteModel

# With signs that are written otherwise in addresses and in JSON.
KEY = 'sk-CANARY/7f3e"9a+21c4=d8e5'
FORMS = {
    KEY,
    "CANARY/7f3e",
    urllib.parse.quote(KEY, safe=""),
    json.dumps(KEY)[1:-1],
    base64.b64encode(KEY.encode()).decode(),
    KEY.replace("/", "\\/"),
}
FAST = QUICK.model_copy(update={"attempts": 2, "attempt_timeout_s": 1.0, "max_reply_bytes": 100_000})


def leaks(data: bytes) -> list[str]:
    return [form for form in FORMS if form.encode() in data]


def error_body(back_end: str, status: int) -> bytes:
    said = f"Incorrect key {KEY} (or {urllib.parse.quote(KEY, safe='')})"
    if back_end == "anthropic":
        body: dict[str, Any] = {"type": "error", "error": {"type": "some_error", "message": said}}
    elif back_end == "google":
        body = {"error": {"code": status, "message": said, "status": "SOME", "details": [{"key": KEY}]}}
    else:
        body = {"error": {"message": said, "type": "some", "param": KEY, "code": KEY}}
    return json.dumps(body).encode()


def reply_body(back_end: str) -> dict[str, Any]:
    if back_end == "anthropic":
        from test_remote_anthropic import message

        return message(f"your key is {KEY}")
    if back_end == "google":
        from test_remote_google import reply_body as gemini

        return gemini(f"your key is {KEY}")
    return chat_answer(f"your key is {KEY}")


def endless() -> Iterator[bytes]:
    while True:
        yield f'{{"key": {json.dumps(KEY)}}} '.encode() * 100


def slow(_: str) -> Said:
    import time

    time.sleep(1.5)
    return Said({"key": KEY})


def status(code: int) -> Callable[[str], Said]:
    def answer(back_end: str) -> Said:
        headers = {"x-key": base64.b64encode(KEY.encode()).decode(), "retry-after": "0"}
        return Said(error_body(back_end, code), code, headers)

    return answer


PATHS: dict[str, Callable[[str], Said]] = {
    **{f"HTTP {code}": status(code) for code in (400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 503, 529)},
    "a redirection": lambda b: Said(b"", 302, {"location": f"/?key={urllib.parse.quote(KEY)}"}),
    "a page": lambda b: Said(f"<h1>{KEY}</h1>".encode(), 200, {"content-type": "text/html"}),
    "an error page": lambda b: Said(f"<h1>{KEY}</h1>".encode(), 502, {"content-type": "text/html"}),
    "malformed JSON": lambda b: Said(f'{{"choices": "{KEY}'.encode()),
    "other JSON": lambda b: Said({"key": KEY, "choices": [KEY], "content": KEY, "candidates": KEY}),
    "half an answer": lambda b: Said(error_body(b, 200), break_off=True),
    "an endless answer": lambda b: Said(endless()),
    "too much announced": lambda b: Said(error_body(b, 200), announce=10_000_000),
    "a stream of errors": lambda b: Said(
        b"data: " + error_body(b, 200) + b"\n\n", headers={"content-type": "text/event-stream"}
    ),
    "no answer in time": slow,
    "the key as the reply": lambda b: Said(reply_body(b)),
}


@pytest.fixture
def every_log() -> Iterator[io.StringIO]:
    """What every library logs, at the finest level."""
    kept = io.StringIO()
    handler = logging.StreamHandler(kept)
    root = logging.getLogger()
    before = root.level
    named = [
        logging.getLogger(name) for name in ("openai", "anthropic", "google_genai", "httpx2", "httpcore2")
    ]
    root.addHandler(handler)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # its fonts, thousands of lines
    for logger in (root, *named):
        logger.setLevel(logging.DEBUG)
    yield kept
    root.removeHandler(handler)
    root.setLevel(before)
    for logger in named:
        logger.setLevel(logging.NOTSET)


def said_of(error: BaseException) -> bytes:
    """Return everything that can be got out of an exception."""
    chain = "".join(traceback.format_exception(error))
    return "\n".join([chain, repr(error), str(error), repr(vars(error))]).encode() + pickle.dumps(error)


@pytest.mark.parametrize("back_end", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("path", PATHS)
def test_no_failure_shows_the_key(
    back_end: str, path: str, monkeypatch: pytest.MonkeyPatch, every_log: io.StringIO
) -> None:
    monkeypatch.setenv("CANARY_KEY", KEY)
    seen: list[Asked] = []

    def answer(asked: Asked) -> Said:
        seen.append(asked)
        return PATHS[path](back_end)

    models = {"openai": "m", "anthropic": "claude-sonnet-4-5", "google": "gemini-2.5-flash"}
    with Loopback(answer) as server:
        address = f"{server.url}/v1" if back_end == "openai" else server.url
        entry = Entry(
            back_end=back_end,  # type: ignore[arg-type]
            model=models[back_end],
            base_url=address,
            key="CANARY_KEY",
            limits=FAST,
        )
        model = RemoteModel("mine", entry, prices=PriceList())
        try:
            found = model.complete([ask("What now?")])
        except LookalikeError as error:
            found = []
            out = said_of(error)
        else:
            out = repr(found).encode()
    assert ["[key]" in reply.text for reply in found] == ([True] if path == "the key as the reply" else [])
    assert any(KEY in value for asked in seen for value in asked.headers.values()), "the key was not sent"
    assert not leaks(out), out.decode(errors="replace")[:2000]
    assert not leaks(repr([vars(model), model.fingerprint, entry]).encode())
    assert not leaks(every_log.getvalue().encode())


def test_settings_that_hold_a_key_are_refused_without_repeating_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lookalike.cli.app import app

    bad = {
        "as the key": f"key: {json.dumps(KEY)}",
        "in the address": f"base_url: {json.dumps(f'http://me:{KEY}@127.0.0.1:1/v1')}",
        "as a field": f"api_key: {json.dumps(KEY)}",
    }
    for where, line in bad.items():
        (tmp_path / "models.yaml").write_text(
            f"models:\n  home:\n    back_end: openai\n    model: m\n    {line}\n"
        )
        for words in (["models", "list"], ["models", "check", "home"], ["doctor"]):
            result = CliRunner().invoke(app, ["--debug", *words], prog_name="lookalike")
            assert result.exit_code == 2, (where, words, result.output)
            assert not leaks(result.output.encode()), (where, result.output)
            assert result.exception is None or not leaks(said_of(result.exception))


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server that plays along for a while and then fails in every way there is, key and all."""
    count = [0]
    turns = list(PATHS.values())

    def answer(asked: Asked) -> Said:
        if asked.path.endswith("/models"):
            return Said(models_answer("m", f"m-{KEY[:3]}"))
        count[0] += 1
        if count[0] <= 4:
            return Said(chat_answer(["look", f"get {KEY}", KEY, "inventory"][count[0] - 1]))
        return turns[count[0] % len(turns)]("openai")

    with Loopback(answer) as server:
        limits = "limits: {attempts: 1, attempt_timeout_s: 1, max_reply_bytes: 100000}"
        (tmp_path / "models.yaml").write_text(
            f"models:\n  home: {{back_end: openai, model: m, base_url: '{server.url}/v1', key: CANARY_KEY, "
            f"capabilities: {{json_schema: true}}, concurrency: 1, {limits}}}\n"
        )
        monkeypatch.setenv("CANARY_KEY", KEY)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setenv("COLUMNS", "200")
        yield server


def test_no_file_no_page_and_no_output_of_a_run_holds_the_key(
    failing: Loopback, tmp_path: Path, every_log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lookalike.cli.app import app

    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    output = b""

    def run(*words: str) -> int:
        nonlocal output
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            result = CliRunner().invoke(app, ["--debug", *words], prog_name="lookalike")
        output += result.output.encode() + repr([str(w.message) for w in warned]).encode()
        if result.exception is not None:
            output += said_of(result.exception)
        return result.exit_code

    experiment = ("experiment", "run", "free-text/colossal-cave", "--conditions", "solo-free-text")
    episode = ("--goals", "lamp", "--seeds", "1000", "--model", "home", "--out", "run")
    codes = {run(*experiment, *episode) for _ in range(6)}
    assert 2 in codes  # it failed, and was resumed, and failed
    failures, count = failing.answer, [0]

    def plays(asked: Asked) -> Said:
        count[0] += 1
        return Said(chat_answer(["enter", f"{KEY}!", "get lamp"][count[0] % 3]))

    failing.answer = plays
    assert run(*experiment, *episode) == 0
    failing.answer = failures
    run("runs", "list")
    run("runs", "show", "run")
    run("runs", "verify", "run")
    run("runs", "export", "run", "--format", "jsonl", "--out", "exported.jsonl")
    assert run("report", "run", "--out", "page.html") == 0
    for _ in range(3):
        run("models", "check", "home")
        run("models", "check", "home", "--json")
        run("models", "list", "--json")
        run("doctor", "--json")
    play = work / "play.txt"
    play.write_text("You are in a room. There is a lamp here.\n> get lamp\nTaken.\n> look\nAn empty room.\n")
    for _ in range(4):
        watch = ("watch", str(play), "--environment", "colossal-cave", "--out", "model.yaml")
        run(*watch, "--expert", "remote", "--model", "home")
    assert any(asked.headers.get("authorization") == f"Bearer {KEY}" for asked in failing.asked)
    assert not leaks(output), leaks(output)
    assert not leaks(every_log.getvalue().encode())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "responses.sqlite" for path in files)
    assert any(path.name == "events.sqlite" for path in files)
    assert {"report.html", "results.json", "page.html", "exported.jsonl"} <= {path.name for path in files}
    for path in files:
        assert not leaks(path.read_bytes()), path
