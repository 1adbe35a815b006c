"""The embedded network with a key-value cache under our control: what makes a swarm cost about one role.

OpenVINO's ready pipelines sample; this module asks for probabilities. Three changes to the converted
graph make it fit:

- logits only where they are asked for (over a whole prompt they are a fifth of the work);
- the attention mask is an input, so that a trie of replies is one short sequence in which every token
  sees the prompt and its own ancestors only (half the time of a batch of the same replies);
- the key-value state is read and set in blocks of ``BLOCK`` tokens, so that prompts with a common
  beginning share it.

Equal requests must have equal answers, whatever was asked before, and floating-point sums depend on how
work is cut. So the cut is canonical: a prompt is always computed in blocks of ``BLOCK`` tokens from its
start, and a cached block is exactly what would be computed again.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookalike.core.errors import ModelError
from lookalike.models.weights import import_openvino_genai

BLOCK = 64
CONTEXT = 2048
"""Longest prompt in tokens; SmolLM2 was trained on 2,048."""
DECODE_WIDTH = 4
"""Rows of a free-text step, always all of them: another number of rows rounds differently."""
CACHED_BLOCKS = 48
"""Blocks kept, least recently used out first; 2.9 MB each for SmolLM2-135M."""

Tokens = list[int]
_MASKED = np.finfo(np.float32).min
_State = list[NDArray[np.float32]]


@functools.cache
def _core() -> Any:
    """Return the process's one OpenVINO core, which is never let go.

    When the last core goes, OpenVINO unloads its CPU plugin and with it the stack it had set up for signal
    handlers: the next signal, Ctrl-C included, then ends the process with a segmentation fault (measured
    with OpenVINO 2026.4).
    """
    import openvino

    return openvino.Core()


class Network:
    """A converted causal language model on the CPU.

    Not safe for threads: its owner holds a lock.

    Args:
        folder: The converted model (see :mod:`lookalike.models.weights`).
        threads: CPU threads; ``None`` for all cores.

    Raises:
        ModelError: OpenVINO is missing, or cannot read the folder.
    """

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        genai = import_openvino_genai()
        import openvino

        self._openvino = openvino
        try:
            core = _core()
            model = core.read_model(folder / "openvino_model.xml")
            _open_graph(model)
            options: dict[str, Any] = {
                "PERFORMANCE_HINT": "LATENCY",
                # Exact arithmetic: quantised caches and activations answer faster only on newer CPUs,
                # and a cache that rounds cannot be set back to what was read from it.
                "INFERENCE_PRECISION_HINT": "f32",
                "KV_CACHE_PRECISION": "f32",
                "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
                # Processes side by side would otherwise all be pinned to the first core.
                "ENABLE_CPU_PINNING": False,
            }
            if threads is not None:
                options["INFERENCE_NUM_THREADS"] = threads
            self._request = core.compile_model(model, "CPU", options).create_infer_request()
            self._tokenizer = genai.Tokenizer(str(folder))
        except RuntimeError as error:
            raise ModelError(
                "OpenVINO cannot load the converted model.",
                got=str(error).strip().splitlines()[-1],
                expected=f"a conversion made by this version in {folder}",
                remedy=f"delete {folder} and try again",
            ) from error
        self._states = self._request.query_state()
        self._blocks: OrderedDict[tuple[int, ...], _State] = OrderedDict()
        self._prompt_state: _State = []
        self._length = 0
        self._ancestors: list[list[int]] = []
        self.computed_tokens = 0

    def encode(self, text: str) -> Tokens:
        """Return the tokens of ``text``, without a start token."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).input_ids.data
        return [int(token) for token in ids.reshape(-1)]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ``tokens``."""
        return str(self._tokenizer.decode([int(token) for token in tokens]))

    def forget(self) -> None:
        """Drop every cached block (for measurements; answers never depend on it)."""
        self._blocks.clear()

    def prefill(self, tokens: Tokens) -> NDArray[np.float32]:
        """Compute a prompt and return the log-probabilities ``[vocabulary]`` of what follows it.

        Raises:
            ModelError: The prompt is empty or longer than ``CONTEXT``.
        """
        if not 0 < len(tokens) <= CONTEXT:
            raise ModelError(
                "The prompt does not fit the embedded model.",
                got=f"{len(tokens)} tokens",
                expected=f"1 to {CONTEXT} tokens",
                remedy="render it with a smaller budget",
            )
        # The last token is always computed, so that there is something to read logits from.
        whole = (len(tokens) - 1) // BLOCK
        known = self._restore(tokens, whole)
        for index in range(known, whole):
            start = index * BLOCK
            self._run(tokens[start : start + BLOCK], start, wanted=[])
        if known < whole:
            self._remember(tokens, known, whole)
        start = whole * BLOCK
        rest = tokens[start:]
        logits = self._run(rest, start, wanted=[len(rest) - 1])
        self._length = len(tokens)
        self._ancestors = []
        last: NDArray[np.float32] = log_softmax(logits[0])[0]
        return last

    def branch(self, tokens: Sequence[int], parents: Sequence[int]) -> NDArray[np.float32]:
        """Compute nodes of a tree that grows from the prompt's end.

        Args:
            tokens: Token of each new node.
            parents: Number of each node's parent in order of computation since the last
                :meth:`prefill`, or -1 for the prompt's end. A parent comes before its children.

        Returns:
            Log-probabilities ``[n, vocabulary]`` of what follows each new node.
        """
        done = len(self._ancestors)
        for parent in parents:
            self._ancestors.append([*(self._ancestors[parent] if parent >= 0 else []), len(self._ancestors)])
        new = self._ancestors[done:]
        past = self._length + done
        mask = np.full((1, 1, len(tokens), past + len(tokens)), _MASKED, dtype=np.float32)
        mask[..., : self._length] = 0.0
        for row, ancestors in enumerate(new):
            mask[0, 0, row, [self._length + a for a in ancestors]] = 0.0
        positions = np.array([[self._length + len(a) - 1 for a in new]], dtype=np.int64)
        rows = self._infer(
            np.array([tokens], dtype=np.int64),
            mask,
            positions,
            np.zeros(1, np.int32),
            list(range(len(tokens))),
        )
        return log_softmax(rows[0])

    def keep_prompt(self) -> None:
        """Note the state at the prompt's end, for several :meth:`restart` of free text."""
        self._prompt_state = [state.state.data.copy() for state in self._states]

    def restart(self) -> None:
        """Go back to the state noted by :meth:`keep_prompt`."""
        self._set_state(self._prompt_state)
        self._ancestors = []

    def step(self, tokens: Sequence[int], rows: Sequence[int], length: int) -> NDArray[np.float32]:
        """Go on with up to ``DECODE_WIDTH`` texts by one token each.

        Args:
            tokens: The token each text goes on with.
            rows: Which row of the last step each text stood in (0 after a prompt).
            length: Tokens so far, the prompt's included.

        Returns:
            Log-probabilities ``[len(tokens), vocabulary]``.
        """
        padding = DECODE_WIDTH - len(tokens)
        ids = np.array([*tokens, *[tokens[0]] * padding], dtype=np.int64)[:, None]
        beams = np.array([*rows, *[rows[0]] * padding], dtype=np.int32)
        mask = np.zeros((DECODE_WIDTH, 1, 1, length + 1), dtype=np.float32)
        positions = np.full((DECODE_WIDTH, 1), length, dtype=np.int64)
        logits = self._infer(ids, mask, positions, beams, [0])
        return log_softmax(logits[: len(tokens), 0])

    def _restore(self, tokens: Tokens, whole: int) -> int:
        """Set the longest cached run of whole blocks; return how many blocks it has."""
        found: list[_State] = []
        for index in range(whole):
            key = tuple(tokens[: (index + 1) * BLOCK])
            block = self._blocks.get(key)
            if block is None:
                break
            self._blocks.move_to_end(key)
            found.append(block)
        self._request.reset_state()
        if found:
            self._set_state([np.concatenate(parts, axis=2) for parts in zip(*found, strict=True)])
        return len(found)

    def _remember(self, tokens: Tokens, known: int, whole: int) -> None:
        layers = [state.state.data for state in self._states]
        for index in range(known, whole):
            span = slice(index * BLOCK, (index + 1) * BLOCK)
            key = tuple(tokens[: span.stop])
            self._blocks[key] = [layer[:, :, span].copy() for layer in layers]
        while len(self._blocks) > CACHED_BLOCKS:
            self._blocks.popitem(last=False)

    def _set_state(self, layers: _State) -> None:
        for state, layer in zip(self._states, layers, strict=True):
            state.state = self._openvino.Tensor(np.ascontiguousarray(layer))

    def _run(self, tokens: Sequence[int], past: int, *, wanted: list[int]) -> NDArray[np.float32]:
        """Compute a causal stretch of one sequence; logits ``[1, len(wanted), vocabulary]``."""
        length = len(tokens)
        mask = np.zeros((1, 1, length, past + length), dtype=np.float32)
        mask[0, 0, :, past:][np.triu_indices(length, 1)] = _MASKED
        positions = np.arange(past, past + length, dtype=np.int64)[None]
        ids = np.array([tokens], dtype=np.int64)
        return self._infer(ids, mask, positions, np.zeros(1, np.int32), wanted or [length - 1])

    def _infer(
        self,
        ids: NDArray[np.int64],
        mask: NDArray[np.float32],
        positions: NDArray[np.int64],
        beams: NDArray[np.int32],
        wanted: list[int],
    ) -> NDArray[np.float32]:
        result = self._request.infer(
            {
                "input_ids": ids,
                "mask": mask,
                "position_ids": positions,
                "beam_idx": beams,
                "logit_positions": np.array(wanted, dtype=np.int64),
            },
            share_inputs=True,
        )
        self.computed_tokens += ids.size
        logits: NDArray[np.float32] = result[0]
        return logits


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return log-probabilities ``[n, vocabulary]`` of logits ``[n, vocabulary]`` or ``[vocabulary]``."""
    rows = np.atleast_2d(logits)
    peak = rows.max(axis=1, keepdims=True)
    total = np.exp(rows - peak).sum(axis=1, keepdims=True, dtype=np.float64)
    return np.asarray(rows - peak - np.log(total), dtype=np.float32)


def _open_graph(model: Any) -> None:
    """Give the graph two inputs more: where logits are wanted, and the attention mask."""
    from openvino import opset13 as ops

    head = model.get_results()[0].input_value(0).get_node()
    wanted = ops.parameter([-1], np.int64, name="logit_positions")
    wanted.output(0).set_names({"logit_positions"})
    head.input(0).replace_source_output(
        ops.gather(head.input_value(0), wanted, ops.constant(np.int64(1))).output(0)
    )
    mask = ops.parameter([-1, 1, -1, -1], np.float32, name="mask")
    mask.output(0).set_names({"mask"})
    attention = [n for n in model.get_ops() if n.get_type_name() == "ScaledDotProductAttention"]
    if head.get_type_name() != "MatMul" or not attention:
        raise RuntimeError(f"unexpected graph: {head.get_type_name()} head, {len(attention)} attention nodes")
    for node in attention:
        node.input(3).replace_source_output(mask.output(0))
    model.add_parameters([wanted, mask])
    model.remove_parameter(model.input("attention_mask").get_node())
    model.validate_nodes_and_infer_types()
