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
EXTRAS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    (
        "remote",
        ("pydantic_ai", "jsonschema"),
        "models behind APIs",
        "python -m pip install 'lookalike[remote]'",
    ),
    ("export", ("pyarrow", "h5py"), "datasets", "python -m pip install 'lookalike[export]'"),
    ("visual", ("procgen", "minigrid", "vizdoom"), "games on the screen", "make visual"),
    ("vision", ("torch", "safetensors"), "learning from frames", "make vision"),
    ("postgres", ("pg8000",), "a store on a server", "python -m pip install 'lookalike[postgres]'"),
)
"""Optional extras: name, the modules it brings, what for, and how to get it. Jericho has its own line."""
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
    """Check the installation: Python, libraries, extras, models, keys (set or not), video, games, disk.

    A key is never shown, and nothing is sent. Exits with 2 when something that the commands need is missing.
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
    looks: tuple[tuple[str, Callable[[], Check | list[Check]]], ...] = (
        ("Python", _python),
        ("libraries", _libraries),
        ("extras", _extras),
        ("embedded model", _embedded_model),
        ("keys", _keys),
        ("own models", _own_models),
        ("price file", _prices),
        ("video", _video),
        ("text reading", _text_reading),
        ("Z-machine", _jericho),
        ("games", _games),
        ("disk", _disk),
        ("machine", _machine),
    )
    checks = []
    for name, look in looks:
        try:
            found = look()
        except Exception as error:  # any library can fail in its own way here; that is the finding
            found = Check(name, "missing", f"{type(error).__name__}: {error}", "make install")
        checks += [found] if isinstance(found, Check) else found
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


def _extras() -> list[Check]:
    checks = []
    for name, modules, purpose, remedy in EXTRAS:
        absent = [module for module in modules if importlib.util.find_spec(module) is None]
        if absent:
            found = f"for {purpose}; without {', '.join(absent)}"
            checks.append(Check(f"extra {name}", "optional", found, remedy))
        else:
            checks.append(Check(f"extra {name}", "ok", f"for {purpose}"))
    return checks


def _keys() -> list[Check]:
    """Say which keys are set. A key's value is looked at for being there, and for nothing else."""
    from lookalike.models.remote.entries import KEYS

    checks = []
    for back_end, variables in KEYS.items():
        found = next((name for name in variables if os.environ.get(name, "").strip()), None)
        if found is not None:
            checks.append(Check(f"key {back_end}", "ok", f"{found} is set"))
        else:
            remedy = f"export {variables[0]}=... for {back_end}:MODEL"
            checks.append(Check(f"key {back_end}", "optional", f"{' or '.join(variables)} not set", remedy))
    return checks


def _own_models() -> list[Check]:
    from lookalike.core.errors import UsageError
    from lookalike.models import model_names, model_status
    from lookalike.models.remote.entries import models_path

    try:
        found = [model_status(name) for name in model_names() if name != "embedded"]
    except UsageError as error:
        return [Check("own models", "missing", f"{error.what} {error.got or ''}".strip(), error.remedy or "")]
    if not found:
        return [Check("own models", "ok", f"none in {models_path()}")]
    return [
        Check(f"model {m.name}", "ok" if m.present else "optional", m.detail, m.remedy or "") for m in found
    ]


def _prices() -> Check:
    from lookalike.core.errors import UsageError
    from lookalike.models.prices import load_prices, price_path

    if not price_path().is_file():
        remedy = "write one to limit a run's cost (docs/models.md)"
        return Check("price file", "optional", f"none at {price_path()}", remedy)
    try:
        listed = load_prices()
    except UsageError as error:
        return Check("price file", "missing", f"{error.what} {error.got or ''}".strip(), error.remedy or "")
    return Check("price file", "ok", f"{len(listed.models)} models, in {listed.currency}")


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


def _games() -> list[Check]:
    from lookalike.environments.games import list_games

    remedies = {"zork1": "make zork; lookalike games install zork1"}
    return [
        Check(f"game {g.id}", "ok", g.detail)
        if g.ready
        else Check(f"game {g.id}", "optional", g.detail, remedies.get(g.id, "lookalike games list"))
        for g in list_games()
    ]


def _disk() -> Check:
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    enough = free_gib >= NEEDED_DISK_GIB
    remedy = "" if enough else f"free at least {NEEDED_DISK_GIB:g} GiB"
    return Check("disk", "ok" if enough else "missing", f"{free_gib:.1f} GiB free here", remedy)


def _machine() -> Check:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check("machine", "ok", f"{platform.system()} {platform.machine()}, {cores} cores")
