"""Drives the real binary with the PyPI client `mcp`, over stdio and HTTP, in both eras of the protocol.

usage: mcp_client.py BIN REPO JUNIT.xml DATA
"""

import asyncio
import contextlib
import json
import uuid

from mcp import MCPError

from grants import Grants
from harness import AUTO, LEGACY, MODERN, PATIENCE, REPO, REVISION, Folder, check, http, run, stdio
from sagas import killed_in_the_middle_of_a_rollback, saga_rolled_back

TOOLS = sorted(
    ["call_status", "list_calls", "saga_begin", "saga_call", "saga_commit", "saga_rollback", "search_tools", "undo_call"]
    + ["json_query", "json_validate", "text_diff", "text_regex_search", "text_word_count"]
)
SKILLS = ["plugins/dist/text", "plugins/dist/json", "tests/skills/dist/faulty"]


async def lists_and_calls(connect, folder, mode):
    async with connect(folder, mode) as client:
        check(client.protocol_version == REVISION[mode], f"the revision: {client.protocol_version}")
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


async def keys_and_durable_calls(connect, folder, mode):
    async with connect(folder, mode) as client:
        await client.list_tools()
        key = {"skillhost/idempotency_key": str(uuid.uuid4())}
        first = await client.call_tool("text_word_count", {"text": "a b"}, meta=key)
        again = await client.call_tool("text_word_count", {"text": "a b"}, meta=key)
        check("skillhost/replayed" not in first.meta and again.meta["skillhost/replayed"] is True, f"kept: {again.meta}")
        check(again.structured_content == first.structured_content, f"the same: {again.structured_content}")
        other = await client.call_tool("text_word_count", {"text": "c"}, meta=key)
        check(other.meta["skillhost/failure"]["kind"] == "key-conflict", f"a conflict: {other.meta}")
        flaky = {"message": "later", "kind": "transient"}
        accepted = await client.call_tool("faulty_fail", flaky, meta={"skillhost/durable": True})
        check(not accepted.is_error and "Do not repeat" in accepted.content[0].text, f"accepted: {accepted.content}")
        status = await client.call_tool("call_status", {"id": accepted.meta["skillhost/call_id"]})
        check(status.structured_content["state"] == "waiting", f"it waits: {status.structured_content}")


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
    """Steps 50 ms apart all arrive: that is what the conformance suite's fixture does."""
    async with connect(folder, mode) as client:
        reports = asyncio.Queue()

        async def callback(value, total, message):
            reports.put_nowait((value, total))

        arguments = {"steps": 3, "ms_between": 50}
        result = await client.call_tool("faulty_progress", arguments, progress_callback=callback)
        check(not result.is_error, f"done: {result.content}")
        seen = [await asyncio.wait_for(reports.get(), PATIENCE) for _ in range(3)]
        check(seen == [(1, 3), (2, 3), (3, 3)] and reports.empty(), f"progress: {seen}")


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

        async def give_up(call):
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call
            result = await client.call_tool("text_word_count", {"text": "a"})
            check(result.structured_content["words"] == 1, "answers after a cancel")

        call = asyncio.create_task(client.call_tool("faulty_loop", {}))
        # Another call is sent later and answered meanwhile.
        await client.call_tool("text_word_count", {"text": ""})
        await give_up(call)

        # This one says when it is at work, so that the cancel must reach a guest that runs.
        def flood(event):
            return event.get("span", {}).get("tool") == "faulty_log_flood"

        call = asyncio.create_task(client.call_tool("faulty_log_flood", {}))
        await folder.log.until(lambda event: flood(event) and "outcome" not in event, "the guest at work")
        await give_up(call)
        # Neither its deadline nor its fuel ended the guest.
        event = await folder.log.until(lambda event: flood(event) and "outcome" in event, "the end of the call")
        check(event["outcome"] == "cancelled", f"ended by the cancel: {event}")


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
        folder.add("plugins/dist/text", "words")
        await asyncio.wait_for(told.get(), PATIENCE)
        await until(client, True)
        folder.remove("words")
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


async def effects(connect, folder, mode):
    """Skills that touch what they were granted, and nothing else."""
    grants = Grants(folder.root, REPO)
    try:
        folder.config.write_text(grants.config)
        async with connect(folder, mode) as client:

            async def text(tool, error=False, **arguments):
                result = await client.call_tool(tool, arguments)
                check(bool(result.is_error) == error, f"{tool}: {result}")
                return result.content[0].text

            await text("files_write", path="a.txt", text="from Python")
            check((grants.folder / "a.txt").read_text() == "from Python", "written")
            check("from Python" in await text("files_read", path="/data/a.txt"), "read")
            check("in no granted folder" in await text("files_read", True, path="../skillhost.toml"), "kept in")
            check("# Page" in await text("fetch_get", url=f"{grants.url}/page"), "fetched")
            check("not granted" in await text("fetch_get", True, url=f"{grants.url}/away"), "redirects are judged")
    finally:
        grants.close()


async def main():
    scenarios = [
        lists_and_calls,
        wrong_arguments,
        unknown_tool,
        keys_and_durable_calls,
        progress,
        errors,
        cancel,
        changes,
        effects,
        saga_rolled_back,
        killed_in_the_middle_of_a_rollback,
    ]
    modes = [(mode, scenario) for mode in [MODERN, LEGACY] for scenario in scenarios] + [(AUTO, lists_and_calls)]
    plan = [(connect, mode, scenario) for connect in [stdio, http] for mode, scenario in modes]
    await run("clients.python", plan, lambda: Folder(SKILLS))


asyncio.run(main())
