"""Files under their hashes: whole or not there, the same twice, and never believed without checking."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from stored_events import python

from lookalike.core.errors import StoreError
from lookalike.store import FileStore


@pytest.fixture
def files(tmp_path):
    return FileStore(tmp_path / "files")


def everything(files):
    return sorted(path.name for path in files.folder.rglob("*") if path.is_file())


def test_a_file_is_found_under_the_hash_of_its_bytes(files):
    digest = files.put(b"a video", ".mp4")
    assert digest == hashlib.sha256(b"a video").hexdigest()
    assert files.path(digest) == files.folder / digest[:2] / f"{digest}.mp4"
    assert files.get(digest) == b"a video"
    assert list(files.digests()) == [(digest, files.path(digest))]
    assert everything(files) == [f"{digest}.mp4"]


def test_equal_bytes_are_one_file(files):
    assert files.put(b"x", ".bin") == files.put(b"x", ".bin")
    assert len(everything(files)) == 1


def test_a_damaged_file_is_named_and_mended_by_putting_it_again(files):
    digest = files.put(b"as it was", ".bin")
    files.path(digest).write_bytes(b"as it isn")
    with pytest.raises(StoreError, match="damaged") as caught:
        files.get(digest)
    assert caught.value.got == str(files.path(digest))
    assert "has changed" in files.damage(digest)[1]
    files.put(b"as it was", ".bin")
    assert files.get(digest) == b"as it was"
    assert files.damage(digest) == (files.path(digest), None)


def test_a_file_that_is_not_there(files):
    digest = "0" * 64
    for ask in (files.get, files.path, files.get_frame):
        with pytest.raises(StoreError, match="missing") as caught:
            ask(digest)
        assert digest in caught.value.got
        assert caught.value.remedy


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "0" * 63, "0" * 64 + "/x", "A" * 64, "*" * 64])
def test_what_is_no_hash_never_becomes_a_path(files, digest):
    with pytest.raises(StoreError, match="no SHA-256"):
        files.path(digest)
    with pytest.raises(StoreError, match="no SHA-256"):
        files.get(digest)


@pytest.mark.parametrize("suffix", ["png", ".", "./x", ".PNG", "", ".toolongsuffix"])
def test_a_suffix_is_a_suffix(files, suffix):
    if suffix == "":
        files.put(b"x", suffix)  # none is fine
    else:
        with pytest.raises(ValueError, match="suffix"):
            files.put(b"x", suffix)


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
def test_a_frame_comes_back_pixel_by_pixel(tmp_path_factory, frame):
    files = FileStore(tmp_path_factory.mktemp("files"))
    digest = files.put_frame(frame)
    again = files.get_frame(digest)
    assert again.dtype == np.uint8
    assert np.array_equal(again, frame)
    assert files.put_frame(np.asfortranarray(frame)) == digest  # however it lies in memory
    assert files.path(digest).suffix == ".png"


def test_what_is_no_frame(files):
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            files.put_frame(wrong)
    digest = files.put(b"no picture at all", ".png")
    with pytest.raises(StoreError, match="no frame"):
        files.get_frame(digest)


def test_a_picture_that_would_fill_the_memory_is_refused(files):
    """A few bytes can say that they are a billion pixels."""
    import io
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    png = io.BytesIO()
    png.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header))
    png.write(chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))
    digest = files.put(png.getvalue(), ".png")
    with pytest.raises(StoreError, match="no frame"):
        files.get_frame(digest)


def test_threads_put_the_same_files(files):
    frames = [np.full((8, 8, 3), n, np.uint8) for n in range(20)]
    found = []

    def work():
        found.append([files.put_frame(frame) for frame in frames])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(digests == found[0] for digests in found)
    assert len(everything(files)) == 20
    assert all(files.damage(digest)[1] is None for digest in found[0])


def test_a_killed_writer_leaves_whole_files_and_leftovers_that_are_known(files):
    code = """
        import os, sys
        from lookalike.store import FileStore
        files = FileStore(sys.argv[1])
        for n in range(100000):
            print(files.put(os.urandom(200_000), ".bin"), flush=True)
    """
    process = python(code, files.folder)
    told = [process.stdout.readline().strip() for _ in range(5)]
    process.send_signal(signal.SIGKILL)
    told += [line.strip() for line in process.communicate()[0].splitlines()]
    for digest in told:
        assert files.damage(digest)[1] is None
    for digest, _ in files.digests():
        assert files.damage(digest)[1] is None
    names = {path.name for _, path in files.digests()} | {path.name for path in files.leftovers()}
    assert names == set(everything(files))


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    code = """
        import sys
        from lookalike.core.errors import StoreError
        from lookalike.store import FileStore
        files = FileStore(sys.argv[1])
        files.put(b"small", ".bin")
        try:
            files.put(bytes(20_000), ".bin")
        except StoreError as error:
            print(error.remedy)
    """
    process = python(code, tmp_path, preexec_fn=limit)
    out, _ = process.communicate()
    assert "free some space" in out
    assert len(everything(FileStore(tmp_path))) == 1


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "files").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        FileStore(tmp_path / "files").put(b"x", ".bin")
    assert os.listdir(tmp_path) == ["files"]
