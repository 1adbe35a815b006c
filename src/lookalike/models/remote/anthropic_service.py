"""Anthropic's messages protocol."""

from __future__ import annotations

from pydantic import SecretStr

from lookalike.core.protocols import ModelCapabilities
from lookalike.models.remote.entries import Entry
from lookalike.models.remote.services import Service

IMAGES = 100


class AnthropicService(Service):
    """Claude. No seeds, no probabilities, one reply a call, temperatures up to 1."""

    def __init__(self, entry: Entry, secret: SecretStr | None) -> None:
        super().__init__(entry)
        from anthropic import AsyncAnthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        self._client = AsyncAnthropic(
            api_key=secret.get_secret_value() if secret is not None else "none-needed",
            base_url=entry.address,
            http_client=self.client,
            max_retries=0,
        )
        # The library would add a second key from the environment, which was not asked for.
        self._client.auth_token = None
        self.model = AnthropicModel(entry.model, provider=AnthropicProvider(anthropic_client=self._client))
        # Loaded lazily by the library: here, or for a second in the scheduler's thread.
        _ = self._client.beta.messages
        profile = dict(self.model.profile)
        by_schema = bool(profile.get("supports_json_schema_output", False))
        self.declared = ModelCapabilities(
            allowed_replies=by_schema,
            images=IMAGES,
            json_schema=by_schema,
            max_temperature=None if profile.get("anthropic_disallows_sampling_settings") else 1.0,
        )
        self.list_held_by = "json_schema" if by_schema else None

    async def models(self) -> list[str]:
        """Return the names of the service's models (the first page)."""
        page = await self._client.models.list(limit=1000)
        return [str(model.id) for model in page.data]
