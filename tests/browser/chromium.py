"""A headless Chromium, driven by its DevTools protocol."""

import base64
import json
import subprocess
import time
from pathlib import Path

from websockets.sync.client import connect


def until(what, holds, seconds=60):
    """Waits until something holds, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Chromium:
    """A browser with one page. Keeps what it asked for and what went wrong."""

    def __init__(self, profile: Path):
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(["chromium", *arguments, "about:blank"], stderr=subprocess.DEVNULL)
        port_file = profile / "DevToolsActivePort"
        lines = until("chromium listens", lambda: port_file.exists() and port_file.read_text().splitlines()[1:], 60)
        port = port_file.read_text().splitlines()[0]
        self.socket = connect(f"ws://127.0.0.1:{port}{lines[0]}", max_size=None,
                              # On a busy machine a browser does not answer pings.
                              ping_interval=None)
        self.number, self.session = 0, None
        self.requests, self.wrong, self.loads = [], [], 0
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            said = json.loads(self.socket.recv(timeout=60))
            if said.get("id") == self.number:
                assert "error" not in said, f"{method}: {said['error']}"
                return said["result"]
            self.heard(said)

    def heard(self, said):
        method, parameters = said.get("method"), said.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.wrong.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
            self.wrong.append(json.dumps(parameters["args"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.wrong.append(json.dumps(parameters["entry"]))
        elif method == "Page.loadEventFired":
            self.loads += 1

    def run(self, expression):
        """The value of an expression of the page."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def open(self, address):
        before = self.loads
        self.call("Page.navigate", url=address)
        until(f"{address} is loaded", lambda: self.run("document.readyState") == "complete" and self.loads > before)

    def wait(self, expression, seconds=60):
        return until(expression, lambda: self.run(expression), seconds)

    def click(self, selector):
        """As a mouse does it, in the middle of an element. Before its script runs a page hears nothing."""
        self.wait("document.readyState === 'complete'")
        self.run(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
        box = self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2, b.width])(document.querySelector({selector!r})"
                       ".getBoundingClientRect())")
        assert box[2] > 0, f"{selector} is not to be seen"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def key(self, name, code):
        for kind in ("keyDown", "keyUp"):
            more = {"text": "\r"} if name == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **more)

    def size(self, width, height, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path: Path, whole=True):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        self.process.wait()
