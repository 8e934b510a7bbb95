"""What the host offers, as the bindings have it; outside a component a fake, which `testing` sets up."""

from __future__ import annotations

try:
    from componentize_py_types import Err
    from wit_world.imports import host, secrets, types
    from wit_world.imports import logging as logs
    from wit_world.imports import wasi_config_store as config
    from wit_world.imports import wasi_keyvalue_store as keyvalue
except ModuleNotFoundError:
    from .fake import Err, config, host, keyvalue, logs, secrets, types

__all__ = ["Err", "config", "host", "keyvalue", "logs", "secrets", "types"]
