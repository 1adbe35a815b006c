"""The dashboard: pages over the store, on this machine, in the browser.

What is shown is read from event logs, reward models and recordings; nothing but a recording that is made
here, a reward model that is asked for and a run that is started is ever written. `docs/dashboard.md` says
how it is used; `serve` starts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lookalike.web.export import write_run_page
    from lookalike.web.play_once import play_in_browser
    from lookalike.web.server import Address, serve

__all__ = ["Address", "play_in_browser", "serve", "write_run_page"]

_MODULES = {
    "Address": "server",
    "play_in_browser": "play_once",
    "serve": "server",
    "write_run_page": "export",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: `import lookalike.web` stays cheap."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"lookalike.web.{_MODULES[name]}"), name)
