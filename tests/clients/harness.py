"""The real binary for a test's own folder, and the PyPI client `mcp` connected to it, over stdio and HTTP.

usage of whatever uses it: SCRIPT.py BIN REPO JUNIT.xml DATA
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from xml.sax.saxutils import quoteattr

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from sagas import kill

BIN, REPO, JUNIT, DATA = (Path(argument).resolve() for argument in sys.argv[1:])
# How the client finds its revision: pinned to the stateless one, by the older handshake, or by asking first.
MODERN, LEGACY, AUTO = "2026-07-28", "legacy", "auto"
REVISION = {MODERN: "2026-07-28", LEGACY: "2025-11-25", AUTO: "2026-07-28"}
PATIENCE = 30
LOG_LINE = 1 << 20


def check(condition, what):
    if not condition:
        raise AssertionError(what)


class Folder:
    """A skills folder of a test's own, with these skills: paths in the repository, without `.wasm`."""

    def __init__(self, skills, config=""):
        self.root = Path(tempfile.mkdtemp(prefix="skillhost-clients-"))
        self.skills = self.root / "skills"
        self.skills.mkdir()
        # Always there, so that no file in the current folder counts.
        self.config = self.root / "skillhost.toml"
        self.config.write_text(config)
        self.log, self.url, self.killed = None, None, False
        for skill in skills:
            self.add(skill)

    def args(self):
        return ["--skills", str(self.skills), "--data", str(DATA), "--config", str(self.config)]

    def add(self, skill, name=None):
        source = REPO / f"{skill}.wasm"
        shutil.copy(source, self.skills / f"{name or source.stem}.wasm")

    def remove(self, name):
        (self.skills / f"{name}.wasm").unlink()

    async def kill_at(self, wanted):
        """Kill the host as soon as it logs what is wanted."""
        await self.log.until(wanted, "the moment to kill it")
        self.killed = True
        kill(DATA)

    def close(self):
        shutil.rmtree(self.root)


class Log:
    """What the host logs on stderr, as it comes. Read to its end, so that the host never waits for us."""

    def __init__(self, stream):
        self.events, self.ended, self.news = [], False, asyncio.Event()
        self.pump = asyncio.create_task(self.read(stream))

    async def read(self, stream):
        try:
            async for line in stream:
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    self.events.append({**event, **event.get("fields", {})})
                    self.news.set()
        finally:
            self.ended = True
            self.news.set()

    async def until(self, wanted, what):
        """The first line that is wanted, past or to come."""

        async def look():
            seen = 0
            while True:
                self.news.clear()
                for event in self.events[seen:]:
                    if wanted(event):
                        return event
                seen = len(self.events)
                check(not self.ended, f"the host ended before it logged {what}")
                await self.news.wait()

        try:
            return await asyncio.wait_for(look(), PATIENCE)
        except asyncio.TimeoutError:
            raise AssertionError(f"not logged in {PATIENCE} s: {what}") from None


@contextlib.asynccontextmanager
async def stdio(folder, mode, **options):
    server = StdioServerParameters(command=str(BIN), args=["stdio", *folder.args()])
    ours, theirs = os.pipe()
    stream = asyncio.StreamReader(limit=LOG_LINE)
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), open(ours, "rb")
    )
    folder.log = Log(stream)
    try:
        with open(theirs, "w") as log:
            transport = stdio_client(server, errlog=log)
            async with Client(transport, mode=mode, read_timeout_seconds=PATIENCE, **options) as client:
                yield client
    finally:
        # The log ends when the host has.
        try:
            await asyncio.wait_for(folder.log.pump, PATIENCE)
        finally:
            pipe.close()


@contextlib.asynccontextmanager
async def http(folder, mode, **options):
    process = await asyncio.create_subprocess_exec(
        BIN,
        *["serve", "--listen", "127.0.0.1:0", *folder.args()],
        stderr=asyncio.subprocess.PIPE,
        limit=LOG_LINE,
    )
    folder.log = Log(process.stderr)
    try:
        listening = await folder.log.until(lambda event: event.get("message") == "listening", "its address")
        folder.url = listening["url"]
        async with Client(folder.url, mode=mode, read_timeout_seconds=PATIENCE, **options) as client:
            yield client
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE)
        await folder.log.pump


def write_junit(suite, results):
    failed = sum(1 for _, _, problem in results if problem)
    with JUNIT.open("w") as out:
        out.write(f'<testsuite name="{suite}" tests="{len(results)}" failures="{failed}">\n')
        for name, seconds, problem in results:
            # XML has no word for most control characters.
            text = re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]", "?", problem or "")
            body = f"<failure message={quoteattr(text)}/>" if problem else ""
            out.write(f'<testcase name={quoteattr(name)} time="{seconds:.3f}">{body}</testcase>\n')
        out.write("</testsuite>\n")
    return failed


async def run(suite, plan, make):
    """Run the scenarios of the plan, each (connect, mode, scenario), in a folder of its own that `make` makes."""
    # Compiled code is shared between the tests, and there before the first: they are not about compiling.
    folder = make()
    try:
        subprocess.run([BIN, "list", *folder.args()], stdout=subprocess.DEVNULL, check=True)
    finally:
        folder.close()
    results = []
    for connect, mode, scenario in plan:
        name = f"{scenario.__name__} over {connect.__name__}, {mode}"
        folder = make()
        began = time.monotonic()
        problem = None
        try:
            await asyncio.wait_for(scenario(connect, folder, mode), 4 * PATIENCE)
        except Exception:
            problem = traceback.format_exc()
        finally:
            folder.close()
        results.append((name, time.monotonic() - began, problem))
        print(f"{'ok  ' if problem is None else 'FAIL'} {name}", flush=True)
        if problem:
            print(problem, flush=True)
    failed = write_junit(suite, results)
    print(f"{len(results) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
