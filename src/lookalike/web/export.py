"""One run as one page: tables, plots and replays of chosen episodes in a single file that needs no network.

The same templates, drawings and replay as the dashboard's. Styles and script stand in the file, and its
policy names their hashes: whatever a game or a model wrote into it stays text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import lookalike
from lookalike.core.errors import StoreError, UsageError
from lookalike.core.types import Demonstration
from lookalike.experiments.report import view
from lookalike.experiments.report.paper import published
from lookalike.experiments.result_files import write_text
from lookalike.store import EpisodeKey, FileStore
from lookalike.store.browse import EpisodeEntry
from lookalike.web import plots, replay
from lookalike.web.figures import FigureBook, Figures
from lookalike.web.library import FoundRun, Library
from lookalike.web.state import make_templates

MAX_BYTES = 10_000_000
"""A page larger than this is hard to mail."""
DEFAULT_EPISODES = 6
_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


@dataclass(frozen=True)
class Written:
    """A page that was written.

    Attributes:
        path: The file.
        size: In bytes.
        episodes: Episodes that can be replayed in it.
        left_out: Episodes that were asked for and did not fit.
    """

    path: Path
    size: int
    episodes: int
    left_out: int


def write_run_page(
    library: Library,
    run: FoundRun,
    out: Path,
    *,
    episodes: Sequence[int] | None = None,
    most: int = DEFAULT_EPISODES,
    max_bytes: int = MAX_BYTES,
) -> Written:
    """Write a run as one page.

    Args:
        library: Where the run was found.
        run: Which run.
        out: The file; replaced where it exists.
        episodes: Numbers of the episodes to be replayed; ``None`` chooses: of each condition one that
            reached its goal and one that did not, the most complex goals first.
        most: How many to choose.
        max_bytes: An episode that would make the file larger is left out.

    Raises:
        UsageError: An episode that there is not.
        StoreError: The file cannot be written.
    """
    figures = FigureBook().of(run)
    chosen = list(_choose(run, figures, most)) if episodes is None else [_entry(run, n) for n in episodes]
    data: list[dict[str, Any]] = []
    pictures: dict[str, str] = {}
    page = _render(run, figures, data, pictures)
    files = library.files_of(run)
    person = replay.demonstration_of(library.folder_of(run))
    left_out = 0
    for entry in chosen:
        one, seen = _episode(run, entry, files, person, left=max_bytes - len(page.encode()))
        if one is None:
            left_out += 1
            continue
        larger = _render(run, figures, [*data, one], pictures | seen)
        if len(larger.encode()) > max_bytes:
            left_out += 1
            continue
        data.append(one)
        pictures |= seen
        page = larger
    write_text(out, page)
    return Written(out, out.stat().st_size, len(data), left_out)


def _entry(run: FoundRun, number: int) -> EpisodeEntry:
    try:
        return run.browser.episode(run.run_id, number)
    except StoreError as error:
        raise UsageError(
            error.what, got=number, remedy="the number stands at the end of a replay's address"
        ) from error


def _choose(run: FoundRun, figures: Figures, most: int) -> Iterator[EpisodeEntry]:
    """Yield episodes worth a look: for each condition a success and a failure, turn by turn."""
    result = figures.result
    if result is None:
        yield from run.browser.episodes(run.run_id, limit=most)
        return
    order = [row.condition for row in result.rows if row.episodes_of == row.condition]
    order.sort(key=lambda name: name not in view.MAIN_CONDITIONS)
    picked: list[int] = []
    for success in (True, False):
        for condition in order:
            fitting = [
                e for e in result.episodes if e.condition == condition and e.success == success and e.steps
            ]
            if fitting:
                best = max(fitting, key=lambda e: (e.complexity, -e.seed))
                key = EpisodeKey(
                    condition=best.condition, goal=best.goal, seed=best.seed, attempt=best.attempt
                )
                picked.append(figures.numbers[key])
    for number in picked[:most]:
        yield run.browser.episode(run.run_id, number)


def _episode(
    run: FoundRun, entry: EpisodeEntry, files: FileStore | None, person: Demonstration | None, *, left: int
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Return an episode's replay as data and its pictures; ``None`` where it has no room."""
    total = run.browser.count(run.run_id, entry.number)
    items: list[dict[str, Any]] = []
    size = 0
    while len(items) < total:
        page = replay.items(run, entry.number, start=len(items))
        items += page
        size += len(json.dumps(page))
        if size > left or not page:
            return None, {}
    pictures = {}
    for digest in dict.fromkeys(
        d for item in items for d in (item.get("frame"), item.get("next_frame")) if d is not None
    ):
        picture = _picture(files, digest)
        if picture is not None:
            pictures[digest] = picture
            size += len(picture)
        if size > left:
            return None, {}
    return {
        "name": f"{entry.key.goal}, seed {entry.key.seed}, {entry.key.condition}",
        "items": items,
        "outline": replay.outline(run, entry.number),
        "divergence": None if person is None else replay.divergence(run, entry.number, person),
    }, pictures


def _picture(files: FileStore | None, digest: str) -> str | None:
    try:
        data = files.get(digest) if files is not None else b""
    except StoreError:
        return None  # its place in the replay says that it is missing
    return f"data:image/png;base64,{base64.b64encode(data).decode()}" if data else None


def _render(run: FoundRun, figures: Figures, episodes: list[dict[str, Any]], pictures: dict[str, str]) -> str:
    from markupsafe import Markup

    result = figures.result
    style, script = _asset("style.css"), _script()
    data = json.dumps({"episodes": episodes, "pictures": pictures}, ensure_ascii=True, separators=(",", ":"))
    # What could end the element it stands in is written as an escape that JSON reads back.
    data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    page = (
        make_templates()
        .get_template("export.html.j2")
        .render(
            version=lookalike.__version__,
            run=run,
            figures=figures,
            result=result,
            headline=view.headline(result) if result else figures.trouble,
            paper=published(result.environment, [row.condition for row in result.rows]) if result else None,
            colours=plots.colour_of(result.rows) if result else {},
            drawings=figures.drawings,
            warnings=view.warnings(result) if result else [],
            episodes=[episode["name"] for episode in episodes],
            policy=_policy(style, script),
            style=Markup(style),  # noqa: S704 - ours
            script=Markup(script),  # noqa: S704 - ours
            data=Markup(data),  # noqa: S704 - JSON without a sign that HTML knows
        )
    )
    return str(page)


def _policy(style: str, script: str) -> str:
    def named(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; style-src {named(style)}; script-src {named(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _script() -> str:
    """Return the replay as one script: the modules without their imports, and what feeds it from the page."""
    parts = [_EXPORT.sub("", _IMPORT.sub("", _asset(f"{name}.js"))) for name in ("dom", "replay", "exported")]
    return "\n".join(parts)


def _asset(name: str) -> str:
    return (resources.files("lookalike.web") / "static" / name).read_text(encoding="utf-8")


def find_run(library: Library, name: str) -> FoundRun:
    """Return the run of that name or in that folder; the only one where ``name`` is a folder of one.

    Raises:
        UsageError: None, or several.
    """
    runs = library.runs()
    found = [run for run in runs if run.run_id == name] or (runs if Path(name).is_dir() else [])
    if len(found) != 1:
        raise UsageError(
            f"There is no run {name!r} here." if not found else f"Several stores have a run {name!r}.",
            got=library.where,
            expected=", ".join(run.run_id for run in runs[:20]) or "a store with a run in it",
            remedy="name the run's folder, or its store with --store; see `lookalike runs list`",
        )
    return found[0]
