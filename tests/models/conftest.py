"""The embedded model, loaded once for all tests of this room; and no way out of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lookalike.models import model_status
from lookalike.models.embedded import EmbeddedModel


@pytest.fixture(scope="session")
def embedded() -> EmbeddedModel:
    status = model_status("embedded")
    if not status.present:
        pytest.skip(f"{status.detail} {status.remedy}")
    model = EmbeddedModel()
    model.load()
    return model


_LOOPBACK_ONLY = {"on": False, "hooked": False}


def _refuse_other_machines(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _LOOPBACK_ONLY["on"]:
        address = args[1]
        if isinstance(address, tuple) and address[0] not in {"127.0.0.1", "::1", "localhost"}:
            raise RuntimeError(f"a test tried to reach another machine: {address!r}")


@pytest.fixture(autouse=True)
def only_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test of this room reaches another machine, sees a real key, or reads the user's own files."""
    for vendor in ("OPENAI", "ANTHROPIC", "GOOGLE", "GEMINI"):
        for variable in [name for name in os.environ if name.startswith(vendor)]:
            monkeypatch.delenv(variable)
    monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path / "models.yaml"))
    monkeypatch.setenv("LOOKALIKE_PRICES", str(tmp_path / "prices.yaml"))
    if not _LOOPBACK_ONLY["hooked"]:
        sys.addaudithook(_refuse_other_machines)
        _LOOPBACK_ONLY["hooked"] = True
    _LOOPBACK_ONLY["on"] = True
    yield
    _LOOPBACK_ONLY["on"] = False


@pytest.fixture(autouse=True)
def own_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test taught the scheduler about a server is not there in the next."""
    if "lookalike.models.remote.scheduler" in sys.modules:
        sys.modules["lookalike.models.remote.scheduler"].scheduler()._lanes.clear()
