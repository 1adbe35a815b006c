"""Games that hang, leak and abort, side by side: the run ends, and every failure is counted and named.

`make faults` does the same with 16 workers.
"""

from __future__ import annotations

import sys

import pytest

from faults import unlucky

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it finds processes through /proc")


def test_every_failure_is_counted_and_named(tmp_path):
    seeds = 8
    assert {"EnvironmentHungError", "EnvironmentDiedError"} == set(unlucky.expected_failures(seeds).values())
    ended = unlucky.run(tmp_path, workers=4, seeds=seeds, step_limit_s=3.0, memory_mb=256, limit_s=120)
    assert unlucky.faults_found(ended, seeds) == []
