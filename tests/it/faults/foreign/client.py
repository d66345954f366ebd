"""A client of an edge's socket by the `websockets` library: opens it, sends the frames that each case names, and tells
what came. What that should be is judged in `foreign/mod.rs`.

Usage: client.py ADDRESS PATH KEY CASES
"""

import json
import socket
import sys
import time

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

try:
    from websockets.client import ClientProtocol
except ImportError:  # before version 11
    from websockets.client import ClientConnection as ClientProtocol

ADDRESS, PATH, KEY, CASES = sys.argv[1:]
PATIENCE_S = 10


class Client:
    def __init__(self):
        self.protocol = ClientProtocol(parse_uri(f"ws://{ADDRESS}{PATH}"), extensions=[ClientPerMessageDeflateFactory()])
        host, port = ADDRESS.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.events = []
        request = self.protocol.connect()
        request.headers["Authorization"] = f"Bearer {KEY}"
        self.protocol.send_request(request)
        self.flush()
        while not self.receive():
            pass

    def flush(self):
        for data in self.protocol.data_to_send():
            try:
                self.socket.sendall(data)
            except OSError:
                pass  # The end is told by what is read.

    def receive(self):
        """Takes what came; whether anything did."""
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        events = self.protocol.events_received()
        for event in events:
            if isinstance(event, Frame):
                self.events.append(told(event))
        if self.protocol.parser_exc is not None and not isinstance(self.protocol.parser_exc, EOFError):
            self.events.append({"violation": repr(self.protocol.parser_exc)})
        self.flush()
        if not data:
            self.events.append({"end": True})
        return bool(events) or not data

    def until(self, text):
        """Waits for something that is told with a text, or the end."""
        deadline = time.monotonic() + PATIENCE_S
        seen = 0
        while True:
            for event in self.events[seen:]:
                seen += 1
                if text in json.dumps(event) or "end" in event:
                    return
            if time.monotonic() > deadline:
                self.events.append({"late": text})
                return
            self.receive()


def told(frame):
    if frame.opcode is Opcode.TEXT:
        return {"text": frame.data.decode()}
    if frame.opcode is Opcode.CLOSE:
        return {"close": int.from_bytes(frame.data[:2], "big") if frame.data else None}
    return {frame.opcode.name.lower(): frame.data.hex()}


def wire(frame):
    """A frame as the library makes it, but for its first byte, where a case may want what no library would send."""
    data = bytearray(Frame(Opcode.TEXT, bytes.fromhex(frame["payload"])).serialize(mask=frame["masked"], extensions=[]))
    data[0] = frame["first"]
    return bytes(data)


for case in json.load(open(CASES)):
    client = Client()
    client.protocol.send_text(case["hello"].encode())
    client.flush()
    client.until("welcome")
    client.events.clear()
    data = b"".join(wire(frame) for frame in case["frames"])
    step = case["step"] or len(data)
    try:
        for start in range(0, len(data), step):
            client.socket.sendall(data[start : start + step])
    except OSError:
        pass
    client.until(case["until"])
    print(json.dumps({"name": case["name"], "events": client.events}), flush=True)
    client.socket.close()
