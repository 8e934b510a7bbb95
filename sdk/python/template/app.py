"""The tools of this skill."""

from typing import Annotated

from skillhost import Failure, tool


@tool(read_only=True, idempotent=True, open_world=False)
def greet(name: Annotated[str, "Whom to greet."]) -> str:
    """Greets somebody by name."""
    if not name.strip():
        raise Failure.invalid_input("the name must not be blank")
    return f"Hello, {name}!"
