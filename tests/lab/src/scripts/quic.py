#!/usr/bin/env python3
"""HTTP/3 by aioquic: a server that takes and gives bodies, and a client.

usage: quic.py serve ADDRESS PORT CERT KEY LOG              one line per request: method, path, bytes of the body
       quic.py put HOST ADDRESS PORT FILE TIMES PAUSE_S     one PUT after the other, over one connection
       quic.py get HOST ADDRESS PORT BYTES TIMES PAUSE_S    prints the bytes that came
"""
import asyncio, os, ssl, sys

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Http(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http, self.requests, self.done, self.received = H3Connection(self._quic), {}, {}, 0

    def quic_event_received(self, event):
        for found in self.http.handle_event(event):
            if isinstance(found, HeadersReceived):
                self.requests[found.stream_id] = [dict(found.headers), 0]
            elif isinstance(found, DataReceived):
                self.requests[found.stream_id][1] += len(found.data)
                self.received += len(found.data)
            if getattr(found, "stream_ended", False):
                self.ended(found.stream_id)

    def ended(self, stream):
        head, size = self.requests.pop(stream)
        if stream in self.done:
            self.done.pop(stream).set_result(None)
            return
        path = head[b":path"].decode()
        log.write(f"{head[b':method'].decode()} {path} {size} -\n")
        body = os.urandom(int(path.rsplit("/", 1)[1])) if head[b":method"] == b"GET" else b""
        self.http.send_headers(stream, [(b":status", b"200"), (b"content-length", str(len(body)).encode())], end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()

    async def ask(self, method, host, path, body):
        stream = self._quic.get_next_available_stream_id()
        self.done[stream] = asyncio.get_running_loop().create_future()
        head = [(b":method", method), (b":scheme", b"https"), (b":authority", host.encode()), (b":path", path.encode()), (b"user-agent", b"Mozilla/5.0")]
        waited = self.done[stream]
        self.http.send_headers(stream, head, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        await waited


async def main():
    if sys.argv[1] == "serve":
        settings = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=False)
        settings.load_cert_chain(sys.argv[4], sys.argv[5])
        await serve(sys.argv[2], int(sys.argv[3]), configuration=settings, create_protocol=Http)
        print("ready", flush=True)
        await asyncio.Event().wait()
    method, host, address, port, what, times, pause = sys.argv[1:]
    settings = QuicConfiguration(alpn_protocols=H3_ALPN, server_name=host, verify_mode=ssl.CERT_NONE)
    body = open(what, "rb").read() if method == "put" else b""
    async with connect(address, int(port), configuration=settings, create_protocol=Http) as client:
        for number in range(int(times)):
            path = f"/up/quic-{number}" if body else f"/down/{what}"
            await asyncio.wait_for(client.ask(method.upper().encode(), host, path, body), 50)
            await asyncio.sleep(float(pause))
        print(client.received)


log = open(sys.argv[6], "a", buffering=1) if sys.argv[1] == "serve" else None
asyncio.run(main())
