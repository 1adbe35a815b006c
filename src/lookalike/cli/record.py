"""``lookalike record``: leave a recording behind, of a person playing or of commands replayed.

A game of words is played here, in the terminal; a game on the screen in a page of the browser.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from lookalike.cli.failures import keep
from lookalike.cli.options import JsonOption, parse_seed, usage_error
from lookalike.cli.output import Advance, emit, emit_json, plain, progress, say

if TYPE_CHECKING:
    from lookalike.core.protocols import Environment
    from lookalike.recordings import Recorded

DEFAULT_SEED = 1
WALKTHROUGH = "walkthrough:"


class Script(NamedTuple):
    """Commands to replay, and what is known of them."""

    commands: tuple[str, ...]
    seed: int | None
    licence: str | None
    player_kind: Literal["human", "scripted"]


def record(
    environment: Annotated[str, typer.Argument(help="Environment id; see `lookalike environments list`.")],
    out: Annotated[Path, typer.Option(help="The video, .mp4 or .webm; the event log goes beside it.")],
    replay: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|walkthrough:N",
            help="Replay the commands in this file, or play 1 to 4 of the adventure package, instead of "
            "letting a person play.",
        ),
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option(
            metavar="N", help="Seed of the game; a walkthrough's own seed, otherwise 1, by default."
        ),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the recording, as an SPDX expression.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page on which games on the screen are played.")
    ] = 8765,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open a browser; its address is said.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Record a play as a video and a log of what was done.

    Without --replay a person plays: a game of words here, in the terminal, a game on the screen in a page of
    the browser. Ctrl-C, the end of input or the page's button ends the play and keeps it.
    """
    from lookalike.environments import make_environment

    script = None if replay is None else _script(replay)
    played_seed = parse_seed(seed) if seed is not None else script.seed if script else None
    if played_seed is None:
        played_seed = DEFAULT_SEED
    if out.parent != Path():
        out.parent.mkdir(parents=True, exist_ok=True)
    keep(f"the event log {out.with_suffix('.jsonl')}, up to the last command")
    game = make_environment(environment)
    if "frames" in game.capabilities:
        if script is None:
            game.close()  # the page makes its own
            shown = _in_the_browser(
                environment, seed=played_seed, out=out, licence=licence, port=port, no_browser=no_browser
            )
        else:
            shown = _filmed(game, script, seed=played_seed, out=out, licence=licence)
        if as_json:
            emit_json(shown)
        else:
            emit(f"{shown['video']}: {shown['steps']} action(s)")
            emit(f"{shown['log']}: its actions")
        return
    if script is None:
        recorded = _person(game, seed=played_seed, out=out, licence=licence or "unknown")
    else:
        recorded = _replayed(game, script, seed=played_seed, out=out, licence=licence)
    if as_json:
        emit_json(recorded._asdict())
    else:
        ending = f", {recorded.outcome}" if recorded.outcome else ""
        emit(f"{recorded.video}: {recorded.steps} commands, {recorded.duration_s:.0f} s of play{ending}")
        emit(f"{recorded.log}: its event log")


def _in_the_browser(
    environment: str, *, seed: int, out: Path, licence: str | None, port: int, no_browser: bool
) -> dict[str, object]:
    """Let a person play a game on the screen in a page."""
    from lookalike.web import play_in_browser

    with contextlib.ExitStack() as bar:  # entered when there is something to show

        def filming(fraction: float) -> None:
            if not told:
                told.append(bar.enter_context(progress(f"Filming {out.name}")))
            told[0](fraction, 1.0, "making the video")

        told: list[Advance] = []
        steps = play_in_browser(
            environment,
            seed=seed,
            out=out,
            licence=licence or "unknown",
            port=port,
            open_browser=not no_browser,
            ready=lambda at: say(f"Play at {at.page('play')} (Ctrl-C ends the play and keeps it)."),
            progress=filming,
        )
    return {"video": str(out), "log": str(out.with_suffix(".jsonl")), "steps": steps}


def _filmed(
    game: Environment, script: Script, *, seed: int, out: Path, licence: str | None
) -> dict[str, object]:
    """Film the actions of a file in a game on the screen."""
    from lookalike.recordings import record_frames

    with contextlib.closing(game), progress(f"Filming {out.name}") as advance:
        made = record_frames(
            game,
            script.commands,
            seed=seed,
            out=out,
            licence=licence or script.licence or "unknown",
            player_kind=script.player_kind,
            progress=lambda fraction: advance(fraction, 1.0, "playing"),
        )
    return {"video": str(made.video), "log": str(made.log), "steps": made.steps}


def _script(replay: str) -> Script:
    """Return the commands that ``--replay`` names."""
    from lookalike.recordings import read_commands, shipped_play

    if not replay.startswith(WALKTHROUGH):
        return Script(read_commands(Path(replay)), None, None, "scripted")
    number = replay.removeprefix(WALKTHROUGH)
    if not (number.isascii() and number.isdigit()):
        raise usage_error(
            "A walkthrough is named by its number.",
            got=repr(replay),
            expected="walkthrough:1 to walkthrough:4",
            remedy="write --replay walkthrough:2",
        )
    play = shipped_play(int(number))
    # People wrote these plays; only the typing is done by us.
    return Script(play.commands, play.seed, play.licence, "human")


def _replayed(game: Environment, script: Script, *, seed: int, out: Path, licence: str | None) -> Recorded:
    from lookalike.recordings import record_replay

    with contextlib.closing(game), progress(f"Recording {out.name}") as advance:
        return record_replay(
            game,
            script.commands,
            seed=seed,
            out=out,
            licence=licence or script.licence or "unknown",
            player_kind=script.player_kind,
            progress=advance,
        )


def _person(game: Environment, *, seed: int, out: Path, licence: str) -> Recorded:
    from lookalike.recordings import record_person

    with contextlib.closing(game):
        if sys.stdin.isatty():
            say(f"You are playing {game.id}. Ctrl-C or Ctrl-D ends the play and keeps it.\n")
        return record_person(
            game, seed=seed, out=out, read_line=input, write=lambda text: print(plain(text)), licence=licence
        )
