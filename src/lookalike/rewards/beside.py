"""What lies beside a reward model's document and belongs to it: its weights, and pictures of its stages."""

from __future__ import annotations

import shutil
from pathlib import Path

from lookalike.core.errors import RewardModelError
from lookalike.rewards.document import RewardModel


def keep_beside(model: RewardModel, folder: Path, out: Path) -> None:
    """Copy what a document has beside it, so that it can be used where its copy is.

    Args:
        model: The document; one of words has nothing beside it.
        folder: Where it lies.
        out: Where its copy is to lie.

    Raises:
        RewardModelError: It cannot be copied.
    """
    if model.visual is None:
        return
    thumbnails = (milestone.thumbnail for milestone in model.milestones)
    for name in (model.visual.weights, *filter(None, thumbnails)):
        source, target = (folder / name).resolve(), (out / name).resolve()
        below = folder.resolve() in source.parents and out.resolve() in target.parents
        if not below or source == target or not source.is_file():
            continue  # whoever needs it says what is missing
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        except OSError as error:
            raise RewardModelError(
                "What lies beside a reward model cannot be copied.",
                got=f"{name}: {error.strerror or error}",
                remedy="free some space, or check the folder's permissions",
            ) from error
