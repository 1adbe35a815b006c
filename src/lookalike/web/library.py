"""What there is to look at: the stores, reward models and recordings under one folder.

Pages never name a path. Everything found here gets a key made from its place, and a request can only ask
for a key that is found again: so there is no path to traverse.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lookalike.core.errors import LookalikeError, StoreError
from lookalike.core.ids import hash_bytes, hash_file
from lookalike.rewards import RewardModel, load_reward_model
from lookalike.store import EventLog, FileStore, RunSummary, open_log
from lookalike.store.browse import Browser
from lookalike.store.location import STORE_FILE, is_url, read_location, shown

RECORDINGS_FOLDER = "recordings"
VIDEOS = (".mp4", ".webm", ".mkv", ".mov")
TEXTS = (".jsonl", ".txt", ".cast")
DOCUMENTS = (".yaml", ".yml")
_SHOWN = (STORE_FILE, *DOCUMENTS, *VIDEOS, *TEXTS)
_DEEPEST = 4
_MOST_FILES = 20_000
_MOST_DOCUMENTS = 32
_LOOK_AGAIN_S = 1.5
_MODEL_MARK = b"lookalike/reward-model"
_RECORDING_MARKS = (b"lookalike-recording", b"lookalike-frame-actions")


def key_of(*parts: str) -> str:
    """Return the key under which something is asked for."""
    return hash_bytes("\0".join(parts).encode())[:16]


@dataclass(frozen=True)
class FoundRun:
    """A run and where it is.

    Attributes:
        key: Names it in addresses.
        store: The store's location, without a password.
        browser: Reads it.
        summary: At a glance.
    """

    key: str
    store: str
    browser: Browser
    summary: RunSummary

    @property
    def run_id(self) -> str:
        """Its name in the store."""
        return self.summary.run_id

    @property
    def log(self) -> EventLog:
        """The event log it is in."""
        return self.browser.log

    @property
    def status(self) -> str:
        """``running``, ``cut off``, ``finished`` or ``stopped``."""
        if self.summary.status != "running":
            return self.summary.status
        return "running" if self.summary.holder else "cut off"


@dataclass(frozen=True)
class FoundFile:
    """A reward model or a recording.

    Attributes:
        key: Names it in addresses.
        path: The file.
        name: Its path below the folder that is shown.
        modified: Seconds since 1970.
        size: In bytes.
    """

    key: str
    path: Path
    name: str
    modified: float
    size: int


class Library:
    """Finds things, and opens stores once.

    Args:
        folder: Everything below it, a few levels deep, is shown; new recordings and runs go there.
        store: One event log to show instead of all below ``folder``.
    """

    def __init__(self, folder: Path, store: str | None = None) -> None:
        self.folder = folder.expanduser().resolve()
        self._named = store
        self._lock = threading.RLock()
        self._open: dict[str, Browser] = {}
        self._failed: dict[str, str] = {}
        self._files: tuple[float, list[Path]] = (0.0, [])
        self._hashes: dict[tuple[str, float, int], str] = {}
        self._documents: dict[tuple[str, float, int], RewardModel] = {}
        self._kinds: dict[tuple[str, float, int], str | None] = {}

    @property
    def where(self) -> str:
        """What is shown, in words: below the folder the server was started in without what lies above."""
        if self._named is not None:
            return shown(self._named)
        with contextlib.suppress(OSError, ValueError):
            below = self.folder.relative_to(Path.cwd())
            return str(below) if below.parts else str(self.folder)
        return str(self.folder)

    def close(self) -> None:
        """Close all stores."""
        with self._lock:
            for browser in self._open.values():
                browser.log.close()
            self._open.clear()

    def runs(self) -> list[FoundRun]:
        """Return all runs, the one written last first."""
        found: list[FoundRun] = []
        for where, browser in self._browsers():
            try:
                summaries = browser.log.runs()
            except StoreError as error:
                self._failed[where] = error.what
                continue
            place = browser.log.location
            found += [FoundRun(key_of(place, s.run_id), place, browser, s) for s in summaries]
        return sorted(found, key=lambda run: -run.summary.updated_at)

    def run(self, key: str) -> FoundRun:
        """Return one run.

        Raises:
            StoreError: There is none with that key.
        """
        for looked_again in (False, True):
            for _, browser in self._browsers():
                place = browser.log.location
                rows = [name for name in browser.run_ids() if key_of(place, name) == key]
                if rows:
                    return FoundRun(key, place, browser, browser.log.summary(rows[0]))
            if not looked_again:
                self.forget()
        raise StoreError(
            "There is no such run here (any more).", remedy="go back to the list of runs, and look there"
        )

    def problems(self) -> list[tuple[str, str]]:
        """Return stores that cannot be read, and why."""
        return sorted(self._failed.items())

    def folder_of(self, run: FoundRun) -> Path | None:
        """Return the folder with a run's reward model, recording and pictures.

        The log says where it was; a log could say anything. So it is believed for what lies below the folder
        that is shown and for a database's runs, and otherwise the store's own folder is taken.
        """
        recorded = Path(run.summary.folder) if run.summary.folder else None
        beside = run.log.path.parent.resolve() if run.log.path is not None else None
        if recorded is not None and recorded.is_dir():
            place = recorded.resolve()
            if beside is None or place == beside or place.is_relative_to(self.folder):
                return place
        return beside

    def files_of(self, run: FoundRun) -> FileStore | None:
        """Return where a run's pictures are; ``None`` where it has none."""
        folder = self.folder_of(run)
        return FileStore(folder / "files") if folder is not None else None

    def reward_models(self) -> list[FoundFile]:
        """Return all reward-model files, the newest first."""
        return [f for f in self._found(DOCUMENTS) if self._kind(f, _MODEL_MARK) is not None]

    def recordings(self) -> list[FoundFile]:
        """Return all recordings, the newest first; a log that belongs to a video is not listed beside it."""
        files = self._found(VIDEOS + TEXTS)
        videos = {f.path.with_suffix("") for f in files if f.path.suffix.lower() in VIDEOS}
        kept = []
        for f in files:
            if f.path.suffix.lower() in TEXTS:
                if f.path.with_suffix("") in videos or f.path.name == "demonstration.jsonl":
                    continue
                if f.path.suffix == ".jsonl" and self._kind(f, *_RECORDING_MARKS) is None:
                    continue
                if f.path.suffix == ".txt" and RECORDINGS_FOLDER not in f.path.parts:
                    continue  # any text could be a transcript; those put among the recordings are
            kept.append(f)
        return kept

    def reward_model(self, key: str) -> FoundFile:
        """Return one reward-model file.

        Raises:
            StoreError: There is none with that key.
        """
        return self._by_key(self.reward_models, key, "reward model")

    def document(self, file: FoundFile) -> RewardModel:
        """Return a reward model, read once for each state of its file.

        Raises:
            RewardModelError: It is none, or is malformed.
        """
        state = (str(file.path), file.modified, file.size)
        with self._lock:
            found = self._documents.get(state)
        if found is None:
            found = load_reward_model(file.path)
            with self._lock:
                self._documents[state] = found
                while len(self._documents) > _MOST_DOCUMENTS:
                    self._documents.pop(next(iter(self._documents)))
        return found

    def recording(self, key: str) -> FoundFile:
        """Return one recording.

        Raises:
            StoreError: There is none with that key.
        """
        return self._by_key(self.recordings, key, "recording")

    def found_file(self, path: Path) -> FoundFile | None:
        """Return a file of this folder as the lists name it; ``None`` where it is not below the folder."""
        with contextlib.suppress(OSError):
            return self._file(path.resolve())
        return None

    def _file(self, path: Path) -> FoundFile | None:
        with contextlib.suppress(OSError, ValueError):
            status = path.stat()
            name = str(path.relative_to(self.folder))
            return FoundFile(key_of(str(path)), path, name, status.st_mtime, status.st_size)
        return None

    def content_hash(self, path: Path) -> str:
        """Return a file's SHA-256, computed once for each state of the file."""
        status = path.stat()
        state = (str(path), status.st_mtime, status.st_size)
        if state not in self._hashes:
            self._hashes[state] = hash_file(path)
        return self._hashes[state]

    def forget(self) -> None:
        """Look at the folder again at the next question: something was made, or a page is asked for."""
        with self._lock:  # a listing that is being made is older than what was made
            self._files = (0.0, [])

    def _by_key(self, listing: Callable[[], list[FoundFile]], key: str, what: str) -> FoundFile:
        """Find a file by its key; the folder is looked at again before it is said that there is none."""
        for looked_again in (False, True):
            for file in listing():
                if file.key == key:
                    return file
            if not looked_again:
                self.forget()
        raise StoreError(
            f"There is no such {what} here (any more).", remedy="go back to the list, and look there"
        )

    def _browsers(self) -> Iterator[tuple[str, Browser]]:
        for where in self._stores():
            with self._lock:
                browser = self._open.get(where)
                if browser is not None and browser.log.path is not None and not browser.log.path.exists():
                    self._open.pop(where).log.close()
                    continue
                if browser is None:
                    try:
                        browser = Browser(open_log(where, create=False))
                    except LookalikeError as error:
                        self._failed[shown(where)] = f"{error.what} {error.remedy or ''}".strip()
                        continue
                    self._open[where] = browser
                    self._failed.pop(shown(where), None)
            yield where, browser

    def _stores(self) -> list[str]:
        if self._named is not None:
            if is_url(self._named):
                return [self._named]
            place = read_location(self._named)
            return [str(place)] if isinstance(place, Path) and place.exists() else []
        return [str(path) for path in self._all_files() if path.name == STORE_FILE]

    def _found(self, suffixes: tuple[str, ...]) -> list[FoundFile]:
        wanted = {path for path in self._all_files() if path.suffix.lower() in suffixes}
        found = [file for path in wanted if (file := self._file(path)) is not None]
        return sorted(found, key=lambda f: (-f.modified, f.name))

    def _kind(self, file: FoundFile, *marks: bytes) -> str | None:
        state = (str(file.path), file.modified, file.size)
        if state not in self._kinds:
            try:
                with file.path.open("rb") as opened:
                    head = opened.read(1000)
                    self._kinds[state] = "ours" if any(mark in head for mark in marks) else None
            except OSError:
                return None
        return self._kinds[state]

    def _all_files(self) -> list[Path]:
        """List the folder's files, a few levels deep, without what links lead to elsewhere.

        What a page shows in turn (steps, pictures) is found by key in the listing of a moment ago.
        """
        with self._lock:
            looked, files = self._files
            if time.monotonic() - looked < _LOOK_AGAIN_S and looked:
                return files
            files = [Path(place) for place in _walk(str(self.folder))]
            self._files = (time.monotonic(), files)
            return files


def _walk(folder: str) -> Iterator[str]:
    """Name the files of the kinds shown here; without links to folders, or to files elsewhere.

    A page waits for this: the directory says what is a link, and no file is looked at for that.
    """
    left = _MOST_FILES
    waiting = [(folder, 0)]
    while waiting and left > 0:
        place, depth = waiting.pop()
        try:
            with os.scandir(place) as opened:
                entries = sorted(opened, key=lambda entry: entry.name)
        except OSError:
            continue  # it went away, or may not be read
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEEPEST and entry.name != "files":
                    waiting.append((entry.path, depth + 1))
                continue
            left -= 1
            if not entry.name.lower().endswith(_SHOWN):
                continue
            if not entry.is_symlink():
                yield entry.path
            elif (real := Path(entry.path).resolve()).is_relative_to(folder) and real.is_file():
                yield str(real)
