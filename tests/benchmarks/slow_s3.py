"""An S3 server in memory that takes its time: ``slow_s3.py JOBS TASKS UNFINISHED``.

Every n-th job (n = `UNFINISHED`) has half of its tasks done, the others all of them. A
LIST takes 60 ms, a GET or HEAD 25 ms, about as AWS from nearby. ``/-/stats`` tells what
was asked since the last time; ``/-/put?KEY`` writes an empty object. It prints its port.
Answers are `support.storages.in_memory_s3`'s, kept once made: the server is not what is measured.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.servers import HOST, Answer, Request
from support.storages.in_memory_s3 import Objects

LIST_SECONDS, OBJECT_SECONDS = 0.060, 0.025


def filled(jobs: int, tasks: int, unfinished: int) -> Objects:
    objects = Objects("bucket")
    executor = json.dumps({"pipeline": [{"name": "x" * 200}] * 5, "world_size": tasks}, indent=4)
    keys = []
    for job in range(jobs):
        done = tasks // 2 if unfinished and job % unfinished == 0 else tasks
        keys += [f"logs/job{job:05d}/completions/{rank:05d}" for rank in range(done)]
    objects.put_many(keys)
    for job in range(jobs):
        objects.put(f"logs/job{job:05d}/executor.json", executor.encode())
    return objects


class Server(asyncio.Protocol):
    """One connection."""

    objects: Objects
    kept: ClassVar[dict[tuple[str, str], Answer]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            line = self.received[:end].split(b"\r\n", 1)[0].decode()
            self.received = self.received[end + 4 :]
            method, target, _ = line.split(" ")
            self.handle(method, target)

    def handle(self, method: str, target: str) -> None:
        objects, url = type(self).objects, urlsplit(target)
        if url.path == "/-/stats":
            body = json.dumps({**objects.answered, "bytes": objects.bytes_sent}).encode()
            objects.answered.clear()
            objects.bytes_sent = 0
            self.send(method, Answer(200, body))
            return
        if url.path == "/-/put":
            objects.put(unquote(url.query))
            self.kept.clear()
            self.send(method, Answer(200))
            return
        answer = self.kept.get((method, target))
        if answer is None:
            query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
            answer = objects.answer(Request(method, url.path, query))
            self.kept[method, target] = answer
        else:
            is_list = "list-type" in url.query
            objects.answered["list" if is_list else method.lower()] += 1
            objects.bytes_sent += len(answer.body)
        seconds = LIST_SECONDS if "list-type" in url.query else OBJECT_SECONDS
        asyncio.get_running_loop().call_later(seconds, self.send, method, answer)

    def send(self, method: str, answer: Answer) -> None:
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        body = b"" if method == "HEAD" else answer.body
        if not self.transport.is_closing():
            self.transport.write(f"HTTP/1.1 {answer.status} X\r\n{head}\r\n".encode() + body)


async def serve(objects: Objects) -> None:
    """Serve these on a port that is printed."""
    Server.objects = objects
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, HOST, 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(filled(*map(int, sys.argv[1:4]))))
