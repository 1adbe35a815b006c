"""Starts ``lookalike view`` as anybody would, for tests that ask it."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_MS = 120_000
"""How long a test waits for what must happen; a machine under load is slow, and that is no failure."""


@dataclass(frozen=True)
class Served:
    """A dashboard in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    port: int
    words: str

    def ask(
        self, path: str, *, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask as no browser would: any host, any origin."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_MS / 1000)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        connection.request(method, path, body=data, headers=sent)
        answer = connection.getresponse()
        found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def get(self, path: str) -> str:
        status, _, body = self.ask(path)
        assert status == 200, (path, status, body[:300])
        return body.decode()


def start(folder: Path, *arguments: str, within: Path | None = None) -> Served:
    """Start ``lookalike view`` as anybody would, in a folder where one is named; wait until it answers."""
    main = "from lookalike.cli import main; main()"
    command = [sys.executable, "-c", main, "view", str(folder), "--no-browser", *arguments]
    if "--port" not in arguments:
        command += ["--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=within)
    assert process.stderr is not None
    words = ""
    while "dashboard is at" not in words:
        line = process.stderr.readline()
        assert line, f"the dashboard did not start: {words}"
        words += line
    found = re.search(r"(http://\S+?:(\d+)/\S*)", words)
    assert found is not None
    return Served(process, found[1], int(found[2]), words)


def stop(served: Served) -> None:
    served.process.terminate()
    try:
        served.process.wait(10)
    except subprocess.TimeoutExpired:
        served.process.kill()
        served.process.wait()
    assert served.process.stderr is not None
    served.process.stderr.close()


def until(page: Any, expression: str) -> None:
    """Wait for a condition in the page; Playwright's own way is `eval`, which the pages' policy forbids."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never true: {expression}"
        page.wait_for_timeout(50)
