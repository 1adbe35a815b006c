from __future__ import annotations

import os
import re
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

FAULTY = "lookalike.testing.environments:make_faulty"


class CountingEnvironment(TinyEnvironment):
    """Tells in its text how often it was asked for facts and actions, which a restored state forgets."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = {"facts": 0, "actions": 0}

    def facts(self):
        self.asked["facts"] += 1
        return {**super().facts(), "asked": dict(self.asked)}

    def admissible_actions(self):
        self.asked["actions"] += 1
        return super().admissible_actions()


class MisusedErrorsEnvironment(TinyEnvironment):
    """Raises an error of ours that no episode expects from a game."""

    def step(self, action: str):
        raise UsageError("A step of mine went wrong.", remedy="None.")


class NamelessEnvironment(TinyEnvironment):
    capabilities = frozenset({"text", "telepathy"})  # type: ignore[arg-type]


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


@pytest.mark.parametrize("how", ["c", "regex", "helper"])
def test_no_way_to_hang_outlasts_the_limit(how):
    with EnvironmentWorker(FAULTY, argument=f"hangs,how={how},step=1", step_time_limit_s=0.5) as worker:
        worker.reset(seed=1)
        worker.step("left")
        helper = worker.facts().get("helper")
        pid = worker.process_id
        assert pid is not None
        began = time.monotonic()
        with pytest.raises(EnvironmentHungError, match=r"nothing for 0\.5 s from step"):
            worker.step("left")
        assert time.monotonic() - began < 3
        assert gone_within(pid, 2)
        assert helper is None or gone_within(helper, 2)


def test_a_hang_says_where_it_was():
    with EnvironmentWorker(FAULTY, argument="hangs,step=0", step_time_limit_s=0.5) as worker:
        worker.reset(seed=1)
        with pytest.raises(
            EnvironmentHungError, match=r'which was in File ".*faults\.py", line \d+ in strike'
        ):
            worker.step("left")


def test_processes_that_a_game_started_end_with_it():
    worker = EnvironmentWorker(FAULTY, argument="hangs,how=helper")
    worker.reset(seed=1)
    helper = worker.facts()["helper"]
    assert alive(helper)
    worker.close()
    assert gone_within(helper, 2)


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
        with pytest.raises(EnvironmentDiedError, match="signal 9") as caught:
            worker.step("left")
        assert "run fewer games at once" in (caught.value.remedy or "")


@pytest.mark.parametrize("how", ["python", "c", "slowly"])
@pytest.mark.parametrize("when", ["", ",step=3"])
def test_a_leak_meets_its_limit_soon_and_the_limit_is_named(how, when):
    """An array at a time, by malloc, and byte by byte; at every step, and all in one."""
    with EnvironmentWorker(FAULTY, argument=f"leaks,how={how}{when}", memory_limit_mb=512) as worker:
        worker.reset(seed=1)
        began = time.monotonic()
        with pytest.raises(EnvironmentDiedError) as caught:
            [worker.step("left") for _ in range(40)]
        assert time.monotonic() - began < 15
        assert "memory_limit_mb=512" in (caught.value.remedy or "")
        assert re.search("MemoryError|MiB in use", str(caught.value.got))
        assert worker.reset(seed=1).text


def test_a_game_within_its_limit_is_left_alone():
    with EnvironmentWorker(LeakingEnvironment, memory_limit_mb=1024) as worker:
        worker.reset(seed=1)
        assert [worker.step("look").observation.text for _ in range(4)]


def test_a_death_without_a_lack_of_memory_does_not_blame_it():
    with EnvironmentWorker(DyingEnvironment) as worker:
        worker.reset(seed=1)
        with pytest.raises(EnvironmentDiedError) as caught:
            worker.step("abort")
    assert "memory" not in (caught.value.remedy or "")
    assert "MiB" not in str(caught.value.got)


def test_children_leave_no_core_file_and_are_the_first_to_go_when_memory_runs_out():
    with EnvironmentWorker(TinyEnvironment, memory_limit_mb=512) as worker:
        limits = Path(f"/proc/{worker.process_id}/limits").read_text()
        assert re.search(r"Max core file size +0 +0", limits)
        assert re.search(rf"Max address space +{512 << 20} +{512 << 20}", limits)
        assert int(Path(f"/proc/{worker.process_id}/oom_score_adj").read_text()) == 1000


@pytest.mark.parametrize("limit", [0, -5])
def test_a_memory_limit_must_be_positive(limit):
    with pytest.raises(UsageError, match="positive"):
        EnvironmentWorker(TinyEnvironment, memory_limit_mb=limit)


# --- malformed answers


@pytest.mark.parametrize("kind", [form for form in MalformedEnvironment.forms if form != "noise"])
def test_a_malformed_answer_is_told_and_the_next_is_fine(kind):
    with EnvironmentWorker(MalformedEnvironment) as worker:
        worker.reset(seed=1)
        pid = worker.process_id
        with pytest.raises(GameError, match="malformed") as caught:
            worker.step(kind)
        assert type(caught.value) is GameError
        assert worker.step("left").observation.text
        assert worker.process_id == pid


@pytest.mark.parametrize("call", ["reset", "admissible_actions", "facts", "save"])
def test_every_other_answer_is_checked_too(call):
    with EnvironmentWorker(FAULTY, argument=f"malformed,step=0,call={call},seed=2") as worker:
        worker.reset(seed=1)

        def ask():
            worker.reset(seed=2)
            getattr(worker, call)()

        with pytest.raises(GameError, match="malformed") as caught:
            ask()
        assert type(caught.value) is GameError
        assert worker.reset(seed=1).text


@pytest.mark.parametrize("prefetch", [False, True])
def test_a_game_that_writes_into_the_socket_is_ended(prefetch):
    with EnvironmentWorker(MalformedEnvironment) as worker:
        worker.reset(seed=1)
        if prefetch:
            worker.facts()
            worker.admissible_actions()
            worker.step("left")
        pid = worker.process_id
        with pytest.raises(GameError, match="malformed"):
            worker.step("noise")
        assert worker.process_id is None
        assert pid is not None
        assert gone_within(pid, 2)
        assert worker.reset(seed=1).text


def test_a_frame_must_keep_its_shape():
    with EnvironmentWorker("lookalike.testing.environments:ChangingFrameEnvironment") as worker:
        worker.reset(seed=1)
        with pytest.raises(GameError, match="frame that is malformed"):
            worker.step("left")


def test_what_a_game_is_and_can_is_checked():
    with pytest.raises(GameError, match="malformed"):
        EnvironmentWorker(NamelessEnvironment)


def test_an_error_of_ours_out_of_a_step_ends_the_episode_only():
    with EnvironmentWorker(MisusedErrorsEnvironment) as worker:
        worker.reset(seed=1)
        with pytest.raises(GameError, match="A step of mine went wrong"):
            worker.step("left")


# --- what comes along with a step


def test_facts_and_actions_that_came_along_are_those_of_the_state():
    plain = NoisyTinyEnvironment()
    patterns = ("fa", "", "f", "a", "ffaa", "af", "s", "fsa", "r", "")
    with EnvironmentWorker(NoisyTinyEnvironment) as worker:
        for seed in (1, 2):
            assert worker.reset(seed=seed) == plain.reset(seed=seed)
            state = plain.save()
            for number in range(40):
                for what in patterns[number % len(patterns)]:
                    if what == "f":
                        assert worker.facts() == plain.facts()
                    elif what == "a":
                        assert worker.admissible_actions() == plain.admissible_actions()
                    elif what == "s":
                        assert worker.save() == plain.save()
                    else:
                        worker.restore(state)
                        plain.restore(state)
                action = ("left", "right", "take key", "left", "open door")[number % 5]
                assert worker.step(action) == plain.step(action)


def test_nobody_works_out_what_is_not_asked_for():
    with EnvironmentWorker("test_worker:CountingEnvironment") as worker:
        worker.reset(seed=1)
        for _ in range(5):
            worker.step("look")
        assert worker.facts()["asked"] == {"facts": 1, "actions": 0}
        assert worker.facts()["asked"] == {"facts": 1, "actions": 0}
        worker.admissible_actions()
        for _ in range(5):  # asked for both last time: they come along once, and no more
            worker.step("look")
        assert worker.facts()["asked"] == {"facts": 3, "actions": 2}


@pytest.mark.parametrize("call", ["facts", "admissible_actions"])
@pytest.mark.parametrize("fault", ["malformed", "dies,how=exit", "hangs"])
def test_a_failure_in_what_comes_along_is_told_as_its_own(fault, call):
    argument = f"{fault},step=2,call={call}"
    with EnvironmentWorker(FAULTY, argument=argument, step_time_limit_s=1.0) as worker:
        worker.reset(seed=1)
        worker.facts()
        worker.admissible_actions()
        worker.step("look")
        worker.facts()
        worker.admissible_actions()

        def ask():
            worker.step("look")
            getattr(worker, call)()

        with pytest.raises(GameError) as caught:
            ask()
        kind = {"malformed": GameError, "hangs": EnvironmentHungError}.get(fault, EnvironmentDiedError)
        assert type(caught.value) is kind
        if call == "admissible_actions" and kind is not GameError:
            assert call in str(caught.value)


def test_an_error_in_what_came_along_unasked_is_nobodys():
    with EnvironmentWorker(FAULTY, argument="malformed,step=1,call=facts") as worker:
        worker.reset(seed=1)
        worker.facts()
        worker.step("look")
        worker.step("look")
        assert worker.facts()["score"] == 0


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


@pytest.mark.parametrize("how", ["", "how=c,step=0", "how=helper"])
def test_the_child_ends_when_its_parent_is_killed(tmp_path, how):
    """Idle, in C with all signals blocked, or with a process of its own."""
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import threading, time
            from lookalike.environments.worker import EnvironmentWorker
            worker = EnvironmentWorker("lookalike.testing.environments:HangingEnvironment",
                                       argument={how!r}, step_time_limit_s=60)
            worker.reset(seed=1)
            print(worker.process_id, worker.facts().get("helper", worker.process_id), flush=True)
            if "step" in {how!r}:
                worker.step("left")
            time.sleep(60)
            """
        )
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child, helper = map(int, parent.stdout.readline().split())
    time.sleep(0.2)
    assert alive(child)
    assert alive(helper)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone_within(child, 3)
    assert gone_within(helper, 3)


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
