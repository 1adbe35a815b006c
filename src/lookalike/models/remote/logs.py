"""Keeps keys out of what the libraries log.

At DEBUG, HTTP and vendor libraries log headers and bodies as they come, and a server may repeat in them
the key that it was sent. Every record of theirs passes a filter that strikes the keys out.
"""

from __future__ import annotations

import logging
import threading

from lookalike.models.remote.failures import strike_out

LIBRARIES = ("anthropic", "google_genai", "httpcore2", "httpx2", "openai", "pydantic_ai")
_FORMATTER = logging.Formatter()


class _WithoutKeys(logging.Filter):
    """Strikes keys out of records, whoever formats them later."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: tuple[str, ...] = ()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without keys."""
        message = record.getMessage()
        struck = strike_out(message, self.secrets)
        if struck != message:
            record.msg, record.args = struck, ()
        if record.exc_info:
            text = _FORMATTER.formatException(record.exc_info)
            if (without := strike_out(text, self.secrets)) != text:
                record.exc_info, record.exc_text = None, without
        return True


_filter = _WithoutKeys()
_lock = threading.Lock()


def guard_logs(secret: str) -> None:
    """Strike ``secret`` out of everything these libraries log from now on.

    Call it when their modules are imported: a filter belongs to one logger, not to those below it.
    """
    with _lock:
        if secret not in _filter.secrets:
            _filter.secrets = (*_filter.secrets, secret)
        for name in list(logging.root.manager.loggerDict):
            if name.partition(".")[0] in LIBRARIES:
                logging.getLogger(name).addFilter(_filter)
