"""The helper under ordinary Python, where a fake plays the host."""

import enum
import json
import unittest
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Optional, TypedDict

from skillhost import Context, Failure, HostError, Reply, Undo, ask, host, log, tool
from skillhost.exports import Tools
from skillhost.schema import build, schema
from skillhost.testing import Host
from skillhost.declare import tools


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Item:
    name: Annotated[str, "what it is called"]
    color: Color = Color.RED
    tags: list[str] = field(default_factory=list)


class Pair(TypedDict):
    a: int
    b: str


class Schemas(unittest.TestCase):
    def test_hints(self) -> None:
        for hint, wanted in [
            (str, {"type": "string"}),
            (bool, {"type": "boolean"}),
            (list[int], {"type": "array", "items": {"type": "integer"}}),
            (Optional[float], {"anyOf": [{"type": "number"}, {"type": "null"}]}),
            (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
            (Literal["a", 1], {"enum": ["a", 1]}),
            (dict[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
            (Any, {}),
            (Annotated[int, "a number", {"minimum": 1}], {"type": "integer", "description": "a number", "minimum": 1}),
            (
                Pair,
                {
                    "type": "object",
                    "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
                    "additionalProperties": False,
                    "required": ["a", "b"],
                },
            ),
            (
                Item,
                {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string", "description": "what it is called"},
                        "color": {"enum": ["red", "blue"]},
                        "tags": {"type": "array", "items": {"type": "string"}},
                    },
                    "additionalProperties": False,
                    "required": ["name"],
                },
            ),
        ]:
            self.assertEqual(schema(hint), wanted, hint)
        for hint in (set[int], dict[int, str], complex):
            with self.assertRaises(TypeError):
                schema(hint)

    def test_values(self) -> None:
        self.assertEqual(build(Item, {"name": "a", "color": "blue"}), Item("a", Color.BLUE))
        self.assertEqual(build(list[Item | None], [None, {"name": "a"}]), [None, Item("a")])
        self.assertEqual(build(tuple[int, Color], [1, "red"]), (1, Color.RED))
        self.assertIs(type(build(float, 1)), float)
        for hint in (int, int | None, list[int]):
            self.assertEqual(repr(build(hint, [1.0] if hint == list[int] else 1.0)), "[1]" if hint == list[int] else "1")
        self.assertEqual(build(int | float, 1.5), 1.5)
        self.assertIs(build(int | bool, True), True)


class Forms(unittest.TestCase):
    def test_a_form_has_only_what_clients_take(self) -> None:
        @dataclass
        class Sure:
            yes: bool
            color: Color = Color.RED

        wanted = {"yes": {"type": "boolean"}, "color": {"enum": ["red", "blue"], "type": "string"}}
        self.assertEqual(ask.form_of(Sure), {"type": "object", "properties": wanted, "required": ["yes"]})


class ToolsTest(unittest.TestCase):
    def setUp(self) -> None:
        tools.clear()

    def test_a_function_is_told_as_the_contract_has_it(self) -> None:
        @tool(read_only=True, task="optional", title="It")
        def it(name: Annotated[str, "whom"], ctx: Context, loud: bool = False) -> Pair:
            """Does it.

            At once.
            """

        (spec,) = Tools().list()
        self.assertEqual((spec.name, spec.title, spec.description), ("it", "It", "Does it.\n\nAt once."))
        self.assertEqual(
            json.loads(spec.input_schema),
            {
                "type": "object",
                "properties": {"name": {"type": "string", "description": "whom"}, "loud": {"type": "boolean"}},
                "additionalProperties": False,
                "required": ["name"],
            },
        )
        self.assertEqual(json.loads(spec.output_schema)["required"], ["a", "b"])
        self.assertEqual((spec.annotations.read_only, spec.annotations.destructive), (True, None))
        self.assertEqual((spec.undoable, spec.durable, spec.task.name), (False, False, "OPTIONAL"))

    def test_what_is_wrong_ends_the_build(self) -> None:
        async def late() -> None:
            """Late."""

        def nothing() -> None: ...

        def many(*args: str) -> None:
            """Many."""

        for function, options, error in [
            (late, {}, TypeError),
            (nothing, {}, ValueError),
            (many, {}, TypeError),
            (nothing, {"description": "x", "name": "a b"}, ValueError),
        ]:
            with self.assertRaises(error):
                tool(**options)(function)
        tool(description="x")(nothing)
        with self.assertRaises(ValueError):
            tool(description="x")(nothing)

    def test_what_is_returned_is_the_reply(self) -> None:
        @tool
        def it(value: Any = None, how: str = "") -> Any:
            """For tests."""
            return {"error": Reply.error("no"), "both": Reply().text("a").json(1)}.get(how, value)

        came = lambda **given: (lambda c: (c.text, c.structured, c.is_error))(Host().call("it", **given))
        self.assertEqual(came(value="a"), ("a", None, False))
        self.assertEqual(came(), ("", None, False))
        self.assertEqual(came(value={"ü🧀": [1, None]}), ("", {"ü🧀": [1, None]}, False))
        self.assertEqual(came(how="error"), ("no", None, True))
        self.assertEqual(came(how="both"), ("a", 1, False))
        # It is an ordinary function, too.
        self.assertEqual(it("b"), "b")

    def test_each_kind_of_failure_is_itself(self) -> None:
        failures = {
            "invalid-input": Failure.invalid_input("a"),
            "transient": Failure.transient("a", 500),
            "permanent": Failure.permanent("a"),
            "conflict": Failure.conflict("a"),
            "missing-capability": Failure.missing_capability("roots", "sampling"),
        }

        @tool
        def it(kind: str) -> None:
            """For tests."""
            raise failures.get(kind) or ZeroDivisionError

        for kind, failure in failures.items():
            with self.assertRaises(Failure) as raised:
                Host().call("it", kind=kind)
            thrown = raised.exception
            self.assertEqual((thrown.kind, thrown.message), (kind, failure.message))
            self.assertEqual((thrown.retry_after_ms, thrown.features), (failure.retry_after_ms, failure.features))
        # Nobody knows what took effect.
        with self.assertRaises(ZeroDivisionError):
            Host().call("it", kind="other")

    def test_what_the_host_refuses_did_not_happen(self) -> None:
        @tool
        def it(kind: str) -> None:
            """For tests."""
            raise HostError(kind, "no")

        for kind, wanted in {"denied": "permanent", "unavailable": "transient"}.items():
            with self.assertRaises(Failure) as raised:
                Host().call("it", kind=kind)
            self.assertEqual(raised.exception.kind, wanted)
        # Nobody knows what took effect.
        with self.assertRaises(HostError):
            Host().call("it", kind="ended")

        @tool
        def half() -> None:
            """For tests."""
            host.store.set("k", "v")
            host.secret("s")

        with self.assertRaises(HostError):
            Host().call("half")

    def test_texts_without_utf8_are_mended(self) -> None:
        @tool
        def it(how: str) -> Any:
            """For tests."""
            if how == "fail":
                raise Failure.conflict("a\ud83d")
            return "a\ud83d" if how == "text" else {"a": "\ud83d"}

        self.assertEqual(Host().call("it", how="text").text, "a?")
        self.assertEqual(Host().call("it", how="json").structured, {"a": "?"})
        with self.assertRaises(Failure) as raised:
            Host().call("it", how="fail")
        self.assertEqual(raised.exception.message, "a?")

    def test_another_tool_may_have_an_argument_of_any_name(self) -> None:
        @tool
        def it() -> Any:
            """For tests."""
            return host.call("other_greet", name="Ada")

        self.assertEqual(Host(tools={"other_greet": lambda name: f"Hello, {name}!"}).call("it").text, "Hello, Ada!")

    def test_nobody_is_asked_while_a_call_is_taken_back(self) -> None:
        @tool
        def it() -> None:
            """For tests."""

        @it.undo
        def back(undo: Undo) -> None:
            ask.roots(undo.ctx)

        with self.assertRaises(Failure) as raised:
            Host(answers={"roots": []}).undo("it", None)
        self.assertEqual(raised.exception.kind, "permanent")

    def test_the_host_is_there(self) -> None:
        @tool
        def it() -> dict[str, Any]:
            """For tests."""
            host.progress(1, 2, "half")
            log.warn("careful")
            host.store.set("k", "ü")

            def error(call: Any) -> Any:
                try:
                    return call()
                except (Failure, HostError) as thrown:
                    return [thrown.kind, thrown.message]

            return {
                "config": [host.config("a"), host.config("b"), host.config("b", "c"), host.all_config()],
                "secret": [host.secret("s"), error(lambda: host.secret("t"))],
                "store": [host.store.get("k"), host.store.get("other"), host.store.keys()],
                "cancelled": host.cancelled(),
                "called": [
                    host.call("other_json", a=1),
                    host.call("other_text"),
                    error(lambda: host.call("other_fails")),
                    error(lambda: host.call("other_no")),
                    error(lambda: host.call("missing_tool")),
                ],
            }

        def fails() -> None:
            raise Failure.conflict("changed")

        made = Host(
            config={"a": "1"},
            secrets={"s": "hidden"},
            tools={
                "other_json": lambda a: {"got": a},
                "other_text": lambda: "text",
                "other_fails": fails,
                "other_no": lambda: Reply.error("not today"),
            },
        )
        made.cancel()
        self.assertEqual(
            made.call("it").structured,
            {
                "config": ["1", None, "c", {"a": "1"}],
                "secret": ["hidden", ["denied", "the secret t was not granted"]],
                "store": ["ü", None, ["k"]],
                "cancelled": True,
                "called": [
                    {"got": 1},
                    "text",
                    ["conflict", "changed"],
                    ["permanent", "other_no answers no: not today"],
                    ["denied", "the test has no tool missing_tool"],
                ],
            },
        )
        self.assertEqual((made.progress, made.log), ([(1, 2, "half")], [("warn", "careful")]))

    def test_a_call_is_taken_back_by_its_token(self) -> None:
        @tool(destructive=True)
        def put(value: str) -> None:
            """For tests."""
            host.prepare_undo({"was": host.store.get("k")})
            host.store.set("k", value)

        @put.undo
        def unput(undo: Undo, value: str) -> None:
            if undo.force:
                raise Failure.conflict("forced")
            if undo.token is None or undo.token["was"] is None:
                host.store.delete("k")
            else:
                host.store.set("k", undo.token["was"])

        self.assertTrue(Tools().list()[0].undoable)
        made = Host(values={"k": "before"})
        came = made.call("put", value="after")
        self.assertEqual((made.values, came.undo_token), ({"k": "after"}, {"was": "before"}))
        made.undo("put", came.undo_token, value="after")
        self.assertEqual(made.values, {"k": "before"})
        made.undo("put", None, value="after")
        self.assertEqual(made.values, {})
        with self.assertRaises(Failure):
            made.undo("put", None, value="", force=True)

    def test_questions_are_asked_and_what_was_answered_is_remembered(self) -> None:
        rounds = 0

        @dataclass
        class Sure:
            yes: bool

        @tool
        def it(ctx: Context) -> dict[str, Any]:
            """For tests."""
            nonlocal rounds
            rounds += 1
            sure = ask.form(ctx, "sure", "Sure?", Sure)
            page = ask.url(ctx, "page", "Look", "https://example.com")
            (root,) = ask.roots(ctx)
            said = ask.sample(ctx, "model", {"messages": [], "maxTokens": 1})
            return {"yes": sure.content.yes, "page": page.action, "root": root["uri"], "said": said["model"]}

        answers = {"sure": {"yes": True}, "page": "decline", "roots": [{"uri": "file:///a"}], "model": {"model": "m"}}
        wanted = {"yes": True, "page": "decline", "root": "file:///a", "said": "m"}
        self.assertEqual(Host(answers=answers).call("it").structured, wanted)
        self.assertEqual(rounds, 5)
        with self.assertRaises(Failure) as raised:
            Host().call("it")
        self.assertEqual(raised.exception.features, ("elicitation",))


if __name__ == "__main__":
    unittest.main()
