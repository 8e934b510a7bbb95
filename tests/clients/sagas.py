"""An agent's session: calls in a saga on `files`, taken back; also with the host killed in the middle of it."""

import asyncio
import contextlib
import os
import signal

PATIENCE = 30


def check(condition, what):
    if not condition:
        raise AssertionError(what)


class World:
    """A granted folder with something in it, and what it was."""

    def __init__(self, folder):
        self.root = folder.root / "granted"
        (self.root / "sub").mkdir(parents=True)
        (self.root / "a.txt").write_text("one\n")
        (self.root / "b.txt").write_text("two\n")
        (self.root / "sub" / "c.bin").write_bytes(bytes(range(256)) * 400)
        with folder.config.open("a") as config:
            config.write('[skills.files.grants]\nkeyvalue = true\nfiles = [{ host = "granted", guest = "/data", access = "rw" }]\n')
        self.before = self.now()

    def now(self):
        paths = sorted(self.root.rglob("*"))
        return {str(path.relative_to(self.root)): path.read_bytes() if path.is_file() else None for path in paths}


# Each changes something in its own way; the last one holds more than a token may.
STEPS = [
    ("files_write", {"path": "new/d.txt", "text": "new", "create_folders": True}),
    ("files_write", {"path": "a.txt", "text": "replaced", "mode": "overwrite"}),
    ("files_write", {"path": "b.txt", "text": "more", "mode": "append"}),
    ("files_move", {"from": "a.txt", "to": "sub/a.txt"}),
    ("files_delete", {"path": "sub", "recursive": True}),
]


async def begin(client):
    begun = await client.call_tool("saga_begin", {"label": "from Python"})
    check(not begun.is_error, f"begun: {begun}")
    return begun.structured_content["saga"]


async def step(client, saga, tool, arguments):
    result = await client.call_tool("saga_call", {"saga": saga, "tool": tool, "arguments": arguments})
    check(not result.is_error, f"{tool}: {result}")
    return result.meta["skillhost/call_id"]


async def saga_rolled_back(connect, folder, mode):
    world = World(folder)
    folder.add("plugins/dist/files")
    async with connect(folder, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        check(tools["files_write"].meta["skillhost/undoable"] is True, f"discovered: {tools['files_write']}")
        saga = await begin(client)
        for tool, arguments in STEPS:
            await step(client, saga, tool, arguments)
        check(world.now() != world.before, "something has changed")
        listed = await client.call_tool("list_calls", {"saga": saga})
        check(len(listed.structured_content["calls"]) == len(STEPS), f"listed: {listed.structured_content}")
        rolled = await client.call_tool("saga_rollback", {"saga": saga})
        check(rolled.structured_content["state"] == "rolled-back", f"rolled back: {rolled}")
        check(world.now() == world.before, f"as before: {world.now().keys()}")
        again = await client.call_tool("saga_rollback", {"saga": saga})
        check(again.structured_content["state"] == "rolled-back", f"said again: {again}")
        # What was committed stays; one call of it can still be taken back.
        saga = await begin(client)
        call = await step(client, saga, "files_write", {"path": "kept.txt", "text": "kept"})
        await client.call_tool("saga_commit", {"saga": saga})
        refused = await client.call_tool("saga_rollback", {"saga": saga})
        check(refused.is_error and (world.root / "kept.txt").exists(), f"committed: {refused}")
        undone = await client.call_tool("undo_call", {"id": call})
        check(not undone.is_error and world.now() == world.before, f"undone: {undone}")


async def killed_in_the_middle_of_a_rollback(connect, folder, mode):
    world = World(folder)
    folder.add("plugins/dist/files")
    saga = None
    # The connection goes with the host.
    with contextlib.suppress(Exception):
        async with connect(folder, mode) as client:
            await client.list_tools()
            saga = await begin(client)
            for tool, arguments in STEPS:
                await step(client, saga, tool, arguments)
            asking = client.call_tool("saga_rollback", {"saga": saga})
            killing = folder.kill_at(lambda event: event.get("message") == "undone")
            await gathered(asking, killing)
    check(folder.killed, "the host was killed")
    async with connect(folder, mode) as client:
        await client.list_tools()
        while True:
            rolled = await client.call_tool("saga_rollback", {"saga": saga})
            if rolled.structured_content["state"] != "rolling-back":
                break
        check(rolled.structured_content["state"] == "rolled-back", f"rolled back: {rolled}")
        check(world.now() == world.before, f"as before: {world.now().keys()}")


async def gathered(*work):
    await asyncio.wait_for(asyncio.gather(*work), PATIENCE)


def pids(data):
    """Hosts that live on this data folder."""
    found = {int(path.name.split("-")[0].split(".")[0]) for path in (data / "run").glob("*.lock")}
    alive = []
    for pid in found:
        with contextlib.suppress(OSError):
            os.kill(pid, 0)
            alive.append(pid)
    return alive


def kill(data):
    for pid in pids(data):
        os.kill(pid, signal.SIGKILL)
