from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from lookalike.core.errors import (
    CapabilityError,
    EnvironmentDiedError,
    EnvironmentHungError,
    GameError,
    UsageError,
)
from lookalike.environments.worker import EnvironmentWorker
from lookalike.testing.conformance import check_environment
from lookalike.testing.environments import (
    DyingEnvironment,
    FramedTinyEnvironment,
    HangingEnvironment,
    LeakingEnvironment,
    MalformedEnvironment,
    NoisyTinyEnvironment,
    RaisingEnvironment,
    TinyEnvironment,
)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone_within(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def test_a_worker_keeps_the_contract_frames_included():
    assert "frames" in check_environment(lambda: EnvironmentWorker(FramedTinyEnvironment), steps=20)


def test_a_worker_answers_as_the_environment_does():
    inside = NoisyTinyEnvironment()
    with EnvironmentWorker(NoisyTinyEnvironment) as outside:
        assert outside.id == inside.id
        assert outside.capabilities == inside.capabilities
        assert outside.how_to_play == inside.how_to_play
        assert outside.reset(seed=4) == inside.reset(seed=4)
        for action in ("left", "left", "take key", "frotz", "right"):
            assert outside.step(action) == inside.step(action)
            assert outside.facts() == inside.facts()
            assert outside.admissible_actions() == inside.admissible_actions()
        assert outside.save() == inside.save()


def test_a_hang_is_killed_within_its_limit_and_reset_goes_on():
    with EnvironmentWorker(HangingEnvironment, step_time_limit_s=0.3) as worker:
        worker.reset(seed=1)
        pid = worker.process_id
        assert pid is not None
        began = time.monotonic()
        with pytest.raises(EnvironmentHungError, match=r"nothing for 0\.3 s from step"):
            worker.step("hang")
        assert time.monotonic() - began < 2
        assert gone_within(pid, 2)
        with pytest.raises(EnvironmentDiedError, match="call of reset"):
            worker.step("left")
        assert worker.reset(seed=1).text == TinyEnvironment().reset(seed=1).text
        assert worker.process_id != pid


@pytest.mark.parametrize(("how", "sign"), [("abort", "signal 6"), ("exit", "exit status 3")])
def test_a_death_is_told_and_reset_goes_on(how, sign):
    with EnvironmentWorker(DyingEnvironment) as worker:
        worker.reset(seed=1)
        pid = worker.process_id
        assert pid is not None
        with pytest.raises(EnvironmentDiedError, match=sign):
            worker.step(how)
        assert not Path(f"/proc/{pid}").exists()  # no zombie either
        worker.reset(seed=1)
        assert worker.step("left").observation.text


def test_a_kill_from_outside_is_told():
    with EnvironmentWorker(TinyEnvironment) as worker:
        worker.reset(seed=1)
        assert worker.process_id is not None
        os.kill(worker.process_id, signal.SIGKILL)
        with pytest.raises(EnvironmentDiedError, match="signal 9"):
            worker.step("left")


def test_a_leak_meets_its_limit():
    with EnvironmentWorker(LeakingEnvironment, memory_limit_mb=1024) as worker:
        worker.reset(seed=1)
        with pytest.raises(EnvironmentDiedError, match="MemoryError") as caught:
            [worker.step("left") for _ in range(40)]
        assert "memory_limit_mb" in (caught.value.remedy or "")
        assert worker.reset(seed=1).text


@pytest.mark.parametrize("kind", ["bytes", "dict", "none", "nan", "frame"])
def test_a_malformed_answer_is_told_and_the_next_is_fine(kind):
    with EnvironmentWorker(MalformedEnvironment) as worker:
        worker.reset(seed=1)
        with pytest.raises(GameError, match="malformed"):
            worker.step(kind)
        assert worker.step("left").observation.text


def test_info_that_is_no_json_is_told():
    with EnvironmentWorker(MalformedEnvironment) as worker:
        worker.reset(seed=1)
        with pytest.raises(GameError, match=r"JSON|serializable"):
            worker.step("info")


def test_an_exception_in_the_environment_ends_the_episode_with_its_trace():
    with EnvironmentWorker(RaisingEnvironment) as worker:
        worker.reset(seed=1)
        with pytest.raises(EnvironmentDiedError, match=r"KeyError: 'frotz'") as caught:
            worker.step("frotz")
        assert "known[action]" in str(caught.value.got)
        assert worker.reset(seed=1).text


def test_the_environments_own_errors_come_through_whole():
    with EnvironmentWorker("lookalike.environments.colossal_cave:ColossalCave") as worker:
        with pytest.raises(GameError, match="has not been started") as caught:
            worker.step("n")
        assert caught.value.remedy is not None
        with pytest.raises(UsageError, match="integer >= 0"):
            worker.reset(seed=-1)
        with pytest.raises(GameError, match="no saved state"):
            worker.restore(b"foreign")
        assert worker.reset(seed=1).text


def test_what_is_not_declared_cannot_be_asked_for():
    with (
        EnvironmentWorker(
            "lookalike.environments.gymnasium_adapter:make_gymnasium", argument="FrozenLake-v1"
        ) as worker,
        pytest.raises(CapabilityError, match="save and restore"),
    ):
        worker.save()


def test_large_messages_pass_whole():
    with EnvironmentWorker(TinyEnvironment) as worker:
        worker.reset(seed=1)
        assert "nothing here" in (worker.step("look " * 400_000).observation.text or "")
        with pytest.raises(EnvironmentDiedError):
            worker.restore(bytes(3 << 20))


def test_closing_twice_is_harmless_and_ends_the_child():
    worker = EnvironmentWorker(TinyEnvironment)
    pid = worker.process_id
    assert pid is not None
    worker.close()
    worker.close()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(GameError, match="closed"):
        worker.reset(seed=1)


def test_a_forgotten_worker_is_collected_with_its_child():
    worker = EnvironmentWorker(TinyEnvironment)
    pid = worker.process_id
    assert pid is not None
    del worker
    assert gone_within(pid, 2)


def test_an_interrupt_in_the_middle_of_a_step_leaves_no_half_answer():
    worker = EnvironmentWorker(HangingEnvironment, step_time_limit_s=30)
    worker.reset(seed=1)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            worker.step("hang")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert worker.process_id is None
    assert worker.reset(seed=1).text
    worker.close()


@pytest.mark.parametrize("busy", [False, True])
def test_the_child_ends_when_its_parent_is_killed(tmp_path, busy):
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import threading, time
            from lookalike.environments.worker import EnvironmentWorker
            worker = EnvironmentWorker("lookalike.testing.environments:HangingEnvironment",
                                       step_time_limit_s=60)
            worker.reset(seed=1)
            print(worker.process_id, flush=True)
            if {busy}:
                worker.step("hang")
            time.sleep(60)
            """
        )
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.2)
    assert alive(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone_within(child, 3)


def test_a_plain_script_without_a_main_guard_can_use_workers(tmp_path):
    script = tmp_path / "plain.py"
    script.write_text(
        "from lookalike.environments import make_environment\n"
        "environment = make_environment('colossal-cave')\n"
        "print(environment.reset(seed=0).text[:12])\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "YOU ARE STAN\n", "")


def test_loaders_that_no_other_process_can_import_are_refused():
    def nested() -> TinyEnvironment:
        return TinyEnvironment()

    for loader in (nested, type("Local", (TinyEnvironment,), {"__module__": "__main__"})):
        with pytest.raises(UsageError, match="cannot be imported"):
            EnvironmentWorker(loader)


def test_a_loader_that_is_not_there():
    with pytest.raises(GameError, match="cannot be imported"):
        EnvironmentWorker("lookalike.environments.nowhere:Game")


@pytest.mark.parametrize("limits", [{"step_time_limit_s": 0}, {"start_time_limit_s": -1.0}])
def test_time_limits_must_be_positive(limits):
    with pytest.raises(UsageError, match="positive"):
        EnvironmentWorker(TinyEnvironment, **limits)
