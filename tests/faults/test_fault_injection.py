"""A run that is killed again and again comes to the same end: nothing lost, nothing asked twice.

The short form; `make faults` (``faults.__main__``) is the long one.
"""

from __future__ import annotations

import shutil
import sys
from random import Random

import pytest

from faults.bench import Asked, Bench, Undisturbed, sqlite_stores
from faults.campaign import campaign
from faults.findings import Outcome, asked_again, lost_episodes
from faults.reward_model import write_reward_model
from faults.stores import Held
from lookalike.store import EpisodeKey, EpisodeStarted, EventLog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it finds processes through /proc")

SEED = 20240310


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    folder = tmp_path_factory.mktemp("faults")
    asked = Asked(goals="lamp", conditions="solo,swarm,worlds")
    return Bench(folder, write_reward_model(folder / "given.yaml"), asked)


@pytest.fixture(scope="module")
def undisturbed(bench) -> Undisturbed:
    return bench.undisturbed()


def check(outcome: Outcome, kills: int) -> None:
    assert outcome.clean, "\n".join(
        [f"seed {outcome.seed}", *outcome.lost, *outcome.repeated, *outcome.wrong]
    )
    assert len(outcome.kills) >= kills


def test_eight_kills_over_sqlite(bench, undisturbed):
    check(campaign(bench, undisturbed, kills=8, seed=SEED), 8)


def test_four_kills_over_postgres(bench, undisturbed, postgres_server):
    stores = iter(f"{postgres_server.url}?schema=faults_{number}" for number in range(100))
    check(campaign(bench, undisturbed, kills=4, seed=SEED, postgres_url=lambda: next(stores)), 4)


def test_a_call_that_is_made_again_is_found_out():
    kills = [({"a", "b"}, 3), ({"a", "b", "c"}, 5)]
    assert asked_again(["a", "b", "c", "c", "d"], kills) == ([], {0: 1})
    repeated, in_flight = asked_again(["a", "b", "c", "b"], kills)
    assert not in_flight
    assert repeated == ["call b was made again after kill 0, and its answer was there"]
    assert asked_again(["a", "a", "b"], kills)[0] == ["call a was made again without a kill"]


def test_an_episode_that_is_lost_is_found_out():
    key = EpisodeKey(condition="solo", goal="lamp", seed=1, attempt=0)
    before = Held(finished={key: b"end"})
    assert lost_episodes(before, Held(finished={key: b"end"})) == []
    assert lost_episodes(before, Held()) == [f"{key} is gone"]
    assert lost_episodes(before, Held(finished={key: b"other"})) == [f"{key} is changed"]
    again = Held(finished={key: b"end"}, starts_after_end=[str(key)])
    assert lost_episodes(before, again) == [f"{key} was played again"]


def test_a_power_cut_takes_transactions_that_no_flush_protected(tmp_path):
    """Else the kills of that kind would show nothing."""
    (tmp_path / "out").mkdir()
    stores = sqlite_stores(tmp_path)
    key = EpisodeKey(condition="solo", goal="lamp", seed=1, attempt=0)
    cuts = []
    for seed in range(12):
        log = EventLog(stores.log)
        run = f"run {seed}"
        log.start_run(run, {}, package_version="1")
        for _ in range(20):
            log.append(run, [EpisodeStarted(episode=key, environment_seed=1)])
        copy = tmp_path / str(seed)
        (copy / "out").mkdir(parents=True)
        for path in (tmp_path / "out").glob("events.sqlite*"):
            shutil.copy(path, copy / "out")
        log.close()
        torn = sqlite_stores(copy)
        whole = torn.read(run)
        torn.cut_power(Random(seed))
        left = torn.read(run)
        assert not left.problems
        cuts.append(whole.events - left.events)
    assert min(cuts) >= 0
    assert len(set(cuts)) > 3
