"""The dashboard's addresses: which page answers what, and how errors look."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lookalike.core.errors import LookalikeError, StoreError
from lookalike.web import shown
from lookalike.web.guard import Guard
from lookalike.web.state import Dashboard

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
Handler = Callable[[Request], Any]


def make_app(
    dashboard: Dashboard, *, token: str | None = None, hosts: Iterable[str] | None = None
) -> Starlette:
    """Return the dashboard as an ASGI application.

    Args:
        dashboard: What it shows.
        token: What a browser must have shown once; ``None`` where loopback is enough.
        hosts: Names under which it answers; ``None`` for any.
    """
    from lookalike.web import pages_record, pages_recordings, pages_rewards, pages_runs, pages_start

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(dashboard.warm_up)
        threading.Thread(target=dashboard.read_ahead, daemon=True).start()
        yield
        await run_in_threadpool(dashboard.close)

    routes = [Route("/static/{name}", _static)]
    for module in (pages_runs, pages_rewards, pages_recordings, pages_record, pages_start):
        routes += [
            Route(path, _endpoint(partial(handler, dashboard)), methods=methods)
            for path, methods, handler in module.ROUTES
        ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Guard, token=token, hosts=hosts)],
        exception_handlers={HTTPException: _http_error, LookalikeError: _error, Exception: _fault},
    )
    app.state.dashboard = dashboard
    return app


def _endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Run a handler in a thread: it reads files and databases, and must hold up nobody else."""

    async def endpoint(request: Request) -> Response:
        body: Mapping[str, Any] = {}
        if request.method == "POST":
            try:
                body = await request.json()
            except ValueError:
                raise HTTPException(400, "This is not JSON.") from None
            if not isinstance(body, dict):
                raise HTTPException(400, "A JSON object is expected.")
        request.state.body = body
        answer = await run_in_threadpool(_ask, handler, request)
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    return endpoint


def _ask(handler: Handler, request: Request) -> Any:
    """Let a handler answer; a page is made of what is in the folder now, not a second ago."""
    if not _wants_json(request):
        dashboard: Dashboard = request.app.state.dashboard
        dashboard.library.forget()
    return handler(request)


@cache
def _assets() -> dict[str, tuple[bytes, str, str]]:
    """Return the shipped files by name, with type and content hash: nothing else can be asked for."""
    found = {}
    for file in (resources.files("lookalike.web") / "static").iterdir():
        kind = _TYPES.get(Path(file.name).suffix)
        if kind is not None:
            data = file.read_bytes()
            found[file.name] = (data, kind, hashlib.sha256(data).hexdigest()[:16])
    return found


async def _static(request: Request) -> Response:
    found = _assets().get(request.path_params["name"])
    if found is None:
        raise HTTPException(404, "There is no such file.")
    data, kind, tag = found
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == f'"{tag}"':
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=kind, headers=headers)


def _wants_json(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _answer(
    request: Request, status: int, what: str, *, remedy: str | None = None, got: str = ""
) -> Response:
    if _wants_json(request):
        return JSONResponse({"error": what, "remedy": remedy, "got": got}, status_code=status)
    dashboard: Dashboard = request.app.state.dashboard
    return dashboard.page("error.html.j2", status=status, what=what, remedy=remedy, got=got)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    words = {404: "There is no such page.", 405: "This address takes another method."}
    own = error.detail if error.detail not in {"Not Found", "Method Not Allowed"} else None
    return _answer(request, error.status_code, own or words.get(error.status_code, error.detail))


async def _error(request: Request, error: Exception) -> Response:
    assert isinstance(error, LookalikeError)  # noqa: S101 - registered for it
    missing = isinstance(error, StoreError) and error.what.startswith("There is no such")
    got = "" if error.got is None else shown.line(error.got)
    remedy = None if error.remedy is None else shown.line(error.remedy, 600)
    return _answer(request, 404 if missing else 422, shown.line(error.what, 600), remedy=remedy, got=got)


async def _fault(request: Request, error: Exception) -> Response:
    """Say that it is our fault; the trace goes to the terminal, not into the page."""
    what = f"A fault in the dashboard ({type(error).__name__}). The terminal it was started from says more."
    return _answer(request, 500, what)
