"""Google's Gemini protocol, with videos sent whole: in the request, or uploaded first if they are large."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING

from pydantic import SecretStr

from lookalike.core.errors import ModelError
from lookalike.core.ids import hash_bytes
from lookalike.core.protocols import CompletionRequest, Media, ModelCapabilities
from lookalike.models.remote.entries import Entry
from lookalike.models.remote.services import Answer, Question, Service
from lookalike.models.remote.wire import Exchange

if TYPE_CHECKING:
    from pydantic_ai.messages import UserContent

IMAGES = 500
INLINE_VIDEO_BYTES = 14_000_000
"""A request may have 20 MB; base64 adds a third."""
LOOK_AGAIN_S = 2.0


class GoogleService(Service):
    """Gemini. Seeds are taken; replies are held to a schema; videos are watched whole."""

    inline_video_bytes = INLINE_VIDEO_BYTES
    look_again_s = LOOK_AGAIN_S

    def __init__(self, entry: Entry, secret: SecretStr | None) -> None:
        super().__init__(entry)
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        provider = GoogleProvider(
            api_key=secret.get_secret_value() if secret is not None else "none-needed",
            base_url=entry.address,
            http_client=self.client,
        )
        self._client = provider.client
        self.model = GoogleModel(entry.model, provider=provider)
        by_schema = bool(dict(self.model.profile).get("supports_json_schema_output", False))
        self.declared = ModelCapabilities(
            allowed_replies=by_schema, images=IMAGES, video=True, json_schema=by_schema, seed=True
        )
        self.list_held_by = "json_schema" if by_schema else None
        self._uploaded: dict[str, tuple[str, str]] = {}
        self._uploading = asyncio.Lock()

    async def ask(self, question: Question, seen: Exchange) -> list[Answer]:
        """Make one call."""
        answers = await super().ask(question, seen)
        # The library takes any JSON for an answer without content.
        told = json.loads(bytes(seen.body) or b"null")
        if not isinstance(told, dict) or not {"candidates", "promptFeedback"} & told.keys():
            raise ValueError("neither candidates nor a reason for none")
        if not isinstance(told.get("candidates", []), list):
            raise ValueError("candidates that are no list")
        return answers

    async def prepare(self, request: CompletionRequest) -> None:
        """Upload a large video, once, and wait until it can be watched.

        Raises:
            ModelError: The service cannot read it.
        """
        video = request.video
        if video is None or len(video.data) <= self.inline_video_bytes:
            return
        from google.genai import types

        async with self._uploading:
            content = hash_bytes(video.data)
            if content in self._uploaded:
                return
            file = await self._client.aio.files.upload(
                file=io.BytesIO(video.data), config=types.UploadFileConfig(mime_type=video.media_type)
            )
            while file.state is not None and file.state.name == "PROCESSING":
                await asyncio.sleep(self.look_again_s)
                file = await self._client.aio.files.get(name=file.name or "")
            if (file.state is not None and file.state.name == "FAILED") or not file.uri or not file.name:
                raise ModelError(
                    "The service cannot read an uploaded video.",
                    got=f"{len(video.data):,} bytes of {video.media_type}",
                    remedy="convert it to MP4 (H.264), or let the expert sample frames from it",
                )
            self._uploaded[content] = (file.uri, file.name)

    def video_part(self, video: Media) -> UserContent:
        """Return a video as it is sent: its bytes, or the address of its upload."""
        from pydantic_ai.messages import UploadedFile

        uploaded = self._uploaded.get(hash_bytes(video.data))
        if uploaded is None:
            return super().video_part(video)
        return UploadedFile(file_id=uploaded[0], provider_name="google", media_type=video.media_type)

    async def models(self) -> list[str]:
        """Return the names of the service's models (the first page)."""
        page = await self._client.aio.models.list(config={"page_size": 1000})
        return [str(model.name).removeprefix("models/") for model in page.page]

    async def close(self) -> None:
        """Delete what was uploaded; the service would keep it for two days."""
        uploaded, self._uploaded = self._uploaded, {}
        for _, name in uploaded.values():
            await self._client.aio.files.delete(name=name)
