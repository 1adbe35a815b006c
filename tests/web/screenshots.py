"""Draws the pictures of the dashboard's pages in docs/images: ``make screenshots``.

Plays a short run with the embedded language model first (a few minutes), or takes a folder that has one:
``python tests/web/screenshots.py FOLDER``. Needs Chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from web_server import start, stop

from lookalike.experiments import run_experiment

OUT = Path(__file__).parents[2] / "docs" / "images"
WIDE, PHONE = {"width": 1440, "height": 1000}, {"width": 375, "height": 812}


def play(folder: Path) -> None:
    """Play what the pictures show."""
    run_experiment(
        "demo/colossal-cave",
        out=folder / "demo",
        goals=["lamp", "bird", "snake"],
        seeds=[1000, 1001],
        conditions=["random", "replay", "solo+expert", "swarm", "swarm+expert"],
    )


class Camera:
    """Opens pages in one look and keeps pictures of them."""

    def __init__(self, browser: Any, url: str, size: dict[str, int], scheme: str) -> None:
        self.context = browser.new_context(viewport=size, color_scheme=scheme)
        self.page = self.context.new_page()
        self.url = url

    def open(self, path: str) -> None:
        self.page.goto(self.url + path.lstrip("/"))
        self.page.wait_for_load_state("networkidle")

    def keep(self, name: str, *, above: str | None = None) -> None:
        """Keep what is visible, from an element on where one is named."""
        if above is not None:
            self.page.locator(above).first.evaluate("e => window.scrollTo(0, e.offsetTop - 16)")
            self.page.wait_for_timeout(200)
        path = OUT / f"dashboard-{name}.png"
        self.page.screenshot(path=path)
        with Image.open(path) as picture:  # few colours: a third of the size
            picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
        print(path.name, f"{path.stat().st_size / 1000:.0f} kB")


def take(browser: Any, url: str) -> None:
    """Take all pictures."""
    camera = Camera(browser, url, WIDE, "light")
    page = camera.page
    camera.open("")
    camera.keep("runs")
    run = page.locator("main table a").first.get_attribute("href")
    camera.open(run)
    camera.keep("run")
    camera.keep("plots", above="#plots")
    camera.open(f"{run}?condition=swarm%2Bexpert")
    episode = page.locator("a.cell").last.get_attribute("href")
    camera.open(f"{episode}#step=3")
    camera.keep("replay")
    camera.open("reward-models")
    camera.open(page.locator("main table a").first.get_attribute("href"))
    page.locator(".switch[data-component='milestone:get-lamp']").uncheck()
    page.wait_for_timeout(1500)
    camera.keep("reward-model", above="#try-title")
    page.locator("tr", has_text="Took the lamp").locator(".clip").first.click()
    page.wait_for_timeout(2500)
    camera.keep("evidence", above="#milestones")
    camera.open("recordings")
    camera.open(page.locator("main table a").first.get_attribute("href"))
    page.locator(".seek").nth(3).click()
    page.wait_for_timeout(1000)
    camera.keep("recording")
    camera.open("start")
    camera.keep("start")
    camera.open("play")
    page.get_by_role("button", name="Start the game").click()
    for command in ("enter", "get lamp", "xyzzy"):
        page.wait_for_timeout(600)
        page.keyboard.type(command)
        page.keyboard.press("Enter")
    page.wait_for_timeout(800)
    camera.keep("play")
    page.get_by_role("button", name="End and save").click()
    camera.open("start?environment=colossal-cave")
    page.get_by_role("button", name="Take a seat").click()
    page.get_by_text("Your turn: step 0").wait_for(timeout=60_000)
    page.locator("#command").fill("enter")
    page.keyboard.press("Enter")
    page.get_by_text("Your turn: step 1").wait_for(timeout=60_000)
    camera.keep("council")
    page.get_by_role("button", name="Leave").click()
    page.get_by_text("You left").wait_for(timeout=60_000)
    phone = Camera(browser, url, PHONE, "dark")
    phone.open(f"{episode}#step=3")
    phone.keep("phone")


def main() -> None:
    """Play where nothing is given, serve, take the pictures."""
    from playwright.sync_api import sync_playwright

    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        folder = Path(made) / "runs"
        if len(sys.argv) > 1:
            shutil.copytree(sys.argv[1], folder)
        else:
            play(folder)
        served = start(folder)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--headless=new"]
        )
        try:
            take(browser, served.url)
        finally:
            browser.close()
            stop(served)


if __name__ == "__main__":
    main()
