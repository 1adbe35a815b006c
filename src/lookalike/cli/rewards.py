"""``lookalike rewards ...``: read a reward model, change it, and find out how far to trust it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lookalike.cli.options import JsonOption, parse_seed, usage_error
from lookalike.cli.output import emit, emit_json, emit_table, progress
from lookalike.cli.recordings import read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lookalike.core.protocols import EpisodeScorer
    from lookalike.core.types import Demonstration, Trajectory
    from lookalike.rewards import RewardModel
    from lookalike.rewards.document import Agreement
    from lookalike.rewards.validation import RewardModelCheck

app = typer.Typer(no_args_is_help=True, help="Read, change and check reward models.")

ModelArgument = Annotated[Path, typer.Argument(help="The reward model's YAML file.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Where to write the changed model; the original by default.")
]
ComponentsOption = Annotated[
    list[str], typer.Option("--component", help="Component, e.g. milestone:get-lamp; may be repeated.")
]


@app.command("show")
def show(
    model: ModelArgument,
    component: Annotated[
        str | None, typer.Option(help="Show only this component, with its evidence, e.g. milestone:get-lamp.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print a reward model: how it was made, and every component with its value and evidence."""
    from lookalike.rewards import load_reward_model

    found = load_reward_model(model)
    if component is not None:
        part = found.component(component)
        if as_json:
            emit_json({component: part})
        else:
            emit(_component_text(component, part))
        return
    if as_json:
        emit_json(found)
        return
    _print_model(found)


@app.command("edit")
def edit(
    model: ModelArgument,
    component: Annotated[str, typer.Option(help="Component to change, e.g. milestone:get-lamp.")],
    value: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Set the component's value or weight.")
    ] = None,
    negate: Annotated[bool, typer.Option("--negate", help="Turn reward into punishment.")] = False,
    weight: Annotated[
        float | None, typer.Option(min=0, help="Multiply the component's value by this; at most 1 remains.")
    ] = None,
    out: OutOption = None,
) -> None:
    """Change one component's value: set it, multiply it, or negate it."""
    from lookalike.rewards import load_reward_model, save_reward_model

    if (value is not None) + negate + (weight is not None) != 1:
        raise usage_error(
            "It is not clear what to change.",
            got=f"--value {value}, --negate {negate}, --weight {weight}",
            expected="exactly one of --value V, --negate, --weight W",
            remedy="name one of them",
        )
    found = load_reward_model(model)
    before = _value(found.component(component))
    if negate:
        changed = found.negated(component)
    elif value is not None:
        changed = found.reweighted(component, value)
    else:
        if before is None:
            changed = found.reweighted(component, 0.0)  # refuses, and says why
        scaled = (before or 0.0) * (weight if weight is not None else 1.0)
        changed = found.reweighted(component, max(-1.0, min(1.0, scaled)))
    target = out or model
    save_reward_model(changed, target)
    emit(f"{component}: {before} -> {_value(changed.component(component))} in {target}")


@app.command("without")
def without(model: ModelArgument, component: ComponentsOption, out: OutOption = None) -> None:
    """Remove components; a milestone goes with the pathway steps that lead to it."""
    from lookalike.rewards import load_reward_model, save_reward_model

    found = load_reward_model(model)
    changed = found.without(component)
    target = out or model
    save_reward_model(changed, target)
    emit(f"without {', '.join(component)}: {target}")


@app.command("score")
def score(
    model: ModelArgument,
    recording: Annotated[Path, typer.Argument(help="Recording to score.")],
    all_steps: Annotated[bool, typer.Option("--all", help="Also the steps whose verdict is 0.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give the verdict on every step of a recording, broken down by component."""
    from lookalike.rewards import load_reward_model

    found = load_reward_model(model)
    demonstration = read(recording)
    rows = _verdicts(found, demonstration, model)
    if as_json:
        emit_json({"recording": demonstration.id, "verdicts": rows})
        return
    shown = [r for r in rows if all_steps or r["value"]]
    emit_table(
        f"{recording.name}: {len(shown)} of {len(rows)} steps",
        ("step", "action", "verdict", "components"),
        [(r["step"], r["action"], f"{r['value']:+.2f}", _shares(r["components"])) for r in shown],
    )
    emit(f"sum of the verdicts: {sum(r['value'] for r in rows):+.2f}")


@app.command("check")
def check(
    model: ModelArgument,
    recordings: Annotated[
        list[Path],
        typer.Option(
            "--recordings", help="Good play, best not what the model was made from; may be repeated."
        ),
    ],
    bad: Annotated[
        list[Path] | None, typer.Option("--bad", help="Bad play; may be repeated. Random play is added.")
    ] = None,
    random_plays: Annotated[
        int, typer.Option(min=0, max=1000, help="Random plays to compare with; 0 for none.")
    ] = 10,
    steps: Annotated[
        int, typer.Option(min=10, max=10_000, help="Steps of each random play, and of the climbing one.")
    ] = 200,
    hill_climb: Annotated[
        bool,
        typer.Option(
            "--hill-climb", help="Also search for reward with save and restore, where the game can go back."
        ),
    ] = False,
    plots: Annotated[
        Path | None,
        typer.Option(help="Folder for a plot of each recording: predicted progress, frames where it turns."),
    ] = None,
    seed: Annotated[str, typer.Option(metavar="N", help="Seed of the random plays.")] = "1",
    as_json: JsonOption = False,
) -> None:
    """Find out how far to trust a reward model: good play against bad play, and play for reward alone.

    Good play should be followed upwards, and bad play should not. Random play of the model's environment is
    the bad play that can always be had. The climbing play takes the best-looking action at every step: much
    reward without the game's own points would mean that the reward can be gamed.
    """
    from lookalike.environments import make_environment
    from lookalike.rewards import load_reward_model
    from lookalike.rewards.validation import (
        check_reward_model,
        climb_reward,
        hill_climb_reward,
        random_play,
    )

    found, first = load_reward_model(model), parse_seed(seed)
    scorer = _visual_scorer(found, model)
    watched = {note.content_hash for note in found.recordings}
    shown = [(path.name, read(path)) for path in recordings]
    good = [(name, play.trajectory) for name, play in shown]
    made_from = [name for name, play in shown if play.provenance.content_hash in watched]
    poor = [(path.name, read(path).trajectory) for path in bad or []]
    climb = searched = None
    if random_plays or hill_climb:
        game = make_environment(found.environment)
        try:
            with progress("Playing at random") as advance:
                for number in range(random_plays):
                    play = random_play(game, seed=first + number, steps=steps)
                    poor.append((f"random {first + number}", play))
                    advance(number + 1, random_plays)
            climb = climb_reward(found, game, seed=first, steps=steps, scorer=scorer)
            if hill_climb:
                with progress("Searching for reward"):
                    searched = hill_climb_reward(found, game, seed=first, steps=steps, scorer=scorer)
        finally:
            game.close()
    with progress("Scoring"):
        result = check_reward_model(
            found, good, poor, climb=climb, hill_climb=searched, made_from=made_from, scorer=scorer
        )
    if plots is not None:
        _write_plots(found, model, good, plots)
    if as_json:
        emit_json(result)
    else:
        _print_check(result)


def _visual_scorer(model: RewardModel, path: Path) -> Callable[[], EpisodeScorer] | None:
    """Return what applies a model of frames, and ``None`` for one of text."""
    if model.visual is None:
        return None
    from lookalike.rewards.visual_scorer import VisualScorer, load_visual

    networks = load_visual(model, path.parent)
    return lambda: VisualScorer(model, networks)


def _write_plots(
    model: RewardModel, path: Path, good: Sequence[tuple[str, Trajectory]], folder: Path
) -> None:
    from lookalike.rewards.visual_plot import write_progress_plot
    from lookalike.rewards.visual_scorer import load_visual

    networks = load_visual(model, path.parent)
    folder.mkdir(parents=True, exist_ok=True)
    for name, trajectory in good:
        written = folder / f"{Path(name).stem}.progress.png"
        write_progress_plot(networks, trajectory, written, title=f"{name}, {model.environment}")
        emit(f"plot: {written}")


def _verdicts(model: RewardModel, demonstration: Demonstration, path: Path) -> list[dict[str, Any]]:
    from lookalike.rewards import RewardModelScorer

    make = _visual_scorer(model, path)
    scorer = make() if make is not None else RewardModelScorer(model)
    trajectory = demonstration.trajectory
    scorer.start(trajectory.observations[0])
    rows: list[dict[str, Any]] = []
    for step, transition in enumerate(trajectory.transitions()):
        verdict = scorer.score(transition)
        rows.append(
            {
                "step": step,
                "action": transition.action,
                "value": verdict.value,
                "components": dict(verdict.components),
                "feedback": verdict.feedback,
            }
        )
    return rows


def _shares(components: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:+.2f}" for name, share in components.items())


def _value(part: Any) -> float | None:
    """Return a component's value or weight, ``None`` where it has none of its own."""
    if isinstance(part, float | int):
        return float(part)
    found = getattr(part, "value", getattr(part, "weight", None))
    return None if found is None else float(found)


def _span(evidence: Any) -> str:
    steps = f"{evidence.start}" if evidence.start == evidence.end else f"{evidence.start}-{evidence.end}"
    clock = "" if evidence.start_s is None else f" at {_clock(evidence.start_s)}"
    return f"{evidence.recording[:8]} step {steps}{clock}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _component_text(name: str, part: Any) -> str:
    if isinstance(part, float | int):
        return f"{name}: {part}"
    import yaml

    data = part.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump({name: data}, sort_keys=False, allow_unicode=True, width=100).rstrip()


def _agreed(agreement: Agreement | None) -> str:
    """Say how much the experts agree, where several were asked or one was asked twice."""
    if agreement is None:
        return ""
    weak = ", weak" if agreement.weak else ""
    return f"; agreed {agreement.mean:.2f} ± {agreement.spread:.2f} of {agreement.experts}{weak}"


def _print_model(model: RewardModel) -> None:
    emit(f"Reward model for {model.environment}: {model.goal}")
    asked = f" ({model.made_by.model})" if model.made_by.model else ""
    emit(f"written by the expert {model.made_by.expert}{asked} from")
    for note in model.recordings:
        outcome = f", {note.outcome}" if note.outcome else ""
        emit(
            f"  {note.id[:8]} {note.file}: {note.steps} steps{outcome}, "
            f"played by: {note.player_kind}, licence {note.licence}"
        )
    for sentence in () if model.visual is None else model.visual.sentences():
        emit(f"  {sentence}")
    emit_table(
        f"{len(model.milestones)} milestones",
        ("component", "value", "what", "evidence"),
        [
            (
                f"milestone:{m.id}",
                f"{m.value:+.2f}",
                m.description,
                f"{_span(m.evidence)}{_agreed(m.agreement)}",
            )
            for m in model.milestones
        ],
    )
    emit_table(
        f"{len(model.rules)} rules",
        ("component", "weight", "seen", "do", "evidence"),
        [
            (
                f"rule:{r.id}",
                f"{r.polarity * r.weight:+.2f}",
                r.cue[:60],
                r.action,
                f"{r.support}x, {_span(r.evidence)}{_agreed(r.agreement)}",
            )
            for r in model.rules
        ],
    )
    emit_table(
        f"{len(model.hazards)} hazards",
        ("component", "weight", "seen", "done", "evidence"),
        [
            (
                f"hazard:{h.id}",
                f"{-h.weight:+.2f}",
                h.cue[:60],
                h.action,
                f"{h.support}x, {_span(h.evidence)}{_agreed(h.agreement)}",
            )
            for h in model.hazards
        ],
    )
    emit_table(
        f"{len(model.pathways)} pathways",
        ("component", "steps", "evidence"),
        [(f"pathway:{p.to}", len(p.steps), _span(p.evidence)) for p in model.pathways],
    )
    weights = model.weights
    emit(f"progress {weights.progress:+.2f}, refused {weights.refused:+.2f}, setback {weights.setback:+.2f}")
    for claim in model.dropped:
        emit(f"dropped: {claim.claim} ({claim.reason}; {claim.expert})")


def _print_check(result: RewardModelCheck) -> None:
    emit_table(
        "Plays",
        ("play", "kind", "steps", "reward", "game's points"),
        [
            (play.name, kind, len(play.values), f"{play.value:+.2f}", _number(play.true_return))
            for kind, plays in (("good", result.good), ("bad", result.bad))
            for play in plays
        ],
    )
    emit_table(
        "Figures",
        ("figure", "value", "what it says"),
        [
            ("VOC, good play", _number(result.voc_good), "value and time rise together: 1 at best"),
            ("VOC, bad play", _number(result.voc_bad), "should be far below"),
            ("VOC gap", _number(result.voc_gap), "the difference; near 0 the model only tells the time"),
            (
                "pairwise accuracy",
                _number(result.pairwise_accuracy),
                f"good above bad after equally many steps, {result.pairs} pairs; chance is 0.5",
            ),
            ("success AUC", _number(result.success_auc), "good above bad at the end; chance is 0.5"),
            (
                "false positives",
                _number(result.false_positive_rate),
                "bad plays that reach the worst good play's value",
            ),
            ("Kendall's tau", _number(result.kendall_tau), "order by reward against order by game points"),
            (
                "best of four",
                _number(result.best_of_four),
                f"game points of the play chosen by reward; mean {_number(result.mean_return)}, "
                f"best there is {_number(result.best_possible_of_four)}",
            ),
        ],
    )
    if result.climb is not None:
        emit(
            f"Playing for the reward alone: {result.climb.value:+.2f} reward and "
            f"{result.climb.true_return:g} points of the game's own in {result.climb.steps} steps."
        )
    if result.hill_climb is not None:
        found = result.hill_climb
        way = ", ".join(f"{value:+.2f} / {earned:g}" for value, earned in found.curve)
        emit(
            f"Searching for the reward alone: {found.value:+.2f} reward and {found.true_return:g} points of "
            f"the game's own in {found.steps} steps, {found.tried} tried; reward / points on the way: {way}."
        )
    for warning in result.warnings:
        emit(f"! {warning}")


def _number(value: float | None) -> str:
    return "too little data" if value is None else f"{value:.2f}"
