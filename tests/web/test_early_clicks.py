"""Who clicks before a page's script has come: nothing is lost, and no form is sent by the browser itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from web_server import Served, start, stop, until

OURS = "button, .switch, input[type=range], select[data-do], [data-wait]"
"""What only a script answers, but for forms that the server answers (they name an address)."""


class Held:
    """Holds a page's scripts back, as a slow machine does."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.routes: list[Any] | None = []
        page.route("**/static/*.js", self._take)

    def _take(self, route: Any) -> None:
        if self.routes is None:
            route.continue_()
        else:
            self.routes.append(route)

    def release(self) -> None:
        routes, self.routes = self.routes or [], None
        for route in routes:
            route.continue_()


def opened(page: Any, address: str) -> Held:
    """Open a page whose scripts do not come yet."""
    held = Held(page)
    page.goto(address, wait_until="commit")
    page.locator("footer").wait_for()
    until(page, "document.readyState !== 'loading'")
    return held


def test_a_game_starts_for_who_clicks_before_the_script_is_there(page: Any, tmp_path: Path) -> None:
    served = start(tmp_path)
    try:
        held = opened(page, f"{served.url}play")
        button = page.get_by_role("button", name="Start the game")
        button.click(force=True)
        page.locator("#seed").press("Enter")
        page.wait_for_timeout(300)
        assert page.url == f"{served.url}play", "the browser sent the form by itself"
        assert not (tmp_path / "recordings").exists()
        held.release()
        button.click()  # as soon as it can be
        page.wait_for_selector(".terminal .said")
        assert page.url == f"{served.url}play"
    finally:
        stop(served)


def addresses(served: Served, page: Any) -> list[str]:
    """Return every kind of page."""
    found = ["", "reward-models", "recordings", "play", "start", "start?environment=colossal-cave"]
    for listing in ("", "reward-models", "recordings"):
        page.goto(served.url + listing)
        found.append(page.locator("main table a").first.get_attribute("href")[1:])
    run = next(a for a in found if a.startswith("runs/"))
    document = next(a for a in found if a.startswith("reward-models/"))
    found += [f"{run}/episodes/1", f"{document}/difference?other={document.rpartition('/')[2]}"]
    body = {"environment": "colossal-cave", "goal": "lamp", "members": "random", "seed": 1}
    _, _, answer = served.ask("/api/councils", method="POST", body=body)
    return [*found, f"councils/{json.loads(answer)['key']}"]


@pytest.fixture
def shown(tmp_path: Path, played: Path) -> Any:
    """A folder of its own: the council that sits here is nobody else's run."""
    import shutil

    shutil.copytree(played / "short", tmp_path / "short")
    served = start(tmp_path)
    yield served
    stop(served)


def test_nothing_can_be_clicked_before_it_works_on_any_page(shown: Served, page: Any) -> None:
    waited = 0
    for address in addresses(shown, page):
        held = opened(page, shown.url + address)
        early = page.evaluate(
            """ours => [...document.querySelectorAll(`main :is(${ours})`)]
                .filter(e => !e.disabled && !e.closest("form[action]"))
                .map(e => e.outerHTML)""",
            OURS,
        )
        assert early == [], address
        inert = page.evaluate(
            "[...document.forms].filter(f => !f.hasAttribute('action')).map(f => f.className)"
        )
        assert set(inert) <= {"setup", "command"}, address
        waited += page.locator("main [data-wait]").count()
        held.release()
        until(page, "document.readyState === 'complete' && !document.querySelector('[data-wait]')")
    assert waited > 40
