"""``lookalike experiment ...``: measure, resume, and write the report again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookalike.cli.failures import keep
from lookalike.cli.options import (
    EpisodeLimitOption,
    JsonOption,
    LimitOption,
    MemoryLimitOption,
    StepTimeLimitOption,
    parse_limits,
    parse_seeds,
    split_names,
)
from lookalike.cli.output import console, emit, emit_json, emit_table, progress, say
from lookalike.cli.procgen_run import NAME as PROCGEN
from lookalike.cli.procgen_run import run_games

if TYPE_CHECKING:
    from lookalike.experiments.results import ExperimentResult

app = typer.Typer(no_args_is_help=True, help="Run experiments and report on them.")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the experiments: what each measures, its conditions, goals and seeds."""
    from lookalike.experiments import list_experiments
    from lookalike.experiments.procgen import procgen_spec

    found, games = list_experiments(), procgen_spec()
    if as_json:
        emit_json([*found, games])
        return
    emit_table(
        "Experiments",
        ("experiment", "what", "environment", "seeds", "conditions"),
        [
            *((e.name, e.description, e.environment, e.seeds, ", ".join(e.conditions)) for e in found),
            (games.name, games.description, "procgen", games.seeds, ", ".join(games.conditions)),
        ],
    )


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Experiment; see `lookalike experiment list`.")],
    out: Annotated[Path | None, typer.Option(help="Write it into this new file instead.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show an experiment in the format of a file of your own, to start from (docs/experiments.md)."""
    from lookalike.core.errors import UsageError
    from lookalike.experiments import find_experiment
    from lookalike.experiments.experiment_files import experiment_file_text

    found = find_experiment(name)
    if as_json:
        emit_json(found)
        return
    text = experiment_file_text(found)
    if out is None:
        emit(text.rstrip())
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            "The file cannot be written.",
            got=f"{out}: {error.strerror}",
            expected="a new file in a folder that is there",
            remedy="name another one",
        ) from error
    emit(f"Wrote {out}. Run it with: lookalike experiment run {out}")


@app.command("run")
def run(
    name: Annotated[
        str,
        typer.Argument(
            help="Experiment; see `lookalike experiment list`; or a file of your own (docs/experiments.md)."
        ),
    ],
    seeds: Annotated[
        str | None,
        typer.Option(metavar="A-B", help="Seeds: 100-119, 7, or 1,5,9; the experiment's own by default."),
    ] = None,
    goals: Annotated[
        str | None, typer.Option(metavar="A,B", help="Goals, with commas; the experiment's own by default.")
    ] = None,
    games: Annotated[
        str | None, typer.Option(metavar="A,B", help="paper/procgen: games, with commas; all by default.")
    ] = None,
    videos: Annotated[
        int | None, typer.Option(min=3, max=20, help="paper/procgen: recordings a game.")
    ] = None,
    effort: Annotated[
        float | None,
        typer.Option(min=0.01, help="paper/procgen: how much is trained; 1 for minutes of one core a game."),
    ] = None,
    conditions: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Conditions, with commas; the experiment's own by default."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for events and results; runs/NAME by default.")
    ] = None,
    reward_model: Annotated[
        Path | None,
        typer.Option(help="Reward model; by default the one written from the experiment's recording."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="COMPONENT", help="Take a component out of the reward model; may be repeated."),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, max=64, help="Processes that play side by side; results do not depend on it."),
    ] = 1,
    model: Annotated[
        str, typer.Option(help="Language model of the players; see `lookalike models list`.")
    ] = "embedded",
    expert: Annotated[
        str,
        typer.Option(
            help="Who writes the reward model of the experiment's recording: embedded-text, or remote:MODEL "
            "(several with commas)."
        ),
    ] = "embedded-text",
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Ask this model live about steps that the reward model does not cover; paid, and counted.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="Event log: an SQLite file or postgresql://user@host/db; events.sqlite in --out by default.",
        ),
    ] = None,
    run_name: Annotated[
        str | None, typer.Option("--run", help="The run's name in the store; the experiment's by default.")
    ] = None,
    step_time_limit: StepTimeLimitOption = 10.0,
    memory_limit: MemoryLimitOption = 4096,
    limit: LimitOption = None,
    episode_limit: EpisodeLimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run an experiment, or go on with it, and print its table.

    Ctrl-C keeps every step taken; the same command with the same --out goes on from there, and so does
    `lookalike runs resume`. At a budget's limit the run stops, is marked so, and goes on under a higher one.
    """
    from lookalike.experiments import RunOptions, declared_experiment, run_experiment

    if name == PROCGEN:
        result = run_games(
            folder := out or Path("runs") / name.replace("/", "-"),
            options=RunOptions(
                store=store,
                run=run_name,
                workers=workers,
                budgets=parse_limits(limit, episode_limit),
                step_time_limit_s=step_time_limit,
                memory_limit_mb=memory_limit,
            ),
            games=games,
            seeds=seeds,
            conditions=conditions,
            videos=videos,
            effort=effort,
            others={"goals": goals, "reward-model": reward_model, "without": without},
        )
        show_result(result, {"report": folder / "report.html"}, as_json=as_json)
        return
    folder = out or Path("runs") / declared_experiment(name).name.replace("/", "-")
    chosen = None if seeds is None else parse_seeds(seeds)
    limits = parse_limits(limit, episode_limit)
    keep(f"every step taken, in {folder}; the same command goes on from there")
    with progress(f"Running {name}") as advance:
        result = run_experiment(
            name,
            out=folder,
            seeds=chosen,
            goals=split_names(goals),
            conditions=split_names(conditions),
            reward_model=reward_model,
            without=tuple(without or ()),
            model=model,
            expert=expert,
            judge=judge,
            options=RunOptions(
                store=store,
                run=run_name,
                workers=workers,
                budgets=limits,
                step_time_limit_s=step_time_limit,
                memory_limit_mb=memory_limit,
                progress=advance,
                notify=say,
            ),
        )
    show_result(result, {"report": folder / "report.html"}, as_json=as_json)


@app.command("report")
def report(
    folder: Annotated[Path, typer.Argument(help="Folder that holds an experiment's results.json.")],
    as_json: JsonOption = False,
) -> None:
    """Write an experiment's report, plots and tables again from its results.json, and print the table."""
    from lookalike.experiments.report import write_report
    from lookalike.experiments.result_files import read_results

    result = read_results(folder / "results.json")
    paths = write_report(result, folder)
    show_result(result, paths, as_json=as_json)


@app.command("curves")
def curves(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, with its event log.")],
    as_json: JsonOption = False,
) -> None:
    """Draw a run's score against interactions (score-curve.svg and .csv), from its event log."""
    from lookalike.experiments.score_curves import write_curves

    keep("nothing was written")
    found = write_curves(folder)
    if as_json:
        emit_json(found)
        return
    emit_table(
        "Score against interactions",
        ("condition", "interactions", "mean of the best score"),
        [(c.condition, f"{c.interactions[-1]:,.0f}", f"{c.mean[-1]:.1f}") for c in found],
    )
    emit(f"plot: {folder / 'score-curve.svg'}")


@app.command("learn-hazards")
def learn_hazards(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, with its event log.")],
    out: Annotated[Path, typer.Option(help="Where the hazard model goes, e.g. hazards.yaml.")],
    condition: Annotated[str, typer.Option(help="Whose plays.")] = "expert-alone-free-text",
    as_json: JsonOption = False,
) -> None:
    """Learn from a run's own plays what setbacks follow, and write it down (docs/mastery.md)."""
    from lookalike.experiments.learn_hazards import learn_from_run
    from lookalike.rewards.hazards import save_hazards

    keep("nothing was written")
    learnt = learn_from_run(folder, condition=condition)
    save_hazards(learnt, out)
    if as_json:
        emit_json(learnt)
        return
    emit(f"{learnt.source}: {len(learnt.dangers)} dangers, {len(learnt.meetings)} places -> {out}")


def show_result(result: ExperimentResult, paths: Mapping[str, Path], *, as_json: bool) -> None:
    """Print a result: the whole of results.json, or the table and where the report lies."""
    from lookalike.experiments.report import print_table

    if as_json:
        emit_json(result)
        return
    print_table(result, console())
    if paths["report"].exists():
        emit(f"report: {paths['report']}")
