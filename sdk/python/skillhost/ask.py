"""Questions to the person, the client's model, or the client.

Without an answer the call ends, the host asks, and the function runs again from its beginning: ask before you act, and give
each question the same key in each round.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Literal

from . import world
from .failure import Failure
from .schema import build, schema


class Asked(BaseException):
    """Ends the call with questions. No `except Exception` stops it."""

    def __init__(self, questions: dict[str, Any], known: dict[str, Any]):
        self.questions = questions
        self.known = known

    def to_wit(self) -> Any:
        """As the contract has it."""
        asked = [world.types.Question(key, ask) for key, ask in self.questions.items()]
        return world.types.InputRequired(asked, json.dumps(self.known).encode())


@dataclasses.dataclass(frozen=True)
class Answered:
    """What a person did with a form or a page; `content` is that of an accepted form."""

    action: Literal["accept", "decline", "cancel"]
    content: Any = None

    @property
    def accepted(self) -> bool:
        return self.action == "accept"


def form(ctx: Any, key: str, message: str, of: Any) -> Answered:
    """Show a form; `of` is a dataclass of texts, numbers, yes or no, or a JSON Schema."""
    asked = json.dumps(of if isinstance(of, dict) else form_of(of))
    answer = _one(ctx, key, world.types.Ask_Form(world.types.Form(message, asked)))
    content = answer["content"]
    if content is not None and not isinstance(of, dict):
        content = build(of, content)
    return Answered(answer["action"], content)


def form_of(of: Any) -> dict[str, Any]:
    """The schema of a form, which is flat and knows fewer words than that of arguments."""
    found = schema(of)
    del found["additionalProperties"]
    for field in found["properties"].values():
        if "enum" in field:
            field.setdefault("type", "string")
    return found


def url(ctx: Any, key: str, message: str, page: str) -> Answered:
    """Send the person to a page."""
    answer = _one(ctx, key, world.types.Ask_Url(world.types.Url(message, page, f"{ctx.call_id}/{key}")))
    return Answered(answer["action"])


def sample(ctx: Any, key: str, request: dict[str, Any]) -> dict[str, Any]:
    """Ask the client's model: parameters and result are those of `sampling/createMessage`."""
    return _one(ctx, key, world.types.Ask_Sample(json.dumps(request)))


def roots(ctx: Any, key: str = "roots") -> list[dict[str, Any]]:
    """The folders the client works in: `uri` and `name` of each."""
    return _one(ctx, key, world.types.Ask_Roots())


def _one(ctx: Any, key: str, question: Any) -> Any:
    if key in ctx.answers:
        return ctx.answers[key]
    feature, name = _capability(question)
    if feature not in ctx.client:
        raise Failure.missing_capability(name)
    raise Asked({key: question}, ctx.answers)


def _capability(question: Any) -> tuple[Any, str]:
    features = world.types.ClientFeatures
    match question:
        case world.types.Ask_Form():
            return features.ELICITATION_FORM, "elicitation"
        case world.types.Ask_Url():
            return features.ELICITATION_URL, "elicitation.url"
        case world.types.Ask_Sample(value=request) if "tools" in json.loads(request):
            return features.SAMPLING_TOOLS, "sampling.tools"
        case world.types.Ask_Sample():
            return features.SAMPLING, "sampling"
    return features.ROOTS, "roots"


def answered(value: Any) -> Any:
    """What came back, as `ask` gives it; it can be written as JSON."""
    match value:
        case world.types.AnswerValue_Elicited(value=elicited):
            content = None if elicited.content is None else json.loads(elicited.content)
            return {"action": elicited.action.name.lower(), "content": content}
        case world.types.AnswerValue_Sampled(value=text):
            return json.loads(text)
    return [{"uri": root.uri, "name": root.name} for root in value.value]
