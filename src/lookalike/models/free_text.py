"""Writing free replies for several requests of one prompt together.

Requests that have written the same so far share a row, and every step has the same number of rows, so
that a reply does not depend on who else asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lookalike.models.network import DECODE_WIDTH
from lookalike.models.sampling import at_temperature, pick

if TYPE_CHECKING:
    from lookalike.models.network import Network


@dataclass(frozen=True)
class FreeReply:
    """A line the model wrote.

    Attributes:
        text: Up to the line's end, stripped.
        probability: Of its tokens at the request's temperature, in [0, 1].
        reply_tokens: How many, the line's end included.
        prompt_tokens: Tokens of the prompt.
    """

    text: str
    probability: float
    reply_tokens: int
    prompt_tokens: int


@dataclass
class _Line:
    """A reply being written."""

    temperature: float
    limit: int
    random: np.random.Generator
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    probability: float = 1.0
    row: int = 0
    ended: bool = False

    def take(self, log_p: NDArray[np.float32], network: Network) -> None:
        """Draw the next token; the line's end and the model's own end marks end the reply."""
        shares = at_temperature(np.asarray(log_p), self.temperature)
        token = pick(shares, float(self.random.random()))
        self.tokens.append(token)
        self.probability *= float(shares[token])
        piece = network.decode([token])
        self.ended = piece == "" or "\n" in piece or len(self.tokens) >= self.limit
        written = self.tokens[:-1] if piece == "" else self.tokens
        if self.ended:
            # A blank line first would leave nothing: the text is what stands before the line's end.
            self.text = network.decode(written).split("\n")[0].strip() if written else ""


def write(
    network: Network,
    prompt: str,
    requests: Sequence[tuple[float, int, int]],
    *,
    limit: int,
    decimals: int,
) -> list[FreeReply]:
    """Return one line a request.

    Args:
        network: The model.
        prompt: What the lines go on from.
        requests: Temperature, seed and most tokens of each.
        limit: No line has more tokens than this.
        decimals: Log-probabilities are rounded to this before a draw.

    Raises:
        ModelError: The prompt is too long.
    """
    tokens = network.encode(prompt)
    first = np.round(network.prefill(tokens), decimals)
    network.keep_prompt()
    lines = [_Line(t, max(1, min(most, limit)), np.random.default_rng(seed)) for t, seed, most in requests]
    for line in lines:
        line.take(first, network)
    for start in range(0, len(lines), DECODE_WIDTH):
        chunk = [line for line in lines[start : start + DECODE_WIDTH] if not line.ended]
        if chunk:
            network.restart()
        length = len(tokens)
        while chunk:
            # Lines that stand in one row and go on alike keep sharing it.
            rows = list(dict.fromkeys((line.row, line.tokens[-1]) for line in chunk))
            logits = np.round(network.step([t for _, t in rows], [r for r, _ in rows], length), decimals)
            length += 1
            for line in chunk:
                line.row = rows.index((line.row, line.tokens[-1]))
                line.take(logits[line.row], network)
            chunk = [line for line in chunk if not line.ended]
    return [FreeReply(line.text, line.probability, len(line.tokens), len(tokens)) for line in lines]
