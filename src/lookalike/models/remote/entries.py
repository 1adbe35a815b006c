"""Which model, where, and what it can do: from one name, or from an entry of ``models.yaml``.

A name is ``openai:MODEL``, ``anthropic:MODEL`` or ``google:MODEL``, with an address where the service is
one's own (``openai:qwen3@http://127.0.0.1:8000/v1``), or an entry of the user's file::

    models:
      home:
        back_end: openai
        model: qwen3-8b
        base_url: http://127.0.0.1:8000/v1
        server: vllm            # what can be expected of it; capabilities: overrides single ones
        key: HOME_LLM_KEY       # the NAME of an environment variable, never a key
        concurrency: 16
        price: {input: 0, output: 0}
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from lookalike.core.errors import ModelError, UnknownNameError, UsageError
from lookalike.core.protocols import ModelCapabilities, PromptStyle
from lookalike.models.prices import Price
from lookalike.models.settings_files import read_settings, settings_path

FILE_NAME = "models.yaml"
VARIABLE = "LOOKALIKE_MODELS"

BackEnd = Literal["openai", "anthropic", "google"]
Server = Literal["openai", "vllm", "sglang", "llama.cpp", "ollama", "lm-studio", "other"]
ListHeldBy = Literal["json_schema", "structured_outputs", "guided_choice", "grammar"]

BASE_URLS: dict[str, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "google": "https://generativelanguage.googleapis.com",
}
KEYS: dict[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
}
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class CapabilityOverride(BaseModel):
    """What the user knows better about a server than this project does. Fields of ModelCapabilities."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allowed_replies: bool | None = None
    probabilities: bool | None = None
    images: int | None = Field(default=None, ge=0)
    video: bool | None = None
    json_schema: bool | None = None
    seed: bool | None = None
    n: bool | None = None
    max_temperature: float | None = Field(default=None, ge=0)


class Limits(BaseModel):
    """What one call may take.

    Attributes:
        attempts: Tries of one call, the first included, where trying again can help.
        attempt_timeout_s: Seconds of one try, and one more for every 20 tokens it may reply with.
        total_timeout_s: Seconds of a call from its first try on, waits included; likewise.
        first_wait_s: Mean wait before the second try; it doubles from try to try.
        longest_wait_s: No wait of its own is longer (what a server asks for is kept to).
        max_reply_bytes: A longer answer is cut off and is an error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: int = Field(default=8, ge=1, le=50)
    attempt_timeout_s: float = Field(default=60.0, gt=0)
    total_timeout_s: float = Field(default=600.0, gt=0)
    first_wait_s: float = Field(default=0.5, gt=0)
    longest_wait_s: float = Field(default=60.0, gt=0)
    max_reply_bytes: int = Field(default=4 << 20, ge=1024)


class Entry(BaseModel):
    """One model behind an API.

    Attributes:
        back_end: The protocol it speaks.
        model: As the service calls it.
        base_url: Of the API; ``None`` for the vendor's own.
        key: Name of the environment variable that holds the key; ``None`` for the vendor's usual one at
            the vendor's own address, and for no key elsewhere.
        server: Which OpenAI-compatible server it is.
        style: How prompts are rendered; transcripts need a server with ``/completions``.
        capabilities: What is known better than by ``server``.
        allowed_replies_by: How this server holds a reply to a list; ``None`` as ``server`` says.
        concurrency: Most calls at once; ``None`` starts at 8 and finds the limit, up to 64.
        thinking_tokens: Added to every request's limit for models that reason before they reply.
        settings: Passed to pydantic-ai's model settings as they are (``thinking: false``, ``top_p`` …).
        price: Per million tokens; ``None`` looks into the price file.
        limits: What one call may take.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    back_end: BackEnd
    model: str = Field(min_length=1, max_length=200)
    base_url: str | None = None
    key: str | None = None
    server: Server | None = None
    style: PromptStyle = "chat"
    capabilities: CapabilityOverride = CapabilityOverride()
    allowed_replies_by: ListHeldBy | None = None
    concurrency: int | None = Field(default=None, ge=1, le=1024)
    thinking_tokens: int = Field(default=0, ge=0)
    settings: dict[str, Any] = Field(default_factory=dict)
    price: Price | None = None
    limits: Limits = Limits()

    @field_validator("key")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not _VARIABLE_NAME.fullmatch(value):
            # The value is not repeated: it may well be the key itself.
            raise ValueError("the name of an environment variable, never the key itself")
        return value

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s@/]+(/[^\s@]*)?", value):
            raise ValueError("an address such as http://127.0.0.1:8000/v1, without a user or a key in it")
        return value.rstrip("/") if value is not None else None

    @model_validator(mode="after")
    def _fits_together(self) -> Entry:
        if self.style == "transcript" and self.back_end != "openai":
            raise ValueError("style transcript needs back_end openai (a server with /completions)")
        if self.server is not None and self.back_end != "openai":
            raise ValueError("server is for back_end openai only")
        return self

    @property
    def address(self) -> str:
        """The API's base URL."""
        return self.base_url or BASE_URLS[self.back_end]

    @property
    def kind_of_server(self) -> Server:
        """Which OpenAI-compatible server answers; the vendor's own where no address is given."""
        return self.server or ("openai" if self.base_url is None else "other")

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Names of the environment variables a key is looked for in; empty where none is needed."""
        if self.key is not None:
            return (self.key,)
        return KEYS[self.back_end] if self.base_url is None else ()

    def secret(self) -> SecretStr | None:
        """Return the key from the environment; ``None`` where none is needed.

        Raises:
            ModelError: A key is needed and is not set.
        """
        for variable in self.key_variables:
            if value := os.environ.get(variable, "").strip():
                return SecretStr(value)
        if not self.key_variables:
            return None
        names = " or ".join(self.key_variables)
        raise ModelError(
            f"There is no key for {self.back_end}:{self.model}.",
            got=f"the environment variable {names} is not set",
            expected=f"a key for {self.address}",
            remedy=f"export {self.key_variables[0]}=... (keys are read from the environment only)",
        )

    def with_overrides(self, declared: ModelCapabilities) -> ModelCapabilities:
        """Return what a back end declares, with what the user says instead."""
        said = self.capabilities.model_dump(exclude_unset=True)
        return ModelCapabilities(**{**vars(declared), **said})


class ModelsFile(BaseModel):
    """The user's ``models.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: dict[str, Entry] = Field(default_factory=dict)

    @field_validator("models")
    @classmethod
    def _names_are_free(cls, value: dict[str, Entry]) -> dict[str, Entry]:
        for name in value:
            if name == "embedded" or ":" in name or not name.strip():
                raise ValueError(f"an entry cannot be called {name!r}: no colon, and not 'embedded'")
        return value


def models_path() -> Path:
    """Return where the user's ``models.yaml`` is, or would be."""
    return settings_path(VARIABLE, FILE_NAME)


def load_models(path: Path | None = None) -> dict[str, Entry]:
    """Return the entries of the user's file; none where there is no file.

    Raises:
        UsageError: The file has a key or a value that cannot be meant.
    """
    return dict(read_settings(models_path() if path is None else path, ModelsFile).models)


def is_remote(name: str) -> bool:
    """Return whether a name means a model behind an API."""
    return (name.partition(":")[0] in BASE_URLS and ":" in name) or name in load_models()


def resolve_entry(name: str) -> Entry:
    """Return the entry that a name means.

    Raises:
        UnknownNameError: Neither an entry of ``models.yaml`` nor a back end.
        UsageError: The name or the file cannot be meant.
    """
    entries = load_models()
    if name in entries:
        return entries[name]
    back_end, colon, rest = name.partition(":")
    if not colon or back_end not in BASE_URLS:
        known = [*entries, *(f"{b}:MODEL" for b in BASE_URLS), "embedded"]
        raise UnknownNameError("language model", name, known, remedy=f"or add it to {models_path()}")
    model, at, url = rest.partition("@http")
    try:
        return Entry.model_validate(
            {"back_end": back_end, "model": model, "base_url": f"http{url}" if at else None}
        )
    except ValueError as error:
        raise UsageError(
            "The name of a model cannot be meant.",
            got=name,
            expected=f"{back_end}:MODEL, or {back_end}:MODEL@http://127.0.0.1:8000/v1",
        ) from error


def declared_by_server(server: Server) -> tuple[ModelCapabilities, ListHeldBy | None]:
    """Return what an OpenAI-compatible server can do, and how it holds a reply to a list.

    Images depend on the model that is loaded, so only the vendor's own API declares them. A server that
    nothing is known about declares nothing.
    """
    return _SERVERS[server]


_SERVERS: dict[Server, tuple[ModelCapabilities, ListHeldBy | None]] = {
    "openai": (
        ModelCapabilities(allowed_replies=True, images=50, json_schema=True, seed=True, n=True),
        "json_schema",
    ),
    "vllm": (
        ModelCapabilities(allowed_replies=True, probabilities=True, json_schema=True, seed=True, n=True),
        "structured_outputs",
    ),
    "sglang": (ModelCapabilities(allowed_replies=True, json_schema=True, n=True), "json_schema"),
    # llama.cpp takes an `n` up to its number of slots, which nobody knows here.
    "llama.cpp": (
        ModelCapabilities(allowed_replies=True, probabilities=True, json_schema=True, seed=True),
        "grammar",
    ),
    "ollama": (ModelCapabilities(allowed_replies=True, json_schema=True, seed=True), "json_schema"),
    "lm-studio": (ModelCapabilities(allowed_replies=True, json_schema=True, seed=True), "json_schema"),
    "other": (ModelCapabilities(), None),
}
