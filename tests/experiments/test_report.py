"""The report: its figures are the result's, it needs nothing from outside, and no text in it can act."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
from rich.console import Console
from synthetic_results import CONDITIONS, GOALS, episodes, result

from lookalike.core.errors import StoreError
from lookalike.experiments.report import print_table, view, write_report
from lookalike.experiments.report.html import render_page
from lookalike.experiments.report.paper import published
from lookalike.experiments.result_files import read_results

VOID = {"meta", "link", "br", "hr", "img", "input", "path", "use", "rect", "line"}


class Page(HTMLParser):
    """Collects tables, text and attributes of a page, and checks that its tags are closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.attributes, self.texts, self.tables, self.parts = [], [], [], {}, {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.attributes.append((tag, attrs))
        if tag not in VOID:
            self.open.append((tag, attrs.get("data-part")))
        if tag == "tr" and self.part():
            self.tables.setdefault(self.part(), []).append([])
        if tag in {"td", "th"} and self.part():
            self.tables[self.part()][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tags = [tag for tag, _ in self.open]
        if "style" not in tags:
            self.texts.append(data)
        part = self.part()
        if part:
            self.parts[part] = self.parts.get(part, "") + data
        if part and {"td", "th"} & set(tags):
            self.tables[part][-1][-1] += data

    def part(self):
        return next((part for _, part in reversed(self.open) if part), None)

    def rows(self, part):
        return [[" ".join(cell.split()) for cell in row] for row in self.tables[part][1:]]


@pytest.fixture(scope="module")
def made():
    return result()


@pytest.fixture(scope="module")
def written(made, tmp_path_factory):
    return write_report(made, tmp_path_factory.mktemp("report") / "new" / "folder")


@pytest.fixture(scope="module")
def page(written):
    return Page(written["report"].read_text())


def numbers(text):
    return [float(found) for found in re.findall(r"-?\d[\d,]*\.?\d*", text.replace(",", ""))]


def test_everything_is_written_beside_the_page(written, made):
    plots = {"success", "complexity", "reward", "agreement"}
    assert set(written) == {"results", "episodes", "rows", "report"} | plots
    assert {path.name for path in written.values()} == {
        path.name for path in written["report"].parent.iterdir()
    }
    assert read_results(written["results"]) == made
    assert written["report"].stat().st_size < 400_000


def test_the_page_shows_each_rows_figures(page, made):
    rows = page.rows("rows")
    assert len(rows) == len(made.rows)
    for cells, row in zip(rows, made.rows, strict=True):
        assert cells[0].startswith(row.condition)
        share, low, high = numbers(re.sub(r"[\[\],%]", " ", cells[1]))
        assert share == pytest.approx(100 * row.plan_success, abs=0.05)
        assert (low, high) == pytest.approx([100 * end for end in row.interval], abs=0.05)
        assert int(cells[2]) == row.n
        assert numbers(cells[3])[0] == pytest.approx(row.score_mean, abs=0.05)
        assert numbers(cells[4])[0] == pytest.approx(row.interactions_mean, abs=0.05)
        assert numbers(cells[5])[0] == pytest.approx(row.usage.calls / row.n, abs=0.05)
    paper = {row.condition: cells[-1] for cells, row in zip(rows, made.rows, strict=True)}
    assert {name: text for name, text in paper.items() if text} == {
        "solo": "35%",
        "solo+expert": "37%",
        "swarm+expert": "100%",
    }


def test_the_page_shows_each_rows_handicaps(page, made):
    header, rows = page.tables["handicaps"][0], page.rows("handicaps")
    assert len(header) == 1 + len(view.HANDICAP_NAMES)
    for cells, row in zip(rows, made.rows, strict=True):
        assert cells == [row.condition, *view.handicap_values(row.handicaps).values()]


def test_the_page_shows_each_difference(page, made):
    for cells, difference in zip(page.rows("paired"), made.paired, strict=True):
        assert cells[0] == f"{difference.a} − {difference.b}"
        assert numbers(cells[1])[0] == pytest.approx(100 * difference.difference, abs=0.05)
        assert int(cells[4]) == difference.n
        counts = [int(part) for part in cells[5].split("/")]
        assert counts == [difference.both, difference.only_a, difference.only_b, difference.neither]
        assert cells[7] == ("yes" if difference.resolved else "no")
        assert (difference.statement in page.parts["unresolved"]) is not difference.resolved


def test_goal_by_goal_adds_up_to_the_rows(page, made):
    rows = page.rows("goals")
    assert [cells[0].startswith(goal.name) for cells, goal in zip(rows, GOALS, strict=True)] == [True] * len(
        GOALS
    )
    for column, row in enumerate(made.rows, start=3):
        counts = [tuple(map(int, cells[column].split("/"))) for cells in rows]
        assert (sum(k for k, _ in counts), sum(n for _, n in counts)) == (row.successes, row.n)


def test_failures_are_named(page, made):
    failed = [episode for episode in made.episodes if episode.failure]
    assert failed
    for episode in failed[:50]:
        where = f"{episode.condition}, goal {episode.goal}, seed {episode.seed}, attempt {episode.attempt}"
        assert where in page.parts["failures"]
    assert f"{len(failed)} of {len(made.episodes)} episodes crashed or hung" in " ".join(page.texts)


def test_captions_state_n_and_the_interval(written):
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", written["report"].read_text(), re.DOTALL)
    assert len(captions) == 4
    for caption in captions:
        assert re.search(r"n = \d|\(n\)", caption)
        assert "interval" in caption


def test_the_page_says_how_it_was_made(page, made):
    text = " ".join(" ".join(page.texts).split())
    created = made.created_with
    for expected in (
        *created.commands,
        created.reward_model,
        created.recordings[0].content_hash,
        created.model,
    ):
        assert expected in text
    assert made.notes[0] in text
    assert published("colossal-cave").note in text


def test_the_page_needs_nothing_from_outside(written, page):
    text = written["report"].read_text()
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in re.sub(r"url\(#\w+\)", "", text)
    for tag, attributes in page.attributes:
        assert tag not in {"script", "link", "iframe", "object", "img", "base", "form"}
        assert not {name for name in attributes if name.startswith("on")}
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
    policy = next(
        a["content"] for t, a in page.attributes if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_ids_are_unique_over_all_drawings_and_references_resolve(page):
    ids = [attributes["id"] for _, attributes in page.attributes if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {a["href"][1:] for _, a in page.attributes if "href" in a}
    used |= {m for _, a in page.attributes for m in re.findall(r"url\(#(\w+)\)", str(a))}
    assert used
    assert used <= set(ids)


def test_the_page_follows_light_dark_and_width(written):
    text = written["report"].read_text()
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    svg = text[text.index("<svg") :]
    assert "var(--ink" in svg
    assert not re.search(r"<svg[^>]*\swidth=", svg)


def test_drawings_stand_alone(written):
    for name in ("success", "complexity", "reward", "agreement"):
        root = ET.parse(written[name]).getroot()
        assert root.tag.endswith("svg")
        assert "var(" not in written[name].read_text()
    labels = [e.text for e in ET.parse(written["success"]).iter() if e.tag.endswith("text")]
    assert "96.0%  (192/200)" in labels or any("swarm+expert" in (label or "") for label in labels)


def test_two_reports_of_one_result_are_the_same_bytes(made, written, tmp_path):
    again = write_report(made, tmp_path)
    for name, path in written.items():
        assert again[name].read_bytes() == path.read_bytes(), name


EVIL = "<script>alert(1)</script>\x1b[31m$x^2$ & {{ 7*7 }} \"'\u202e"


def evil_result():
    condition = CONDITIONS[0].model_copy(update={"name": EVIL, "description": EVIL})
    goals = tuple(
        goal.model_copy(update={"name": EVIL + goal.name, "description": EVIL}) for goal in GOALS[:3]
    )
    plays = [
        e.model_copy(
            update={
                "condition": EVIL,
                "goal": EVIL + e.goal,
                "failure": EVIL,
                "success": False,
                "agreement": 0.5,
            }
        )
        for e in episodes(goals=GOALS[:3], conditions=CONDITIONS[:1], seeds=range(3))
    ]
    made = result(
        plays=plays, goals=goals, conditions=(condition,), name=EVIL, environment=EVIL, notes=(EVIL,)
    )
    created = made.created_with.model_copy(update={"commands": (EVIL,), "model": EVIL, "spec": {EVIL: EVIL}})
    return made.model_copy(update={"created_with": created})


def test_text_from_games_and_files_is_shown_and_never_acts(tmp_path):
    paths = write_report(evil_result(), tmp_path)
    text = paths["report"].read_text()
    assert "<script" not in text
    assert "49" not in re.findall(r"\{\{.*?\}\}|&amp; (\d+)", text)
    assert "\x1b" not in text
    assert "\u202e" not in text
    page = Page(text)
    assert not [tag for tag, _ in page.attributes if tag == "script"]
    assert "<script>alert(1)</script>" in page.rows("rows")[0][0]
    assert "$x^2$ & {{ 7*7 }}" in page.rows("rows")[0][0]
    for name in set(paths) - {"results", "rows", "episodes", "report"}:
        ET.parse(paths[name])


def test_the_terminal_is_not_driven_by_names_either():
    out = io.StringIO()
    print_table(evil_result(), Console(file=out, width=80, force_terminal=True, color_system=None))
    assert "\x1b[31m" not in out.getvalue()
    out = io.StringIO()
    bold = CONDITIONS[0].model_copy(update={"name": "[bold]x[/nope]"})
    plays = [
        e.model_copy(update={"condition": bold.name}) for e in episodes(conditions=CONDITIONS[:1], seeds=[1])
    ]
    print_table(result(plays=plays, conditions=(bold,)), Console(file=out, width=80))
    assert "[bold]x[/nope]" in out.getvalue()


@pytest.mark.parametrize("width", [80, 100])
def test_the_terminal_table_fits_and_shows_the_same_figures(made, width):
    out = io.StringIO()
    print_table(made, Console(file=out, width=width))
    text = out.getvalue()
    assert max(len(line) for line in text.splitlines()) <= width
    for row in made.rows:
        line = next(x for x in text.splitlines() if x.split()[:1] == row.condition.split()[:1] and "%" in x)
        assert row.condition.split()[0] in line
    swarm = next(row for row in made.rows if row.condition == "swarm+expert")
    line = next(x for x in text.splitlines() if x.startswith(" swarm+expert ") and "%" in x)
    for expected in (view.percent(swarm.plan_success), view.percent_interval(swarm.interval), "200", "100%"):
        assert expected in line
    flat = " ".join(text.split())
    assert "handicaps, all rows: save/restore: no" in flat
    assert "the paper has no colossal-cave" in flat
    assert "no: n = 200 shows" in flat
    assert "episodes crashed or hung" in flat


def test_handicaps_are_never_lost_between_shared_and_own(made):
    for row in made.rows:
        lines = [
            text
            for names, text in view.handicap_lines(made.rows)
            if names == "all rows" or row.condition in names.split(" · ")
        ]
        said = "; ".join(lines).split("; ")
        assert sorted(said) == sorted(f"{k}: {v}" for k, v in view.handicap_values(row.handicaps).items())


def test_the_papers_figures_say_what_they_were_measured_on():
    zork, cave, procgen = (published(name) for name in ("zork1", "colossal-cave", "procgen/coinrun"))
    assert zork.success == cave.success == {"solo": 0.35, "solo+expert": 0.37, "swarm+expert": 1.0}
    assert procgen.success == {"solo": 0.0, "solo+expert": 0.15, "swarm+expert": 0.56}
    assert "here release 119" in zork.note
    assert "no colossal-cave" in cave.note


def test_beside_whole_plans_stands_the_papers_count_of_errors():
    plans = published("zork1", ["plan", "replay"])
    assert plans.success == {}
    assert "Table 1" in plans.note


def test_an_unfinished_run_says_so_and_leaves_out_what_it_cannot_draw(tmp_path):
    plays = episodes(conditions=CONDITIONS[:1], goals=GOALS[:1], seeds=[1])
    made = result(plays=plays, goals=GOALS[:1], complete=False)
    paths = write_report(made, tmp_path)
    page = Page(paths["report"].read_text())
    assert "complexity" not in paths
    text = " ".join(" ".join(page.texts).split())
    assert "The run has not finished" in text
    assert "not played yet" in text
    out = io.StringIO()
    print_table(made, Console(file=out, width=80))
    assert "not played yet" in out.getvalue()
    assert "The run has not finished" in out.getvalue()


def test_an_experiment_without_any_episode_still_reports(tmp_path):
    made = result(plays=[], complete=False)
    paths = write_report(made, tmp_path)
    assert "Nothing has been played" in paths["report"].read_text()
    assert {"results", "rows", "episodes", "report"} == set(paths)
    assert render_page(made, []) == paths["report"].read_text()


def test_a_place_that_cannot_be_written(made, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match="folder for the report") as caught:
        write_report(made, tmp_path / "taken")
    assert caught.value.remedy


def test_words_for_figures():
    assert [view.percent(x) for x in (0.0, 0.985, 0.9996, 1.0)] == ["0%", "98.5%", "100.0%", "100%"]
    assert view.percent_interval((0.957, 1.0)) == "[95.7, 100]"
    assert view.points(-0.25) == "-25.0"
    assert [view.p_value(p) for p in (0.0, 0.0009, 0.0312)] == ["< 0.001", "< 0.001", "0.031"]
    assert view.number(None) == "–"
    assert view.number(12345.678) == "12,345.7"
    assert view.printable("a\x1b[1mb\nc\u202ed") == "a\ufffd[1mb c\ufffdd"
    assert len(view.printable("x" * 10_000)) == 300


@pytest.mark.parametrize("whole", view.MAIN_CONDITIONS)
def test_the_headline_is_about_the_whole_method(whole):
    found = result()
    rows = [
        row.model_copy(update={"condition": whole}) if row.condition == "swarm+expert" else row
        for row in found.rows
    ]
    rows.sort(key=lambda row: row.condition != "random")
    assert view.headline(found.model_copy(update={"rows": tuple(rows)})).startswith(f"{whole} reached")
    others = tuple(row for row in rows if row.condition != whole)
    assert view.headline(found.model_copy(update={"rows": others})).startswith("random reached")
