"""The embedded model, loaded once for all tests of this room."""

from __future__ import annotations

import pytest

from lookalike.models import model_status
from lookalike.models.embedded import EmbeddedModel


@pytest.fixture(scope="session")
def embedded() -> EmbeddedModel:
    status = model_status("embedded")
    if not status.present:
        pytest.skip(f"{status.detail} {status.remedy}")
    model = EmbeddedModel()
    model.load()
    return model
