"""What stops a run besides a kill: somebody else who plays it, and a disk with no space left."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faults.bench import EXPERIMENT, Asked, Bench, comparable, sqlite_stores
from faults.processes import Started
from faults.reward_model import write_reward_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it finds processes through /proc")

CHEAP = Asked(goals="lamp", conditions="random", seeds="1000-1029")


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory) -> Path:
    return write_reward_model(tmp_path_factory.mktemp("given") / "given.yaml")


def wait(started: Started, limit_s: float = 60) -> int:
    status = started.process.wait(limit_s)
    assert started.wait_gone() == [], started.said()
    return status


@pytest.mark.parametrize("back_end", ["sqlite", "postgres"])
def test_a_second_process_on_one_run_is_refused_and_told_who_holds_it(
    back_end, reward_model, tmp_path, request, monkeypatch
):
    monkeypatch.setenv("LOOKALIKE_FAULTS_DELAY_S", "0.05")
    bench = Bench(tmp_path, reward_model, Asked(goals="lamp", conditions="solo"))
    folder = bench.run_folder()
    command = [*bench.asked.command(reward_model), "--out", str(folder / "out")]
    if back_end == "postgres":
        command += ["--store", request.getfixturevalue("postgres_url")]
    first = bench.start(folder, command)
    try:
        end = time.monotonic() + 60
        while not (folder / "ledger").exists() and not first.ended():
            assert time.monotonic() < end, first.said()
            time.sleep(0.02)
        for again in (command, [*command, "--workers", "2"]):
            second = bench.start(folder, again)
            second.output = first.output
            assert second.process.wait(60) == 2
        said = first.said()
        assert said.count("is being played by another process") == 2, said
        assert f"held by process {first.process.pid} on" in said
        assert not first.ended(), said
    finally:
        first.kill_all()
        first.wait_gone()


def mount_small(place: Path) -> None:
    """Put a file system of a few kilobytes in a folder's place."""
    command = ["mount", "-t", "tmpfs", "-o", "size=448k", "tmpfs", str(place)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system of a few kilobytes can be mounted here: {made.stderr.strip()}")


def test_a_full_disk_stops_the_run_which_goes_on_with_space(reward_model, tmp_path):
    bench = Bench(tmp_path, reward_model, CHEAP)
    expected = bench.undisturbed()
    folder = bench.run_folder()
    out = folder / "out"
    out.mkdir()
    mount_small(out)
    try:
        command = [*bench.asked.command(reward_model), "--out", str(out), "--workers", "2"]
        first = bench.start(folder, command)
        assert wait(first) == 2, first.said()
        said = first.said()
        assert "disk is full" in said
        assert "free some space and run the same command again" in said
        events, episodes = sqlite_stores(folder).progress(EXPERIMENT)
        assert 0 < events < expected.events
        assert 0 < episodes < expected.episodes
        subprocess.run(["mount", "-o", "remount,size=64m", str(out)], check=True)
        second = bench.start(folder, ["runs", "resume", str(out)])
        assert wait(second) == 0, second.said()
        held = sqlite_stores(folder).read(EXPERIMENT)
        assert held.digest == expected.digest
        assert not held.problems
        assert comparable(out / "results.json") == expected.result
    finally:
        subprocess.run(["umount", "-l", str(out)], check=False)


def test_a_size_limit_stops_the_run_which_goes_on_without_it(reward_model, tmp_path):
    """The same where nobody may mount: the kernel lets no file grow beyond a limit."""
    bench = Bench(tmp_path, reward_model, CHEAP)
    folder = bench.run_folder()
    command = [*bench.asked.command(reward_model), "--out", str(folder / "out")]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        first = bench.start(folder, command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert wait(first) == 2, first.said()
    assert "remedy" in first.said()
    _, episodes = sqlite_stores(folder).progress(EXPERIMENT)
    assert 0 < episodes < 30
    second = bench.start(folder, command)
    assert wait(second) == 0, second.said()
    assert not sqlite_stores(folder).read(EXPERIMENT).problems
