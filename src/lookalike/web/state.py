"""What the pages share: the library, the figures, running jobs and games, and the templates."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response

import lookalike
from lookalike.experiments.report import view
from lookalike.web import shown
from lookalike.web.figures import FigureBook
from lookalike.web.library import Library
from lookalike.web.verdicts import Rescorer

if TYPE_CHECKING:
    from lookalike.web.recorder import AskedPlay


class Dashboard:
    """Everything a page needs.

    Args:
        folder: What is shown, and where new things go.
        store: One event log instead of all below ``folder``.
        asked: A play that the pages are there for.
    """

    def __init__(self, folder: Path, store: str | None = None, *, asked: AskedPlay | None = None) -> None:
        from lookalike.web.council import Councils
        from lookalike.web.jobs import Jobs
        from lookalike.web.recorder import Games

        self.asked = asked
        self.library = Library(folder, store)
        self.figures = FigureBook()
        self.rescorer = Rescorer()
        self.jobs = Jobs(self.library)
        self.games = Games(self.library)
        self.councils = Councils(self.library)
        self._templates = make_templates()
        self._lock = threading.Lock()

    def warm_up(self) -> None:
        """Load what the first page would otherwise wait for."""
        from lookalike.experiments import find_condition, list_experiments
        from lookalike.web.figures import warm_up

        warm_up()
        for name in (
            "runs.html.j2",
            "runs_table.html.j2",
            "run.html.j2",
            "run_live.html.j2",
            "run_tables.html.j2",
        ):
            self._templates.get_template(name)
        for spec in list_experiments()[:1]:
            find_condition(spec.conditions[0])

    def read_ahead(self) -> None:
        """Compute what the first page shows."""
        self.figures.of_many(self.library.runs(), within_s=5.0)

    def close(self) -> None:
        """End games, councils and jobs; close the stores."""
        self.games.close()
        self.councils.close()
        self.jobs.close()
        self.library.close()

    def render(self, template: str, **values: Any) -> str:
        """Fill in a template; everything is escaped."""
        return str(self._templates.get_template(template).render(version=lookalike.__version__, **values))

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page."""
        return HTMLResponse(self.render(template, where=self.library.where, **values), status_code=status)


def make_templates() -> Any:
    """Return the template environment of the pages and of the page that is written to a file."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lookalike.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": view.percent,
        "interval": view.percent_interval,
        "points": view.points,
        "p_value": view.p_value,
        "line": shown.line,
        "words": shown.text,
        "path": shown.path,
        "when": shown.when,
        "iso": shown.iso,
        "clock": shown.clock,
        "count": shown.count,
        "signed": shown.signed,
    }
    environment.globals |= {
        "cost": shown.cost,
        "handicap_values": view.handicap_values,
        "handicap_lines": view.handicap_lines,
        "calls_per_play": view.calls_per_play,
        "discordance": view.discordance,
        "resolution": view.resolution,
        "main_conditions": view.MAIN_CONDITIONS,
    }
    return environment
