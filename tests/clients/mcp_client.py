"""Drives the real binary with the PyPI client `mcp`, over stdio and HTTP, in both eras of the protocol.

usage: mcp_client.py BIN REPO JUNIT.xml
"""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from xml.sax.saxutils import quoteattr

from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

BIN, REPO, JUNIT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), Path(sys.argv[3])
MODERN, LEGACY = "2026-07-28", "legacy"
PATIENCE = 30
TOOLS = ["json_query", "json_validate", "text_diff", "text_regex_search", "text_word_count"]

results = []


def check(condition, what):
    if not condition:
        raise AssertionError(what)


class Folder:
    """A skills folder and a data folder of a test's own."""

    def __init__(self, compiled):
        self.root = Path(tempfile.mkdtemp(prefix="skillhost-clients-"))
        self.skills = self.root / "skills"
        self.skills.mkdir()
        # Compiled code is shared between the tests: they are not about compiling.
        self.data = compiled
        for source in ["plugins/dist/text", "plugins/dist/json", "tests/skills/dist/faulty"]:
            shutil.copy(REPO / f"{source}.wasm", self.skills)

    def args(self):
        return ["--skills", str(self.skills), "--data", str(self.data)]

    def close(self):
        shutil.rmtree(self.root)


@contextlib.asynccontextmanager
async def stdio(folder, mode, **options):
    server = StdioServerParameters(command=str(BIN), args=["stdio", *folder.args()])
    # The host's log would drown the report.
    with open(os.devnull, "w") as log:
        transport = stdio_client(server, errlog=log)
        async with Client(transport, mode=mode, read_timeout_seconds=PATIENCE, **options) as client:
            yield client


@contextlib.asynccontextmanager
async def http(folder, mode, **options):
    process = await asyncio.create_subprocess_exec(
        BIN, "serve", "--listen", "127.0.0.1:0", *folder.args(), stderr=asyncio.subprocess.PIPE
    )
    drain = None
    try:
        url = None
        while url is None:
            line = await asyncio.wait_for(process.stderr.readline(), PATIENCE)
            check(line, "the server ended before it listened")
            event = json.loads(line)
            if event.get("message") == "listening":
                url = event["url"]
        drain = asyncio.create_task(process.stderr.read())
        async with Client(url, mode=mode, read_timeout_seconds=PATIENCE, **options) as client:
            yield client
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE)
        if drain:
            await drain


async def lists_and_calls(connect, folder, mode):
    async with connect(folder, mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        check(names == sorted(names), "the tools are in a stable order")
        check([name for name in names if not name.startswith("faulty_")] == TOOLS, f"the tools are there: {names}")
        again = [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]
        check(again == names, "a second listing is the same")
        result = await client.call_tool("text_word_count", {"text": "a b"})
        expected = {"words": 2, "lines": 1, "characters": 3}
        check(result.structured_content == expected, f"structured content: {result.structured_content}")
        check(json.loads(result.content[0].text) == expected, "mirrored as text")
        check(result.meta["skillhost/correlation_id"], "a correlation id")


async def wrong_arguments(connect, folder, mode):
    async with connect(folder, mode) as client:
        await client.list_tools()
        result = await client.call_tool("text_word_count", {"text": 5})
        check(result.is_error, "an error")
        check("/text" in result.content[0].text, f"names the place: {result.content[0].text}")


async def unknown_tool(connect, folder, mode):
    async with connect(folder, mode) as client:
        try:
            await client.call_tool("text_word_cuont", {})
        except MCPError as error:
            check(error.error.code == -32602, f"code {error.error.code}")
            check("text_word_count" in error.error.message, f"suggests: {error.error.message}")
        else:
            raise AssertionError("must be a JSON-RPC error")


async def progress(connect, folder, mode):
    async with connect(folder, mode) as client:
        seen = []

        async def callback(value, total, message):
            seen.append((value, total))

        result = await client.call_tool(
            "faulty_progress", {"steps": 3, "ms_between": 100}, progress_callback=callback
        )
        check(not result.is_error, f"done: {result.content}")
        check(seen and seen[-1] == (3, 3) and seen == sorted(seen), f"progress: {seen}")


async def errors(connect, folder, mode):
    async with connect(folder, mode) as client:
        result = await client.call_tool("faulty_fail", {"kind": "permanent", "message": "no such luck"})
        check(result.is_error and "no such luck" in result.content[0].text, "told")
        check("Do not retry" in result.content[0].text, f"advised: {result.content[0].text}")
        result = await client.call_tool("faulty_trap", {})
        check(result.is_error and "trapped" in result.content[0].text, f"trap: {result.content[0].text}")
        result = await client.call_tool("text_word_count", {"text": "still here"})
        check(result.structured_content["words"] == 2, "the host lives on")


async def cancel(connect, folder, mode):
    async with connect(folder, mode) as client:
        await client.list_tools()
        call = asyncio.create_task(client.call_tool("faulty_loop", {}))
        # The loop is under way once a later call is answered.
        await client.call_tool("text_word_count", {"text": ""})
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        result = await client.call_tool("text_word_count", {"text": "a"})
        check(result.structured_content["words"] == 1, "answers after a cancel")


async def changes(connect, folder, mode):
    """A skill that is copied into the folder, and deleted, is told to clients that listen."""
    told = asyncio.Queue()

    async def handler(message):
        if "list_changed" in str(getattr(message, "method", "")):
            told.put_nowait(message)

    async def names(client):
        return [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]

    async def until(client, wanted):
        """Listen until the listing is as wanted; every look is owed to a notification."""
        while ("words_word_count" in await names(client)) != wanted:
            await asyncio.wait_for(told.get(), PATIENCE)

    async def scenario(client):
        check("words_word_count" not in await names(client), "not there yet")
        shutil.copy(REPO / "plugins/dist/text.wasm", folder.skills / "words.wasm")
        await asyncio.wait_for(told.get(), PATIENCE)
        await until(client, True)
        (folder.skills / "words.wasm").unlink()
        await asyncio.wait_for(told.get(), PATIENCE)
        await until(client, False)

    async with connect(folder, mode, message_handler=handler) as client:
        await client.list_tools()
        if mode == LEGACY:
            return await scenario(client)
        async with client.listen(tools_list_changed=True) as events:

            async def pump():
                async for event in events:
                    told.put_nowait(event)

            pump = asyncio.create_task(pump())
            try:
                await scenario(client)
            finally:
                pump.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await pump


async def main():
    compiled = Path(tempfile.mkdtemp(prefix="skillhost-clients-data-"))
    scenarios = [lists_and_calls, wrong_arguments, unknown_tool, progress, errors, cancel, changes]
    for connect in [stdio, http]:
        for mode in [MODERN, LEGACY]:
            for scenario in scenarios:
                name = f"{scenario.__name__} over {connect.__name__}, {mode}"
                folder = Folder(compiled)
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
    shutil.rmtree(compiled)
    failed = sum(1 for _, _, problem in results if problem)
    with JUNIT.open("w") as out:
        out.write(f'<testsuite name="clients.python" tests="{len(results)}" failures="{failed}">\n')
        for name, seconds, problem in results:
            body = f"<failure message={quoteattr(problem)}/>" if problem else ""
            out.write(f"<testcase name={quoteattr(name)} time=\"{seconds:.3f}\">{body}</testcase>\n")
        out.write("</testsuite>\n")
    print(f"{len(results) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


asyncio.run(main())
