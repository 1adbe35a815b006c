"""A run on a remote model, killed in the middle of a step and gone on with: what the server saw twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("pydantic_ai", reason="the extra 'remote' is not installed")

from loopback import Asked, Loopback, Said, chat_answer

LIST = "Commands to choose from: "
MAIN = "from lookalike.cli import main; main()"
ARGUMENTS = (
    "experiment run demo/colossal-cave --conditions swarm --goals lamp --seeds 1000 --model home --out run"
)


class Holding:
    """Answers with the first command offered; holds one request back for good when it is told to."""

    def __init__(self) -> None:
        self.answered: Counter[bytes] = Counter()
        self.held: list[bytes] = []
        self.hold_at: int | None = None
        self.reached = threading.Event()
        self.release = threading.Event()
        self.lock = threading.Lock()

    def __call__(self, asked: Asked) -> Said:
        with self.lock:
            number = sum(self.answered.values()) + len(self.held)
            hold = self.hold_at is not None and number >= self.hold_at and not self.reached.is_set()
            if hold:
                self.held.append(asked.raw)
                self.reached.set()
            else:
                self.answered[asked.raw] += 1
        if hold:
            self.release.wait(60)
            return Said(b"", 503)
        said = asked.body["messages"][-1]["content"]
        offered = said.partition(LIST)[2].split("\n")[0].split("; ")
        return Said(chat_answer(offered[len(said) % len(offered)]))


@pytest.mark.slow
def test_a_killed_run_that_goes_on_asks_for_no_answered_call_again(tmp_path: Path) -> None:
    from lookalike.store import EpisodeFinished, StepTaken, open_log

    answer = Holding()
    with Loopback(answer) as server:
        (tmp_path / "models.yaml").write_text(
            f"models:\n  home: {{back_end: openai, model: m, base_url: '{server.url}/v1', "
            "capabilities: {seed: true}, concurrency: 4}\n",
            encoding="utf-8",
        )
        environment = {
            **os.environ,
            "LOOKALIKE_MODELS": str(tmp_path / "models.yaml"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }
        command = [sys.executable, "-c", MAIN, *ARGUMENTS.split()]
        for hold_at in (6, 17, None):
            answer.hold_at = hold_at
            answer.reached.clear()
            answer.release.clear()
            with subprocess.Popen(
                command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            ) as child:
                if hold_at is None:
                    _, said = child.communicate(timeout=240)
                    assert child.returncode == 0, said.decode()[-2000:]
                    break
                assert answer.reached.wait(120)
                # Its neighbours of the same step are answered meanwhile, and stored one by one.
                time.sleep(1.0)
                child.send_signal(signal.SIGKILL)
            answer.release.set()
    assert len(answer.held) == 2
    twice = {raw: n for raw, n in answer.answered.items() if n > 1}
    assert not twice, f"{len(twice)} answered calls were asked for, and paid, again"
    assert set(answer.held) <= set(answer.answered)  # what was not answered was asked for again
    with open_log(tmp_path / "run", create=False) as log:
        events = list(log.events("demo/colossal-cave"))
    finished = [e for e in events if isinstance(e, EpisodeFinished)]
    steps = [e for e in events if isinstance(e, StepTaken)]
    assert len(finished) == 1
    assert len({s.step for s in steps}) == finished[0].steps
    assert finished[0].usage.calls == sum(s.usage.calls for s in steps)
