"""What a call costs, by the user's own price file. No price is assumed: an unknown price is unknown.

``prices.yaml`` stands in the user's configuration folder (``LOOKALIKE_PRICES`` names another file)::

    currency: USD
    models:
      openai:gpt-x-mini: {input: 0.25, cached_input: 0.025, output: 2.0}   # per million tokens
      home:              {input: 0, output: 0}                             # a name from models.yaml
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from lookalike.core.types import Usage
from lookalike.models.settings_files import read_settings, settings_path

FILE_NAME = "prices.yaml"
VARIABLE = "LOOKALIKE_PRICES"
TOKENS_PER_PRICE = 1_000_000


class Price(BaseModel):
    """Prices of one model, in the file's currency per million tokens.

    Attributes:
        input: Of prompt tokens.
        output: Of reply tokens, those of hidden reasoning included.
        cached_input: Of prompt tokens that the service had in its own cache; as ``input`` if not given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cached_input: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    def cost(self, *, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> float:
        """Return what a call cost.

        Args:
            prompt_tokens: All tokens of the prompt, the cached ones included.
            cached_tokens: Those of them that the service had in its cache.
            completion_tokens: Tokens of the reply.
        """
        cached = min(cached_tokens, prompt_tokens)
        cached_price = self.input if self.cached_input is None else self.cached_input
        paid = (prompt_tokens - cached) * self.input + cached * cached_price + completion_tokens * self.output
        return paid / TOKENS_PER_PRICE


class PriceList(BaseModel):
    """A whole price file.

    Attributes:
        currency: Of every price in it.
        models: Prices by the name a model is asked for with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: str = Field(default="USD", min_length=1, max_length=12)
    models: dict[str, Price] = Field(default_factory=dict)

    def of(self, *names: str) -> Price | None:
        """Return the price under the first name that has one, or ``None``."""
        return next((self.models[name] for name in names if name in self.models), None)

    def nearest(self, name: str) -> str | None:
        """Return the name in the file that looks most like ``name``, or ``None``."""
        near = difflib.get_close_matches(name, list(self.models), n=1, cutoff=0.6)
        return near[0] if near else None


EMBEDDED_PRICE = Price(input=0.0, output=0.0)
"""The embedded model runs here; nobody is paid for it."""


def price_path() -> Path:
    """Return where the user's price file is, or would be."""
    return settings_path(VARIABLE, FILE_NAME)


def load_prices(path: Path | None = None) -> PriceList:
    """Return the user's price file; an empty list where there is none.

    Args:
        path: Another file.

    Raises:
        UsageError: The file has a key or a value that cannot be meant.
    """
    return read_settings(price_path() if path is None else path, PriceList)


def price_of(name: str, *, prices: PriceList | None = None) -> Price | None:
    """Return the price of a model as it is asked for (``--model``), or ``None`` where it is not known.

    Args:
        name: As given to :func:`lookalike.models.make_model`.
        prices: A price file that was read; ``None`` reads the user's.

    Raises:
        UsageError: A settings file has a key or a value that cannot be meant.
        UnknownNameError: No such model.
    """
    if name == "embedded":
        return EMBEDDED_PRICE
    listed = load_prices() if prices is None else prices
    found = listed.of(name)
    if found is not None:
        return found
    from lookalike.models.remote.entries import is_remote, resolve_entry

    if not is_remote(name):
        return None
    entry = resolve_entry(name)
    return entry.price or listed.of(f"{entry.back_end}:{entry.model}")


def priced(usage: Usage, price: Price | None, *, cached_tokens: int = 0) -> Usage:
    """Return a call's usage with what it cost; without a price it counts as a call of unknown cost."""
    if price is None:
        return replace(usage, unpriced_calls=usage.calls - usage.cached_calls)
    cost = price.cost(
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=cached_tokens,
        completion_tokens=usage.completion_tokens,
    )
    return replace(usage, cost=cost)
