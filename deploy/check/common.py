"""What the checks share: the folders, and telling what is wrong."""

import pathlib
import sys

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
ROOT = DEPLOY.parent
BUILD = ROOT / "target" / "deploy"

_wrong = []


def wrong(text):
    _wrong.append(text)


def expect(true, text):
    if not true:
        wrong(text)
    return true


def load(path):
    return yaml.safe_load((DEPLOY / path).read_text())


def end(told):
    """Exit with 1 when something was wrong."""
    for text in _wrong:
        print(f"  wrong: {text}", file=sys.stderr)
    if _wrong:
        sys.exit(1)
    print(f"  {told}")


def seconds(text):
    """`15s`, `250ms`, `2m` as seconds."""
    for unit, factor in (("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)):
        if text.endswith(unit) and text[: -len(unit)].isdigit():
            return int(text[: -len(unit)]) * factor
    raise ValueError(text)
