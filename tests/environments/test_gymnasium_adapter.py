from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from lookalike.core.errors import CapabilityError, GameError, UsageError
from lookalike.environments import make_environment
from lookalike.environments.colossal_cave import ColossalCave
from lookalike.environments.gymnasium_adapter import GymnasiumEnvironment, as_gymnasium
from lookalike.testing.conformance import check_environment
from lookalike.testing.environments import FramedTinyEnvironment, TinyEnvironment

LAKE = ("left", "down", "right", "up")


def lake(**options) -> GymnasiumEnvironment:
    env = gymnasium.make("FrozenLake-v1", render_mode="ansi", is_slippery=True, **options)
    return GymnasiumEnvironment(env, action_names=LAKE)


def test_a_slippery_lake_keeps_the_contract():
    assert "same seed, same play" in check_environment(lake)


def test_a_cliff_keeps_the_contract_in_a_worker():
    check_environment(lambda: make_environment("gymnasium:CliffWalking-v1"), steps=20)


def test_the_seed_reaches_the_environment():
    def path(seed: int) -> list[str | None]:
        environment = lake()
        environment.reset(seed=seed)
        return [environment.step("right").observation.text for _ in range(12)]

    assert path(0) == path(0)
    assert len({tuple(path(seed)) for seed in range(8)}) > 1


def test_reward_score_and_the_end():
    environment = GymnasiumEnvironment(gymnasium.make("CliffWalking-v1"), action_names=("u", "r", "d", "l"))
    environment.reset(seed=0)
    rewards = [environment.step(name) for name in ["u", *["r"] * 11, "d"]]
    assert [step.env_reward for step in rewards] == [-1.0] * 13
    assert rewards[-1].terminated
    assert not rewards[-1].truncated
    assert environment.facts() == {"score": -13.0, "over": True, "state": 47}
    assert environment.admissible_actions() == ()
    assert environment.step("u").terminated


def test_truncated_is_not_terminated():
    environment = lake(max_episode_steps=3)
    environment.reset(seed=3)
    last = [environment.step("up") for _ in range(3)][-1]
    assert (last.terminated, last.truncated) == (False, True)
    again = environment.step("up")
    assert (again.terminated, again.truncated) == (False, True)


def test_an_unknown_action_is_answered_and_changes_nothing():
    environment = lake()
    first = environment.reset(seed=1)
    answer = environment.step("fly")
    assert "left, down, right, up" in (answer.observation.text or "")
    assert answer.env_reward == 0
    assert environment.facts()["state"] == 0
    assert first.text == "[S]FFF\nFHFH\nFFFH\nHFFG"


class Pictures(gymnasium.Env):
    """An image observation, a shifted action space and a name for each action."""

    observation_space = gymnasium.spaces.Box(0, 255, (4, 5, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(2, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.frame = np.full((4, 5, 3), self.np_random.integers(200), np.uint8)
        return self.frame, {}

    def step(self, action):
        assert action in (1, 2)
        self.frame += np.uint8(action)  # in place, as careless environments do
        return self.frame, 1.0, False, False, {}

    def get_action_meanings(self):
        return ["darker", "brighter"]


def test_images_become_frames_that_stay():
    environment = GymnasiumEnvironment(Pictures())
    assert environment.capabilities == {"frames", "score", "admissible_actions"}
    first = environment.reset(seed=1)
    assert first.frame is not None
    value = int(first.frame[0, 0, 0])
    after = environment.step("brighter").observation
    assert after.text is None
    assert after.frame is not None
    assert (int(first.frame[0, 0, 0]), int(after.frame[0, 0, 0])) == (value, value + 2)
    check_environment(lambda: GymnasiumEnvironment(Pictures()))


def test_what_cannot_be_named_is_refused():
    class Continuous(Pictures):
        action_space = gymnasium.spaces.Box(-1, 1, (2,))

    with pytest.raises(UsageError, match="Discrete"):
        GymnasiumEnvironment(Continuous())
    for names in (("a",), ("a", "a", "b", "c"), ("a", "b", "c", " ")):
        with pytest.raises(UsageError, match="names"):
            GymnasiumEnvironment(gymnasium.make("FrozenLake-v1"), action_names=names)


def test_saving_and_unstarted_and_unknown():
    environment = lake()
    with pytest.raises(GameError, match="reset"):
        environment.step("up")
    for act in (environment.save, lambda: environment.restore(b"")):
        with pytest.raises(CapabilityError):
            act()
    with pytest.raises(GameError, match="cannot make"):
        make_environment("gymnasium:NoSuchGame-v9", isolated=False)


@pytest.mark.filterwarnings("ignore:.*Not able to test alternative render modes.*")
@pytest.mark.parametrize(
    ("make", "actions"),
    [
        (TinyEnvironment, ("left", "right", "take key")),
        (FramedTinyEnvironment, ("left", "right", "take key")),
        (ColossalCave, None),
    ],
)
def test_gymnasiums_own_checker_accepts_ours(make, actions):
    check_env(as_gymnasium(make(), actions=actions))


def test_there_and_back_again():
    env = as_gymnasium(ColossalCave())
    text, info = env.reset(seed=2)
    assert text.startswith("YOU ARE STANDING")
    assert "enter" in info["admissible_actions"]
    _, reward, terminated, truncated, _ = env.step("enter")
    assert (reward, terminated, truncated) == (0.0, False, False)
    one, _ = env.reset()
    assert one.startswith("YOU ARE STANDING")
    back = GymnasiumEnvironment(as_gymnasium(TinyEnvironment()))
    assert back.capabilities == {"text", "score"}
    back.reset(seed=3)
    assert back.step("left").observation.text == "You are in room 2."
    back.close()
    back.close()
