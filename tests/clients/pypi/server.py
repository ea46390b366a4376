"""Starts the conformance server on a port of its own, and ends it as an operator would."""

import json
import os
import pathlib
import signal
import subprocess
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROGRAMS = pathlib.Path(os.environ.get("BENNU_PROGRAMS", TARGET / "debug"))
WAIT_S_MAX = 10


class Server:
    def __enter__(self):
        command = [PROGRAMS / "conformance", "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline()
        assert line.startswith("listening on "), f"the server said {line!r}"
        self._address = line.removeprefix("listening on ").strip()
        return self

    def __exit__(self, *_):
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout=WAIT_S_MAX)
        finally:
            self._process.kill()
            self._process.stdout.close()
        assert code == 0, f"the server's exit code is {code}"

    def socket(self):
        return f"ws://{self._address}/socket/websocket"

    def broadcast(self, topic, event, payload):
        """As from outside of any channel."""
        body = json.dumps({"topic": topic, "event": event, "payload": payload}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://{self._address}/broadcast", body, headers)
        with urllib.request.urlopen(request, timeout=WAIT_S_MAX) as response:
            assert response.status == 204, response.status
