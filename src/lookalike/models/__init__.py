"""Language models: back ends, how situations are rendered for them, and temperature applied to them."""

from lookalike.models.registry import ModelStatus, make_model, model_names, model_status

__all__ = ["ModelStatus", "make_model", "model_names", "model_status"]
