"""Which games are here, and installing the one that cannot be shipped.

Zork I's story file is under the MIT licence but is somebody else's to distribute: it is downloaded from its
official repository, or taken from a file, and accepted only with the right hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from lookalike.core.errors import GameError

ZORK1_URL = "https://raw.githubusercontent.com/historicalsource/zork1/master/COMPILED/zork1.z3"
ZORK1_BYTES = 86_838
ZORK1_MD5 = "1d4606016ea58ee038da53d994392323"
ZORK1_SHA256 = "37084966477dff679282de42974b2077156b1bd68fad92a65d4ea94d8eb64d79"
_DOWNLOAD_LIMIT_BYTES = 1 << 20
_DOWNLOAD_LIMIT_S = 30.0


@dataclass(frozen=True)
class GameStatus:
    """Whether a game can be played here.

    Attributes:
        id: Environment id.
        ready: Everything it needs is present.
        detail: What is present, or what is missing and how to get it.
    """

    id: str
    ready: bool
    detail: str


def games_folder() -> Path:
    """Return the folder that story files are kept in (not created)."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("lookalike")) / "games"


def zork1_path() -> Path:
    """Return where Zork I's story file belongs."""
    return games_folder() / "zork1.z3"


def list_games() -> tuple[GameStatus, ...]:
    """Say for every registered environment whether it can be played."""
    from lookalike.environments.registry import environment_description, environment_ids

    statuses = []
    for id in environment_ids():
        if id == "zork1":
            statuses.append(_zork1_status())
        else:
            statuses.append(GameStatus(id, True, environment_description(id)))
    return tuple(statuses)


def install_zork1(source: Path | None = None) -> Path:
    """Put Zork I's story file in place and return its path.

    Args:
        source: A copy to take; ``None`` downloads it from its official repository.

    Raises:
        GameError: The copy or the download is missing, is another release, or cannot be written.
    """
    data = _download() if source is None else _read(source)
    _check(data, str(source or ZORK1_URL))
    target = zork1_path()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=".zork1-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(partial, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise
    except OSError as error:
        raise GameError(
            "The story file cannot be written.",
            got=str(error),
            expected=f"a writable folder {target.parent}",
            remedy="Free some space or correct the folder's permissions.",
        ) from error
    return target


def _zork1_status() -> GameStatus:
    path = zork1_path()
    missing = []
    if not path.is_file():
        missing.append("story file missing: `lookalike games install zork1`")
    elif hashlib.sha256(path.read_bytes()).hexdigest() != ZORK1_SHA256:
        missing.append("story file is another release: `lookalike games install zork1`")
    if importlib.util.find_spec("jericho") is None:
        missing.append("jericho missing: `make zork`")
    return GameStatus("zork1", not missing, "; ".join(missing) or f"release 119 at {path}")


def _read(source: Path) -> bytes:
    try:
        with source.open("rb") as file:
            return file.read(_DOWNLOAD_LIMIT_BYTES + 1)
    except OSError as error:
        raise GameError(
            "The file to install cannot be read.",
            got=str(error),
            expected="a copy of zork1.z3, release 119",
            remedy="Check the path given with --from.",
        ) from error


def _download() -> bytes:
    try:
        with urllib.request.urlopen(ZORK1_URL, timeout=_DOWNLOAD_LIMIT_S) as answer:
            data: bytes = answer.read(_DOWNLOAD_LIMIT_BYTES + 1)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise GameError(
            "Zork I could not be downloaded.",
            got=f"{ZORK1_URL}: {error}",
            expected="an answer from the official repository",
            remedy="Try again, or download it yourself and use `lookalike games install zork1 --from FILE`.",
        ) from error
    return data


def _check(data: bytes, origin: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != ZORK1_SHA256:
        size = f"more than {_DOWNLOAD_LIMIT_BYTES}" if len(data) > _DOWNLOAD_LIMIT_BYTES else str(len(data))
        raise GameError(
            "This is not Zork I release 119, or it is damaged.",
            got=f"{origin}: {size} bytes, SHA-256 {found}",
            expected=f"{ZORK1_BYTES} bytes, SHA-256 {ZORK1_SHA256} (MD5 {ZORK1_MD5})",
            remedy="Take COMPILED/zork1.z3 of the historicalsource/zork1 repository on GitHub.",
        )
