"""Runs every benchmark and says whether its target is met: ``python -m benchmarks [--json] [--only NAME]``.

A benchmark is a module in this folder with ``measure() -> list[dict]``; each dict holds ``name``,
``value``, ``unit``, ``target`` (a text such as ``"<= 2.0"``, or ``None``), ``met`` (``None`` without a
target) and ``detail``. Figures are only worth comparing within one run on one machine, so the machine
is described beside them. The exit code is 0 when every benchmark ran, whether or not it met its target;
``--strict`` makes an unmet target fail.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
import time
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

FORMAT_VERSION = 1
NAMED_PACKAGES = ("lookalike", "numpy", "openvino-genai", "onnxruntime", "rapidocr", "av")


def names() -> list[str]:
    """Return the benchmarks' module names, sorted."""
    folder = str(Path(__file__).parent)
    return sorted(m.name for m in pkgutil.iter_modules([folder]) if not m.name.startswith("_"))


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, memory, Python and library versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in NAMED_PACKAGES},
    }


def run(chosen: list[str]) -> dict[str, Any]:
    """Run the chosen benchmarks one after the other.

    Returns:
        ``{"format_version", "machine", "results", "failures"}``; a benchmark that raises is listed under
        ``failures`` with its traceback and does not stop the others.
    """
    results: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for name in chosen:
        print(f"running {name} ...", file=sys.stderr, flush=True)
        started = time.perf_counter()
        try:
            module = importlib.import_module(f"benchmarks.{name}")
            rows = module.measure()
        except Exception:
            failures.append({"benchmark": name, "traceback": traceback.format_exc()})
            continue
        seconds = round(time.perf_counter() - started, 2)
        results.extend({"benchmark": name, **row, "took_s": seconds} for row in rows)
    return {
        "format_version": FORMAT_VERSION,
        "machine": machine(),
        "results": results,
        "failures": failures,
    }


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run the benchmarks.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--only", action="append", metavar="NAME", help="run this one (may be repeated)")
    parser.add_argument("--list", action="store_true", help="list the names and stop")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is not met")
    options = parser.parse_args(argv)
    known = names()
    if options.list:
        print("\n".join(known))
        return 0
    chosen = options.only or known
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        parser.error(f"no benchmark called {', '.join(unknown)}; there are: {', '.join(known) or 'none'}")
    report = run(chosen)
    if options.json:
        print(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        _print_table(report)
    for failure in report["failures"]:
        print(f"{failure['benchmark']} failed:\n{failure['traceback']}", file=sys.stderr)
    missed = any(row.get("met") is False for row in report["results"])
    return 1 if report["failures"] or (options.strict and missed) else 0


def _print_table(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in ("benchmark", "value", "unit", "target", "met", "detail"):
        table.add_column(column, justify="right" if column == "value" else "left")
    marks = {True: "yes", False: "NO", None: ""}
    for row in report["results"]:
        value = row["value"]
        if value is None:
            shown = ""
        else:
            shown = f"{value:,.4g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:,.0f}"
        target = "" if row.get("target") is None else str(row["target"])
        met = marks[row.get("met")]
        table.add_row(row["name"], shown, row["unit"], target, met, str(row.get("detail") or ""))
    Console(highlight=False).print(table)
    machine_info = report["machine"]
    print(f"{machine_info['processor']}, {machine_info['cores']} cores, Python {machine_info['python']}")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    raise SystemExit(main())
