"""The reward model as a document: YAML that a person can read, diff and edit.

Everything the scorer uses is in here, and every part says which moment of which recording supports it.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lookalike.core.errors import RewardModelError, UnknownNameError
from lookalike.core.ids import hash_json
from lookalike.core.types import Demonstration

FORMAT = "lookalike/reward-model"
VERSION = 1
ANY_QUESTION = "?"
"""Cue of a rule for questions that no recording shows."""
_MAX_BYTES = 20_000_000
_MAX_DEPTH = 32


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Span(_Part):
    """Evidence: steps ``start``..``end`` (0-based, inclusive) of a recording, and its seconds, if any."""

    recording: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    start_s: float | None = None
    end_s: float | None = None


class RecordingNote(_Part):
    """One recording the document was made from."""

    id: str
    file: str
    content_hash: str
    licence: str
    player_kind: Literal["human", "scripted", "agent"]
    steps: int
    outcome: str | None = None

    @classmethod
    def of(cls, demonstration: Demonstration) -> Self:
        """Say which recording a demonstration was read from."""
        provenance = demonstration.provenance
        return cls(
            id=demonstration.id,
            file=provenance.file,
            content_hash=provenance.content_hash,
            licence=provenance.licence,
            player_kind=demonstration.player_kind,
            steps=len(demonstration.trajectory),
            outcome=demonstration.outcome,
        )


class MadeBy(_Part):
    """How the document was made."""

    expert: str
    expert_version: int
    model: str | None = None
    prompt_hash: str | None = None


class Agreement(_Part):
    """How strongly the experts that were asked agree with a claim, having seen its evidence again.

    ``mean`` and ``spread`` (population standard deviation) of their agreement in [0, 1]; ``experts`` were
    asked, ``claimed_by`` of them had made the claim themselves. ``weak``: little agreement, or much spread.
    """

    mean: float = Field(ge=0, le=1)
    spread: float = Field(ge=0, le=1)
    experts: int = Field(ge=1)
    claimed_by: int = Field(ge=1)
    weak: bool = False


class DroppedClaim(_Part):
    """Something an expert claimed that did not stand, and why."""

    claim: str
    expert: str
    reason: str


class PlaceNote(_Part):
    """A place with the wordings it was described in."""

    id: str
    cues: tuple[str, ...]
    words: tuple[str, ...] = ()
    ambiguous: bool = False


class Detect(_Part):
    """How a milestone is noticed; every field that is set must hold after the step.

    ``holds``/``leaves``: an object was taken or put down (told by the command and a reply that does not
    refuse it). ``place``: the step ended there. ``says``: the reply has this sentence (as a key). ``stage``:
    the learned progress of the frames has come this far, 1 where recordings end.
    """

    holds: str | None = None
    leaves: str | None = None
    place: str | None = None
    says: str | None = None
    stage: float | None = Field(default=None, gt=0, le=1)

    def key(self) -> tuple[str, str]:
        """Return what to index the milestone by."""
        for name in ("holds", "leaves", "says", "place"):
            value = getattr(self, name)
            if value is not None:
                return name, value
        if self.stage is not None:
            return "stage", f"{self.stage:g}"
        raise RewardModelError(
            "A milestone has nothing to be detected by.",
            expected="one of holds, leaves, place, says, stage under detect",
        )


class Milestone(_Part):
    """Something worth reaching; it pays its value once."""

    id: str
    description: str
    kind: Literal["acquisition", "deposit", "visit", "event", "stage"]
    detect: Detect
    value: float = Field(ge=-1, le=1)
    after: tuple[str, ...] = ()
    score_change: int | None = None
    evidence: Span
    agreement: Agreement | None = None
    thumbnail: str | None = None


class PathStep(_Part):
    """One step of a pathway: at a place, do an action, be at a place.

    ``refused``: the person tried this way and was stopped; what came next opened it, and may need that.
    """

    at: str
    do: str
    then: str
    milestone: str | None = None
    holding: tuple[str, ...] = ()
    refused: bool = False


class Pathway(_Part):
    """The way from one milestone to the next, with the detours taken out."""

    to: str
    steps: tuple[PathStep, ...]
    evidence: Span


class Rule(_Part):
    """When a sentence is seen, this action was right (or wrong), wherever it was."""

    id: str
    cue: str
    action: str
    polarity: Literal[1, -1] = 1
    weight: float = Field(default=0.8, ge=-1, le=1)
    support: int = Field(ge=1)
    confidence: float = Field(ge=0, le=1)
    requires: str | None = None
    evidence: Span
    agreement: Agreement | None = None


class Hazard(_Part):
    """What was seen and done just before a setback."""

    id: str
    cue: str
    action: str
    outcome: str
    weight: float = Field(default=0.8, ge=0, le=1)
    support: int = Field(default=1, ge=1)
    evidence: Span
    agreement: Agreement | None = None


class Weights(_Part):
    """What a step earns: one move nearer to the next waypoint, a refused command, a setback."""

    progress: float = Field(default=0.1, ge=0, le=1)
    refused: float = Field(default=-0.2, ge=-1, le=0)
    setback: float = Field(default=-1.0, ge=-1, le=0)


class Following(_Part):
    """How the plan is followed when the world differs; each can be switched off for an ablation.

    ``legs``: where the person's own way is known, it is taken before a shorter one. ``recover``: what was
    stolen, dropped or not found is looked for, and brought where the person brought it. ``fights``: an attack
    is repeated until the enemy is dead. ``evade``: who turns up in many places is left behind, not fought, as
    long as there is a way on. ``explore``: where nothing is known to help, untried moves are tried.
    ``join``: who begins elsewhere finds out first which part of the plan is done.
    ``hazards``: where own plays taught something (a hazard model), fights and waiting are decided by it.
    """

    legs: bool = True
    recover: bool = True
    fights: bool = True
    evade: bool = False
    explore: bool = True
    hazards: bool = True
    join: bool = True


class VisualPart(_Part):
    """What a model of frames has besides the document: weights, and how far they were found to be right.

    ``weights`` is a file below the document's folder, ``weights_hash`` its SHA-256. ``distance``: of the
    recordings from the game's own frames, in their distances from each other. ``actions_accuracy``: of the
    inverse dynamics on random play; ``actions_tried``: share of the recordings' steps whose action was found
    by trying; ``actions_agreement``: how often inverse dynamics agree with that, on held-out recordings.
    The rest is measured on ``held_out`` recordings against random play, for
    the network and for ridge regression of pixels on time. ``clock`` says which pixels told the time and are
    masked; ``clock_box`` is left, top, right, bottom of them in pixels of 64.
    """

    weights: str
    weights_hash: str
    distance: float
    actions_accuracy: float
    actions_tried: float = 0.0
    actions_agreement: float | None = None
    held_out: int = Field(ge=0)
    voc_good: float
    voc_bad: float
    pairwise: float
    ridge_voc_good: float
    ridge_voc_bad: float
    ridge_pairwise: float
    clock: str
    clock_box: tuple[int, int, int, int] | None = None

    def sentences(self) -> tuple[str, ...]:
        """Return the figures in words, the ridge baseline always beside the network."""
        agreement = (
            "" if self.actions_agreement is None else f", the network agrees on {self.actions_agreement:.0%}"
        )
        return (
            f"progress on {self.held_out} held-out recording(s): VOC {self.voc_good:.2f}, of random play "
            f"{self.voc_bad:.2f}, pairwise {self.pairwise:.2f}",
            f"ridge regression of pixels on time: VOC {self.ridge_voc_good:.2f}, of random play "
            f"{self.ridge_voc_bad:.2f}, pairwise {self.ridge_pairwise:.2f}",
            f"actions found by trying: {self.actions_tried:.0%} of the steps{agreement}",
            self.clock,
        )


class RewardModel(_Part):
    """The whole document. See docs/how-it-works.md for how each part is used."""

    format: Literal["lookalike/reward-model"] = "lookalike/reward-model"
    version: int = VERSION
    environment: str
    goal: str
    made_by: MadeBy
    recordings: tuple[RecordingNote, ...]
    weights: Weights = Weights()
    following: Following = Following()
    milestones: tuple[Milestone, ...] = ()
    pathways: tuple[Pathway, ...] = ()
    rules: tuple[Rule, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    places: tuple[PlaceNote, ...] = ()
    dropped: tuple[DroppedClaim, ...] = ()
    visual: VisualPart | None = None

    @field_validator("milestones")
    @classmethod
    def _distinct(cls, milestones: tuple[Milestone, ...]) -> tuple[Milestone, ...]:
        seen: set[str] = set()
        for milestone in milestones:
            if milestone.id in seen:
                raise ValueError(f"two milestones are called {milestone.id!r}")
            seen.add(milestone.id)
        return milestones

    def content_hash(self) -> str:
        """Return the SHA-256 of the document's content."""
        data = self.model_dump(mode="json")
        # What came later counts only where it says something: older documents keep their hashes.
        if not data["dropped"]:
            del data["dropped"]
        if data["visual"] is None:
            del data["visual"]
        for part in (*data["milestones"], *data["rules"], *data["hazards"]):
            if part["agreement"] is None:
                del part["agreement"]
        for milestone in data["milestones"]:
            if milestone["thumbnail"] is None:
                del milestone["thumbnail"]
            if milestone["detect"]["stage"] is None:
                del milestone["detect"]["stage"]
        return hash_json(data)

    def components(self) -> Iterator[tuple[str, Any]]:
        """Yield every switchable component as (name, part), e.g. ``("milestone:get-lamp", Milestone)``."""
        for milestone in self.milestones:
            yield f"milestone:{milestone.id}", milestone
        for pathway in self.pathways:
            yield f"pathway:{pathway.to}", pathway
        for rule in self.rules:
            yield f"rule:{rule.id}", rule
        for hazard in self.hazards:
            yield f"hazard:{hazard.id}", hazard
        for name in ("progress", "refused", "setback"):
            yield name, getattr(self.weights, name)

    def component(self, name: str) -> Any:
        """Return one component.

        Raises:
            UnknownNameError: There is none of that name; the nearest are suggested.
        """
        parts = dict(self.components())
        if name not in parts:
            raise UnknownNameError(
                "component", name, parts, remedy="List them with `lookalike rewards show`."
            )
        return parts[name]

    def without(self, names: Iterable[str]) -> RewardModel:
        """Return the model without some components.

        A milestone goes with the pathway steps that realise it, so it is neither paid nor recommended; an
        acquisition also with the notes that its object was in hand later, which would have it fetched.
        A weight (``progress``, ``refused``, ``setback``) is set to 0.
        """
        model = self
        for name in names:
            self.component(name)
            kind, _, ident = name.partition(":")
            if kind in {"progress", "refused", "setback"}:
                model = model._with(weights=model.weights.model_copy(update={kind: 0.0}))
            elif kind == "milestone":
                model = model._without_milestone(ident)
            elif kind == "pathway":
                model = model._with(pathways=tuple(p for p in model.pathways if p.to != ident))
            else:
                field = "rules" if kind == "rule" else "hazards"
                model = model._with(**{field: tuple(p for p in getattr(model, field) if p.id != ident)})
        return model

    def reweighted(self, name: str, value: float) -> RewardModel:
        """Return the model with one component's value (or weight) set.

        Raises:
            RewardModelError: A pathway has no value of its own, or the value is out of range.
        """
        part = self.component(name)
        kind, _, ident = name.partition(":")
        if kind == "pathway":
            raise RewardModelError(
                "A pathway has no value of its own.",
                got=name,
                remedy="Set `progress`, or remove it with `without`.",
            )
        try:
            if kind in {"progress", "refused", "setback"}:
                weights = Weights.model_validate(self.weights.model_dump() | {kind: value})
                return self._with(weights=weights)
            field, attribute = {
                "milestone": ("milestones", "value"),
                "rule": ("rules", "weight"),
                "hazard": ("hazards", "weight"),
            }[kind]
            changed = type(part).model_validate(part.model_dump() | {attribute: value})
        except ValidationError as error:
            raise RewardModelError(
                f"{name} cannot have that value.", got=value, expected=error.errors()[0]["msg"]
            ) from None
        return self._with(**{field: tuple(changed if p.id == ident else p for p in getattr(self, field))})

    def negated(self, name: str) -> RewardModel:
        """Return the model with one milestone's or rule's value negated."""
        part = self.component(name)
        if isinstance(part, Milestone):
            return self.reweighted(name, -part.value)
        if isinstance(part, Rule):
            return self.reweighted(name, -part.weight)
        raise RewardModelError("Only milestones and rules can be negated.", got=name)

    def _with(self, **changes: Any) -> RewardModel:
        return self.model_copy(update=changes)

    def _without_milestone(self, ident: str) -> RewardModel:
        """Take out a milestone and the step that realises it; a move stays, because the way stays open."""
        thing = next(m.detect.holds for m in self.milestones if m.id == ident)

        def changed(step: PathStep) -> PathStep:
            update: dict[str, Any] = {"milestone": None} if step.milestone == ident else {}
            if thing is not None and thing in step.holding:
                update["holding"] = tuple(held for held in step.holding if held != thing)
            return step.model_copy(update=update) if update else step

        def kept(steps: tuple[PathStep, ...]) -> tuple[PathStep, ...]:
            return tuple(changed(s) for s in steps if s.milestone != ident or s.at != s.then)

        pathways = tuple(p.model_copy(update={"steps": kept(p.steps)}) for p in self.pathways)
        milestones = tuple(
            m.model_copy(update={"after": tuple(a for a in m.after if a != ident)})
            for m in self.milestones
            if m.id != ident
        )
        return self._with(milestones=milestones, pathways=pathways)


def save_reward_model(model: RewardModel, path: Path) -> None:
    """Write a reward model as YAML, atomically.

    Raises:
        RewardModelError: The folder is missing or cannot be written, or the disk is full.
    """
    data = model.model_dump(mode="json", exclude_none=True)
    if not model.dropped:
        del data["dropped"]
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = (
        "# A LookALike reward model: what was worth doing, read off recordings. Edit it freely;\n"
        "# `lookalike rewards show FILE` prints it, `lookalike rewards without FILE` removes a part.\n"
        + yaml.dump(data, Dumper=dumper, sort_keys=False, allow_unicode=True, width=110)
    )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RewardModelError(
            "The reward model cannot be written.",
            got=f"{path}: {error.strerror}",
            remedy="Free space or choose --out.",
        ) from None


def parse_bounded(text: str) -> Any:
    """Parse YAML from an untrusted file: no aliases (they can grow without end), no deep nesting."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times faster
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed in a reward model")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {_MAX_DEPTH} deep")
    return yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader


def _short(value: object) -> str:
    return reprlib.repr(value)[:200]


def load_reward_model(path: Path) -> RewardModel:
    """Read a reward model.

    Raises:
        RewardModelError: The file is missing, is not ours, is malformed or is from a newer version.
    """
    remedy = "Make one with `lookalike watch RECORDING --environment ENV --out model.yaml`."
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise RewardModelError(
                "The reward-model file is too large.",
                got=f"{path.stat().st_size} bytes",
                expected=f"at most {_MAX_BYTES} bytes",
                remedy=remedy,
            )
        data = parse_bounded(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RewardModelError("There is no such reward-model file.", got=path, remedy=remedy) from None
    except OSError as error:
        raise RewardModelError(
            "The reward-model file cannot be read.", got=f"{path}: {error.strerror}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RewardModelError(
            "This is not a reward-model file: it is not YAML.", got=str(error).splitlines()[0], remedy=remedy
        ) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise RewardModelError(
            "This is not a reward-model file.",
            got=f"format {_short(found)} in {path.name}",
            expected=f"a mapping with format: {FORMAT}",
            remedy=remedy,
        )
    version = data.get("version")
    if not isinstance(version, int) or version > VERSION or version < 1:
        raise RewardModelError(
            "The reward model has a version this program does not know.",
            got=f"version {_short(version)}",
            expected=f"1 to {VERSION}",
            remedy="Upgrade lookalike, or write the file again with this version.",
        )
    try:
        return RewardModel.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise RewardModelError(
            f"The reward model has {error.error_count()} mistake(s); the first is at {where}.",
            got=_short(first.get("input")),
            expected=first["msg"],
            remedy="Correct that line of the file.",
        ) from None
