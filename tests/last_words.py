"""What a test process said as it died: where its threads were, printed with the failures.

A test process that crashes takes its output with it, and the summary has one line, "crashed while running".
Loaded by ``tests/conftest.py``.
"""

from __future__ import annotations

import collections
import faulthandler
import tempfile
from pathlib import Path

import pytest

_KEPT = 12
"""Tests named that a dead process had run before: what broke it may have been one of them."""


class LastWords:
    """Kept by the process that prints; the others write where they are told."""

    def __init__(self) -> None:
        """Make the folder that the test processes write into."""
        self._folder = tempfile.TemporaryDirectory(prefix="last-words-")
        self._ran: dict[str, collections.deque[str]] = collections.defaultdict(
            lambda: collections.deque(maxlen=_KEPT)
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node) -> None:
        """Tell a test process where to write."""
        node.workerinput["last_words"] = str(Path(self._folder.name) / node.gateway.id)

    def pytest_runtest_logreport(self, report) -> None:
        """Remember what a test process ran."""
        node = getattr(report, "node", None)
        if node is not None and report.when == "call":
            self._ran[node.gateway.id].append(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter) -> None:
        """Print what the dead ones wrote."""
        for words in sorted(Path(self._folder.name).iterdir()):
            said = words.read_text(errors="replace")
            if said:
                terminalreporter.section(f"last words of {words.name}")
                terminalreporter.write(said)
                terminalreporter.write_line("It had run, the last one at the end:")
                for test in self._ran[words.name]:
                    terminalreporter.write_line(f"  {test}")
        self._folder.cleanup()


def listen(config: pytest.Config) -> None:
    """Have a fatal signal of this test process written down, or what the others write printed."""
    told = getattr(config, "workerinput", {}).get("last_words")
    if told is not None:
        faulthandler.enable(file=open(told, "w"))  # noqa: SIM115 - open as long as the process
    elif config.pluginmanager.hasplugin("dsession"):
        config.pluginmanager.register(LastWords())
