"""The small networks behind a visual reward model: how they are built, kept on disk, and asked.

Weights are safetensors (never pickle), with everything else that is needed as JSON in the file's header, so
that a file from anywhere can be read without running any of it. PyTorch is optional and imported here alone
and in the experts that train; everything that is handed out is numpy.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import CapabilityError, RewardModelError, UsageError

FORMAT = "lookalike/visual-weights"
VERSION = 4
SIZE = 64
"""Sides of the frames the networks see, in pixels."""
MAX_FILE_BYTES = 64 << 20
_MAX_ACTIONS = 256
_BATCH = 256
_PATCH = 4
NO_END = 1e6
"""End score that none reaches: what to ask for where recordings stop while the game goes on."""
PRESENT, CHANGE = 2.0, 4.0
"""What a frame (less 0.5) and a difference of frames are multiplied by before a network sees them."""

Frames = NDArray[np.uint8]
Floats = NDArray[np.float32]

# What each network is shown, in frames relative to the present one: the first as it is, the others as the
# difference from their neighbour. And what it answers: a number stands for itself, None for one an action.
VIEWS: Mapping[str, tuple[int, ...]] = {
    "progress": (0,),
    "base": (0,),
    "actions": (0, -1, 1, 2),  # where things have weight, what was done shows a step later
    "policy": (0, -1),
    "preview": (0, -1),
    "ends": (0, -1),
}
_OUTPUTS: Mapping[str, int | None] = {
    "progress": 3,
    "base": 1,
    "actions": None,
    "policy": None,
    "preview": None,
    "ends": 1,
}
_DROPPED: Mapping[str, float] = {"policy": 0.2, "progress": 0.2}
"""Share of the features that training leaves out at random, in networks that recordings alone teach."""
_COARSE = ((32, _PATCH, _PATCH, 0, False), (48, 3, 2, 1, False), (64, 3, 2, 1, False))
_FINE = ((24, 4, 2, 1, True), (48, 3, 1, 1, True), (64, 3, 1, 1, True))
_ANYWHERE = ((24, 4, 2, 1, True), (48, 3, 1, 1, False), (64, 3, 1, 1, False))
"""Width, size, stride and padding of each convolution, and whether it keeps the largest of every 2 x 2."""
_LAYERS: Mapping[str, tuple[tuple[int, int, int, int, bool], ...]] = {
    "progress": _FINE,  # what moves by less than a pixel is seen, for three times as much to compute
    "actions": _ANYWHERE,
    "policy": _FINE,
    "preview": _COARSE,
    "ends": _COARSE,
}
_WHEREVER: frozenset[str] = frozenset({"actions"})
"""Networks that do not care where in the picture something is: they keep the largest of each feature."""
_REPEATED = 1.0
"""Grey levels, of 256, below which two frames are the same one (a video changes them a little)."""
_BLOCK = 4
"""Sides of the blocks whose mean colours the base looks at."""


def require_torch() -> Any:
    """Return the module ``torch``, held to one thread unless ``OMP_NUM_THREADS`` says otherwise.

    Networks this small gain little from a second thread, and on a busy machine the threads wait for each
    other: the same training then takes ten times as long.

    Raises:
        CapabilityError: It is not installed.
    """
    try:
        import torch

        if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() != 1:
            torch.set_num_threads(1)
    except ImportError:
        raise CapabilityError(
            "Learning from frames needs PyTorch, which is not installed.",
            got="no module torch",
            expected="torch and safetensors (a graphics card is not needed)",
            remedy="Run `make vision`, or: pip install torch safetensors (PyTorch's CPU build is enough)",
        ) from None
    return torch


def build_network(name: str, actions: int) -> Any:
    """Return an untrained network (a ``torch.nn.Sequential``) of at most 0.2 million weights.

    Batches are normalised after every convolution, which halves the updates that training needs; so
    everything that a loss compares has to go through the network in one batch. ``ends`` is trained on a few
    frames of each kind, apart from each other, and goes without.

    Args:
        name: One of :data:`VIEWS`. ``base`` is linear in the colours of 16 x 16 blocks, and adds to what
            ``progress`` ranks frames by.
        actions: How many actions there are.
    """
    nn = require_torch().nn
    outputs = _OUTPUTS[name]
    if name == "base":
        return nn.Sequential(nn.AvgPool2d(_BLOCK), nn.Flatten(), nn.Linear(3 * (SIZE // _BLOCK) ** 2, 1))
    layers: list[Any] = []
    before = 3 * len(VIEWS[name])
    for width, size, stride, padding, pooled in _LAYERS[name]:
        layers.append(nn.Conv2d(before, width, size, stride=stride, padding=padding, bias=name == "ends"))
        layers += [] if name == "ends" else [nn.BatchNorm2d(width)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)] if pooled else [nn.ReLU()]
        before = width
    wherever = name in _WHEREVER
    layers += [nn.AdaptiveMaxPool2d(1)] if wherever else []
    layers += [nn.Flatten(), nn.Dropout(_DROPPED[name])] if name in _DROPPED else [nn.Flatten()]
    return nn.Sequential(
        *layers,
        nn.Linear(before if wherever else before * (SIZE // _PATCH // 4) ** 2, 128),
        nn.ReLU(),
        nn.Linear(128, actions if outputs is None else outputs),
    ).to(memory_format=require_torch().channels_last)


def neighbour_of(offset: int) -> int:
    """Return the frame, relative to the present one, that a frame is shown as the difference from."""
    return offset - 1 if offset > 0 else offset + 1


def view_of(name: str, frames: Sequence[Any]) -> Any:
    """Return what a network is shown: the present frame, and how it differs from the others.

    Args:
        name: One of :data:`VIEWS`.
        frames: One float tensor [N, 3, 64, 64] in [0, 1] for every entry of ``VIEWS[name]``.
    """
    torch = require_torch()
    count, channels, height, width = frames[0].shape
    shown = torch.empty((count, channels * len(frames), height, width), memory_format=torch.channels_last)
    torch.sub(frames[0], 0.5, out=shown[:, :channels]).mul_(PRESENT)
    last = {0: frames[0]}
    for number, (offset, frame) in enumerate(zip(VIEWS[name][1:], frames[1:], strict=True), 1):
        neighbour = last[neighbour_of(offset)]
        torch.sub(frame, neighbour, out=shown[:, channels * number : channels * (number + 1)]).mul_(CHANGE)
        last[offset] = frame
    return shown


def as_tensor(frames: Frames) -> Any:
    """Return frames, uint8 [N, 64, 64, 3], as a float tensor [N, 3, 64, 64] in [0, 1]."""
    torch = require_torch()
    whole = np.ascontiguousarray(frames)
    whole = whole if whole.flags.writeable else whole.copy()  # tensors have no notion of read-only memory
    return torch.from_numpy(whole).permute(0, 3, 1, 2).float().mul_(1 / 255)


@dataclass(frozen=True)
class Calibration:
    """How the progress network's numbers are to be read; all from recordings that it was not trained on.

    Attributes:
        start: Its rank score at the recordings' beginnings (their median); potential 0.
        end: Likewise at their ends; potential 1.
        end_threshold: End score that nine in ten of the recordings' ends reach.
        most_steps: Most steps from a recording's beginning to its end: the scale of ``steps_left``.
        typical_distance: How far frames of one game usually are from each other; the unit of distances.
        end_forced: Largest share of the actions that would have ended the game, in that step, where it came
            to an end like the recordings'; 1 where nothing is known.
    """

    start: float = 0.0
    end: float = 1.0
    end_threshold: float = 0.0
    most_steps: float = 100.0
    typical_distance: float = 1.0
    end_forced: float = 1.0


@dataclass(frozen=True)
class Progress:
    """What the progress network says of frames, each [N].

    Attributes:
        potential: 0 where the recordings begin, 1 where they end; clipped to [-0.5, 1.5].
        steps_left: Steps that a player like the recorded ones would still need.
        end_score: How much the frame looks like one that a recording ends with; compare with
            :attr:`Calibration.end_threshold`.
    """

    potential: Floats
    steps_left: Floats
    end_score: Floats


@dataclass
class VisualModel:
    """The networks of one game.

    Attributes:
        environment: Environment id they were trained for.
        actions: Names of the actions, in the networks' order.
        networks: By the names of :data:`VIEWS`; one that was not trained is missing.
        calibration: See :class:`Calibration`.
        mask: bool [64, 64], true where pixels are not looked at (they tell the time); ``None`` for nowhere.
        landmarks: float32 [K, D], descriptors of own frames of the game, see :func:`describe`.
    """

    environment: str
    actions: tuple[str, ...]
    networks: dict[str, Any]
    calibration: Calibration = field(default_factory=Calibration)
    mask: NDArray[np.bool_] | None = None
    landmarks: Floats | None = None

    def progress(self, frames: Frames) -> Progress:
        """Say how far along frames are.

        Args:
            frames: uint8 [N, H, W, 3]; brought to 64 x 64.
        """
        raw = self._asked("progress", [frames])
        if "base" in self.networks:
            raw[:, 0] += self._asked("base", [frames])[:, 0]
        known = self.calibration
        span = max(known.end - known.start, 1e-6)
        potential = np.clip((raw[:, 0] - known.start) / span, -0.5, 1.5)
        left = np.expm1(np.clip(raw[:, 1], 0, 1) * math.log1p(known.most_steps))
        return Progress(potential.astype(np.float32), left.astype(np.float32), raw[:, 2])

    def policy(self, frames: Frames, before: Frames) -> Floats:
        """Return the logits of the recorded players' actions, [N, actions].

        Args:
            frames: Present frames.
            before: The frame before each; the same one at a play's beginning.
        """
        return self._asked("policy", [frames, before])

    def preview(self, frames: Frames, before: Frames) -> Floats:
        """Return the potential that each action is expected to gain within the next steps, [N, actions]."""
        return self._asked("preview", [frames, before])

    def end_scores(self, frames: Frames, before: Frames) -> Floats:
        """Say how good the ends are that the game came to with these frames, [N].

        Compare with :attr:`Calibration.end_threshold`. Weights without a network for ends ask the progress
        network.

        Args:
            frames: The last frame of each play that shows something new, see :func:`end_frames`.
            before: The frame before each.
        """
        if "ends" not in self.networks:
            return self.progress(frames).end_score
        return np.asarray(self._asked("ends", [frames, before])[:, 0])

    def recovered(self, plays: Frames) -> Floats:
        """Return the logits of what was done between the frames of one play.

        Args:
            plays: N + 1 frames in order.

        Returns:
            [N, actions]; take their softmax for probabilities.
        """
        last = len(plays) - 1
        here = np.arange(last)
        views = [plays[np.clip(here + offset, 0, last)] for offset in VIEWS["actions"]]
        return self._asked("actions", views)

    def distance(self, frames: Frames) -> float:
        """Say how far frames are from this game's, in units of what is usual within a game.

        About 1 and below: this game. Several: another one.
        """
        if self.landmarks is None or not len(frames):
            return 0.0
        found = nearest(describe(frames), self.landmarks)
        return float(np.median(found)) / self.calibration.typical_distance

    def _asked(self, name: str, views: Sequence[Frames]) -> Floats:
        torch = require_torch()
        if name not in self.networks:
            raise RewardModelError(
                f"These weights have no {name} network.",
                got=", ".join(sorted(self.networks)) or "none",
                expected=name,
                remedy="Train again with `lookalike watch --expert embedded-visual`.",
            )
        network = self.networks[name]
        small = [masked(fitted(view), self.mask) for view in views]
        parts = []
        with torch.inference_mode():
            for start in range(0, len(small[0]), _BATCH):
                tensors = [as_tensor(view[start : start + _BATCH]) for view in small]
                parts.append(network(view_of(name, tensors)).numpy())
        if not parts:
            return np.zeros((0, network[-1].out_features), np.float32)
        return np.concatenate(parts).astype(np.float32)


def fitted(frames: Frames) -> Frames:
    """Return frames as uint8 [N, 64, 64, 3]: larger ones by the mean of their pixels, others by nearest.

    Raises:
        UsageError: They are no RGB frames.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
        raise UsageError(
            "These are no frames.",
            got=f"{frames.dtype} {list(frames.shape)}",
            expected="uint8 [N, height, width, 3]",
        )
    count, height, width, _ = frames.shape
    if (height, width) == (SIZE, SIZE):
        return frames
    if height % SIZE == 0 and width % SIZE == 0:
        blocks = frames.reshape(count, SIZE, height // SIZE, SIZE, width // SIZE, 3)
        return np.asarray(blocks.mean(axis=(2, 4)).round().astype(np.uint8))
    rows, columns = np.arange(SIZE) * height // SIZE, np.arange(SIZE) * width // SIZE
    return np.ascontiguousarray(frames[:, rows][:, :, columns])


def end_frames(frames: Frames, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each play's last new frame is, [P]: some games repeat a frame where they end.

    Args:
        frames: uint8 [F, 64, 64, 3], of plays one behind the other.
        starts: Where they begin.
        stops: One past where they end.
    """
    last = stops - 1
    before = np.maximum(last - 1, starts)
    apart = np.abs(frames[last].astype(np.int16) - frames[before]).mean(axis=(1, 2, 3))
    return np.where(apart < _REPEATED, before, last)


def masked(frames: Frames, mask: NDArray[np.bool_] | None) -> Frames:
    """Return frames with grey in place of the pixels that are not to be looked at."""
    if mask is None or not mask.any():
        return frames
    return np.asarray(np.where(mask[None, :, :, None], np.uint8(128), frames))


def describe(frames: Frames) -> Floats:
    """Return a descriptor of each frame, [N, D]: which colours it has, and where it is light.

    Distances between them are of the order of 1 between different games.
    """
    small = fitted(frames)
    found = np.zeros((len(small), 64 + 16), np.float32)
    for number, frame in enumerate(small):
        coarse = (frame >> 6).astype(np.int32)
        bins = coarse[..., 0] * 16 + coarse[..., 1] * 4 + coarse[..., 2]
        found[number, :64] = np.sqrt(np.bincount(bins.ravel(), minlength=64) / bins.size)
        light = frame.reshape(4, 16, 4, 16, 3).mean(axis=(1, 3, 4)) / 255.0
        found[number, 64:] = 0.25 * light.ravel()
    return found


def nearest(points: Floats, others: Floats) -> Floats:
    """Return the distance of each point to the nearest of the others, [N]."""
    squared = (points**2).sum(1)[:, None] - 2 * points @ others.T + (others**2).sum(1)[None]
    return np.asarray(np.sqrt(np.maximum(squared.min(axis=1), 0.0)).astype(np.float32))


def save_visual_model(model: VisualModel, path: Path) -> None:
    """Write weights, whole or not at all.

    Raises:
        RewardModelError: The file cannot be written.
    """
    require_torch()
    from safetensors.torch import save

    tensors = {
        f"{name}.{key}": value.contiguous()
        for name, network in model.networks.items()
        for key, value in network.state_dict().items()
    }
    torch = require_torch()
    if model.mask is not None:
        tensors["mask"] = torch.from_numpy(model.mask.astype(np.uint8))
    if model.landmarks is not None:
        tensors["landmarks"] = torch.from_numpy(np.ascontiguousarray(model.landmarks))
    header = {
        "format": FORMAT,
        "version": VERSION,
        "environment": model.environment,
        "actions": list(model.actions),
        "calibration": asdict(model.calibration),
    }
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(save(tensors, {"lookalike": json.dumps(header, sort_keys=True)}))
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RewardModelError(
            "The weights cannot be written.", got=f"{path}: {error.strerror}", remedy="Choose another --out."
        ) from None


def load_visual_model(path: Path) -> VisualModel:
    """Read weights.

    Raises:
        CapabilityError: PyTorch is not installed.
        RewardModelError: The file is missing, is not ours, is damaged or is from a newer version.
    """
    torch = require_torch()
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _not_ours(path, f"{path.stat().st_size} bytes")
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("lookalike", "null"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise _not_ours(path, str(error)) from error
    environment, actions, calibration = _header(path, header)
    networks = {}
    for name in VIEWS:
        own = {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}.")}
        if not own:
            continue
        network = build_network(name, len(actions))
        try:
            network.load_state_dict(own)
        except (RuntimeError, TypeError) as error:
            raise _not_ours(path, f"the {name} network: {str(error).splitlines()[0]}") from error
        if not all(bool(torch.isfinite(value).all()) for value in own.values()):
            raise _not_ours(path, f"the {name} network has numbers that are none")
        networks[name] = network.eval()
    mask = tensors["mask"].numpy().astype(bool) if "mask" in tensors else None
    landmarks = tensors["landmarks"].numpy() if "landmarks" in tensors else None
    if mask is not None and mask.shape != (SIZE, SIZE):
        raise _not_ours(path, f"a mask of {list(mask.shape)}")
    return VisualModel(environment, actions, networks, calibration, mask, landmarks)


def _header(path: Path, header: Any) -> tuple[str, tuple[str, ...], Calibration]:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _not_ours(path, "no header of ours")
    if header.get("version") != VERSION:
        raise RewardModelError(
            "The weights have a version this program does not know.",
            got=repr(header.get("version"))[:80],
            expected=str(VERSION),
            remedy="Upgrade lookalike, or train again with this version.",
        )
    actions, environment = header.get("actions"), header.get("environment")
    if (
        not isinstance(actions, list)
        or not 0 < len(actions) <= _MAX_ACTIONS
        or not all(isinstance(action, str) for action in actions)
        or not isinstance(environment, str)
    ):
        raise _not_ours(path, "its list of actions or its environment")
    try:
        numbers = {key: float(value) for key, value in header["calibration"].items()}
        calibration = Calibration(**numbers)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _not_ours(path, f"its calibration: {error}") from error
    if not all(math.isfinite(value) for value in numbers.values()):
        raise _not_ours(path, "its calibration")
    return environment, tuple(actions), calibration


def _not_ours(path: Path, got: str) -> RewardModelError:
    return RewardModelError(
        "This is no file of visual weights, or it is damaged.",
        got=f"{path.name}: {got}"[:300],
        expected=f"safetensors with a header of format {FORMAT}",
        remedy="Copy it again, or train again with `lookalike watch --expert embedded-visual`.",
    )
