"""HTTP byte by byte: what a well-behaved client would never send."""

from __future__ import annotations

import asyncio

PATIENCE_S = 20.0


async def send(port: int, request: bytes) -> bytes:
    """The raw answer to a raw request, to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
    writer.close()
    await writer.wait_closed()
    return answer


async def code_of(port: int, request: bytes) -> int:
    """The status code of the answer; 0 when it is no answer."""
    words = (await send(port, request)).split(maxsplit=2)
    return int(words[1]) if len(words) == 3 else 0
