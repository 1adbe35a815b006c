"""No page has a serious finding of axe-core, in either colour scheme, on a phone or a desk."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web_server import PATIENCE_MS, Served, start, stop

AXE = Path(
    os.environ.get("AXE_CORE", Path(__file__).parents[2] / ".venv/axe/node_modules/axe-core/axe.min.js")
)
PAGES = ("", "reward-models", "recordings", "play", "start", "start?environment=zork1", "nowhere")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        pytest.skip(
            "axe-core is not installed (make test fetches it where npm is): set AXE_CORE to axe.min.js"
        )
    return AXE.read_text(encoding="utf-8")


def findings(page: Any, axe: str) -> list[str]:
    """Return what axe finds serious or worse, a line each."""
    page.evaluate(axe)
    found = page.evaluate(f"axe.run(document, {json.dumps(RULES)}).then((r) => r.violations)")
    return [
        f"{v['id']} ({v['impact']}): {v['help']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for v in found
        if v["impact"] in {"serious", "critical"}
        for node in v["nodes"][:3]
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 375)])
def test_no_page_has_a_serious_finding(
    served: Served, browser: Any, axe: str, scheme: str, width: int, played: Path
) -> None:
    # The check itself is a script that the pages' policy would not let in.
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    try:
        addresses = [served.url + path for path in PAGES]
        page.goto(served.url)
        run = page.get_by_role("link", name="short", exact=True).get_attribute("href")
        addresses += [served.url + run[1:], f"{served.url}{run[1:]}/episodes/1#step=1"]
        for listing in ("reward-models", "recordings"):
            page.goto(served.url + listing)
            addresses.append(served.url + page.locator("main table a").first.get_attribute("href")[1:])
        addresses.append(f"{addresses[-1]}?frames=1")
        document = next(a for a in addresses if "/reward-models/" in a)
        addresses.append(f"{document}/difference?other={document.rpartition('/')[2]}")
        faults = {}
        for address in addresses:
            page.goto(address)
            page.wait_for_load_state("networkidle")
            serious = findings(page, axe)
            if serious:
                faults[address] = serious
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
            assert page.locator("main").count() == 1
            assert page.locator("h1").count() == 1
        assert faults == {}
    finally:
        context.close()


@pytest.fixture
def unbound(browser: Any) -> Iterator[Any]:
    """A page that axe may be put into."""
    context = browser.new_context(bypass_csp=True)
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def test_the_mailed_page_has_none_either(unbound: Any, axe: str, played: Path, tmp_path: Path) -> None:
    from lookalike.web.export import write_run_page
    from lookalike.web.library import Library

    library = Library(played)
    try:
        run = next(run for run in library.runs() if run.run_id == "short")
        write_run_page(library, run, tmp_path / "run.html")
    finally:
        library.close()
    unbound.goto(f"file://{tmp_path}/run.html")
    unbound.wait_for_selector("#replay[data-shown]")
    assert findings(unbound, axe) == []


def test_a_game_and_a_council_have_none_while_they_are_played(
    unbound: Any, axe: str, recorded: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.yaml").write_bytes((recorded / "reward-model.yaml").read_bytes())
    served = start(tmp_path)
    page = unbound
    try:
        page.goto(f"{served.url}play")
        page.get_by_role("button", name="Start the game").click()
        page.wait_for_selector(".terminal .said")
        page.keyboard.type("enter")
        page.keyboard.press("Enter")
        page.wait_for_selector(".terminal .typed")
        assert findings(page, axe) == []
        page.get_by_role("button", name="End and save").click()
        page.locator("[data-do=see][href*='/recordings/']").wait_for()
        assert findings(page, axe) == []
        page.goto(f"{served.url}start?environment=colossal-cave")
        page.select_option("#along-members", "random")
        page.get_by_role("button", name="Take a seat").click()
        page.get_by_text("Your turn: step 0,").wait_for()
        page.locator("#command").fill("enter")
        page.keyboard.press("Enter")
        page.get_by_text("Your turn: step 1,").wait_for()
        assert findings(page, axe) == []
        if importlib.util.find_spec("procgen") is not None:
            page.goto(f"{served.url}play")
            page.select_option("#environment", "procgen:maze")
            page.get_by_role("button", name="Start the game").click()
            page.locator("[data-play=screen]").wait_for()
            assert findings(page, axe) == []
    finally:
        stop(served)
