"""Who may ask, from where; and what text from games, models and files may do to a page: nothing."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from web_server import Served, start, stop

from lookalike.core.errors import UsageError
from lookalike.rewards import load_reward_model, save_reward_model
from lookalike.store import (
    EpisodeFinished,
    EpisodeKey,
    EpisodeStarted,
    FileStore,
    ProposalRecord,
    RecollectionRecord,
    StepTaken,
    VerdictRecord,
    open_log,
)
from lookalike.web.server import check_door, listen

HOSTILE = (
    "<script>document.title='taken'</script><img src=x onerror=alert(1)>"
    "{{7*7}}{% raw %}'\"&amp;</textarea></script>\x1b[31mred\x1b]0;title\x07\u202egnp.exe\u2066\u200b"
)
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, recorded: Path) -> Iterator[tuple[Served, Path]]:
    """A folder in which everything that can hold text holds hostile text, and one line of a million signs."""
    folder = tmp_path_factory.mktemp("hostile")
    name = "<img src=x onerror=alert(2)>"
    (folder / f"{name}.mp4").write_bytes((recorded / "recording.mp4").read_bytes())
    (folder / f"{name}.jsonl").write_bytes((recorded / "recording.jsonl").read_bytes())
    model = load_reward_model(recorded / "reward-model.yaml")
    first = model.milestones[0].model_copy(
        update={"description": HOSTILE.replace("\x1b", "").replace("\x07", "")}
    )
    save_reward_model(
        model.model_copy(
            update={"goal": "<script>alert(3)</script>", "milestones": (first, *model.milestones[1:])}
        ),
        folder / f"{name}.yaml",
    )
    _write_run(folder / "run")
    served = start(folder)
    yield served, folder
    stop(served)


def _write_run(folder: Path) -> None:
    folder.mkdir()
    key = EpisodeKey(condition="random", goal="lamp", seed=1)
    files = FileStore(folder / "files")
    there = files.put_frame(np.full((8, 8, 3), 200, np.uint8))
    gone = files.put_frame(np.full((8, 8, 3), 100, np.uint8))
    files.path(gone).unlink()
    steps = [
        StepTaken(
            episode=key,
            step=i,
            observation=HOSTILE if i < 3 else "x" * 1_000_000,
            proposals=(
                ProposalRecord(role=f"t{i}{HOSTILE}", action=HOSTILE, rationale=HOSTILE, reply=HOSTILE),
            ),
            proposal_verdicts=(VerdictRecord(value=0.5, components={HOSTILE: 0.5}, feedback=HOSTILE),),
            by="best-reward",
            votes={HOSTILE: 1.0},
            decision=HOSTILE,
            recollections=(RecollectionRecord(provenance=HOSTILE, source="member", score=0.5),),
            next_observation=HOSTILE,
            next_frame=there if i == 0 else gone,
            verdict=VerdictRecord(value=-0.5, components={HOSTILE: -0.5}, feedback=HOSTILE),
        )
        for i in range(6)
    ]
    configuration = {
        "experiment": "demo/colossal-cave",
        "environment": "colossal-cave",
        "goals": ["lamp"],
        "seeds": [1],
        "model": HOSTILE,
        "reward_model": None,
        "conditions": [
            {
                "name": "random",
                "kind": "baseline",
                "description": HOSTILE,
                "player": "random",
                "temperatures": [1.0],
            }
        ],
    }
    with open_log(folder / "events.sqlite") as log:
        log.start_run(f"run {HOSTILE}", configuration, package_version="0", folder="/etc")
        log.append(
            f"run {HOSTILE}",
            [
                EpisodeStarted(episode=key, environment_seed=1, first_observation=HOSTILE),
                *steps,
                EpisodeFinished(
                    episode=key,
                    success=False,
                    steps=6,
                    interactions=6,
                    score=None,
                    terminated=False,
                    truncated=True,
                ),
            ],
        )


def test_hostile_text_stays_text_on_every_page(hostile: tuple[Served, Path], page: Any) -> None:
    served, _ = hostile
    for path in ("", "reward-models", "recordings"):
        page.goto(f"{served.url}{path}")
        assert "<" in page.locator("main").inner_text()
        assert page.locator("main img, main script").count() == 0
        assert page.title().endswith("LookALike")
        link = page.locator("main table a").first
        link.click()
        page.wait_for_load_state("networkidle")
        assert page.locator("main script, main img[src='x']").count() == 0
        assert page.title() != "taken"


def test_hostile_text_stays_text_in_the_replay(hostile: tuple[Served, Path], page: Any) -> None:
    served, _ = hostile
    page.goto(served.url)
    page.locator("main table a").first.click()
    page.locator("a.cell").first.click()
    page.wait_for_selector("#replay[data-shown='1']")
    text = page.locator(".step").inner_text()
    assert "<script>document.title='taken'</script><img src=x onerror=alert(1)>" in text
    assert "{{7*7}}" in text
    assert not {"\x1b", "\u202e", "\u2066", "\u200b"} & set(text)
    assert page.locator(".step script, .step img[src='x']").count() == 0
    assert page.locator("[data-at=next] img").count() == 1
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#replay[data-shown='2']")
    page.get_by_text("The picture's file is missing or damaged.").first.wait_for()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#replay[data-shown='6']")
    assert "980,000 more characters" in page.locator("[data-at=observation]").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_hostile_text_stays_text_in_the_page_that_is_mailed(
    hostile: tuple[Served, Path], page: Any, tmp_path: Path
) -> None:
    from lookalike.web.export import write_run_page
    from lookalike.web.library import Library

    library = Library(hostile[1])
    try:
        (run,) = library.runs()
        written = write_run_page(library, run, tmp_path / "run.html")
    finally:
        library.close()
    assert written.episodes == 1
    page.goto(f"file://{tmp_path}/run.html")
    page.wait_for_selector("#replay[data-shown='1']")
    assert "<img src=x onerror=alert(1)>" in page.locator(".step").inner_text()
    assert page.locator("[data-at=next] img").count() == 1
    assert page.title() != "taken"


def test_a_strangers_actions_are_text_and_start_no_game(tmp_path: Path) -> None:
    header = {
        "format": "lookalike-frame-actions",
        "version": 1,
        "environment": "gymnasium:<script>alert(4)</script>",
        "seed": 1,
        "fps": 1e-9,
        "outcome": HOSTILE,
        "licence": HOSTILE,
    }
    lines = [header, {"action": HOSTILE, "reward": 1.0}, {"action": "x" * 1_000_000, "reward": 0.0}]
    (tmp_path / "play.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "broken.jsonl").write_text(json.dumps(header) + "\n[1, 2\n")
    served = start(tmp_path)
    try:
        listing = served.get("/recordings")
        keys = re.findall(r'href="/recordings/([0-9a-f]+)"', listing)
        assert len(keys) == 2
        for key in keys:
            page = served.get(f"/recordings/{key}")
            assert "<script>alert(4)" not in page
            assert "<img src=x" not in page
            assert "\x1b" not in page
            assert len(page) < 100_000
            status, _, answer = served.ask(f"/api/recordings/{key}/film", method="POST", body={})
            assert status == 200
            job = json.loads(answer)["key"]
            while (state := json.loads(served.get(f"/api/jobs/{job}")))["state"] == "running":
                time.sleep(0.05)
            assert state["state"] == "failed"
            assert "file's word" in state["words"] or "malformed" in state["words"]
    finally:
        stop(served)


def test_what_a_run_says_at_its_seat_is_text(tmp_path: Path) -> None:
    from lookalike.experiments.seat import Asked, Seat
    from lookalike.web.council import Council

    key = EpisodeKey(condition=HOSTILE, goal="lamp", seed=1)
    step = StepTaken(
        episode=key,
        step=0,
        observation=HOSTILE,
        proposals=(ProposalRecord(role=HOSTILE, action=HOSTILE),),
        by=HOSTILE,
        votes={HOSTILE: 1.0},
        decision=HOSTILE,
        next_observation=HOSTILE,
    )
    question: dict[str, Any] = {
        "goal": HOSTILE,
        "how_to_play": ["no", "text"],
        "observation": HOSTILE + "x" * 1_000_000,
        "recommended": [HOSTILE, {"a": 1}],
        "actions": [HOSTILE] * 1_000,
        "step": "<b>",
        "picture": "yes",
    }
    council = Council("k", "e", None, "r", "r", Seat(tmp_path), "t")
    council.hear(Asked(1, None, False, question, "0" * 64, key, step))
    assert council.frame is None
    shown = json.dumps(council.as_dict(after=-1), ensure_ascii=False)
    assert not {"\x1b", "\u202e", "\u2066", "\u200b"} & set(shown)
    assert len(shown) < 100_000
    assert council.situation is not None
    assert council.situation["step"] == 0
    assert council.situation["picture"] is False
    council.hear(Asked(2, HOSTILE, False, None, None, key, None))
    assert "\x1b" not in council.words
    assert council.over


def test_every_answer_carries_the_policy(served: Served) -> None:
    for path in ("/", "/nowhere", "/static/style.css", "/api/jobs/none"):
        _, headers, body = served.ask(path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        if path == "/":
            assert b"<script>" not in body
            assert b" style=" not in body
            assert b"onclick" not in body


@pytest.mark.parametrize(
    "path",
    [
        "/static/../guard.py",
        "/static/%2e%2e%2fguard.py",
        "/static/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/runs/..%2f..%2fetc",
        "/recordings/%2fetc%2fpasswd",
        "/api/recordings/..%2f..%2fetc%2fpasswd/video",
        "//etc/passwd",
    ],
)
def test_paths_lead_nowhere(served: Served, path: str) -> None:
    status, _, body = served.ask(path)
    assert status in {404, 422}
    assert b"root:" not in body
    assert b"Guard" not in body


def test_a_log_cannot_point_at_other_folders(hostile: tuple[Served, Path]) -> None:
    from lookalike.web.library import Library

    library = Library(hostile[1])
    try:
        (run,) = library.runs()
        assert run.summary.folder == "/etc"
        assert library.folder_of(run) == hostile[1] / "run"
    finally:
        library.close()


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path, recorded: Path) -> None:
    from lookalike.web.library import Library

    (tmp_path / "outside.yaml").write_bytes((recorded / "reward-model.yaml").read_bytes())
    inside = tmp_path / "shown"
    inside.mkdir()
    (inside / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    assert Library(inside).reward_models() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_origins_are_refused(served: Served, headers: dict[str, str], method: str) -> None:
    body = {"environment": "colossal-cave"} if method == "POST" else None
    status, answer, _ = served.ask("/api/games" if body else "/", method=method, body=body, **headers)
    assert status == 403
    assert "access-control-allow-origin" not in answer


def test_a_page_elsewhere_may_only_link_here(served: Served) -> None:
    opened = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert served.ask("/", **opened)[0] == 200
    assert served.ask("/", **(opened | {"Sec_Fetch_Dest": "iframe"}))[0] == 403
    assert served.ask("/api/games", method="POST", body={}, **opened)[0] == 403


def test_other_names_are_refused(served: Served) -> None:
    assert served.ask("/", Host=f"evil.example:{served.port}")[0] == 421
    assert served.ask("/", Host="127.0.0.1.evil.example")[0] == 421
    assert served.ask("/", Host=f"localhost:{served.port}")[0] == 200


def test_a_form_cannot_ask(served: Served) -> None:
    status, _, _ = served.ask("/api/games", method="POST", body={}, Content_Type="text/plain")
    assert status == 415


def test_anything_but_loopback_needs_a_token() -> None:
    with pytest.raises(UsageError, match="--token"):
        check_door("0.0.0.0", None)
    with pytest.raises(UsageError, match="guess"):
        check_door("0.0.0.0", "short")
    check_door("0.0.0.0", TOKEN)
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        check_door(host, None)


def test_the_token_is_shown_once_and_kept_in_a_cookie(played: Path, page: Any) -> None:
    served = start(played, "--token", TOKEN)
    try:
        assert served.ask("/")[0] == 401
        assert served.ask("/?token=a-token-of-some-lengtH")[0] == 401
        assert served.ask("/api/games", method="POST", body={})[0] == 401
        assert served.ask("/", Authorization=f"Bearer {TOKEN}")[0] == 200
        status, headers, _ = served.ask(f"//evil.example/?token={TOKEN}")
        assert status == 303
        assert headers["location"] == "/evil.example/"
        assert "httponly" in headers["set-cookie"].lower()
        assert TOKEN in served.url
        page.goto(served.url)
        assert TOKEN not in page.url
        page.get_by_role("link", name="Recordings").click()
        assert page.get_by_role("heading", name="Recordings").is_visible()
    finally:
        stop(served)


def test_a_port_that_is_taken_leads_to_the_next_one(played: Path) -> None:
    taken, address = listen("127.0.0.1", 0)
    try:
        served = start(played, "--port", str(address.port))
        try:
            assert served.port != address.port
            assert f"Port {address.port} is taken; using {served.port}." in served.words
        finally:
            stop(served)
    finally:
        taken.close()


def test_no_free_port_is_an_error_with_a_remedy() -> None:
    with pytest.raises(UsageError, match="address"):
        listen("no-such-host.invalid", 80)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 65535))
        taken.listen()
        with pytest.raises(UsageError, match="--port"):
            listen("127.0.0.1", 65535)
