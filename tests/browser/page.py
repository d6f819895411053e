"""The live page of a real coordinator in a real browser. See `run`."""

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from chromium import Chromium, until

PROGRAM = os.environ["HEBBIAN"]
SPEC = Path("examples/quickstart.toml").read_text()
# Short generations, also on a machine that is busy, and many of them.
for theirs, ours in [("population_size = 64", "population_size = 16"), ("per_generation = 24", "per_generation = 6"), ("generations = 265", "generations = 3000")]:
    assert SPEC.count(theirs) == 1, theirs
    SPEC = SPEC.replace(theirs, ours)
# A run of some seconds whose comparison with baselines takes little.
# Half a minute where nothing else runs: enough to press a button, whatever the machine does.
ENDS = SPEC.replace("generations = 3000", "generations = 500")
# As short generations as there are.
LONG = """
version = 1
name = "long"
seed = 1
[strategy]
kind = "cma-es"
population_size = 4
[rule]
family = "multi-state"
[network]
hidden = [2]
[tasks]
families = ["xor"]
per_generation = 1
batch_size = 2
query_size = 2
[evaluation]
measure = [{ update = "last", weight = 1.0 }]
unroll = [{ generations = 1, updates = 1 }]
[stop]
generations = 20000
"""


class Cluster:
    """A coordinator with its workers."""

    def __init__(self, work: Path):
        self.work, self.listen, self.web, self.children = work, "127.0.0.1:0", "127.0.0.1:0", []
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("HEBBIAN__")}
        self.start()

    def start(self):
        log = self.work / f"coordinator-{len(self.children)}.log"
        arguments = ["coordinator", "--listen", self.listen, "--web", self.web, "--storage", "sqlite:journal.sqlite"]
        self.coordinator = self.spawn(arguments, log)
        told = lambda pattern: re.search(pattern, log.read_text())
        self.page = until("the page's address is told", lambda: told(r"the live page is at (\S+),"))[1]
        self.address = until("it listens", lambda: told(r"listens on (http://\S+),"))[1]
        # Another start has the same ports, as a restarted service has.
        self.listen = self.address.removeprefix("http://")
        self.web = self.page.removeprefix("http://").split("/")[0]

    def spawn(self, arguments, log):
        child = subprocess.Popen([PROGRAM, *arguments], cwd=self.work, stdout=subprocess.DEVNULL, stderr=log.open("w"), env=self.environment)
        self.children.append(child)
        return child

    def worker(self, name):
        return self.spawn(["worker", "--coordinator", self.address, "--name", name, "--threads", "1"], self.work / "worker.log")

    def do(self, *arguments):
        command = [PROGRAM, *arguments, "--coordinator", self.address]
        return subprocess.run(command, cwd=self.work, check=True, capture_output=True, text=True).stdout.strip()

    def close(self):
        for child in self.children:
            child.kill()
            child.wait()


def axe_script():
    package = Path(importlib.util.find_spec("axe_playwright_python").submodule_search_locations[0])
    return next(package.rglob("axe.min.js")).read_text()


class Test:
    def __init__(self, browser, cluster, pictures):
        self.browser, self.cluster, self.pictures, self.axe = browser, cluster, pictures, axe_script()
        self.host = cluster.page.split("/#")[0]
        self.hosts = [self.host]

    def check(self, name):
        """No violation on the page as it is, light and dark; pictures of it, also as a telephone shows it."""
        for dark in (False, True):
            self.browser.size(1100, 900, dark)
            self.browser.run(self.axe + ";0")
            tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
            found = self.browser.run("axe.run(document, {runOnly: %s}).then(r => r.violations.map(v => "
                                     "[v.id, v.help, v.nodes.slice(0, 3).map(n => n.html.slice(0, 200))]))" % json.dumps(tags))
            assert not found, f"{name}, {'dark' if dark else 'light'}: {json.dumps(found, indent=1)}"
            if self.pictures:
                self.browser.picture(self.pictures / f"{name}-{'dark' if dark else 'light'}.png")
        # The narrowest that WCAG asks for (1.4.10), and a telephone.
        for narrow in (320, 390):
            self.browser.size(narrow, 800)
            wide = self.browser.run("document.documentElement.scrollWidth")
            assert wide <= narrow, f"{name}: {narrow} pixels must not scroll to the side, but the page has {wide}"
        if self.pictures:
            self.browser.picture(self.pictures / f"{name}-telephone.png")
        self.browser.size(1100, 900)

    def changes(self, expression, seconds=60):
        """A value of the page becomes another one without a reload."""
        self.browser.wait("document.readyState === 'complete'")
        before = self.browser.run(f"window.same = true, {expression}")
        self.browser.wait(f"({expression}) !== {json.dumps(before)}", seconds)
        assert self.browser.run("window.same"), "the page was loaded anew"

    def only(self, *expected):
        """Nothing has gone wrong but what was meant to; forgets that."""
        self.browser.call("Runtime.evaluate", expression="0")
        other = [wrong for wrong in self.browser.wrong if not any(part in wrong for part in expected)]
        assert not other, other
        self.browser.wrong.clear()

    def open_numbers(self):
        """What comes above them while the mouse is on its way moves them: it tries again."""
        self.browser.wait("!!document.querySelector('#fitness details')")
        is_open = "document.querySelector('#fitness details').open"
        until("the numbers are open", lambda: self.browser.run(is_open) or self.browser.click("#fitness summary"))

    def act(self, what, by_keyboard=False):
        self.browser.wait(f"!!document.querySelector('.acts:not([hidden]) [data-act={what}]')")
        if by_keyboard:
            self.browser.run(f"document.querySelector('[data-act={what}]').focus()")
            self.browser.key("Enter", 13)
        else:
            self.browser.click(f"[data-act={what}]")
        self.browser.wait("document.getElementById('dialog').open")

    def yes(self):
        self.browser.click("#yes")
        self.browser.wait("!document.getElementById('dialog').open")


def page_bytes(host, path):
    """What a browser is sent for a page."""
    def sent(at):
        answer = urllib.request.urlopen(urllib.request.Request(host + at, headers={"Accept-Encoding": "gzip"}))
        assert answer.headers["Content-Encoding"] == "gzip", at
        return len(answer.read())

    return sum(map(sent, (path, "/live.js", "/style.css")))


def views(test):
    browser, cluster = test.browser, test.cluster
    browser.size(1100, 900)
    browser.open(cluster.page)
    assert browser.run("location.hash") == "", "the token does not stay in the address"
    browser.wait("document.body.textContent.includes('There are no runs yet')")
    test.check("empty")
    cluster.worker("node-1")
    (cluster.work / "spec.toml").write_text(SPEC)
    cluster.do("create", "spec.toml", "--seeds", "1..2", "--group", "pair")
    browser.wait("document.querySelectorAll('tbody tr').length === 2")
    test.changes("document.querySelector('dl').textContent")
    test.check("runs")
    browser.click("td a[href^='/compare/']")
    browser.wait("!!document.querySelector('#compare-median svg')")
    test.changes("document.getElementById('live').textContent")
    test.check("compare")
    browser.click("a[href='/cluster']")
    browser.wait("!!document.querySelector('#throughput svg') && document.body.textContent.includes('node-1')")
    test.changes("document.getElementById('live').textContent")
    test.check("cluster")
    browser.click("a[href='/']")
    browser.wait("!!document.querySelector('a[href^=\"/runs/\"]')")
    browser.click("a[href^='/runs/']")
    browser.wait("!!document.querySelector('#fitness svg path')")
    # What is open stays open while the page changes.
    test.open_numbers()
    test.changes("document.querySelector('dl').textContent")
    assert browser.run("document.querySelector('#fitness details').open")
    test.check("run")
    browser.click("a[href$='/demonstrated']")
    browser.wait("!!document.querySelector('#boundary svg') && !!document.querySelector('#learning svg')")
    assert browser.run("document.getElementById('hold').hidden"), "a page at rest cannot be held"
    test.check("demonstrated")
    browser.click("p a[href^='/runs/']")
    browser.wait("!!document.querySelector('#fitness svg path')")
    # Whoever reads can have it stand still: what has come meanwhile is shown afterwards.
    browser.click("#hold")
    run = browser.run("location.pathname")
    cluster.do("note", run.removeprefix("/runs/"), "come-meanwhile")
    body = lambda: urllib.request.urlopen(f"{test.host}{run}/body").read().decode()
    until("the coordinator shows it", lambda: "come-meanwhile" in body())
    assert not browser.run("document.body.textContent.includes('come-meanwhile')")
    browser.click("#hold")
    browser.wait("document.body.textContent.includes('come-meanwhile')")


def acts(test):
    browser, cluster = test.browser, test.cluster
    run = browser.run("location.pathname")
    test.act("pause")
    test.check("dialog")
    browser.click("#no")
    browser.wait("!document.getElementById('dialog').open")
    test.act("pause", by_keyboard=True)
    test.yes()
    test.act("extend")
    browser.run("document.querySelector('#fields input').value = '1'")
    browser.click("#yes")
    browser.wait("!document.getElementById('refused').hidden")
    # A refusal is an answer that browsers count among errors.
    test.only("status of 400")
    browser.run("document.querySelector('#fields input').value = '5000'")
    test.yes()
    browser.wait("document.querySelector('dl').textContent.includes('5\u202f000')")
    test.act("fork")
    browser.run("document.querySelector('#fields textarea').value = 'stop.generations=7000\\nname=forked'")
    browser.click("#yes")
    browser.wait(f"location.pathname !== {json.dumps(run)} && document.querySelector('h1')?.textContent === 'forked'")
    test.act("cancel")
    test.yes()
    browser.wait("document.querySelector('dl').textContent.includes('cancelled')")
    test.only()
    browser.open(test.host + run)
    test.act("resume")
    test.yes()
    browser.wait("document.querySelector('dl').textContent.includes('running')")
    # Runs that were ticked are compared; a worker is drained.
    browser.open(test.host + "/")
    browser.wait("document.querySelectorAll('input[data-run]').length >= 3")
    for place in (0, 1):
        browser.run(f"document.querySelectorAll('input[data-run]')[{place}].click()")
    browser.click("#compare")
    browser.wait("!!document.querySelector('h1')?.textContent.includes('2 runs')")
    browser.open(test.host + "/cluster")
    browser.wait("document.body.textContent.includes('node-1')")
    cluster.worker("node-2")
    browser.wait("document.body.textContent.includes('node-2')")
    browser.wait("!!document.querySelector('[aria-label=\"Drain node-2\"]')")
    browser.click("[aria-label=\"Drain node-2\"]")
    browser.wait("document.getElementById('dialog').open")
    test.yes()
    browser.wait("!document.querySelector('[aria-label=\"Drain node-2\"]')")
    test.only()
    browser.open(test.host + run)
    browser.wait("!!document.querySelector('#fitness svg path')")
    # The coordinator dies and comes back, and so does the page; what it may do, it may no longer.
    cluster.coordinator.kill()
    cluster.coordinator.wait()
    browser.wait("document.getElementById('connection').textContent !== ''")
    cluster.start()
    browser.wait("document.getElementById('connection').textContent === ''", 60)
    test.changes("document.querySelector('dl').textContent", 60)
    test.act("cancel")
    browser.click("#yes")
    browser.wait("document.getElementById('refused').textContent.includes('earlier start')")
    browser.click("#no")
    test.only("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "status of 401")
    browser.open(cluster.page)
    browser.open(test.host + run)
    test.act("cancel")
    test.yes()
    browser.wait("document.querySelector('dl').textContent.includes('cancelled')")


def ends(test):
    """The page of `hebbian run --web`: it shows the comparison when that is made, and stays when the program has ended."""
    browser, work = test.browser, test.cluster.work
    (work / "ends.toml").write_text(ENDS)
    log = work / "run.log"
    arguments = ["run", "ends.toml", "--out", "ends", "--workers", "1", "--web=127.0.0.1:0"]
    child = test.cluster.spawn(arguments, log)
    page = until("the page's address is told", lambda: re.search(r"watch it at (\S+)", log.read_text()))[1]
    browser.open(page)
    test.hosts.append(page.split("/#")[0])
    browser.wait("!!document.querySelector('a[href^=\"/runs/\"]')")
    browser.click("a[href^='/runs/']")
    browser.wait("!!document.querySelector('#fitness svg path')")
    # As long as somebody looks.
    test.act("pause")
    test.yes()
    test.act("resume")
    test.yes()
    test.open_numbers()
    browser.wait("!!document.querySelector('#comparison-1 svg path') && document.getElementById('connection').textContent.includes('has ended')", 900)
    assert child.wait() == 0
    assert browser.run("document.querySelector('#fitness details').open"), "what is open stays open"
    assert browser.run("document.querySelector('dl').textContent.includes('finished')")
    test.check("ended")
    test.only()


def first_picture(test, path, picture):
    """Opens a page: how long it takes until a picture is there, and how many bytes it has compressed."""
    start = time.monotonic()
    test.browser.open(test.host + path)
    test.browser.wait(f"!!document.querySelector('{picture} svg path')")
    took, size = time.monotonic() - start, page_bytes(test.host, path)
    print(f"{path}: first picture after {took:.2f} s, {size} bytes compressed")
    assert size < 150_000, path
    return took


def slowest_change(test, run):
    """Notes of a run that goes on: the longest time from the record of one to its being seen."""
    browser, times = test.browser, []
    for number in range(10):
        test.cluster.do("note", run, f"mark-{number}")
        recorded = time.monotonic()
        browser.wait(f"document.body.textContent.includes('mark-{number}')")
        times.append(time.monotonic() - recorded)
    slowest = max(times)
    print("10 changes were seen after their records by", ", ".join(f"{took:.2f}" for took in sorted(times)), "s")
    return slowest


def large(test, slow):
    """A run of 10,000 generations, a thousand workers: the first picture within a second, a change within a second of its record, few bytes."""
    browser, cluster = test.browser, test.cluster
    (cluster.work / "long.toml").write_text(LONG)
    run = cluster.do("create", "long.toml").split()[-1]
    crowd = [sys.executable, str(Path(__file__).parent / "crowd.py"), cluster.listen, "1000"]
    cluster.children.append(subprocess.Popen(crowd))
    attached = lambda: json.loads(cluster.do("status", "--json"))["workers"]
    until("a thousand workers are attached", lambda: attached() > 1000, 120)
    status = lambda: json.loads(cluster.do("status", run, "--json"))["generation"]
    until("10,000 generations", lambda: status() >= 10_000, 900)
    times = [first_picture(test, f"/runs/{run}", "#fitness"), slowest_change(test, run)]
    test.check("long")
    times.append(first_picture(test, "/cluster", "#throughput"))
    browser.wait("document.body.textContent.includes('crowd-')")
    test.changes("document.getElementById('live').textContent")
    test.check("crowd")
    assert max(times) <= slow, f"{times}: more than {slow} s"
    cluster.do("cancel", run)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--long", action="store_true")
    # A machine that does other things at the same time is given more.
    parser.add_argument("--slow", type=float, default=1.0)
    arguments = parser.parse_args()
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
        work = Path(work)
        cluster = Cluster(work)
        browser = None
        try:
            browser = Chromium(work / "profile")
            test = Test(browser, cluster, arguments.pictures)
            views(test)
            assert not browser.wrong, browser.wrong
            acts(test)
            ends(test)
            if arguments.long:
                large(test, arguments.slow)
            browser.call("Runtime.evaluate", expression="0")
            assert not browser.wrong, browser.wrong
            elsewhere = [url for url in browser.requests if not url.startswith((*test.hosts, "about:", "data:"))]
            assert not elsewhere, elsewhere
        except BaseException:
            if browser and arguments.pictures:
                browser.picture(arguments.pictures / "failed.png")
            for log in sorted(work.glob("*.log")):
                sys.stderr.write(f"--- {log.name}\n{log.read_text()[-3000:]}\n")
            raise
        finally:
            if browser:
                browser.close()
            cluster.close()


main()
