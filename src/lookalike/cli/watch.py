"""``lookalike watch``: an expert watches recordings and writes a reward model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lookalike.cli.options import JsonOption
from lookalike.cli.output import emit, emit_json, progress, say
from lookalike.cli.recordings import read_all

if TYPE_CHECKING:
    from lookalike.core.types import Demonstration
    from lookalike.rewards import RewardModel


def watch(
    recordings: Annotated[
        list[Path],
        typer.Argument(help="Recordings: video, transcript, asciicast, JSONL, or datasets of several plays."),
    ],
    environment: Annotated[str, typer.Option(help="Id of the environment that the recordings show.")],
    out: Annotated[Path, typer.Option(help="Where to write the reward model.")],
    expert: Annotated[
        str,
        typer.Option(help="Who watches: embedded-text, embedded-visual, or remote for models behind APIs."),
    ] = "embedded-text",
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model that the remote expert asks; see `lookalike models list`. May be repeated: several "
            "are merged, and their agreement is kept."
        ),
    ] = None,
    effort: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=20.0, help="embedded-visual: how much is trained; 1 for minutes of one core."
        ),
    ] = None,
    climbs: Annotated[
        int,
        typer.Option(
            min=0,
            max=5,
            help="embedded-visual: play so often for learned progress alone, and learn against that play.",
        ),
    ] = 0,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the recordings, where they do not say it themselves.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch recordings and write the reward model that they teach.

    The remote expert is shown the video where a model takes videos, otherwise pictures and the transcript.
    What it is asked is paid once: responses are kept, and the same command asks no more.
    """
    from lookalike.experts import make_expert
    from lookalike.rewards import save_reward_model

    cache = _responses() if model or expert.startswith("remote") else None
    try:
        watcher = make_expert(expert, models=tuple(model or ()), cache=cache, notify=say)
        _train(watcher, effort, climbs)
        demonstrations: list[Demonstration] = []
        for path in recordings:
            found = read_all(path, licence=licence, environment=environment)
            demonstrations += found
            if len(found) == 1 and hasattr(watcher, "videos"):
                watcher.videos[found[0].id] = path
        with progress(f"{watcher.name} watches") as advance:
            if hasattr(watcher, "progress"):
                watcher.progress = advance
            beside = {"folder": out.with_suffix("")} if getattr(watcher, "writes_files", False) else {}
            written = watcher.watch(demonstrations, environment=environment, **beside)
        if hasattr(watcher, "close"):
            watcher.close()
    finally:
        if cache is not None:
            cache.close()
    save_reward_model(written, out)
    _show(written, out, demonstrations, getattr(watcher, "usage", None), as_json=as_json)


def _train(watcher: Any, effort: float | None, climbs: int) -> None:
    """Let an expert that trains do more, or less, of it."""
    from lookalike.core.errors import UsageError

    if effort is None and not climbs:
        return
    if not hasattr(watcher, "effort"):
        raise UsageError(
            "This expert trains nothing.",
            got=f"--climbs {climbs}" if effort is None else f"--effort {effort:g}",
            remedy="leave it out",
        )
    watcher.climbs = climbs
    watcher.effort = watcher.effort if effort is None else watcher.effort.times(effort)


def _responses() -> Any:
    """Return the user's cache of paid responses."""
    from platformdirs import user_cache_path

    from lookalike.store import open_response_cache

    folder = user_cache_path("lookalike")
    folder.mkdir(parents=True, exist_ok=True)
    return open_response_cache(str(folder / "responses.sqlite"), paid=True)


def _show(
    written: RewardModel, out: Path, demonstrations: list[Demonstration], usage: Any, *, as_json: bool
) -> None:
    if as_json:
        asked = (
            {} if usage is None else {"usage": usage, "dropped": [d.model_dump() for d in written.dropped]}
        )
        components = len(list(written.components()))
        emit_json({"out": out, "content_hash": written.content_hash(), "components": components, **asked})
        return
    steps = sum(len(d.trajectory) for d in demonstrations)
    emit(f"{out}: from {len(demonstrations)} recording(s), {steps} steps")
    emit(
        f"  {len(written.milestones)} milestones, {len(written.rules)} rules, "
        f"{len(written.hazards)} hazards, {len(written.pathways)} pathways"
    )
    for sentence in () if written.visual is None else written.visual.sentences():
        emit(f"  {sentence}")
    weak = [m.id for m in written.milestones if m.agreement is not None and m.agreement.weak]
    if weak:
        emit(f"  weak agreement: {', '.join(weak)} (`lookalike rewards without` takes them out)")
    for claim in written.dropped:
        emit(f"  dropped: {claim.claim} ({claim.reason})")
    if usage is not None:
        cost = "price not known" if usage.unpriced_calls else f"cost {usage.cost:.4f}"
        emit(
            f"  {usage.calls} calls ({usage.cached_calls} from the cache), "
            f"{usage.prompt_tokens} + {usage.completion_tokens} tokens, {cost}"
        )
    emit(f"Read it with: lookalike rewards show {out}")
