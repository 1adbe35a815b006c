"""``paper/procgen``: every game is recorded, watched and played, and the games' plays become one table.

For each game: a scripted demonstrator records levels below 200 (no person is at hand, and the recordings
say so), the visual expert watches the silent videos, and every condition plays levels from 10,000 on. Each
step is in one event log, so the same command goes on where it was stopped; recordings and reward models that
are there already are taken as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

import lookalike
from lookalike.core.errors import UnknownNameError, UsageError
from lookalike.core.types import Demonstration, Goal
from lookalike.environments import load_goals, make_environment
from lookalike.environments.levels import require_part
from lookalike.experiments.conditions import ExperimentSpec, find_condition, parse_range
from lookalike.experiments.preparation import Advance
from lookalike.experiments.procgen_recordings import first_play, levels_in, read_silent, record_game
from lookalike.experiments.report import write_report
from lookalike.experiments.resolved import ResolvedExperiment
from lookalike.experiments.results import CreatedWith, EpisodeResult, ExperimentResult, GoalInfo
from lookalike.experiments.runner import REWARD_MODEL_FILE, RunOptions, describe, play_out
from lookalike.experiments.session import COPIES, SessionSetup
from lookalike.experiments.statistics import clustered_bootstrap_mean
from lookalike.experiments.summary import BOOTSTRAP_SEED, paired_differences, summarise
from lookalike.rewards import RewardModel, load_reward_model, save_reward_model
from lookalike.store import open_log

RECORDINGS_FOLDER = "recordings"
MOST_VIDEOS = 20


class ProcgenSpec(BaseModel):
    """The experiment as ``data/procgen.yaml`` declares it; see there for what the fields mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    seeds: str
    videos: int = Field(ge=3, le=MOST_VIDEOS)
    effort: float = Field(gt=0)
    lookahead_steps: int = Field(ge=1)
    conditions: tuple[str, ...]
    games: tuple[str, ...]


@lru_cache(maxsize=1)
def procgen_spec() -> ProcgenSpec:
    """Return the experiment as it is shipped."""
    source = resources.files("lookalike.experiments") / "data" / "procgen.yaml"
    return ProcgenSpec.model_validate(yaml.safe_load(source.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class GamePlayed:
    """One game of the experiment.

    Attributes:
        game: Its name.
        result: Its own table.
        reward_model: What the expert wrote.
        unsolved: Recording levels that the demonstrator did not solve; there is no video of them.
        levels: Levels that the videos hold.
    """

    game: str
    result: ExperimentResult
    reward_model: RewardModel
    unsolved: int
    levels: int


def run_procgen(
    *,
    out: Path,
    games: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    conditions: Sequence[str] | None = None,
    videos: int | None = None,
    effort: float | None = None,
    lookahead_steps: int | None = None,
    options: RunOptions | None = None,
) -> ExperimentResult:
    """Run the experiment, or go on with it, and write its results into ``out``.

    Args:
        out: A folder a game, the event log, and the results of all games together.
        games: Some of the sixteen; ``None`` for all.
        seeds: Levels to play, from 10,000 on.
        conditions: Names of conditions.
        videos: Recordings a game, 3 to 20.
        effort: How much is trained.
        lookahead_steps: Steps of one search with save and restore.
        options: How to carry it out.

    Raises:
        UnknownNameError: There is no such game or condition.
        UsageError: Levels that are not for experiments, or a number of videos that is not allowed.
        CapabilityError: PyTorch is not installed.
        GameError: Procgen is not installed.
        KeyboardInterrupt: It was interrupted; what was played is kept.
    """
    spec = procgen_spec()
    options = options or RunOptions()
    chosen = tuple(dict.fromkeys(games or spec.games))
    for game in chosen:
        if game not in spec.games:
            raise UnknownNameError("Procgen game", game, spec.games)
    levels = tuple(dict.fromkeys(seeds)) if seeds is not None else parse_range(spec.seeds)
    require_part(levels, "evaluation")
    count = spec.videos if videos is None else videos
    if not 3 <= count <= MOST_VIDEOS:
        raise UsageError("This many videos are not watched.", got=count, expected=f"3 to {MOST_VIDEOS}")
    asked = _Asked(
        spec,
        levels,
        tuple(dict.fromkeys(conditions or spec.conditions)),
        count,
        effort or spec.effort,
        lookahead_steps or spec.lookahead_steps,
    )
    from lookalike.rewards.visual_network import require_torch

    require_torch()
    out.mkdir(parents=True, exist_ok=True)
    played = []
    for game in chosen:
        played.append(_play_game(game, asked, out, options))
        result = merged(played, asked.levels)
        write_report(result, out)
    return result


@dataclass(frozen=True)
class _Asked:
    spec: ProcgenSpec
    levels: tuple[int, ...]
    conditions: tuple[str, ...]
    videos: int
    effort: float
    lookahead_steps: int


def paper_goal(game: str) -> Goal:
    """Return the goal of a game that counts in the paper's table."""
    return next(goal for goal in load_goals(f"procgen:{game}") if goal.in_paper_table)


def _play_game(game: str, asked: _Asked, out: Path, options: RunOptions) -> GamePlayed:
    folder = out / game
    folder.mkdir(exist_ok=True)
    goal = paper_goal(game)
    recordings, unsolved = record_game(
        game, goal, folder / RECORDINGS_FOLDER, count=asked.videos, progress=options.progress
    )
    demonstrations = read_silent(recordings)
    document = watch_game(game, demonstrations, folder, effort=asked.effort, progress=options.progress)
    levels = [levels_in(video) for video in recordings]
    replay = first_play(recordings[0], levels[0]) if "replay" in asked.conditions else None
    setup = SessionSetup(
        environment=f"procgen:{game}",
        reward_model=document,
        replay=replay,
        recorded_seeds=tuple(level for shown in levels for level, _ in shown),
        step_time_limit_s=options.step_time_limit_s,
        memory_limit_mb=options.memory_limit_mb,
        budget=options.budgets.episode,
        flush_after_s=0.5,
        visual=folder,
        lookahead_steps=asked.lookahead_steps,
    )
    resolved = ResolvedExperiment(
        ExperimentSpec(
            name=f"{asked.spec.name}/{game}",
            description=asked.spec.description,
            environment=f"procgen:{game}",
            recording="scripted",
            seeds=",".join(map(str, asked.levels)),
            conditions=asked.conditions,
        ),
        (goal,),
        asked.levels,
        tuple(find_condition(name) for name in asked.conditions),
    )
    result = _carry_out(resolved, setup, folder=folder, out=out, options=options, asked=asked)
    return GamePlayed(game, result, document, unsolved, sum(len(shown) for shown in levels))


def _carry_out(
    resolved: ResolvedExperiment,
    setup: SessionSetup,
    *,
    folder: Path,
    out: Path,
    options: RunOptions,
    asked: _Asked,
) -> ExperimentResult:
    store = options.store or str(out / "events.sqlite")
    described = {
        **describe(resolved, setup),
        "lookahead_steps": asked.lookahead_steps,
        "lookahead_copies": COPIES,
    }
    run_id = resolved.spec.name if options.run is None else f"{options.run}/{folder.name}"
    with open_log(store) as log, log.hold(run_id):
        log.start_run(run_id, described, package_version=lookalike.__version__, folder=str(folder.resolve()))
        result = play_out(resolved, setup, log, run_id, described=described, options=options)
    write_report(result, folder)
    return result


def watch_game(
    game: str,
    demonstrations: Sequence[Demonstration],
    folder: Path,
    *,
    effort: float,
    progress: Advance | None = None,
) -> RewardModel:
    """Write a game's reward model into its folder, unless one of the same recordings lies there."""
    from lookalike.experts.visual import Effort, EmbeddedVisualExpert

    path = folder / REWARD_MODEL_FILE
    if path.exists():
        document = load_reward_model(path)
        if {note.id for note in document.recordings} == {d.id for d in demonstrations}:
            return document

    def tell(done: float, total: float | None, what: str) -> None:
        if progress is not None:
            progress(done, total, f"{game}: {what}")

    # The demonstrator had the game in this process as well; it costs half of what a worker does.
    make = partial(make_environment, isolated=False)
    expert = EmbeddedVisualExpert(effort=Effort().times(effort), progress=tell, make=make)
    document = expert.watch(demonstrations, environment=f"procgen:{game}", folder=folder / "visual")
    save_reward_model(document, path)
    return document


def merged(played: Sequence[GamePlayed], levels: Sequence[int]) -> ExperimentResult:
    """Put the games' results together: a goal is ``game/goal``, and every play counts once."""
    episodes: list[EpisodeResult] = []
    goals: list[GoalInfo] = []
    for one in played:
        episodes += [e.model_copy(update={"goal": f"{one.game}/{e.goal}"}) for e in one.result.episodes]
        goals += [g.model_copy(update={"name": f"{one.game}/{g.name}"}) for g in one.result.goals]
    conditions = played[0].result.created_with.spec["conditions"]
    rows = [row for entry in conditions for row in find_condition(entry["name"]).rows()]
    first = played[0].result
    return ExperimentResult(
        name=procgen_spec().name,
        environment="procgen",
        complete=all(one.result.complete for one in played),
        created_with=CreatedWith(
            package_version=lookalike.__version__,
            recordings=tuple(r for one in played for r in one.result.created_with.recordings),
            spec={"games": {one.game: one.result.created_with.spec for one in played}},
            commands=(
                f"lookalike experiment run {procgen_spec().name} --games {','.join(o.game for o in played)} "
                f"--seeds {','.join(map(str, levels))}",
            ),
        ),
        goals=tuple(sorted(goals, key=lambda goal: (goal.complexity, goal.name))),
        rows=tuple(summarise(episodes, rows)),
        paired=tuple(
            paired_differences(
                episodes,
                rows,
                pairs=[(rows[-1].name, row.name) for row in rows[:-1]] if len(rows) > 1 else [],
            )
        ),
        notes=(*_game_notes(played, episodes), *first.notes[:1]),
        episodes=tuple(episodes),
    )


def _game_notes(played: Sequence[GamePlayed], episodes: Sequence[EpisodeResult]) -> list[str]:
    """Return the mean over games with its interval, the per-game table, and what recordings there were."""
    notes = []
    names = list(dict.fromkeys(episode.condition for episode in episodes))
    games = [one.game for one in played]
    for name in names:
        shares = {
            game: [
                float(e.success) for e in episodes if e.condition == name and e.goal.startswith(f"{game}/")
            ]
            for game in games
        }
        means = [sum(values) / len(values) for values in shares.values() if values]
        low, high = clustered_bootstrap_mean(means, list(range(len(means))), seed=BOOTSTRAP_SEED)
        between = "" if len(means) < 5 else f" (95% over games {100 * low:.0f} to {100 * high:.0f})"
        table = ", ".join(
            f"{game} {int(sum(values))}/{len(values)}" for game, values in shares.items() if values
        )
        notes.append(
            f"{name}: mean over {len(means)} games {100 * sum(means) / len(means):.1f}%{between}: {table}."
        )
    videos = ", ".join(
        f"{one.game} {one.levels} in {len(one.reward_model.recordings)}"
        + (f" ({one.unsolved} unsolved)" if one.unsolved else "")
        for one in played
    )
    notes.append(f"Scripted recordings watched, silent; plays of levels below 200 in videos: {videos}.")
    return notes
