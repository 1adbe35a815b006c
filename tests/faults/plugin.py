"""Installs `paid_plugin` into a folder that stands on PYTHONPATH, as a package with entry points."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from faults.paid_plugin import LEDGER

__all__ = ["LEDGER", "MODULE", "install"]

MODULE = "lookalike_faults_plugin"


def install(folder: Path, *, environments: Mapping[str, str] | None = None) -> Path:
    """Write the package and what its metadata would be after an installation.

    Args:
        folder: Made where it is missing; to be put on PYTHONPATH.
        environments: Further entry points: ``"module:loader"`` by environment id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("paid_plugin.py"), folder / f"{MODULE}.py")
    info = folder / "lookalike_faults_plugin-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lookalike-faults-plugin\nVersion: 1\n")
    lines = ["[lookalike.models]", f"paid = {MODULE}:make_paid"]
    if environments:
        lines += ["[lookalike.environments]", *(f"{name} = {value}" for name, value in environments.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder
