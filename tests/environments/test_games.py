from __future__ import annotations

import hashlib
import io
import urllib.error
import urllib.request

import pytest
from reference_plays import need_zork

from lookalike.core.errors import GameError
from lookalike.environments import games


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(games, "games_folder", lambda: tmp_path / "games")
    return tmp_path / "games"


@pytest.fixture
def story(monkeypatch):
    """A stand-in with its own right hash: the check is real, the bytes are ours."""
    data = b"\x03 a story of another name" * 10
    monkeypatch.setattr(games, "ZORK1_SHA256", hashlib.sha256(data).hexdigest())
    return data


def test_installing_from_a_file(folder, story, tmp_path):
    source = tmp_path / "copy.z3"
    source.write_bytes(story)
    assert games.install_zork1(source) == folder / "zork1.z3"
    assert (folder / "zork1.z3").read_bytes() == story
    assert [path.name for path in folder.iterdir()] == ["zork1.z3"]


def test_a_wrong_hash_installs_nothing(folder, tmp_path):
    source = tmp_path / "copy.z3"
    for data in (b"", b"another release", bytes(3 << 20)):
        source.write_bytes(data)
        with pytest.raises(GameError, match="not Zork I release 119") as caught:
            games.install_zork1(source)
        assert games.ZORK1_SHA256 in str(caught.value.expected)
    assert not (folder / "zork1.z3").exists()


def test_a_wrong_file_does_not_replace_a_right_one(folder, story, tmp_path):
    source = tmp_path / "copy.z3"
    source.write_bytes(story)
    games.install_zork1(source)
    source.write_bytes(story + b"x")
    with pytest.raises(GameError):
        games.install_zork1(source)
    assert (folder / "zork1.z3").read_bytes() == story


def test_downloading(folder, story, monkeypatch):
    asked = []

    def open_url(url, timeout):
        asked.append((url, timeout))
        return io.BytesIO(story)

    monkeypatch.setattr(urllib.request, "urlopen", open_url)
    games.install_zork1()
    assert (folder / "zork1.z3").read_bytes() == story
    ((url, timeout),) = asked
    assert url.startswith("https://raw.githubusercontent.com/historicalsource/zork1/")
    assert 0 < timeout <= 60


@pytest.mark.parametrize(
    "failure", [urllib.error.URLError("no route"), TimeoutError(), ConnectionResetError()]
)
def test_a_failed_download_offers_the_other_way(folder, monkeypatch, failure):
    def open_url(url, timeout):
        raise failure

    monkeypatch.setattr(urllib.request, "urlopen", open_url)
    with pytest.raises(GameError, match="--from FILE"):
        games.install_zork1()
    assert not folder.exists()


def test_an_endless_download_is_bounded(folder, monkeypatch):
    class Endless(io.RawIOBase):
        def read(self, size=-1):
            assert 0 < size <= 2 << 20
            return bytes(size)

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Endless())
    with pytest.raises(GameError, match="more than"):
        games.install_zork1()


def test_a_full_disk_leaves_nothing_behind(folder, story, tmp_path, monkeypatch):
    source = tmp_path / "copy.z3"
    source.write_bytes(story)

    def full(_from, _to):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(games.os, "replace", full)
    with pytest.raises(GameError, match="No space left"):
        games.install_zork1(source)
    assert list(folder.iterdir()) == []


def test_a_missing_source(folder, tmp_path):
    with pytest.raises(GameError, match="cannot be read"):
        games.install_zork1(tmp_path / "none")


def test_listing_says_what_is_missing(folder):
    statuses = {status.id: status for status in games.list_games()}
    assert statuses["colossal-cave"].ready
    assert not statuses["zork1"].ready
    assert "lookalike games install zork1" in statuses["zork1"].detail
    folder.mkdir(parents=True)
    (folder / "zork1.z3").write_bytes(b"another")
    (zork,) = (status for status in games.list_games() if status.id == "zork1")
    assert "another release" in zork.detail


def test_the_installed_story_is_the_one_we_ask_for():
    need_zork()
    data = games.zork1_path().read_bytes()
    assert len(data) == games.ZORK1_BYTES
    assert hashlib.md5(data).hexdigest() == games.ZORK1_MD5
