"""Draws the pictures of the dashboard's pages in docs/images: ``make screenshots``.

Plays a short run with the embedded language model first (a few minutes), or takes a folder that has one:
``python tests/web/screenshots.py FOLDER``. Needs Chromium.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from web_server import PATIENCE_MS, start, stop, until

from lookalike.experiments import run_experiment
from lookalike.rewards import load_reward_model, save_reward_model
from lookalike.web.export import find_run, write_run_page
from lookalike.web.library import Library

OUT = Path(__file__).parents[2] / "docs" / "images"
WIDE, PHONE = {"width": 1440, "height": 1000}, {"width": 375, "height": 812}
RUN = "demo/colossal-cave"


def play(folder: Path) -> None:
    """Play what the pictures show."""
    run_experiment(
        RUN,
        out=folder / "demo",
        goals=["lamp", "bird", "snake"],
        seeds=[1000, 1001],
        conditions=["random", "replay", "solo+expert", "swarm", "swarm+expert"],
    )


def edit(folder: Path) -> None:
    """Leave a second version of the reward model, as somebody who edits it would."""
    model = load_reward_model(folder / "demo" / "reward-model.yaml")
    changed = model.without(["milestone:get-lamp"]).reweighted("progress", 0.3).reweighted("setback", -0.5)
    save_reward_model(changed, folder / "demo" / "edited.yaml")


class Camera:
    """Opens pages in one look and keeps pictures of them."""

    def __init__(self, browser: Any, url: str, size: dict[str, int], scheme: str) -> None:
        self.context = browser.new_context(viewport=size, color_scheme=scheme)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        self.url = url

    def open(self, path: str) -> None:
        """Open a page of the dashboard."""
        self.page.goto(self.url + path.lstrip("/"))
        self.page.wait_for_load_state("networkidle")

    def keep(self, name: str, *, above: str | None = None) -> None:
        """Keep what is visible, from an element on where one is named."""
        if above is not None:
            self.page.locator(above).first.evaluate("e => window.scrollTo(0, e.offsetTop - 16)")
        self.page.wait_for_timeout(300)  # what moves has come to rest
        path = OUT / f"dashboard-{name}.png"
        self.page.screenshot(path=path)
        with Image.open(path) as picture:
            few_colours(picture.convert("RGB")).save(path, optimize=True)
        print(path.name, f"{path.stat().st_size / 1000:.0f} kB")


def few_colours(picture: Image.Image) -> Image.Image:
    """Return a picture in its 256 commonest colours, a third of the size; grounds and marks stay exact."""
    common = sorted(picture.getcolors(picture.width * picture.height) or [], reverse=True)[:256]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in common for part in colour])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def take_runs(camera: Camera) -> str:
    """Take the pages of the run; return an episode's address."""
    page = camera.page
    camera.open("")
    camera.keep("runs")
    run = page.get_by_role("link", name=RUN, exact=True).get_attribute("href")
    camera.open(run)
    camera.keep("run")
    camera.keep("plots", above="#plots")
    camera.open(f"{run}?condition=swarm%2Bexpert")
    episode = str(page.locator("a.cell").last.get_attribute("href"))
    camera.open(f"{episode}#step=3")
    camera.keep("replay")
    return episode


def take_reward_models(camera: Camera) -> None:
    """Take the pages of the reward model."""
    page = camera.page
    camera.open("reward-models")
    camera.keep("reward-models")
    camera.open(page.get_by_role("link", name="demo/reward-model.yaml", exact=True).get_attribute("href"))
    page.select_option("#try-run", label=f"{RUN} (played under this document)")
    until(page, "document.querySelector('#try-episode').textContent.includes('solo+expert')")
    page.wait_for_selector(".verdicts tbody tr")
    page.locator(".switch[data-component='milestone:get-lamp']").uncheck()
    page.wait_for_selector("tr.changed")
    camera.keep("reward-model", above="#try-title")
    button = page.locator("tr", has_text="Took the lamp").locator(".clip").first
    button.click()
    until(
        page, f"document.querySelector('#clip video').currentTime > {button.get_attribute('data-start')} + 2"
    )
    camera.keep("evidence", above="#milestones")
    page.select_option("#other", label="demo/edited.yaml")
    page.get_by_role("button", name="Show differences").click()
    page.wait_for_load_state("networkidle")
    camera.keep("difference")


def take_recordings(camera: Camera) -> None:
    """Take the pages of the recording."""
    page = camera.page
    camera.open("recordings")
    camera.keep("recordings")
    camera.open(page.get_by_role("link", name="demo/recording/recording.mp4").get_attribute("href"))
    page.locator(".seek").nth(3).click()
    page.wait_for_selector(".turns .now:not(:first-child)")
    camera.keep("recording")


def take_games(camera: Camera) -> None:
    """Take the pages on which something is made."""
    page = camera.page
    camera.open("start")
    camera.keep("start")
    camera.open("play")
    page.get_by_role("button", name="Start the game").click()
    page.wait_for_selector(".terminal .said")
    for number, command in enumerate(("enter", "get lamp", "xyzzy"), start=1):
        page.keyboard.type(command)
        page.keyboard.press("Enter")
        page.locator(f"[data-at=state]:has-text('{number} command')").wait_for()
    camera.keep("play")
    page.get_by_role("button", name="End and save").click()
    page.locator("[data-do=see][href*='/recordings/']").wait_for()
    camera.keep("saved")
    if importlib.util.find_spec("procgen") is not None:
        camera.open("play")
        page.select_option("#environment", "procgen:coinrun")
        page.get_by_role("button", name="Start the game").click()
        for number in range(1, 13):
            page.locator(f"[data-at=state]:has-text('{number - 1} actions')").wait_for()
            page.keyboard.press("ArrowRight" if number < 6 else "ArrowUp")
        camera.keep("play-screen")
        page.get_by_role("button", name="End and save").click()
    camera.open("start?environment=colossal-cave")
    page.get_by_role("button", name="Take a seat").click()
    page.get_by_text("Your turn: step 0").wait_for()
    page.locator("#command").fill("enter")
    page.keyboard.press("Enter")
    page.get_by_text("Your turn: step 1").wait_for()
    camera.keep("council")
    page.get_by_role("button", name="Leave").click()
    page.get_by_text("You left").wait_for()


def take(browser: Any, url: str, folder: Path, mailed: Path) -> None:
    """Take all pictures."""
    camera = Camera(browser, url, WIDE, "light")
    episode = take_runs(camera)
    take_recordings(camera)
    take_games(camera)
    edit(folder)
    take_reward_models(camera)
    camera.page.goto(mailed.as_uri())
    camera.page.wait_for_selector("#replay[data-shown]")
    camera.keep("mailed", above="#episodes")
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
        library = Library(folder)
        written = write_run_page(library, find_run(library, RUN), Path(made) / "run.html")
        library.close()
        print(f"the page to mail has {written.size / 1e6:.2f} MB, {written.episodes} episodes")
        served = start(folder, within=Path(made))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--headless=new"]
        )
        try:
            take(browser, served.url, folder, written.path)
        finally:
            browser.close()
            stop(served)


if __name__ == "__main__":
    main()
