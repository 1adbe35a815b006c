"""The one place all HTTP goes through, whichever vendor's library makes it.

The libraries hide what the scheduler needs to see (status, rate-limit headers, whether a body ended) and
trust what they should not (the size of an answer). So they are given a client whose transport writes down
one :class:`Exchange` for the call in whose context it runs, and cuts off what is too long.
"""

from __future__ import annotations

import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import httpx2

CONNECT_TIMEOUT_S = 10.0


@dataclass
class Exchange:
    """What one call's HTTP traffic looked like; the last request counts where there were several.

    Attributes:
        limit: Bytes an answer may have.
        status: HTTP status; ``None`` while nothing has come back.
        headers: Of the answer, names in lower case.
        body: The answer, as far as it came.
        sent: The body of the request, where it was JSON.
        whole: Whether the answer came to its end.
        refused: Why the answer was cut off here, or ``None``.
    """

    limit: int
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    sent: bytes = b""
    whole: bool = False
    refused: str | None = None


_CURRENT: ContextVar[Exchange | None] = ContextVar("lookalike_exchange", default=None)


@contextmanager
def exchange(limit: int) -> Iterator[Exchange]:
    """Write down the traffic of the calls made inside.

    Args:
        limit: Bytes an answer may have.
    """
    watched = Exchange(limit)
    token = _CURRENT.set(watched)
    try:
        yield watched
    finally:
        _CURRENT.reset(token)


class AnswerRefused(httpx2.TransportError):
    """An answer was cut off here; :attr:`Exchange.refused` says why."""


class WatchedTransport(httpx2.AsyncBaseTransport):
    """Sends requests on, and watches what comes back.

    Args:
        inner: Who really sends.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; its answer's bytes are counted while they are read.

        Raises:
            AnswerRefused: The answer announces too many bytes, or is compressed although that was not
                asked for (its true size would not be known).
        """
        watched = _CURRENT.get()
        # Compressed answers could be a thousand times larger than what was counted.
        request.headers["accept-encoding"] = "identity"
        if watched is None:
            return await self._inner.handle_async_request(request)
        watched.status, watched.headers, watched.whole = None, {}, False
        watched.body.clear()
        is_json = request.headers.get("content-type", "").startswith("application/json")
        watched.sent = await request.aread() if is_json else b""
        response = await self._inner.handle_async_request(request)
        watched.status = response.status_code
        watched.headers = {name.lower(): value for name, value in response.headers.items()}
        refusal = _refusal(watched)
        stream = response.stream
        if refusal is None and isinstance(stream, httpx2.AsyncByteStream):
            response.stream = _WatchedStream(stream, watched)
            return response
        await response.aclose()
        watched.refused = refusal or "it cannot be read piece by piece"
        raise AnswerRefused(watched.refused)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _WatchedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, watched: Exchange) -> None:
        self._inner = inner
        self._watched = watched
        self._count = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        watched = self._watched
        async for piece in self._inner:
            self._count += len(piece)
            if self._count > watched.limit:
                watched.refused = f"more than {watched.limit:,} bytes"
                raise AnswerRefused(watched.refused)
            watched.body += piece
            yield piece
        watched.whole = True

    async def aclose(self) -> None:
        await self._inner.aclose()


def _refusal(watched: Exchange) -> str | None:
    announced = watched.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > watched.limit:
        return f"{int(announced):,} bytes announced, more than {watched.limit:,}"
    encoding = watched.headers.get("content-encoding", "identity")
    return None if encoding == "identity" else f"content-encoding {encoding!s:.40}, though none was asked for"


def make_client(base_url: str, *, connections: int = 512) -> httpx2.AsyncClient:
    """Return an HTTP client whose answers are watched.

    A proxy is taken from the environment as usual (``HTTPS_PROXY``, ``NO_PROXY``), never for this machine.
    How long a try may take is the scheduler's business: a long reply comes after minutes without a byte.

    Args:
        base_url: Whom it is going to talk to.
        connections: Most connections at once.
    """
    address = urllib.parse.urlsplit(base_url)
    host = address.hostname or ""
    proxy = None
    if host not in {"localhost", "127.0.0.1", "::1"} and not urllib.request.proxy_bypass(host):
        found = urllib.request.getproxies()
        proxy = found.get(address.scheme) or found.get("all")
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    inner = httpx2.AsyncHTTPTransport(limits=limits, proxy=proxy)
    timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)
    return httpx2.AsyncClient(transport=WatchedTransport(inner), timeout=timeout)
