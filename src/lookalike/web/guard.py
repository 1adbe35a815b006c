"""What stands before every page: who may ask, from where, and what the browser may do with the answer.

A server on loopback is reachable by every page that the user's browser shows. So each request must name
this server as its host (a foreign name that resolves to this machine does not: DNS rebinding), nothing may
be asked by pages of other origins, and whoever is not on this machine needs the token.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024
"""Nothing that is asked here is longer."""
MIN_TOKEN_CHARACTERS = 12

CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""No inline script, no inline style, nothing from anywhere else."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_SAFE = frozenset({"GET", "HEAD"})


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Middleware that refuses, and that puts the headers on every answer.

    Args:
        app: What is guarded.
        token: What a browser must have shown once; ``None`` where loopback is enough.
        hosts: Host names (without port) that requests may ask for; ``None`` for any, which is right only
            where a token is asked for.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Iterable[str] | None) -> None:
        self._app = app
        self._token = token
        self._hosts = None if hosts is None else frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or pass on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # nothing here speaks websockets
        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers) or self._at_the_door(scope, headers)
        app: ASGIApp = self._app if answer is None else answer

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    found.setdefault(name, value)
                found.setdefault("Cache-Control", "no-store")
            await send(message)

        await app(scope, _bounded(receive), send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return _refuse(421, "This server does not answer under that name.")
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and origin.lower() not in {f"http://{host}".lower(), f"https://{host}".lower()}:
            return _refuse(403, "Pages of other origins may not ask here.")
        opened = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if site in {"cross-site", "same-site"} and not (opened and scope["method"] == "GET"):
            return _refuse(403, "Pages of other origins may not ask here.")
        if scope["method"] not in _SAFE:
            if not headers.get("content-type", "").startswith("application/json"):
                return _refuse(415, "This is asked for in JSON.")
            length = headers.get("content-length", "")
            if not length.isdigit() or int(length) > MAX_BODY_BYTES:
                return _refuse(413, f"At most {MAX_BODY_BYTES} bytes, and their number beforehand.")
        return None

    def _at_the_door(self, scope: Scope, headers: Headers) -> Response | None:
        if self._token is None or self._knows(self._cookie(scope, headers)):
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._knows(given):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        shown = dict(query).get("token")
        if shown is not None and self._knows(shown) and scope["method"] == "GET":
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            # A path that begins with two slashes would name another host.
            path = "/" + quote(scope["path"].lstrip("/\\"))
            answer = RedirectResponse(path + (f"?{rest}" if rest else ""), status_code=303)
            answer.set_cookie(_cookie_name(scope), self._token, httponly=True, samesite="lax", path="/")
            return answer
        return _refuse(401, "This dashboard wants its token: open the address that `lookalike view` printed.")

    def _knows(self, given: str | None) -> bool:
        assert self._token is not None  # noqa: S101 - asked only where there is one
        return given is not None and hmac.compare_digest(given.encode(), self._token.encode())

    @staticmethod
    def _cookie(scope: Scope, headers: Headers) -> str | None:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(_cookie_name(scope))
        except CookieError:
            return None
        return None if found is None else found.value


def _cookie_name(scope: Scope) -> str:
    """Return a name of its own for each port: cookies do not tell ports apart."""
    server = scope.get("server") or ("", 0)
    return f"lookalike-{server[1]}"


def _name(host: str) -> str:
    """Return a Host header's name without its port."""
    if host.startswith("["):
        return host.partition("]")[0].lstrip("[").lower()
    return host.partition(":")[0].lower()


def _refuse(status: int, why: str) -> Response:
    return PlainTextResponse(why + "\n", status_code=status)


def _bounded(receive: Receive) -> Receive:
    """Cut off a body that is longer than it said."""
    read = 0

    async def bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY_BYTES:
            return {"type": "http.disconnect"}
        return message

    return bounded
