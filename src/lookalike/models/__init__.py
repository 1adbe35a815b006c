"""Language models: back ends, how situations are rendered for them, and temperature applied to them."""

from lookalike.models.capabilities import capabilities_of, require
from lookalike.models.checks import CapabilityCheck, ModelCheck, check_model
from lookalike.models.registry import ModelStatus, make_model, model_names, model_status

__all__ = [
    "CapabilityCheck",
    "ModelCheck",
    "ModelStatus",
    "capabilities_of",
    "check_model",
    "make_model",
    "model_names",
    "model_status",
    "require",
]
