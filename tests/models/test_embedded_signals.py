"""A model that was let go must not take the process with it at the next signal (Ctrl-C is one)."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import gc, signal
from lookalike.core.protocols import CompletionRequest
from lookalike.models import make_model

model = make_model()
model.complete([CompletionRequest("West of House\\n\\n>", 1.0, 1, ("open mailbox", "go north"))])
del model
gc.collect()
signal.signal(signal.SIGALRM, signal.default_int_handler)

from lookalike.environments.worker import EnvironmentWorker
from lookalike.testing.environments import HangingEnvironment
worker = EnvironmentWorker(HangingEnvironment, step_time_limit_s=30)
worker.reset(seed=1)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    worker.step("hang")
except KeyboardInterrupt:
    print("interrupted")
worker.close()
"""


@pytest.mark.model
def test_a_signal_after_the_model_was_let_go_is_only_a_signal() -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"exit code {result.returncode}: {result.stderr}"
    assert result.stdout == "interrupted\n"
