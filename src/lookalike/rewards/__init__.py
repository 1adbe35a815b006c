"""The reward model: a document that a person can read and edit, and its application to play."""

from lookalike.rewards.document import RewardModel, load_reward_model, save_reward_model
from lookalike.rewards.plan import Plan, compile_plan
from lookalike.rewards.scorer import RewardModelScorer

__all__ = [
    "Plan",
    "RewardModel",
    "RewardModelScorer",
    "compile_plan",
    "load_reward_model",
    "save_reward_model",
]
