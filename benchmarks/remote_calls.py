"""How little the way to a remote model adds: against a server with a fixed latency, on this machine.

Targets (issue 4): a swarm of 8 takes at most 1.3 times as long as one player; 64 episodes side by side
keep at least 90% of a server's slots busy. The server is a process of its own, as a real one would be.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

LATENCY_S = 0.2
STEPS = 8
SLOTS = 16
CALLERS = 64
CALLS = 320

_REPLY = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "look"}}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21},
}


def _serve(send: Any, slots: int) -> None:
    """Serve chat completions with a fixed latency; ``GET /busy`` tells slot-seconds and the span."""
    busy = {"slot_s": 0.0, "first": 0.0, "last": 0.0}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            length = 0
            while (line := await reader.readline()).strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            await reader.readexactly(length)
            if head.startswith(b"GET"):
                body = json.dumps(busy).encode()
                busy.update(slot_s=0.0, first=0.0, last=0.0)
            else:
                async with free:
                    began = time.perf_counter()
                    await asyncio.sleep(LATENCY_S)
                    ended = time.perf_counter()
                busy["slot_s"] += ended - began
                busy["first"], busy["last"] = busy["first"] or began, ended
                body = json.dumps(_REPLY).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(body), body)
            )
            await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        send.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    free = asyncio.Semaphore(slots)
    asyncio.run(main())


def measure() -> list[dict[str, Any]]:
    """Return the time of a swarm's step over one player's, and the share of busy slots."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    server = context.Process(target=_serve, args=(send, SLOTS), daemon=True)
    server.start()
    try:
        return _measure(f"http://127.0.0.1:{receive.recv()}")
    finally:
        server.terminate()
        server.join()


def _measure(url: str) -> list[dict[str, Any]]:
    import urllib.request

    from lookalike.core.protocols import CompletionRequest
    from lookalike.models.prices import PriceList
    from lookalike.models.remote.entries import Entry
    from lookalike.models.remote.model import RemoteModel

    entry = Entry(back_end="openai", model="m", base_url=f"{url}/v1", concurrency=SLOTS)
    model = RemoteModel("m", entry, prices=PriceList())

    def request(seed: int, temperature: float = 0.7) -> CompletionRequest:
        return CompletionRequest((("user", "What now?"),), temperature, seed)

    model.complete([request(0)])
    one, eight = [], []
    for step in range(STEPS):
        began = time.perf_counter()
        model.complete([request(step)])
        one.append(time.perf_counter() - began)
        began = time.perf_counter()
        model.complete([request(step, 0.2 + member / 10) for member in range(8)])
        eight.append(time.perf_counter() - began)
    ratio = statistics.median(eight) / statistics.median(one)
    urllib.request.urlopen(f"{url}/busy").read()
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(lambda seed: model.complete([request(seed)]), range(CALLS)))
    busy = json.loads(urllib.request.urlopen(f"{url}/busy").read())
    share = busy["slot_s"] / (SLOTS * (busy["last"] - busy["first"]))
    return [
        {
            "name": "remote.swarm_of_8_over_one",
            "value": round(ratio, 3),
            "unit": "x",
            "target": "<= 1.3",
            "met": ratio <= 1.3,
            "detail": f"median step against a server with {LATENCY_S:g} s latency, {STEPS} steps each",
        },
        {
            "name": "remote.busy_slots",
            "value": round(share, 3),
            "unit": "share",
            "target": ">= 0.9",
            "met": share >= 0.9,
            "detail": f"{CALLERS} callers, {SLOTS} slots of {LATENCY_S:g} s, {CALLS} calls",
        },
    ]
