"""Games: what is seen, what can be done, what goals are decided on. Every game keeps core's protocol."""

from lookalike.environments.goals import find_goal, load_goals
from lookalike.environments.registry import environment_ids, make_environment, register_environment

__all__ = ["environment_ids", "find_goal", "load_goals", "make_environment", "register_environment"]
