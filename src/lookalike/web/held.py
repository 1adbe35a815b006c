"""What the server holds for its pages by key: games, jobs, councils."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from lookalike.core.errors import UsageError

Item = TypeVar("Item")


class Held(Generic[Item]):
    """Things that pages ask for by key, safe for several threads.

    Args:
        missing: What is said where there is none of a key (any more).
        remedy: What to do then.
    """

    def __init__(self, missing: str, *, remedy: str) -> None:
        self._missing = missing
        self._remedy = remedy
        self._items: dict[str, Item] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, key: str, item: Item) -> Item:
        """Hold something."""
        with self._lock:
            self._items[key] = item
        return item

    def find(self, key: str) -> Item:
        """Return what is held under a key.

        Raises:
            UsageError: Nothing is.
        """
        with self._lock:
            found = self._items.get(key)
        if found is None:
            raise UsageError(self._missing, remedy=self._remedy)
        return found

    def all(self) -> list[Item]:
        """Return everything, the newest last."""
        with self._lock:
            return list(self._items.values())

    def drop(self, key: str) -> Item | None:
        """Hold something no longer; return it where it was held."""
        with self._lock:
            return self._items.pop(key, None)

    def drop_all(self) -> list[Item]:
        """Hold nothing any more; return what was held."""
        with self._lock:
            items, self._items = list(self._items.values()), {}
        return items
