"""Prompts, resources, completions, questions, subscriptions, log lines and tasks with the PyPI client `mcp`, over stdio and
HTTP, in both eras of the protocol.

usage: features.py BIN REPO JUNIT.xml DATA
"""

import asyncio
import base64
import collections
import contextlib
import warnings
from typing import Any, Literal

import mcp_types as types
from mcp import MCPError
from mcp.client.extension import ClientExtension, ResultClaim
from mcp.shared.exceptions import MCPDeprecationWarning

from harness import AUTO, LEGACY, MODERN, PATIENCE, Folder, check, http, run, stdio

# Half of what is asked here is deprecated in the newer era, and still there in both.
warnings.simplefilter("ignore", MCPDeprecationWarning)

SKILLS = ["plugins/dist/fixtures/conformance", "tests/skills/dist/whole"]
CONFIG = """
[skills.conformance]
mount = "root"
timeout = "2m"
[skills.whole.grants]
keyvalue = true
"""
INVALID_PARAMS, MISSING_CAPABILITY = -32602, -32021
# The older revision has a code of its own for a resource that is not there.
NOT_FOUND = {MODERN: INVALID_PARAMS, LEGACY: -32002}
PNG = b"\x89PNG\r\n\x1a\n"


async def refused(asking, code, word):
    """The JSON-RPC error that this is answered with."""
    try:
        result = await asking
    except MCPError as error:
        check(error.error.code == code and word in error.error.message, f"refused: {error.error}")
        return error.error
    raise AssertionError(f"must be a JSON-RPC error {code}: {result}")


async def text(client, tool, arguments=None, error=False, **options):
    result = await client.call_tool(tool, arguments or {}, **options)
    check(bool(result.is_error) == error, f"{tool}: {result}")
    return result.content[0].text


class Answers:
    """A person, a model and the folders of a client. Keeps what they were asked."""

    def __init__(self, *forms, model="Paris", roots=("file:///work",)):
        self.forms, self.model, self.roots = list(forms), model, roots
        self.asked = []

    def options(self):
        return {
            "elicitation_callback": self.elicit,
            "sampling_callback": self.sample,
            "list_roots_callback": self.list_roots,
        }

    async def elicit(self, context, params):
        self.asked.append(params)
        answer = self.forms.pop(0)
        if isinstance(answer, str):
            return types.ElicitResult(action=answer)
        return types.ElicitResult(action="accept", content=answer)

    async def sample(self, context, params):
        self.asked.append(params)
        if self.model is None:
            return types.ErrorData(code=-1, message="the model was not let")
        content = types.TextContent(type="text", text=self.model)
        return types.CreateMessageResult(role="assistant", content=content, model="of the test")

    async def list_roots(self, context):
        self.asked.append("roots")
        return types.ListRootsResult(roots=[types.Root(uri=uri) for uri in self.roots])


async def prompts(connect, folder, mode):
    async with connect(folder, mode) as client:
        listed = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
        check({"test_simple_prompt", "test_prompt_with_image", "whole_essay"} <= listed.keys(), f"listed: {listed.keys()}")
        two = [(one.name, one.required) for one in listed["test_prompt_with_arguments"].arguments]
        check(two == [("arg1", True), ("arg2", True)], f"arguments: {two}")
        check(listed["whole_essay"].arguments[0].description == "What it is about.", "an argument is described")

        async def messages(name, **arguments):
            return (await client.get_prompt(name, arguments)).messages

        [message] = await messages("test_simple_prompt")
        check((message.role, message.content.text) == ("user", "This is a simple prompt for testing."), f"{message}")
        [message] = await messages("whole_essay", topic="rivers")
        check(message.content.text == "Write about rivers.", f"{message}")
        [message] = await messages("test_prompt_with_arguments", arg1="ü", arg2='"')
        check(message.content.text == "Prompt with arguments: arg1='ü', arg2='\"'", f"{message}")
        [resource, message] = await messages("test_prompt_with_embedded_resource", resourceUri="test://a")
        inner = resource.content.resource
        check((inner.uri, inner.mime_type) == ("test://a", "text/plain"), f"embedded: {inner}")
        check(inner.text == "Embedded resource content for testing.", f"embedded: {inner}")
        [image, message] = await messages("test_prompt_with_image")
        check(base64.b64decode(image.content.data).startswith(PNG), f"an image: {image}")

        await refused(client.get_prompt("whole_esay", {"topic": "a"}), INVALID_PARAMS, "whole_esay")
        await refused(client.get_prompt("whole_essay", {}), INVALID_PARAMS, "topic")


async def resources(connect, folder, mode):
    async with connect(folder, mode) as client:
        listed = {resource.uri: resource for resource in (await client.list_resources()).resources}
        static = listed["test://static-text"]
        check((static.name, static.mime_type) == ("Static Text Resource", "text/plain"), f"listed: {static}")
        templates = [one.uri_template for one in (await client.list_resource_templates()).resource_templates]
        check({"test://template/{id}/data", "value://{key}"} <= set(templates), f"templates: {templates}")

        async def read(uri):
            [content] = (await client.read_resource(uri, cache_mode="bypass")).contents
            check(content.uri == uri, f"{uri}: {content}")
            return content

        check((await read("test://static-text")).text == "This is the content of the static text resource.", "a text")
        binary = await read("test://static-binary")
        check(binary.mime_type == "image/png" and base64.b64decode(binary.blob).startswith(PNG), f"bytes: {binary}")
        check('"Data for ID: a b"' in (await read("test://template/a%20b/data")).text, "of a template")
        await text(client, "whole_set", {"key": "k", "value": "of a tool"})
        check(base64.b64decode((await read("value://k")).blob) == b"of a tool", "what a tool has set")

        for uri in ["value://nothing", "test://nothing", "nothing://at-all"]:
            error = await refused(client.read_resource(uri), NOT_FOUND[mode], uri)
            check(error.data["uri"] == uri, f"which one: {error}")


async def completions(connect, folder, mode):
    async with connect(folder, mode) as client:

        async def values(ref, name, value):
            result = await client.complete(ref, {"name": name, "value": value})
            return result.completion.values

        prompt = lambda name: types.PromptReference(type="ref/prompt", name=name)
        template = lambda uri: types.ResourceTemplateReference(type="ref/resource", uri=uri)
        check(await values(prompt("whole_essay"), "topic", "r") == ["rain", "rivers"], "of a prompt")
        at_root = await values(prompt("test_prompt_with_arguments"), "arg1", "testV")
        check(at_root == ["testValue1", "testValue2"], f"at the root: {at_root}")
        check(await values(template("test://template/{id}/data"), "id", "12") == ["12", "123"], "of a template")
        await text(client, "whole_set", {"key": "north", "value": "1"})
        check(await values(template("value://{key}"), "key", "nor") == ["north"], "of what is there now")
        check(await values(prompt("whole_essay"), "topic", "x") == [], "of nothing")
        await refused(client.complete(prompt("whole_esay"), {"name": "topic", "value": ""}), INVALID_PARAMS, "whole_esay")


async def elicitation(connect, folder, mode):
    answers = Answers({"username": "ann", "email": "a@b.c"}, "decline", "cancel")
    async with connect(folder, mode, **answers.options()) as client:
        ask = lambda: text(client, "test_elicitation", {"message": "Who are you?"})
        accepted = await ask()
        check('action=accept' in accepted and '"username":"ann"' in accepted, f"accepted: {accepted}")
        check(await ask() == "User response: action=decline, content={}", "declined")
        check(await ask() == "User response: action=cancel, content={}", "cancelled")
        asked = answers.asked[0]
        check(asked.message == "Who are you?" and len(answers.asked) == 3, f"asked: {answers.asked}")
        check(set(asked.requested_schema["properties"]) == {"username", "email"}, f"a form: {asked.requested_schema}")

        answers.forms = [{"name": "Ann", "age": 7, "score": 1.5, "status": "pending", "verified": False}]
        filled = await text(client, "test_elicitation_sep1034_defaults")
        check('"age":7' in filled and '"status":"pending"' in filled, f"filled in: {filled}")
        fields = answers.asked[-1].requested_schema["properties"]
        check((fields["name"]["default"], fields["age"]["default"]) == ("John Doe", 30), f"defaults: {fields}")

        # A person who does not want to go on.
        answers.forms = ["decline"]
        stopped = await text(client, "test_input_required_result_elicitation", error=True)
        check("declined" in stopped, f"stopped: {stopped}")
        # One after the other, in one call.
        answers.forms = [{"name": "Ann"}, {"color": "red"}]
        check(await text(client, "test_input_required_result_multi_round") == "Ann likes red", "two rounds")
        # What does not fit the form never reaches the skill.
        answers.forms = [{"name": 5}]
        await refused(client.call_tool("test_input_required_result_elicitation"), INVALID_PARAMS, "name")

        answers.forms = [{"context": "the test"}]
        prompt = await client.get_prompt("test_input_required_result_prompt")
        check(prompt.messages[0].content.text == "Use this context: the test", f"a prompt asks, too: {prompt}")

    # Who cannot be asked is told so at once.
    async with connect(folder, mode) as client:
        error = await refused(client.call_tool("test_elicitation", {"message": "?"}), MISSING_CAPABILITY, "")
        check("elicitation" in error.data["requiredCapabilities"], f"what is missing: {error}")


async def questions_at_once(connect, folder, mode):
    """Answers reach the calls that asked; a call whose client gives up while it asks holds nothing up."""
    never, asked = asyncio.Event(), asyncio.Event()
    names = iter("abcdefgh")

    async def elicit(context, params):
        if "confirm" in params.requested_schema["properties"]:
            asked.set()
            await never.wait()
        # Each answer says what it was asked, and they arrive in an order of their own.
        name = next(names)
        await asyncio.sleep(0.01 * (ord("h") - ord(name)))
        return types.ElicitResult(action="accept", content={"username": name, "email": params.message})

    async with connect(folder, mode, elicitation_callback=elicit) as client:
        ask = lambda who: text(client, "test_elicitation", {"message": who})
        people = [f"{number}@b.c" for number in range(8)]
        answers = await asyncio.gather(*[ask(who) for who in people])
        check(all(f'"email":"{who}"' in answer for who, answer in zip(people, answers)), f"mixed up: {answers}")

        call = asyncio.create_task(client.call_tool("confirm_delete", {"filename": "a"}))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        check(await text(client, "test_simple_text"), "answers after it")


async def sampling_and_roots(connect, folder, mode):
    answers = Answers({"name": "Ann"}, model="Hello", roots=["file:///a", "file:///b"])
    async with connect(folder, mode, **answers.options()) as client:
        answer = await text(client, "test_sampling", {"prompt": "Greet me"})
        check(answer == "LLM response: Hello", f"sampled: {answer}")
        [asked] = answers.asked
        check((asked.messages[0].content.text, asked.max_tokens) == ("Greet me", 100), f"asked: {asked}")
        roots = await text(client, "test_input_required_result_list_roots")
        check(roots == "Roots: file:///a, file:///b", f"roots: {roots}")
        # All three at once.
        answers.asked.clear()
        mixed = await text(client, "test_input_required_result_multiple_inputs")
        check(mixed == "Hello Ann, roots: 2" and len(answers.asked) == 3, f"all at once: {mixed}")
        # A client that refuses: in the newer era it gives up by itself, in the older one the host is told.
        answers.model = None
        code = -1 if mode == MODERN else -32603
        await refused(client.call_tool("test_sampling", {"prompt": "?"}), code, "the model was not let")
        check(await text(client, "test_simple_text"), "the host lives on")


async def answers_after_a_restart(connect, folder, mode):
    """Nothing is held while a person thinks: what was asked can be answered to another host, once the first is gone."""
    answers = Answers()
    call = ("test_input_required_result_request_state", {})
    async with connect(folder, mode, **answers.options()) as client:
        asked = await client.session.call_tool(*call, allow_input_required=True)
        check(list(asked.input_requests) == ["confirm"], f"asked: {asked}")
    given = {"confirm": types.ElicitResult(action="accept", content={"ok": True})}
    async with connect(folder, mode, **answers.options()) as client:
        again = lambda state: client.call_tool(*call, input_responses=given, request_state=state)
        result = await again(asked.request_state)
        check(result.content[0].text == "state-ok", f"answered: {result}")
        state = asked.request_state
        forged = state[:-2] + ("A" if state[-2] != "A" else "B") + state[-1]
        await refused(again(forged), INVALID_PARAMS, "requestState")
        # Who knows what will be asked need not wait for it.
        early = {"user_name": types.ElicitResult(action="accept", content={"name": "Ann"})}
        result = await client.call_tool("test_input_required_result_elicitation", input_responses=early)
        check(result.content[0].text == "Hello, Ann!" and not answers.asked, f"answered before: {result}")


class Heard:
    """What a client is told has changed: by its session in the older era, over a stream of its own in the newer one."""

    def __init__(self):
        self.queues = collections.defaultdict(asyncio.Queue)

    async def handler(self, message):
        # In the newer era the stream's events come here, too.
        match message:
            case types.ToolListChangedNotification():
                self.queues["tools"].put_nowait(None)
            case types.PromptListChangedNotification():
                self.queues["prompts"].put_nowait(None)
            case types.ResourceListChangedNotification():
                self.queues["resources"].put_nowait(None)
            case types.ResourceUpdatedNotification():
                self.queues["updated"].put_nowait(str(message.params.uri))

    async def next(self, kind):
        return await asyncio.wait_for(self.queues[kind].get(), PATIENCE)


async def listings_change(connect, folder, mode):
    """A skill that is dropped into the folder, and taken out of it, changes all three listings."""
    heard = Heard()
    folder.remove("whole")

    async def listed(client, kind):
        match kind:
            case "tools":
                return "whole_set" in [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]
            case "prompts":
                return "whole_essay" in [one.name for one in (await client.list_prompts(cache_mode="bypass")).prompts]
            case "resources":
                result = await client.list_resource_templates(cache_mode="bypass")
                return "value://{key}" in [one.uri_template for one in result.resource_templates]

    async with connect(folder, mode, message_handler=heard.handler) as client, contextlib.AsyncExitStack() as stack:
        kinds = ["tools", "prompts", "resources"]
        if mode == MODERN:
            wanted = {f"{kind}_list_changed": True for kind in kinds}
            subscription = await stack.enter_async_context(client.listen(**wanted))
            honored = subscription.honored.model_dump(exclude_none=True)
            check(honored == wanted, f"all are honored: {honored}")
        check(not any([await listed(client, kind) for kind in kinds]), "not there yet")

        async def until(there):
            for kind in kinds:
                await heard.next(kind)
                # Every other look is owed to a notification, too; some are of what was loaded at the start.
                while await listed(client, kind) != there:
                    await heard.next(kind)

        folder.add("tests/skills/dist/whole")
        await until(True)
        folder.remove("whole")
        await until(False)


async def resources_change(connect, folder, mode):
    """Who listens to a resource is told when it changes, and of no other."""
    heard = Heard()
    async with connect(folder, mode, message_handler=heard.handler) as client:
        change = lambda key: text(client, "whole_set", {"key": key, "value": "new"})

        @contextlib.asynccontextmanager
        async def listening(uri):
            if mode == MODERN:
                async with client.listen(resource_subscriptions=[uri]) as subscription:
                    check(subscription.honored.resource_subscriptions == [uri], f"{subscription.honored}")
                    yield
            else:
                await client.subscribe_resource(uri)
                yield
                await client.unsubscribe_resource(uri)

        async with listening("value://a"):
            # News come in their order: had it been told of the others, it would hear of them first.
            await change("b")
            await change("a")
            check(await heard.next("updated") == "value://a", "told")
        async with listening("value://c"):
            await change("a")
            await change("c")
            check(await heard.next("updated") == "value://c", "told of what it listens to now")
        check(heard.queues["updated"].empty(), "told once")


async def log_lines(connect, folder, mode):
    lines = []

    async def keep(params):
        lines.append((params.level, params.data))

    wanted = [
        ("info", "Tool execution started"),
        ("info", "Tool processing data"),
        ("info", "Tool execution completed"),
    ]
    async with connect(folder, mode, logging_callback=keep) as client:
        await client.call_tool("test_tool_with_logging")
        check(lines == [], f"nothing unasked: {lines}")
        key = "io.modelcontextprotocol/logLevel"

        async def call(level):
            if mode == LEGACY:
                await client.session.set_logging_level(level)
            await client.call_tool("test_tool_with_logging", meta={key: level} if mode == MODERN else None)

        await call("warning")
        check(lines == [], f"nothing below the level: {lines}")
        await call("info")
        async with asyncio.timeout(PATIENCE):
            while len(lines) < 3:
                await asyncio.sleep(0.01)  # the client passes them on beside the result
        check(lines == wanted, f"lines: {lines}")


async def progress(connect, folder, mode):
    async with connect(folder, mode) as client:
        reports = asyncio.Queue()

        async def callback(value, total, message):
            reports.put_nowait((value, total, message))

        await text(client, "test_tool_with_progress", progress_callback=callback)
        seen = [await asyncio.wait_for(reports.get(), PATIENCE) for _ in range(3)]
        check(seen == [(step, 100, f"Completed step {step} of 100") for step in [0, 50, 100]], f"progress: {seen}")


class TaskHandle(types.Result):
    """What a call that became a task is answered with."""

    result_type: Literal["task"] = "task"
    task_id: str
    status: str
    ttl_ms: int | None = None
    poll_interval_ms: int | None = None


class TaskRequest(types.Request[dict[str, Any], str]):
    """Any method of the extension; over HTTP the task's id is a header, too."""

    name_param = "taskId"


class TaskResult(types.Result):
    model_config = {"extra": "allow"}


class Tasks(ClientExtension):
    """The extension for tasks. The client knows how to have one, and has none of its own."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self, forms=None):
        self.forms, self.seen, self.handle = forms or {}, [], None

    def claims(self):
        return [ResultClaim(result_type="task", model=TaskHandle, resolve=self.resolve)]

    async def send(self, session, method, task, **params):
        request = TaskRequest(method=f"tasks/{method}", params={"taskId": task, **params})
        return (await session.send_request(request, TaskResult)).model_extra

    async def resolve(self, handle, context):
        self.handle, self.seen = handle, []
        answered = set()
        async with asyncio.timeout(PATIENCE):
            while True:
                task = await self.send(context.session, "get", handle.task_id)
                self.seen.append(task["status"])
                if task["status"] == "completed":
                    return types.CallToolResult.model_validate(task["result"])
                if task["status"] == "failed":
                    raise MCPError(task["error"]["code"], task["error"]["message"], task["error"].get("data"))
                if task["status"] == "cancelled":
                    raise MCPError(0, "cancelled")
                if task["status"] == "input_required" and (asked := task["inputRequests"].keys() - answered):
                    # One by one, though they were asked together.
                    for key in asked:
                        given = {key: {"action": "accept", "content": self.forms[key]}}
                        await self.send(context.session, "update", handle.task_id, inputResponses=given)
                    answered |= asked
                await asyncio.sleep(handle.poll_interval_ms / 1000)


async def tasks(connect, folder, mode):
    extension = Tasks({"confirm": {"confirm": True}})
    part = {"name": "p", "confirm": False}
    answers = Answers()
    async with connect(folder, mode, extensions=[extension], **answers.options()) as client:
        check(client.server_capabilities.extensions["io.modelcontextprotocol/tasks"] == {}, "the host has tasks")
        check(await text(client, "greet", {"name": "Ann"}) == "Hello, Ann!", "at once")
        check(extension.handle is None, "not every call is a task")

        check(await text(client, "slow_compute", {"seconds": 1, "label": "it"}) == "it took 1 s", "computed")
        first = extension.handle
        check(extension.seen[0] == "working" and extension.seen[-1] == "completed", f"on the way: {extension.seen}")
        check(first.status == "working" and first.ttl_ms > 0, f"a handle: {first}")
        failed = await text(client, "failing_job", error=True)
        check("intentionally fails" in failed and extension.seen[-1] == "completed", f"a tool's error: {failed}")
        await refused(client.call_tool("protocol_error_job"), MISSING_CAPABILITY, "")
        check(extension.seen[-1] == "failed", f"a call's error: {extension.seen}")

        # Questions in the middle of a task, one and two at once, and before it begins.
        check(await text(client, "confirm_delete", {"filename": "a"}) == "would delete a", "confirmed")
        check("input_required" in extension.seen, f"asked: {extension.seen}")
        extension.forms = {"first": part, "second": part}
        check(await text(client, "multi_input") == "p: false, p: false", "both")
        answers.forms = [{"name": "Ann"}]
        check(await text(client, "test_tool_with_task") == "Hello, Ann!", "asked first")
        check(len(answers.asked) == 1 and "input_required" not in extension.seen, f"as a call: {extension.seen}")

        # Gives up on it.
        result = await client.session.call_tool("slow_compute", {"seconds": 100}, allow_claimed=True)
        await extension.send(client.session, "cancel", result.task_id)
        await refused(extension.resolve(result, Context(client)), 0, "cancelled")
        await refused(extension.send(client.session, "get", "00" * 16), INVALID_PARAMS, "no task")

        kept = await client.session.call_tool("slow_compute", {"seconds": 1, "label": "kept"}, allow_claimed=True)

    # Another host, for another connection of the same caller: tasks that have ended and that were cut off.
    async with connect(folder, mode, extensions=[extension]) as client:
        ended = await extension.resolve(first, Context(client))
        check(ended.content[0].text == "it took 1 s", f"kept: {ended}")
        ended = await extension.resolve(kept, Context(client))
        check(ended.content[0].text == "kept took 1 s", f"goes on: {ended}")


class Context:
    """As the client gives it to a claim."""

    def __init__(self, client):
        self.session = client.session


async def a_task_at_once(connect, folder, mode):
    """The first request of all, while the skills are still loaded, becomes a task as any other."""
    extension = Tasks()
    async with connect(folder, mode, extensions=[extension]) as client:
        check(await text(client, "slow_compute", {"seconds": 0, "label": "it"}) == "it took 0 s", "computed")
        check(extension.handle is not None, "answered with a handle")


async def no_tasks(connect, folder, mode):
    """A client without tasks waits where it may, and is refused where it may not."""
    async with connect(folder, mode) as client:
        check(await text(client, "slow_compute", {"seconds": 0, "label": "it"}) == "it took 0 s", "waited")
        error = await refused(client.call_tool("failing_job"), MISSING_CAPABILITY, "")
        needed = error.data["requiredCapabilities"]["extensions"]
        check("io.modelcontextprotocol/tasks" in needed, f"what is missing: {error}")


async def main():
    both = [
        prompts,
        resources,
        completions,
        elicitation,
        questions_at_once,
        sampling_and_roots,
        listings_change,
        resources_change,
        log_lines,
        progress,
        no_tasks,
    ]
    modes = [(mode, scenario) for mode in [MODERN, LEGACY] for scenario in both]
    # The older era has neither. A client that is pinned to the newer one never asks what the host has.
    modes += [(MODERN, answers_after_a_restart), (MODERN, a_task_at_once), (AUTO, tasks)]
    plan = [(connect, mode, scenario) for connect in [stdio, http] for mode, scenario in modes]
    await run("clients.features", plan, lambda: Folder(SKILLS, CONFIG))


asyncio.run(main())
