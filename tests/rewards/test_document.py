"""The reward model as a file: there and back, refusals that say what to do, and files made to do harm."""

from __future__ import annotations

import copy
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lookalike.core.errors import RewardModelError, UnknownNameError, UsageError
from lookalike.rewards import RewardModelScorer, load_reward_model, save_reward_model
from lookalike.rewards.document import Detect, Milestone, Rule, Span

HEAD = """format: lookalike/reward-model
version: 1
environment: tiny
goal: g
made_by: {expert: x, expert_version: 1}
recordings: []
"""
LOADER = """
import sys, resource
from pathlib import Path
from lookalike.core.errors import RewardModelError
from lookalike.rewards import load_reward_model
used = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 2
resource.setrlimit(resource.RLIMIT_AS, (800 << 20, 800 << 20))
resource.setrlimit(resource.RLIMIT_CPU, (used, used))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
try:
    load_reward_model(Path(sys.argv[1]))
except RewardModelError:
    sys.exit(42)
"""


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "model.yaml"


def refused(file: Path, text: str) -> RewardModelError:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RewardModelError) as caught:
        load_reward_model(file)
    return caught.value


def edited(model, **changes: object) -> str:
    return yaml.safe_dump(model.model_dump(mode="json", exclude_none=True) | changes)


# --- there and back


def test_saved_and_loaded_it_is_the_same(walk1_model, walk2_model, file) -> None:
    hazards = walk1_model.hazards  # all kinds of parts in one document
    model = walk2_model.model_copy(update={"hazards": hazards})
    save_reward_model(model, file)
    loaded = load_reward_model(file)
    assert loaded == model
    assert loaded.content_hash() == model.content_hash()
    first = file.read_bytes()
    save_reward_model(loaded, file)
    assert file.read_bytes() == first
    assert first.startswith(b"# A LookALike reward model")


def test_letters_of_every_kind_survive(walk2_model, file) -> None:
    model = walk2_model.model_copy(update={"goal": "größer: 『宝』 - # 'x' \"y\"\nnext: line\t\u2028 𝄞"})
    save_reward_model(model, file)
    assert load_reward_model(file).goal == model.goal


def test_the_file_can_be_read_by_a_person(walk2_model, file) -> None:
    save_reward_model(walk2_model, file)
    text = file.read_text(encoding="utf-8")
    assert "description: Took the lamp at inside-building-well-house." in text
    assert "!!" not in text
    assert max(map(len, text.splitlines())) < 240


def test_equal_content_has_an_equal_hash_and_other_content_another(walk2_model) -> None:
    assert walk2_model.content_hash() == walk2_model.model_copy().content_hash()
    assert walk2_model.content_hash() != walk2_model.reweighted("progress", 0.2).content_hash()


# --- refusals


def test_a_missing_file(file) -> None:
    with pytest.raises(RewardModelError, match="no such reward-model file") as caught:
        load_reward_model(file)
    assert caught.value.got == file
    assert "lookalike watch" in (caught.value.remedy or "")


def test_a_folder(tmp_path) -> None:
    with pytest.raises(RewardModelError, match="cannot be read") as caught:
        load_reward_model(tmp_path)
    assert "directory" in str(caught.value.got)


@pytest.mark.parametrize("text", ["a: [b", "\tx: 1", "%YAML 9.9\n---\na", "a: &x b\nc: *y", "a: b: c"])
def test_what_is_not_yaml(file, text) -> None:
    error = refused(file, text)
    assert "not YAML" in error.what
    assert error.got
    assert "lookalike watch" in (error.remedy or "")


def test_bytes_that_are_no_text(file) -> None:
    file.write_bytes(b"\xff\xfe\x00\x80format")
    with pytest.raises(RewardModelError, match="not YAML"):
        load_reward_model(file)


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("", "NoneType"),
        ("- a\n- b", "list"),
        ("hello", "str"),
        ("format: other/thing", "'other/thing'"),
        ("version: 1", "None"),
    ],
)
def test_what_is_not_ours(file, text, got) -> None:
    error = refused(file, text)
    assert error.what == "This is not a reward-model file."
    assert got in str(error.got)
    assert "lookalike/reward-model" in (error.expected or "")
    assert error.remedy


@pytest.mark.parametrize("version", ["2", "0", "-1", "'1'", "1.5", "null"])
def test_a_version_that_is_not_known(file, version) -> None:
    error = refused(file, HEAD.replace("version: 1", f"version: {version}", 1))
    assert "version" in error.what
    assert error.expected == "1 to 1"
    assert "Upgrade" in (error.remedy or "")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"weights": {"progress": 5}}, "weights.progress"),
        ({"weights": {"setback": float("nan")}}, "weights.setback"),
        ({"weights": {"progress": float("inf")}}, "weights.progress"),
        ({"milestones": 3}, "milestones"),
        ({"milestones": [{"id": "x"}]}, "milestones.0"),
        ({"surprise": 1}, "surprise"),
        ({"goal": None}, "goal"),
        ({"recordings": [{"id": "r"}]}, "recordings.0"),
        ({"places": [{"id": "p", "cues": "text"}]}, "places.0.cues"),
    ],
)
def test_a_malformed_field_is_named(walk2_model, file, change, where) -> None:
    error = refused(file, edited(walk2_model, **change))
    assert where in error.what
    assert error.got
    assert error.expected
    assert error.remedy == "Correct that line of the file."


def test_two_milestones_of_one_name(walk2_model, file) -> None:
    milestones = [m.model_dump(mode="json", exclude_none=True) for m in walk2_model.milestones[:2]]
    error = refused(file, edited(walk2_model, milestones=[*milestones, copy.deepcopy(milestones[0])]))
    assert milestones[0]["id"] in str(error.expected)


def test_a_milestone_must_be_detectable(walk2_model) -> None:
    blank = walk2_model.milestones[0].model_copy(update={"detect": Detect()})
    with pytest.raises(RewardModelError, match="nothing to be detected by"):
        RewardModelScorer(walk2_model.model_copy(update={"milestones": (blank,)}))


# --- files made to do harm


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch {}']",
        "!!python/name:os.system",
        "!!python/object/new:os.system [{}]",
    ],
)
def test_tags_are_refused_and_never_run(file, tmp_path, tag) -> None:
    trace = tmp_path / "owned"
    assert "not YAML" in refused(file, HEAD + f"milestones: {tag.format(trace)}\n").what
    assert not trace.exists()


def test_a_file_that_is_too_large_is_not_read(file) -> None:
    with file.open("w") as out:
        out.write(HEAD + "# ")
        out.truncate(25_000_000)  # sparse: nothing is written
    with pytest.raises(RewardModelError, match="too large") as caught:
        load_reward_model(file)
    assert "25000000" in str(caught.value.got)
    assert caught.value.expected
    assert caught.value.remedy


def test_a_list_that_contains_itself(file) -> None:
    assert "aliases" in str(refused(file, HEAD + "milestones: &a [*a]\n").got)


def _aliases(last: str) -> str:
    lines = ["l0: &l0 lol"]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 10)]
    return "\n".join(lines).replace("l9:", last, 1) + "\n"


def _merges() -> str:
    lines = ["m0: &m0 {a: 1}"]
    lines += [f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}]}}" for i in range(1, 10)]
    return "\n".join(lines) + "\n"


HARMFUL = {
    "aliases in unknown fields": HEAD + _aliases("l9:"),
    "aliases in a known field": HEAD + _aliases("milestones:"),
    "aliases as the format": _aliases("format:"),
    "merged mappings": HEAD + _merges(),
    "deep nesting": HEAD + "milestones: " + "[" * 200_000,
    "nesting": HEAD + "milestones: " + "[" * 5_000 + "]" * 5_000,
}


@pytest.mark.parametrize("text", HARMFUL.values(), ids=HARMFUL.keys())
def test_a_small_file_cannot_grow(file, text) -> None:
    """Loaded in another process with little memory and time, which must end with a plain refusal."""
    file.write_text(text, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", LOADER, str(file)], capture_output=True, timeout=30, check=False
    )
    assert ended.returncode == 42, ended.stderr.decode()[-300:]


# --- writing


def test_a_full_disk_leaves_the_old_file(walk2_model, file) -> None:
    """A real failure of writing: the process may write 4 kB to a file and no more."""
    save_reward_model(walk2_model, file)
    before = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(RewardModelError, match="cannot be written") as caught:
            save_reward_model(walk2_model.reweighted("progress", 0.3), file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.name in str(caught.value.got)
    assert caught.value.remedy
    assert file.read_bytes() == before


def test_a_full_disk_leaves_nothing_behind(walk2_model, file) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(RewardModelError):
            save_reward_model(walk2_model, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(file.parent.iterdir()) == []


def test_others_may_read_the_file_as_the_umask_says(walk2_model, file) -> None:
    plain = file.with_name("plain")
    plain.write_text("x")
    save_reward_model(walk2_model, file)
    assert file.stat().st_mode == plain.stat().st_mode


def test_a_missing_folder(walk2_model, tmp_path) -> None:
    with pytest.raises(RewardModelError, match="cannot be written"):
        save_reward_model(walk2_model, tmp_path / "no" / "model.yaml")


# --- taking it apart


def test_every_component_can_be_removed(walk1_model, walk2_model) -> None:
    for model in (walk1_model, walk2_model):
        names = [name for name, _ in model.components()]
        assert len(names) == len(set(names))
        for name in names[::15] + names[-6:]:
            left = dict(model.without([name]).components())
            if name in {"progress", "refused", "setback"}:
                assert left[name] == 0
            else:
                assert name not in left
                assert set(left) >= set(names) - {name}
        assert model.milestones  # the original is untouched
    nothing = walk2_model.without(name for name, _ in walk2_model.components())
    assert nothing.milestones == nothing.pathways == nothing.rules == nothing.hazards == ()
    assert (nothing.weights.progress, nothing.weights.refused, nothing.weights.setback) == (0, 0, 0)


def test_a_removed_milestone_is_nowhere_in_the_document(walk2_model) -> None:
    model = walk2_model.without(["milestone:get-bird"])
    assert all("get-bird" not in m.after for m in model.milestones)
    assert all(s.milestone != "get-bird" for p in model.pathways for s in p.steps)
    assert all(s.do != "get bird" for p in model.pathways for s in p.steps)


@pytest.mark.parametrize("method", ["without", "negated", "reweighted", "component"])
def test_an_unknown_component_is_answered_with_the_nearest(walk2_model, method) -> None:
    arguments = {"without": [["milestone:get-lmap"]], "reweighted": ["milestone:get-lmap", 0.1]}
    with pytest.raises(UnknownNameError) as caught:
        getattr(walk2_model, method)(*arguments.get(method, ["milestone:get-lmap"]))
    assert "did you mean" in (caught.value.remedy or "")
    assert "milestone:get-lamp" in (caught.value.remedy or "")
    assert "rewards show" in (caught.value.remedy or "")
    assert isinstance(caught.value, UsageError)


def test_negated_twice_is_the_same(walk2_model) -> None:
    for name in ("milestone:get-lamp", "rule:there-is-a-little-axe-here--get-axe"):
        once = walk2_model.negated(name)
        assert once != walk2_model
        assert once.negated(name) == walk2_model
    assert walk2_model.negated("milestone:get-lamp").component("milestone:get-lamp").value == -0.5


@pytest.mark.parametrize("name", ["progress", "pathway:get-lamp"])
def test_what_cannot_be_negated(walk2_model, name) -> None:
    with pytest.raises(RewardModelError, match="Only milestones and rules"):
        walk2_model.negated(name)


@pytest.mark.parametrize(
    ("name", "value"),
    [("milestone:get-lamp", 0.25), ("rule:there-is-a-little-axe-here--get-axe", -0.5), ("progress", 0.0)],
)
def test_reweighted(walk2_model, name, value) -> None:
    part = walk2_model.reweighted(name, value).component(name)
    found = part.value if isinstance(part, Milestone) else part.weight if isinstance(part, Rule) else part
    assert found == value


@pytest.mark.parametrize(
    ("name", "value"),
    [("milestone:get-lamp", 1.5), ("refused", 0.1), ("progress", float("nan")), ("pathway:get-lamp", 0.1)],
)
def test_a_value_out_of_range(walk2_model, name, value) -> None:
    with pytest.raises(RewardModelError) as caught:
        walk2_model.reweighted(name, value)
    assert caught.value.got is not None
    assert caught.value.expected or caught.value.remedy


def test_a_span_has_no_negative_steps() -> None:
    with pytest.raises(ValueError, match="greater than or equal"):
        Span(recording="r", start=-1, end=0)
