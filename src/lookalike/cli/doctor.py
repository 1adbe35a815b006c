"""``lookalike doctor``: is everything here that the commands need, and what to do where it is not."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from lookalike.cli.options import JsonOption
from lookalike.cli.output import emit, emit_json, emit_table, say

Status = Literal["ok", "optional", "missing"]
NEEDED_DISK_GIB = 1.0
REQUIRED = ("adventure", "av", "onnxruntime", "openvino", "openvino-genai", "polars", "rapidocr", "scipy")


@dataclass(frozen=True)
class Check:
    """One line of the doctor's answer.

    Attributes:
        name: What was looked at.
        status: ``ok``; ``optional`` where only some commands miss it; ``missing`` where it must be put
            right.
        found: What was found.
        remedy: What to do, empty where nothing is.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""


def doctor(as_json: JsonOption = False) -> None:
    """Check the installation: Python, libraries, the embedded model, video, text reading, games, disk.

    Exits with 2 when something that the commands need is missing.
    """
    checks = examine()
    if as_json:
        emit_json(checks)
    else:
        emit_table(
            "LookALike's surroundings",
            ("what", "status", "found", "remedy"),
            [(c.name, c.status, c.found, c.remedy) for c in checks],
        )
    missing = [c.name for c in checks if c.status == "missing"]
    if missing:
        say(f"Missing: {', '.join(missing)}")
        raise typer.Exit(2)
    if not as_json:
        emit("Everything that is needed is here.")


def examine() -> list[Check]:
    """Look at everything; a look that fails is a finding, not an error."""
    looks: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("Python", _python),
        ("libraries", _libraries),
        ("embedded model", _embedded_model),
        ("video", _video),
        ("text reading", _text_reading),
        ("Z-machine", _jericho),
        ("Zork I", _zork_story),
        ("disk", _disk),
        ("machine", _machine),
    )
    checks = []
    for name, look in looks:
        try:
            checks.append(look())
        except Exception as error:  # any library can fail in its own way here; that is the finding
            checks.append(Check(name, "missing", f"{type(error).__name__}: {error}", "make install"))
    return checks


def _python() -> Check:
    found = f"{platform.python_version()} at {sys.prefix}"
    fits = (3, 11) <= sys.version_info[:2] < (3, 13)
    return Check("Python", "ok" if fits else "missing", found, "" if fits else "use Python 3.11 or 3.12")


def _libraries() -> Check:
    from importlib import metadata

    versions, absent = [], []
    for name in REQUIRED:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            absent.append(name)
    if absent:
        return Check("libraries", "missing", f"without {', '.join(absent)}", "make install")
    return Check("libraries", "ok", ", ".join(versions))


def _embedded_model() -> Check:
    from lookalike.models import model_status

    status = model_status("embedded")
    return Check("embedded model", "ok" if status.present else "missing", status.detail, status.remedy or "")


def _video() -> Check:
    import av

    absent = [name for name in ("libx264", "libvpx-vp9") if name not in av.codecs_available]
    versions = f"PyAV {av.__version__}"
    if "libx264" in absent:
        return Check("video", "missing", f"{versions} without H.264", "pip install --force-reinstall av")
    return Check("video", "ok", f"{versions}, H.264" + ("" if absent else " and VP9"))


def _text_reading() -> Check:
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or spec.origin is None:
        return Check("text reading", "missing", "rapidocr is not installed", "make install")
    models = sorted((Path(spec.origin).parent / "models").glob("*.onnx"))
    if not models:
        return Check("text reading", "missing", "rapidocr without its models", "make install")
    return Check("text reading", "ok", f"{len(models)} models in the wheel")


def _jericho() -> Check:
    from importlib import metadata

    try:
        return Check("Z-machine", "ok", f"jericho {metadata.version('jericho')}")
    except metadata.PackageNotFoundError:
        return Check("Z-machine", "optional", "jericho is not installed: no Zork", "make zork")


def _zork_story() -> Check:
    from lookalike.environments.games import list_games

    status = next(game for game in list_games() if game.id == "zork1")
    if status.ready:
        return Check("Zork I", "ok", status.detail)
    return Check("Zork I", "optional", status.detail, "make zork; lookalike games install zork1")


def _disk() -> Check:
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    enough = free_gib >= NEEDED_DISK_GIB
    remedy = "" if enough else f"free at least {NEEDED_DISK_GIB:g} GiB"
    return Check("disk", "ok" if enough else "missing", f"{free_gib:.1f} GiB free here", remedy)


def _machine() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check("machine", "ok", f"{platform.system()} {platform.machine()}, {cores} cores")
