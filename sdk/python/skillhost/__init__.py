"""Write skills for skillhost in Python: functions with type hints become tools."""

from . import ask, host
from .failure import Failure, HostError
from .host import log
from .reply import Reply
from .declare import Context, Tool, Undo, tool

__all__ = ["Context", "Failure", "HostError", "Reply", "Tool", "Undo", "ask", "host", "log", "tool"]
