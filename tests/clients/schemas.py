"""The schemas that skillhost derives for plain components, judged by a second validator: PyPI's `jsonschema`.

What it calls valid the host must take, what it calls invalid the host must refuse, and what comes back must be valid.
Where that cannot be, `UNSAID` tells why.

usage: schemas.py BIN REPO JUNIT.xml DATA
"""

import asyncio
import base64
import binascii
import collections
import decimal
import itertools
import json
import math
import random
import re
import shutil
import struct
import subprocess

import mcp_types as types
from jsonschema import Draft202012Validator

from harness import BIN, MODERN, PATIENCE, REPO, Folder, check, run, stdio

SEED = 2020_12
# Arguments for each tool: as its schema says, and changed in one place beyond the edges of each place, which all are.
VALID, CHANGED = 60, 120
AT_ONCE = 6
SAFE = 2**53 - 1

CONFIG = """
[skills.plain]
breaker = "off"
[skills.plain.grants]
files = [{ host = "shop", guest = "/shop", access = "rw" }]
[skills.shapes]
breaker = "off"
[skills.handler]
breaker = "off"
"""

# --- A component of every type: each function gives back what it gets, as a record or alone. `wasi:cli/run` is there, too.

OPTIONAL = ("option", ("option", "u8"))
BOX, MAYBE = ("tuple", "u32", "s8"), ("option", "u16")
SHAPE = ("variant", {"nothing": None, "circle": "f32", "box": BOX, "named": "string", "maybe": MAYBE})
COLOUR = ("enum", "red", "dark-green")
RIGHTS = ("flags", "read", "write", "run-it")
POINT = ("record", {"x": "f32", "y": "f64", "a-label": ("option", "string"), "URL": "bool"})
FORK = ("record", {"at": SHAPE, "deep": OPTIONAL})
FUNCTIONS = {
    "scalars": {
        **{kind: kind for kind in ["bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64"]},
        "letter": "char", "text": "string", "bytes": ("list", "u8"), "words": ("list", "string"),
    },
    "compounds": {
        "pair": ("tuple", "u8", "string"), "point": POINT, "shape": SHAPE, "colour": COLOUR, "rights": RIGHTS,
        "perhaps": ("option", "s64"), "deep": OPTIONAL, "either": ("result", "u32", "string"),
        "done": ("result", None, None), "letters": ("list", "char"),
    },
    "nested": {
        "points": ("list", POINT), "shapes": ("list", ("option", SHAPE)), "blobs": ("list", ("list", ("list", "u8"))),
        "outcome": ("option", ("result", ("option", "u8"), ("list", ("tuple", "char", "bool")))),
        "deeper": ("option", ("option", ("option", "string"))), "excuse": ("result", None, COLOUR),
        "all-rights": ("list", RIGHTS), "tree": ("variant", {"leaf": "s64", "fork": ("list", FORK)}),
    },
}  # fmt: skip
# With so much beside it, a value is handed over in memory; then what is given back is where it is. What is small is read
# there.
BESIDE = ("option", ("tuple", *["u64"] * 16))
GIVEN = {
    "option": ("option", "s64"), "options": OPTIONAL, "tuple": ("tuple", "char", SHAPE), "variant": SHAPE, "text": "string",
    "list": ("list", ("option", RIGHTS)), "bytes": ("list", "u8"), "result": ("result", ("option", "u8"), SHAPE),
    "flags": RIGHTS, "enum": COLOUR, "bool": "bool", "char": "char",
}  # fmt: skip
ECHO, BYTE, WORD, RUN = range(1, 5)
SMALL = {"flags": BYTE, "enum": BYTE, "bool": BYTE, "char": WORD}
PRIMITIVES = dict(zip("string char f64 f32 u64 s64 u32 s32 u16 s16 u8 s8 bool".split(), range(0x73, 0x80)))
CORE = ["realloc", "echo", "byte", "word", "run"]
MAGIC = b"\0asm"


def leb(number):
    """An index or a size; with a bit left for the sign, where one is read."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low]) if not rest and low < 0x40 else bytes([low | 0x80]) + (leb(rest) if rest else b"\0")


def vector(parts):
    parts = list(parts)
    return leb(len(parts)) + b"".join(parts)


def name(text):
    return leb(len(text)) + text.encode()


def section(number, *content):
    body = b"".join(content)
    return bytes([number]) + leb(len(body)) + body


def core_module():
    """Memory that is only ever added to; functions get the place of what they are given, and give it back."""
    i32, get, const, end = b"\x7f", b"\x20", b"\x41", b"\x0b"
    # at = (next + align - 1) & -align; next = at + size
    up = b"\x23\0" + get + b"\x02" + const + b"\x01\x6b\x6a" + const + b"\0" + get + b"\x02\x6b\x71\x22\0"
    realloc = up + get + b"\x03\x6a\x24\0" + get + b"\0"
    code = [realloc, get + b"\0", get + b"\0\x2d\0\0", get + b"\0\x28\x02\0", const + b"\0"]
    types = [b"\x60" + vector([i32] * given) + vector([i32]) for given in [4, 1, 0]]
    functions = [name(exported) + bytes([0, n]) for n, exported in enumerate(CORE)]
    return b"".join([
        MAGIC, b"\x01\0\0\0",
        section(1, vector(types)),
        section(3, vector([b"\0", b"\x01", b"\x01", b"\x01", b"\x02"])),
        section(5, vector([b"\0" + leb(48)])),
        section(6, vector([i32 + b"\x01" + const + b"\x80\x08" + end])),
        section(7, vector([name("memory") + b"\x02\0", *functions])),
        section(10, vector(leb(len(body) + 2) + b"\0" + body + end for body in code)),
    ])  # fmt: skip


def component():
    parts = [MAGIC, b"\x0d\0\x01\0", section(1, core_module()), section(2, vector([b"\0\0\0"]))]
    for sort, exported in [*[(0, exported) for exported in CORE], (2, "memory")]:
        parts.append(section(6, vector([bytes([0, sort, 1, 0]) + name(exported)])))
    types = itertools.count()

    def declare(encoded, exported=None):
        """The index of a type; those with names of their own must be exported."""
        parts.append(section(7, vector([encoded])))
        index = next(types)
        if exported is None:
            return leb(index)
        parts.append(section(11, vector([b"\0" + name(f"{exported}{index}") + b"\x03" + leb(index) + b"\0"])))
        return leb(next(types))

    known = {}

    def maybe(kind):
        return b"\0" if kind is None else b"\x01" + value(kind)

    def value(kind):
        if isinstance(kind, str):
            return bytes([PRIMITIVES[kind]])
        if repr(kind) not in known:
            known[repr(kind)] = compound(*kind)
        return known[repr(kind)]

    def compound(kind, *of):
        match kind:
            case "record":
                return declare(b"\x72" + vector([name(field) + value(inner) for field, inner in of[0].items()]), "record")
            case "variant":
                cases = [name(case) + maybe(inner) + b"\0" for case, inner in of[0].items()]
                return declare(b"\x71" + vector(cases), "variant")
            case "flags":
                return declare(b"\x6e" + vector(map(name, of)), "flags")
            case "enum":
                return declare(b"\x6d" + vector(map(name, of)), "enum")
            case "tuple":
                return declare(b"\x6f" + vector([value(inner) for inner in of]))
            case "list":
                return declare(b"\x70" + value(of[0]))
            case "option":
                return declare(b"\x6b" + value(of[0]))
            case "result":
                return declare(b"\x6a" + maybe(of[0]) + maybe(of[1]))

    def lift(core, index, options):
        parts.append(section(8, vector([b"\0\0" + leb(core) + vector(options) + index])))

    def export(exported, sort, index):
        parts.append(section(11, vector([b"\0" + name(exported) + bytes([sort, index, 0])])))

    functions = [(function, fields, ("record", fields), ECHO) for function, fields in FUNCTIONS.items()]
    for what, kind in GIVEN.items():
        functions.append((f"give-{what}", {"value": kind, "beside": BESIDE}, kind, SMALL.get(what, ECHO)))
    for n, (function, fields, result, core) in enumerate(functions):
        given = vector([name(field) + value(kind) for field, kind in fields.items()])
        index = declare(b"\x40" + given + b"\0" + value(result))
        lift(core, index, [b"\x03\0", b"\x04\0"])
        # What is exported is there once more, under the next number.
        export(function, 1, 2 * n)
    lift(RUN, declare(b"\x40\0\0" + value(("result", None, None))), [])
    parts.append(section(5, vector([b"\x01" + vector([b"\0" + name("run") + b"\x01" + leb(2 * len(functions))])])))
    export("wasi:cli/run@0.2.0", 5, 0)
    return b"".join(parts)


# --- What the second validator says.


VALIDATORS = {}


def validator(schema):
    """One for each schema; it keeps its schema, so that no other can have its identity."""
    if id(schema) not in VALIDATORS:
        VALIDATORS[id(schema)] = Draft202012Validator(schema)
    return VALIDATORS[id(schema)]


def pointer(path):
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def alternatives(schema):
    return schema.get("anyOf") or schema.get("oneOf") or []


def meant(schema, value):
    """The schema that `value` is told by, if one is: without alternatives, but for those of a wide integer."""
    while alternatives(schema) and not is_wide(schema):
        schema = next((one for one in alternatives(schema) if validator(one).is_valid(value)), None)
        if schema is None:
            return None
    return schema


def is_wide(schema):
    kinds = [one.get("type") for one in alternatives(schema)]
    return kinds == ["integer", "string"]


def is_bytes(schema):
    return schema.get("contentEncoding") == "base64"


def is_single(schema):
    """An f32: its bounds say so."""
    return schema.get("type") == "number" and "maximum" in schema


def inside(schema, value):
    """What is in a value that fits its schema, each with a step to it and its own schema."""
    if isinstance(value, dict):
        for key, inner in value.items():
            own = schema.get("properties", {}).get(key, schema.get("additionalProperties", True))
            yield key, own, inner
    elif isinstance(value, list):
        fixed = schema.get("prefixItems", [])
        for n, inner in enumerate(value):
            yield n, fixed[n] if n < len(fixed) else schema["items"], inner


def places(schema, value, path=(), of=()):
    """Each place in a value: how to come there, where that is in the schema, and the schema and value there."""
    yield path, of, schema, value
    own = meant(schema, value)
    if own is None:
        return
    for step, inner_schema, inner in inside(own, value):
        if isinstance(inner_schema, dict):
            known = step if isinstance(step, str) or "prefixItems" in own else "item"
            branch = own["properties"]["tag"]["const"] if "tag" in own.get("properties", {}) else ""
            yield from places(inner_schema, inner, (*path, step), (*of, branch, known))


# --- What no schema says.

UNSAID = {
    "U+0000": "it is refused in every text and name, of whatever schema: too many programs end texts there",
    "base64": "`contentEncoding` is a note to readers: a validator does not decode (2020-12, validation 8.3)",
    "digits": "a pattern says how many digits there are, not how large the number is that they tell",
    "rounded": "1e18 is an integer for JSON Schema; but what wrote it so had a double, and may have lost digits before",
    "line end": "the second validator is wrong: Python's `$` also stands before a last line end, that of ECMA 262 does not",
    "header": "`request`: which names and values a header may have is HTTP's to say",
}


def is_base64(text):
    """Whether it is, in the one form of it that has its padding and no bits beside those told."""
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except (binascii.Error, ValueError):
        return False


def patterns(schema):
    return [one["pattern"] for one in [schema, *alternatives(schema)] if "pattern" in one]


def bounds(wide):
    [whole, _] = alternatives(wide)
    return whole["minimum"], whole["maximum"]


def within(place, others):
    """Whether a place is one of these, or in one."""
    return any(place == other or place.startswith(f"{other}/") for other in others)


def unsaid(schema, value, tool):
    """What the host is right to refuse in a value although the second validator takes it: why, and where."""
    for path, _, outer, inner in places(schema, value):
        own, at = meant(outer, inner), pointer(path)
        if isinstance(inner, str):
            if "\0" in inner:
                yield "U+0000", at
            elif is_bytes(own) and not is_base64(inner):
                yield "base64", at
            elif inner.endswith("\n") and any(pattern.endswith("$") for pattern in patterns(own)):
                yield "line end", at
            elif is_wide(own) and not bounds(own)[0] <= int(inner) <= bounds(own)[1]:
                yield "digits", at
        elif isinstance(inner, float) and is_wide(own) and abs(inner) > SAFE:
            yield "rounded", at
    if tool == "handler_request":
        for key, header in value.get("headers", {}).items():
            # One that comes no time is none.
            for each in header if isinstance(header, list) else [header]:
                if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", key) or re.search(r"[\0-\x08\x0a-\x1f\x7f]", each):
                    yield "header", ""


# --- Arguments.

PATTERNS = {
    "^(0|-?[1-9][0-9]{0,18})$": ["0", "-1", str(2**53), str(-(2**63)), str(2**63 - 1), "12345"],
    "^(0|[1-9][0-9]{0,19})$": ["0", "1", str(2**53), str(2**64 - 1), str(2**63), "12345"],
    "^[A-Z]{1,20}$": ["GET", "POST", "HEAD", "OPTIONS", "CONNECT", "TRACE", "ODD", "X" * 20],
    r"^/[^\x00-\x20\x7f<>`#]*$": ["/", "/a/b?c=d&e", "/missing", "/%20", "//x", "/é", "/{}|[]"],
}
TEXTS = ["", "a", "ab", "a b", "\n", "\x7f", "\x85", "é", "e\u0301", "\ud7ff\ue000"]
TEXTS += ["\ufeff", "\uffff", "😀😀", '"\\/', "\u2028"]
LETTERS = ["a", "\n", "é", "\u0301", "\ud7ff", "\ue000", "\uffff", "😀", "\U0010ffff", '"', "\\"]
NUMBERS = [0, 1, -1, 0.0, -0.0, 0.1, 1.5, -1.0, 1e-7, 1e22, 16777217, 2**53 + 1, 2**63, 2**64, 123456789.123456789]
DOUBLES = [5e-324, 2.2250738585072011e-308, 2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308]
SINGLES = [1e-45, 1e-50, 1.17549435e-38, 3.4028234663852886e38, -3.4028235e38, 16777216.5, 1443265.25]
NAMES = ["count", "x-Name", "accept", "host", "content-length", "connection"]


def integer(schema, rng):
    least, most = schema.get("minimum", -(2**31)), schema.get("maximum", 2**31)
    near = [n for n in [0, 1, -1, SAFE, SAFE + 1, SAFE + 2, -SAFE - 1, -SAFE - 2] if least <= n <= most]
    number = rng.choice([least, most, *near, rng.randint(least, most), rng.randint(least, most)])
    whole = rng.random() < 0.1 and abs(number) <= SAFE
    return float(number) if whole else number


def any_float(kind, size, rng):
    """Of those that are finite."""
    while not math.isfinite(value := struct.unpack(kind, rng.randbytes(size))[0]):
        pass
    return value


def number(schema, rng):
    if is_single(schema):
        return rng.choice([*NUMBERS, *SINGLES]) if rng.random() < 0.5 else any_float("f", 4, rng)
    return rng.choice([*NUMBERS, *DOUBLES, rng.uniform(-1e6, 1e6)]) if rng.random() < 0.5 else any_float("d", 8, rng)


def string(schema, rng):
    if "pattern" in schema:
        return rng.choice(PATTERNS[schema["pattern"]])
    if is_bytes(schema):
        return base64.b64encode(rng.randbytes(rng.choice([0, 1, 2, 3, 20]))).decode()
    if "maxLength" in schema:
        check((schema["minLength"], schema["maxLength"]) == (1, 1), f"a char: {schema}")
        return rng.choice(LETTERS)
    return rng.choice(TEXTS) + rng.choice(["", "", rng.choice(TEXTS)])


def generated(schema, rng, small=False):
    """A value that fits the schema. Small: with something in each list and option, and little in the rest."""
    if alternatives(schema):
        choice = [one for one in alternatives(schema) if not small or one != {"type": "null"}]
        return generated(rng.choice(choice), rng, small)
    if "const" in schema:
        return schema["const"]
    match schema["type"]:
        case "null":
            return None
        case "boolean":
            return rng.random() < 0.5
        case "integer":
            return integer(schema, rng)
        case "number":
            return number(schema, rng)
        case "string":
            return rng.choice(schema["enum"]) if "enum" in schema else string(schema, rng)
        case "array" if "prefixItems" in schema:
            return [generated(one, rng, small) for one in schema["prefixItems"]]
        case "array" if schema.get("uniqueItems"):
            return rng.sample(schema["items"]["enum"], rng.randint(int(small), len(schema["items"]["enum"])))
        case "array":
            return [generated(schema["items"], rng, small) for _ in range(1 if small else rng.randint(0, 3))]
        case "object":
            required, open_to = schema.get("required", []), schema.get("additionalProperties")
            told = {
                key: generated(own, rng, small)
                for key, own in schema.get("properties", {}).items()
                if key in required or rng.random() < 0.7
            }
            if isinstance(open_to, dict):
                told |= {key: generated(open_to, rng, small) for key in rng.sample(NAMES, rng.randint(0, 2))}
            if told.keys() >= set(together := schema.get("not", {}).get("required", [0])):
                del told[rng.choice(together)]
            return told
    raise AssertionError(f"a schema that this does not know: {schema}")


ANYTHING = [
    *[None, True, False, 0, 1, -1, 1.0, -0.0, 1.5, 255, 256, -129, 2**31, 2**32, 1e18, -1e18, 1e19, -1e19, 1e300, 3.5e38],
    *[sign * 2**power + more for power in [53, 63, 64] for sign in [1, -1] for more in [-1, 0, 1]],
    *["", "a", "ab", "😀", "e\u0301", "\0", "a\0b", "null", "true", "GET\n", "get"],
    *["1", "-1", "1.0", "01", "-0", "+1", " 1", "1\n", "1e3", "٣", "9" * 19, "9" * 20, "9" * 21],
    *[str(2**63), str(2**64), str(-(2**63) - 1)],
    *["QQ==", "QQ=", "QQ", "QR==", "Q Q==", "QQ==\n", "QUI=", "-_-_", "====", "Q"],
    *[[], {}, [[]], [None], [1, 2, 3], ["read", "read"], {"some": None}, {"some": 1}, {"ok": None}, {"error": None}],
    *[{"ok": None, "error": None}, {"tag": "nothing"}, {"tag": "nothing", "val": None}, {"tag": "circle"}, {"tag": None}],
]


def edges(schema, value):
    """Values that just fit, or just do not, where the schema is this; and what makes `value` another."""
    for one in alternatives(schema):
        yield generated(one, random.Random(SEED), small=True)
        yield from edges(one, value)
    for bound, step in [("minimum", -1), ("maximum", 1)]:
        if bound in schema:
            most = schema[bound]
            yield most
            if schema["type"] == "integer":
                yield from [most + step, most - step, float(most), str(most), str(most + step), most + step / 2]
            else:
                yield most * 1.0000001
    if is_bytes(schema):
        yield from ["QQ==", "QQ=", "QQ", "QR==", "Q Q==", "QQ==\n", "-_-_", "=", "QUI="]
    elif schema.get("type") == "string":
        yield from ["", "a", "ab", "😀", "a\0", "\0", "1\n", "00", "-0", "+1", "GET\n"]
        yield from [f"/{one}" for one in " \n\"\\<^`" if schema.get("pattern") == "^/"]
    yield from [f(one) for one in schema.get("enum", []) for f in [str, str.upper, lambda one: one + " "]]
    if isinstance(value, list):
        yield from [value[:-1], value + value[-1:], [*value, None], value[::-1], value * 2, dict(enumerate(value))]
    if isinstance(value, dict):
        for key in value:
            rest = {other: inner for other, inner in value.items() if other != key}
            yield from [rest, {**rest, key.upper(): value[key]}, {**rest, key + "\0": value[key]}, {**value, key: None}]
        if isinstance(schema.get("additionalProperties"), dict):
            yield from [{**value, key: "x"} for key in ["", "a b", "é", "a:b", "\0", "~!#$", *NAMES]]
        for key in ["", "extra", "a/b~c", "val", "some", "ok", "error", "tag"]:
            if key not in value:
                yield {**value, key: None}
        yield list(value.values())


def changed(value, path, put):
    if not path:
        return put
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], put)
    return copy


def arguments(schema, rng):
    """Arguments to call a tool with, each with what was changed."""
    told = {}

    def add(value, what):
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            told.setdefault(json.dumps(value), (value, what))

    for _ in range(VALID):
        add(generated(schema, rng), "as its schema says")
    # Every place in the schema that can be come to, with an example of each.
    seen, bases = {}, [generated(schema, rng, small=True) for _ in range(30)]
    for base in bases:
        # What is only beside a value is of no type that is not elsewhere.
        base.pop("beside", None)
        for path, of, own, value in places(schema, base):
            seen.setdefault(of, (base, path, own, value))
    for base, path, own, value in seen.values():
        for put in edges(own, value):
            add(changed(base, path, put), f"{pointer(path) or '(root)'} to {json.dumps(put)}")
    for _ in range(CHANGED):
        base, path, _, _ = rng.choice(list(seen.values()))
        put = rng.choice(ANYTHING)
        add(changed(base, path, put), f"{pointer(path) or '(root)'} to {json.dumps(put)}")
    return list(told.values())


# --- What comes back.


def single(value):
    """The f32 next to a number, in the fewest digits; of two that are as near, the one farther from zero."""
    exact = struct.unpack("f", struct.pack("f", value))[0]
    rounded = [decimal.Context(prec=digits, rounding=decimal.ROUND_HALF_UP) for digits in range(1, 10)]
    shorter = (float(context.create_decimal_from_float(exact)) for context in rounded)
    return next(one for one in shorter if abs(one) <= 3.4028235e38 and struct.pack("f", one) == struct.pack("f", exact))


def echoed(schema, value):
    """A value as docs/plain.md says that results are told."""
    own = meant(schema, value)
    if is_wide(own):
        return int(value) if abs(int(value)) <= SAFE else str(int(value))
    if own.get("type") == "integer":
        return int(value)
    if own.get("type") == "number":
        return single(value) if is_single(own) else float(value)
    told = {step: echoed(inner_schema, inner) for step, inner_schema, inner in inside(own, value)}
    if isinstance(value, dict):
        return {key: inner for key, inner in told.items() if inner is not None or key in own.get("required", [])}
    if isinstance(value, list):
        return sorted(told.values(), key=own["items"]["enum"].index) if own.get("uniqueItems") else list(told.values())
    return value


def same(one, other):
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def expected(tool, value):
    """The structured result of a function that gives back what it gets, and the error that it gives instead."""
    if tool.name == "plain_echo":
        return echoed(tool.input_schema["properties"]["item"], value["item"]), None
    told = echoed(tool.input_schema, value)
    if not tool.name.startswith("shapes_give_"):
        return told, None
    told = told.get("value")
    if tool.name != "shapes_give_result":
        return {"result": told}, None
    return ({"result": told["ok"]}, None) if "ok" in told else (None, told["error"])


ECHOES = {"plain_echo", *[f"shapes_{function}" for function in FUNCTIONS], *[f"shapes_give_{what}" for what in GIVEN]}
# The only calls of these that may fail otherwise than by their arguments, and all say so.
FAIL = {"plain_divide": "invalid-output", "plain_panic": "trap"}


# --- Scenarios.


class Verdicts:
    """Where the two disagree, and what was seen."""

    def __init__(self):
        self.wrong, self.seen, self.reasons = [], collections.Counter(), collections.Counter()

    def judge(self, tool, value, result):
        """What is wrong with this answer, if anything is."""
        errors = [pointer(error.absolute_path) for error in validator(tool.input_schema).iter_errors(value)]
        failure = (result.meta or {}).get("skillhost/failure", {})
        text = result.content[0].text if result.content else ""
        refused = bool(result.is_error) and failure.get("kind") == "invalid-input"
        pointers = failure.get("pointers", [])
        reasons = [] if errors else list(unsaid(tool.input_schema, value, tool.name))
        self.seen["invalid" if errors else "unsaid" if reasons else "valid"] += 1
        if errors:
            if not refused:
                return f"invalid at {errors}, and taken: {text}"
            if not pointers and any(within(at, errors) for at in self.below_i64(value)):
                self.reasons["below i64"] += 1
            elif "\\u0000" in json.dumps(value) and "U+0000" in text:
                self.reasons["U+0000"] += 1
            elif not pointers or not all(within(place, errors) for place in pointers):
                return f"invalid at {errors}, and refused at {pointers}: {text}"
        elif reasons:
            self.reasons.update({reason for reason, _ in reasons})
            if not refused:
                return f"no schema says {reasons}, and taken: {text}"
            if not any(at in text or within(at, pointers) for _, at in reasons):
                return f"no schema says {reasons}, and not told where: {text}"
        elif refused:
            return f"valid, and refused at {pointers}: {text}"
        elif failure and FAIL.get(tool.name) != failure["kind"]:
            return f"valid, and failed: {text}"
        return self.judge_result(tool, value, result)

    def below_i64(self, value):
        """Where a number is that a double cannot tell from the least i64."""
        for path, inner in walk(value):
            if type(inner) is int and inner < -(2**63) and float(inner) == -(2.0**63):
                yield pointer(path)

    def judge_result(self, tool, value, result):
        structured = result.structured_content
        if structured is None and tool.output_schema is not None and not result.is_error:
            return "it has no structured result"
        if structured is not None:
            self.seen["results"] += 1
            if tool.output_schema is None:
                return f"a result without a schema: {structured}"
            errors = list(validator(tool.output_schema).iter_errors(structured))
            if errors:
                return f"its result does not fit: {[f'{error.json_path}: {error.message}' for error in errors]}"
        if tool.name in ECHOES and "skillhost/failure" not in result.meta:
            self.seen["echoes"] += 1
            wanted, error = expected(tool, value)
            if not same(structured, wanted):
                return f"gave back {json.dumps(structured)}, not {json.dumps(wanted)}"
            if error is not None and not same(json.loads(result.content[0].text), error):
                return f"the error {result.content[0].text}, not {json.dumps(error)}"
        return None


def walk(value, path=()):
    yield path, value
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    for step, inner in steps:
        yield from walk(inner, (*path, step))


async def all_tools(client):
    tools, cursor = [], None
    while True:
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        if (cursor := page.next_cursor) is None:
            return tools


async def all_are_schemas(connect, folder, mode):
    """Of skills, of plain components, and the host's own."""
    for wasm in sorted([*(REPO / "plugins/dist").rglob("*.wasm"), *(REPO / "tests/skills/dist").glob("*.wasm")]):
        shutil.copy(wasm, folder.skills)
    # All are there when they are asked for: this is not about compiling.
    subprocess.run([BIN, "list", *folder.args()], stdout=subprocess.DEVNULL, check=True)
    async with connect(folder, mode) as client:
        tools = await all_tools(client)
        count = collections.Counter()
        for tool in tools:
            for which, schema in [("input", tool.input_schema), ("output", tool.output_schema)]:
                if schema is not None:
                    Draft202012Validator.check_schema(schema)
                    count[which] += 1
        skills = {wasm.stem for wasm in folder.skills.glob("*.wasm")}
        lacking = [skill for skill in skills if not any(tool.name.startswith(f"{skill}_") for tool in tools)]
        check(not lacking, f"tools of every skill: {lacking}")
        print(f"     {len(tools)} tools of {len(skills)} skills: {dict(count)}")


def agreement(skill):
    async def scenario(connect, folder, mode):
        verdicts, turns = Verdicts(), asyncio.Semaphore(AT_ONCE)

        async def one(tool, value, what):
            async with turns:
                try:
                    result = await client.call_tool(tool.name, value)
                    problem = verdicts.judge(tool, value, result)
                    ANSWERS[tool.name].append((tool, value, result))
                except Exception as error:
                    problem = f"{type(error).__name__}: {error}"
            if problem:
                verdicts.wrong.append(f"{tool.name}, {what}: {problem}\n  {json.dumps(value)}")

        async with connect(folder, mode) as client:
            tools = [tool for tool in await all_tools(client) if tool.name.startswith(f"{skill}_")]
            check(tools, "it has tools")
            for tool in tools:
                rng = random.Random(f"{SEED} {tool.name}")
                await asyncio.gather(*[one(tool, *given) for given in arguments(tool.input_schema, rng)])
        print(f"     {len(tools)} tools: {dict(verdicts.seen)}, {dict(verdicts.reasons)}")
        shown = "\n".join(sorted(verdicts.wrong, key=len)[:20])
        check(not verdicts.wrong, f"{len(verdicts.wrong)} disagreements:\n{shown}")
        enough = all(verdicts.seen[kind] >= 80 for kind in ["valid", "invalid", "results"])
        check(enough, f"too little was seen: {verdicts.seen}")
        SEEN.update(verdicts.reasons)

    scenario.__name__ = f"agreement_on_{skill}"
    return scenario


# What was seen of all skills together, and all answers by tool.
SEEN, ANSWERS = collections.Counter(), collections.defaultdict(list)


async def nothing_unsaid_is_stale(connect, folder, mode):
    """Each reason to disagree was one."""
    stale, unknown = UNSAID.keys() - SEEN.keys(), SEEN.keys() - UNSAID.keys()
    check(not stale and not unknown, f"never seen: {stale}, unknown: {unknown}")


TOO_WIDE, TOO_NARROW, NO_FIT = "invalid at", "valid, and refused", "its result does not fit"
# A place in a tool's schemas, what is there instead, and what must be found, since the host goes by another: wherever the
# second validator's schema is narrower, that of the host is too wide.
PLANTED = [
    ("scalars", "input", "/properties/u8/maximum", 254, TOO_WIDE),
    ("scalars", "input", "/properties/u8/maximum", 256, TOO_NARROW),
    ("scalars", "input", "/properties/s16/minimum", -32767, TOO_WIDE),
    ("scalars", "input", "/properties/u64/anyOf/0/maximum", 2**64 - 2, TOO_WIDE),
    ("scalars", "input", "/properties/f32/maximum", 3.4028234e38, TOO_WIDE),
    ("scalars", "input", "/properties/letter/maxLength", 2, TOO_NARROW),
    ("scalars", "input", "/properties/letter/minLength", 0, TOO_NARROW),
    ("scalars", "input", "/additionalProperties", True, TOO_NARROW),
    ("compounds", "input", "/properties/rights/uniqueItems", False, TOO_NARROW),
    ("compounds", "input", "/properties/pair/minItems", 1, TOO_NARROW),
    ("compounds", "input", "/properties/colour/enum/1", "green", TOO_WIDE),
    ("compounds", "input", "/properties/point/required", ["x", "y", "a-label", "URL"], TOO_WIDE),
    ("compounds", "input", "/properties/point/required", ["x", "y"], TOO_NARROW),
    ("compounds", "input", "/properties/shape/oneOf/0/properties/tag/const", "something", TOO_WIDE),
    ("compounds", "input", "/properties/perhaps/anyOf/1/type", "boolean", TOO_WIDE),
    ("compounds", "input", "/properties/deep/anyOf/0/additionalProperties", True, TOO_NARROW),
    ("compounds", "input", "/properties/done/oneOf/1/properties/error", {}, TOO_NARROW),
    ("scalars", "output", "/properties/s8/maximum", 126, NO_FIT),
    ("scalars", "output", "/properties/u64/anyOf/1/pattern", "^[0-9]{1,19}$", NO_FIT),
    ("nested", "output", "/properties/deeper/anyOf/0/required", ["sum"], NO_FIT),
]


async def planted_faults_are_found(connect, folder, mode):
    """The answers are judged anew, by schemas with a fault each."""
    for function, which, place, put, found in PLANTED:
        answers = ANSWERS[f"shapes_{function}"]
        path = [int(step) if step.isdigit() else step for step in place.split("/")[1:]]
        tool, which = answers[0][0], f"{which}_schema"
        tool = tool.model_copy(update={which: changed(getattr(tool, which), path, put)})
        problems = (Verdicts().judge(tool, value, result) or "" for _, value, result in answers)
        check(any(problem.startswith(found) for problem in problems), f"not found: {which} of {function}, {place}: {put}")


# Arguments as text, where a client's library would write another; and what is known of the answer beforehand: a JSON-RPC
# error, and a word of it. JSON allows them, but neither a double nor a text of Unicode holds them.
RANGE, SURROGATE, NO_JSON = (-32600, "number out of range"), (-32600, "hex escape"), (-32700, "not JSON")
ADDED = ["-1.0", "-1e0", "-10e-1", "-1.5e0", "-0", "-1e18", "-1.1e18", "1e19"]
BY = ["1E2", "100e-2", "-0", "-0.0", "1e-400", "5e-324", "1.7976931348623157e308"]
EDGES = [f"{sign}{n}.0" for sign in ["", "-"] for n in [SAFE, SAFE + 1, 2**63 - 1, 2**63]]
EDGES += [f"{sign}{n}" for sign in ["", "-"] for n in [SAFE + 2, 2**63 - 1, 2**63, 2**63 + 1, 2**63 + 2000, 2**64]]
AS_TEXT = [
    *[("plain_divide", {"by": by}, None) for by in BY],
    *[("plain_divide", {"by": by}, RANGE) for by in ["1e400", "-1e400", "1.7976931348623159e308", "1" + "0" * 400]],
    *[("plain_divide", {"by": by}, NO_JSON) for by in ["NaN", "Infinity", "+1", "01", ".5", "1."]],
    *[("plain_divide", text, None) for text in ['{"by": "a", "by": 2}', '{"by": 2, "by": "a"}']],
    ("plain_divide", "[2]", (-32602, "")),
    *[("plain_text_length", {"text": f'"{text}"'}, None) for text in [r"\ud83d\ude00", r"\u0000", r"\/", r"\uFFFF"]],
    *[("plain_text_length", {"text": f'"{text}"'}, SURROGATE) for text in [r"\ud800", r"\udc00a", r"\ud83dx"]],
    *[("plain_add", {"name": '"a"', "price": price}, None) for price in [*ADDED, *EDGES]],
    *[("plain_remove", {"id": n}, None) for n in ["4294967295.0", "42949672950e-1", "4294967296", "45e-1", "-0.0", "-1"]],
]


async def numbers_come_back(connect, folder, mode):
    """Each to its last digit: of many, since a reader of JSON that errs does so now and then."""
    rng = random.Random(SEED)
    numbers = [(number({"type": "number", "maximum": 0}, rng), number({"type": "number"}, rng)) for _ in range(4000)]
    async with connect(folder, mode) as client:
        tools = {tool.name: tool for tool in await all_tools(client)}
        for n in range(0, len(numbers), 500):
            points = [{"x": x, "y": y, "URL": False} for x, y in numbers[n : n + 500]]
            rest = {"shapes": [], "blobs": [], "excuse": {"ok": None}, "all-rights": [], "tree": {"tag": "leaf", "val": 0}}
            value = {"points": points, **rest}
            problem = Verdicts().judge(tools["shapes_nested"], value, await client.call_tool("shapes_nested", value))
            check(problem is None, problem)


async def arguments_as_text(connect, folder, mode):
    """Lines of a client's own, without a library."""
    async with connect(folder, mode) as client:
        tools = {tool.name: tool for tool in await all_tools(client)}
    own = {"protocolVersion": mode, "clientInfo": {"name": "text", "version": "1"}, "clientCapabilities": {}}
    meta = json.dumps({f"io.modelcontextprotocol/{key}": value for key, value in own.items()})
    pipe = asyncio.subprocess.PIPE
    host = await asyncio.create_subprocess_exec(
        BIN, "stdio", *folder.args(), stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    verdicts, wrong = Verdicts(), []
    try:
        for n, (tool, text, error) in enumerate(AS_TEXT):
            if not isinstance(text, str):
                text = "{" + ", ".join(f'"{key}": {value}' for key, value in text.items()) + "}"
            params = f'{{"name": "{tool}", "arguments": {text}, "_meta": {meta}}}'
            host.stdin.write(f'{{"jsonrpc": "2.0", "id": {n}, "method": "tools/call", "params": {params}}}\n'.encode())
            answer = json.loads(await asyncio.wait_for(host.stdout.readline(), PATIENCE))
            if error:
                told = answer.get("error", {})
                problem = None if told.get("code") == error[0] and error[1] in told["message"] else answer
            elif "error" in answer:
                problem = answer
            else:
                result = types.CallToolResult.model_validate(answer["result"])
                problem = verdicts.judge(tools[tool], json.loads(text), result)
            if problem:
                wrong.append(f"{tool} {text[:100]}: {problem}")
    finally:
        host.stdin.close()
        await asyncio.wait_for(host.wait(), PATIENCE)
    check(not wrong, "\n".join(wrong))
    print(f"     {len(AS_TEXT)} texts: {dict(verdicts.seen)}, {dict(verdicts.reasons)}")


def make():
    folder = Folder(["tests/skills/dist/plain", "tests/skills/dist/handler"], CONFIG)
    (folder.root / "shop").mkdir()
    (folder.skills / "shapes.wasm").write_bytes(component())
    return folder


async def main():
    agreements = map(agreement, ["plain", "shapes", "handler"])
    scenarios = [all_are_schemas, *agreements, nothing_unsaid_is_stale, planted_faults_are_found]
    scenarios += [numbers_come_back, arguments_as_text]
    await run("clients.schemas", [(stdio, MODERN, scenario) for scenario in scenarios], make)


asyncio.run(main())
