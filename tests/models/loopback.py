"""A small HTTP server on this machine for tests of remote models: scripted answers, and a log of what came.

It speaks HTTP itself (the standard library's server), so that what the clients send really goes through a
socket, and so that it can do what no well-behaved framework lets one do: break off, never end, lie.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes
    at: float

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None


@dataclass
class Said:
    """One answer. ``body`` may be JSON data, bytes, or an iterator of pieces (sent without a length)."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    break_off: bool = False
    announce: int | None = None


Answer = Callable[[Asked], Said]


class Loopback:
    """``with Loopback(answer) as server: ... server.url``"""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.mistakes: list[str] = []
        self.under_way = 0
        self.most_under_way = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args: object) -> None:
                pass

            def _serve(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                raw = self.rfile.read(length)
                headers = {k.lower(): v for k, v in self.headers.items()}
                asked = Asked(self.command, self.path, headers, raw, time.monotonic())
                with outer.lock:
                    outer.asked.append(asked)
                    outer.under_way += 1
                    outer.most_under_way = max(outer.most_under_way, outer.under_way)
                try:
                    said = outer.answer(asked)
                except AssertionError as error:
                    outer.mistakes.append(str(error))
                    said = Said({"error": {"message": f"invalid: {error}"}}, 400)
                finally:
                    with outer.lock:
                        outer.under_way -= 1
                try:
                    self._say(said)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def _say(self, said: Said) -> None:
                pieces: Iterator[bytes] | None = None
                if isinstance(said.body, bytes):
                    data = said.body
                elif isinstance(said.body, (dict, list)):
                    data = json.dumps(said.body).encode()
                else:
                    data, pieces = b"", iter(said.body)
                self.send_response(said.status)
                sent = {k.lower() for k in said.headers}
                for name, value in said.headers.items():
                    self.send_header(name, value)
                if "content-type" not in sent:
                    self.send_header("content-type", "application/json")
                if pieces is None and "content-length" not in sent:
                    extra = 100 if said.break_off else 0
                    self.send_header("content-length", str((said.announce or len(data)) + extra))
                else:
                    self.send_header("connection", "close")
                self.end_headers()
                if pieces is None:
                    self.wfile.write(data)
                else:
                    self.close_connection = True
                    for piece in pieces:
                        self.wfile.write(piece)
                        self.wfile.flush()
                if said.break_off or said.announce is not None:
                    self.close_connection = True
                self.wfile.flush()

            do_GET = do_POST = do_PUT = do_DELETE = _serve

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Loopback:
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def posts(self, ending: str = "") -> list[Asked]:
        return [a for a in self.asked if a.method == "POST" and a.path.split("?")[0].endswith(ending)]


def chat_answer(
    texts: str | list[str], *, finish: str = "stop", usage: dict[str, Any] | None = None, **message: Any
) -> dict[str, Any]:
    """Return a chat completion, checked against the OpenAI SDK's own type."""
    from openai.types.chat import ChatCompletion

    listed = [texts] if isinstance(texts, str) else texts
    data = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [
            {
                "index": i,
                "finish_reason": finish,
                "logprobs": None,
                "message": {"role": "assistant", "content": text, "refusal": None, **message},
            }
            for i, text in enumerate(listed)
        ],
        "usage": usage or {"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24},
    }
    ChatCompletion.model_validate(data, strict=True)
    return data


def models_answer(*names: str) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [{"id": n, "object": "model", "created": 1, "owned_by": "us"} for n in names],
    }


def openai_error(message: str, status: int, *, code: str | None = None, **headers: str) -> Said:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return Said(body, status, {k.replace("_", "-"): v for k, v in headers.items()})
