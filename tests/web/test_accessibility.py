"""No page has a serious finding of axe-core, in either colour scheme, on a phone or a desk."""

from __future__ import annotations

import importlib.util
import json
import os
import re
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


def look_at(page: Any, axe: str) -> dict[str, list[str]]:
    """Return what is serious in a page that is open, in both schemes, on a phone and on a desk."""
    faults = {}
    for width in (1440, 375):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            serious = findings(page, axe)
            if serious:
                faults[f"{page.url}, {scheme}, {width} px"] = serious
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page.url}, {width} px"
    assert page.locator("main").count() == 1
    assert page.locator("h1").count() == 1
    return faults


def opened(page: Any, axe: str, address: str) -> dict[str, list[str]]:
    page.goto(address)
    page.wait_for_load_state("networkidle")
    return look_at(page, axe)


def test_no_page_has_a_serious_finding(served: Served, unbound: Any, axe: str) -> None:
    page = unbound
    page.goto(served.url)
    run = page.get_by_role("link", name="short", exact=True).get_attribute("href")
    addresses = [*PAGES, run[1:], f"{run[1:]}/episodes/1#step=1"]
    for listing in ("reward-models", "recordings"):
        page.goto(served.url + listing)
        addresses.append(page.locator("main table a").first.get_attribute("href")[1:])
    addresses.append(f"{addresses[-1]}?frames=1")
    document = next(a for a in addresses if "reward-models/" in a)
    addresses.append(f"{document}/difference?other={document.rpartition('/')[2]}")
    faults: dict[str, list[str]] = {}
    for address in addresses:
        faults |= opened(page, axe, served.url + address)
    assert faults == {}


def test_a_reward_model_of_pictures_has_none(unbound: Any, axe: str, visual_document: Path) -> None:
    served = start(visual_document.parent)
    try:
        key = re.search(r"/reward-models/[0-9a-f]{16}", served.get("/reward-models"))
        assert key is not None
        faults = opened(unbound, axe, served.url + key[0][1:])
        assert unbound.locator("img.thumbnail").count() == 1
        faults |= opened(unbound, axe, f"{served.url}start?environment=procgen:maze")
        assert faults == {}
    finally:
        stop(served)


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
    assert look_at(unbound, axe) == {}


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
        assert look_at(page, axe) == {}
        page.get_by_role("button", name="End and save").click()
        page.locator("[data-do=see][href*='/recordings/']").wait_for()
        assert look_at(page, axe) == {}
        page.goto(f"{served.url}start?environment=colossal-cave")
        page.select_option("#along-members", "random")
        page.get_by_role("button", name="Take a seat").click()
        page.get_by_text("Your turn: step 0,").wait_for()
        page.locator("#command").fill("enter")
        page.keyboard.press("Enter")
        page.get_by_text("Your turn: step 1,").wait_for()
        assert look_at(page, axe) == {}
        if importlib.util.find_spec("procgen") is not None:
            page.goto(f"{served.url}play")
            page.select_option("#environment", "procgen:maze")
            page.get_by_role("button", name="Start the game").click()
            page.locator("[data-play=screen]").wait_for()
            assert look_at(page, axe) == {}
    finally:
        stop(served)
