"""A headless Chromium driven by chromedriver's HTTP interface (W3C WebDriver): no packages beyond Python's own."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """with Browser() as b: b.open(path); b.run("return …")."""

    def __init__(self, width=1200, height=900):
        self.home = tempfile.mkdtemp(prefix="report-browser-")
        self.downloads = os.path.join(self.home, "downloads")
        os.mkdir(self.downloads)
        log = open(os.path.join(self.home, "driver.log"), "w+", encoding="utf-8")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=log, stderr=subprocess.STDOUT, text=True,
                                       env={**os.environ, "HOME": self.home})
        self.session = None
        try:
            self.address = f"http://127.0.0.1:{self._port(log.name)}"
            self._start(width, height)
        except BaseException:
            self.close()
            raise

    def _port(self, log):
        for _ in range(300):
            found = re.search(r"started successfully on port (\d+)", open(log, encoding="utf-8").read())
            if found:
                return found.group(1)
            if self.driver.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError("chromedriver does not start: " + open(log, encoding="utf-8").read())

    def _start(self, width, height):
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe",
                 f"--user-data-dir={self.home}/profile", f"--window-size={width},{height}"]
        answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": flags, "prefs": {"download.default_directory": self.downloads}},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})
        self.session = f"/session/{answer['sessionId']}"

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.read().decode()}") from error

    def post(self, path, **body):
        return self._call("POST", self.session + path, body)

    def open(self, path):
        self.post("/url", url="file://" + os.path.abspath(path))

    def run(self, script, *args):
        return self.post("/execute/sync", script=script, args=list(args))

    def find(self, css):
        return self.post("/element", using="css selector", value=css)[ELEMENT]

    def click(self, css):
        self.post(f"/element/{self.find(css)}/click")

    def type(self, css, text):
        self.post(f"/element/{self.find(css)}/value", text=text)

    def text(self, css):
        return self.run("return document.querySelector(arguments[0]).textContent", css)

    def cdp(self, command, **params):
        return self.post("/goog/cdp/execute", cmd=command, params=params)

    def log(self, kind):
        return self.post("/se/log", type=kind)

    def errors(self):
        return [entry["message"] for entry in self.log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self):
        """Addresses asked for since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def close(self):
        if self.session:
            try:
                self._call("DELETE", self.session)
            except (RuntimeError, OSError):
                pass
        self.driver.terminate()
        self.driver.wait(timeout=20)
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
