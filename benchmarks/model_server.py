"""A model server that costs next to nothing: every POST gets the same chat completion after a fixed latency.

Run as `python benchmarks/model_server.py LATENCY_SECONDS`; the first line on stdout is the base URL. A GET of
/statistics under it tells how many requests came, how many had a body that had come before, and the times in seconds
(of a clock that never goes back) of the first and the last.
"""

import asyncio
import sys
import time

import orjson

ANSWER = orjson.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "benchmark",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "The answer is 42."}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 120, "completion_tokens": 8, "total_tokens": 128},
    }
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
RESPONSE = HEAD % len(ANSWER) + ANSWER


class Statistics:
    """What the server has seen; bodies are told apart by their hashes."""

    def __init__(self) -> None:
        self.requests = 0
        self.bodies: set[int] = set()
        self.first = self.last = 0.0

    def count(self, body: bytes) -> None:
        self.requests += 1
        self.bodies.add(hash(body))
        self.last = time.monotonic()
        self.first = self.first or self.last

    def response(self) -> bytes:
        duplicates = self.requests - len(self.bodies)
        told = {"requests": self.requests, "duplicates": duplicates, "first": self.first, "last": self.last}
        content = orjson.dumps(told)
        return HEAD % len(content) + content


class Answering(asyncio.Protocol):
    """Reads requests off one connection, each with a Content-Length, and answers each after the latency."""

    def __init__(self, latency: float, statistics: Statistics) -> None:
        self._latency = latency
        self._statistics = statistics
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in head else 0
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            if head.startswith(b"post"):
                self._statistics.count(body)
                asyncio.get_running_loop().call_later(self._latency, self._answer, RESPONSE)
            else:
                self._answer(self._statistics.response())

    def _answer(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)


async def serve(latency: float) -> None:
    statistics = Statistics()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(latency, statistics), "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
