"""Conditions, goals and seeds; statistics; reports: the question that is measured."""

from lookalike.experiments.conditions import (
    condition_names,
    find_condition,
    find_experiment,
    list_experiments,
)
from lookalike.experiments.experiment_files import declared_experiment
from lookalike.experiments.runner import RunOptions, report_run, resolve, resume_run, run_experiment
from lookalike.experiments.single import play_episode

__all__ = [
    "RunOptions",
    "condition_names",
    "declared_experiment",
    "find_condition",
    "find_experiment",
    "list_experiments",
    "play_episode",
    "report_run",
    "resolve",
    "resume_run",
    "run_experiment",
]
