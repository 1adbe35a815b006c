"""Starts the dashboard: on an address that is free, behind a token where one is needed."""

from __future__ import annotations

import socket
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from lookalike.core.errors import UsageError
from lookalike.web.guard import MIN_TOKEN_CHARACTERS, is_loopback

if TYPE_CHECKING:
    from lookalike.web.recorder import AskedPlay

DEFAULT_PORT = 8765
PORTS_TRIED = 20
_LAST_WORDS_S = 2.0
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Address:
    """Where the dashboard answers.

    Attributes:
        host: What it listens on.
        port: TCP port.
        token: Must be shown once, or ``None``.
        wanted_port: The port that was asked for.
    """

    host: str
    port: int
    token: str | None
    wanted_port: int

    @property
    def url(self) -> str:
        """What to open in a browser; with the token, where there is one."""
        return self.page("")

    def page(self, path: str) -> str:
        """Return the address of a page, with the token, where there is one."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - shown, not bound
        host = f"[{host}]" if ":" in host else host
        query = f"?{urlencode({'token': self.token})}" if self.token is not None else ""
        return f"http://{host}:{self.port}/{path}{query}"


def serve(
    folder: Path,
    *,
    store: str | None = None,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    token: str | None = None,
    open_browser: bool = True,
    ready: Callable[[Address], None] = lambda _: None,
    asked: AskedPlay | None = None,
) -> None:
    """Serve the dashboard until it is interrupted, or until the play that it is there for is over.

    Args:
        folder: What is shown, and where new recordings and runs go; made where it does not exist.
        store: One event log to show instead of all below ``folder``.
        host: Address to listen on.
        port: First port to try; 0 for any.
        token: What a browser must show once; needed for anything but loopback.
        open_browser: Open it.
        ready: Called when it answers.
        asked: A play that the pages are there for.

    Raises:
        UsageError: Anything but loopback without a token, a token too short, or no free port.
    """
    import uvicorn

    from lookalike.web.app import make_app
    from lookalike.web.state import Dashboard

    check_door(host, token)
    listening, address = listen(host, port, token)
    folder.mkdir(parents=True, exist_ok=True)
    hosts = {*_LOOPBACK_NAMES, host} if is_loopback(host) else None
    app = make_app(Dashboard(folder, store, asked=asked), token=token, hosts=hosts)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    server = uvicorn.Server(config)

    def say_ready() -> None:
        while not server.started:
            if server.should_exit or stopped.wait(0.05):
                return
        ready(address)
        if open_browser:
            webbrowser.open(address.url if asked is None else address.page("play"))
        while asked is not None and not stopped.wait(0.1):
            if asked.over and not stopped.wait(_LAST_WORDS_S):  # the page asks once more, and says so
                server.should_exit = True

    stopped = threading.Event()
    threading.Thread(target=say_ready, daemon=True).start()
    try:
        server.run(sockets=[listening])
    finally:
        stopped.set()
        listening.close()


def check_door(host: str, token: str | None) -> None:
    """Refuse to be reachable from elsewhere without a token.

    Raises:
        UsageError: No token, or one that could be guessed.
    """
    if token is None and not is_loopback(host):
        raise UsageError(
            "Anybody who reaches this machine could look at your runs and start others.",
            got=f"--host {host} without --token",
            expected="a loopback address (127.0.0.1), or a token",
            remedy=f"give --token with {MIN_TOKEN_CHARACTERS} characters or more, or leave --host out",
        )
    if token is not None and (
        len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable()
    ):
        raise UsageError(
            "This token is too easy to guess, or holds characters that no address can.",
            got=f"{len(token)} characters",
            expected=f"at least {MIN_TOKEN_CHARACTERS} printable ASCII characters",
            remedy="e.g. --token $(openssl rand -hex 16)",
        )


def listen(host: str, port: int, token: str | None = None) -> tuple[socket.socket, Address]:
    """Listen on the first port that is free.

    Raises:
        UsageError: None of the ports tried is free, or the host is not this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except (socket.gaierror, OverflowError) as error:
        raise UsageError("There is no such address to listen on.", got=f"{host}:{port}") from error
    problem = ""
    for candidate in range(port, min(port + PORTS_TRIED, 65536)) if port else (0,):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, candidate))
            listening.listen(128)
        except OSError as error:
            listening.close()
            problem = error.strerror or str(error)
            continue
        return listening, Address(host, listening.getsockname()[1], token, port)
    raise UsageError(
        "No port is free to listen on.",
        got=f"{host}, ports {port} to {min(port + PORTS_TRIED, 65536) - 1}: {problem}",
        remedy="name another with --port",
    )
