"""A host for unit tests, and the client before it: the skill runs in ordinary Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import fake
from .exports import Tools, Undo, failed
from .failure import Failure
from .host import failure_of
from .reply import Reply


@dataclass(frozen=True)
class Came:
    """What came of a call."""

    text: str
    #: None where there is no structured result.
    structured: Any
    is_error: bool
    undo_token: Any


class Host:
    """Plays the host for the tools that were declared. Each one made begins anew.

    What the skill did is in `progress`, `log`, `calls`, `prepared`, `changed` and `values`.
    """

    def __init__(
        self,
        *,
        config: dict[str, str] | None = None,
        secrets: dict[str, str] | None = None,
        values: dict[str, str] | None = None,
        tools: dict[str, Callable[..., Any]] | None = None,
        answers: dict[str, Any] | None = None,
    ):
        """`tools` are other skills', by their full names; `answers` are the client's, by the keys of questions.

        A form's answer is its content, or a word such as `"decline"`.
        """
        state = fake.state
        state.__init__()
        state.config, state.secrets = config or {}, secrets or {}
        state.values = {key: value.encode() for key, value in (values or {}).items()}
        state.tools = {name: _replying(tool) for name, tool in (tools or {}).items()}
        self.answers = answers or {}

    def __getattr__(self, name: str) -> Any:
        return getattr(fake.state, name)

    @property
    def values(self) -> dict[str, str]:
        """The skill's own, as texts."""
        return {key: value.decode() for key, value in fake.state.values.items()}

    def cancel(self) -> None:
        """The client gives up."""
        fake.state.cancelled = True

    def call(self, tool: str, /, **arguments: Any) -> Came:
        """Call a tool as the host does. Failures are raised."""
        types = fake.types
        reached = None
        while True:
            try:
                outcome = Tools().call(self._context(reached), tool, json.dumps(arguments))
            except fake.Err as error:
                raise failure_of(error.value) from None
            if isinstance(outcome, types.Outcome_Reply):
                break
            asked = outcome.value
            answers = [types.Answer(asking.key, self._answer(asking)) for asking in asked.questions]
            reached = types.Round(2 if reached is None else reached.number + 1, asked.state, answers)
        reply = outcome.value
        said = [block.content.value for block in reply.content if isinstance(block.content, types.Content_Text)]
        token = fake.state.prepared if reply.undo_token is None else json.loads(reply.undo_token)
        structured = None if reply.structured is None else json.loads(reply.structured)
        return Came("\n".join(said), structured, reply.is_error, token)

    def undo(self, tool: str, token: Any, /, *, force: bool = False, **arguments: Any) -> None:
        """Take a call back."""
        text = None if token is None else json.dumps(token)
        try:
            Undo().undo(self._context(None), tool, json.dumps(arguments), text, force)
        except fake.Err as error:
            raise failure_of(error.value) from None

    def _context(self, reached: Any) -> Any:
        features = fake.ClientFeatures
        can = features.PROGRESS if not self.answers else ~features(0)
        return fake.types.Context(
            "01900000-0000-7000-8000-000000000000", "test", 1, 30_000, "local", can, None, reached
        )

    def _answer(self, asking: Any) -> Any:
        types = fake.types
        answer = self.answers[asking.key]
        if isinstance(asking.ask, types.Ask_Sample):
            return types.AnswerValue_Sampled(json.dumps(answer))
        if isinstance(asking.ask, types.Ask_Roots):
            return types.AnswerValue_Roots([types.Root(root["uri"], root.get("name")) for root in answer])
        refused = isinstance(answer, str)
        action = types.Action[answer.upper()] if refused else types.Action.ACCEPT
        return types.AnswerValue_Elicited(types.Elicited(action, None if refused else json.dumps(answer)))


def _replying(tool: Callable[..., Any]) -> Callable[..., Any]:
    def reply(**arguments: Any) -> Any:
        try:
            return Reply.of(tool(**arguments)).to_wit()
        except Failure as failure:
            raise fake.Err(fake.types.CallError_Failed(failed(failure).value)) from None

    return reply
