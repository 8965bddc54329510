"""Holds dashboards against the schema that Grafana generates its own SDK from: what it does not know is lost on the way
through it, and every value has the type that it gives. Prints a line for each difference. Arguments: files.
"""

import enum
import json
import sys
import typing

from grafana_foundation_sdk.cog import encoder, plugins
from grafana_foundation_sdk.models import dashboard

# For the import alone; Grafana takes them out.
IMPORT = {"__inputs", "__requires", "__elements"}


def lost(before, after, path):
    """What was there before and is not, or not the same."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from lost(value, after[key], f"{path}.{key}")
            elif value is not None:
                yield f"{path}.{key} is not known"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, pair in enumerate(zip(before, after)):
            yield from lost(*pair, f"{path}[{number}]")
    elif before != after:
        yield f"{path} is {json.dumps(before)} and becomes {json.dumps(after)}"


def mistyped(value, hint, path):
    """Values that are not of their type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(value, enum.Enum):
        value = value.value
    if hint is typing.Any or hint is object:
        return
    if origin is typing.Union:
        # What it is not if it is there says more than that it is there.
        if value is None and type(None) in arguments:
            return
        some = [argument for argument in arguments if argument is not type(None)]
        some = [argument for argument in some if isinstance(argument, type) and type(value) is argument] or some
        found = [list(mistyped(value, argument, path)) for argument in some]
        if all(found):
            yield from max(found, key=lambda differences: len(differences[0]))
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{path} is {value!r}, not one of {arguments}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path} is no list"
            return
        for number, item in enumerate(value):
            yield from mistyped(item, arguments[0], f"{path}[{number}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path} is no object"
            return
        for key, item in value.items():
            yield from mistyped(item, arguments[1], f"{path}.{key}")
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        allowed = [member.value for member in hint]
        if value not in allowed:
            yield f"{path} is {value!r}, not one of {allowed}"
    elif hint in (str, bool, type(None)):
        if type(value) is not hint:
            yield f"{path} is {value!r}, no {hint.__name__}"
    elif hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, (int, float) if hint is float else int):
            yield f"{path} is {value!r}, no {hint.__name__}"
    elif isinstance(hint, type):
        # Some lists come as they are through the SDK.
        if isinstance(value, dict) and hasattr(hint, "from_json"):
            decoded = hint.from_json(value)
            yield from lost(value, encoded(decoded), path)
            value = decoded
        if not isinstance(value, hint):
            yield f"{path} is {value!r}, no {hint.__name__}"
            return
        # Queries and options of panels are of a kind of their own.
        for name, of_field in typing.get_type_hints(type(value)).items():
            yield from mistyped(getattr(value, name), of_field, f"{path}.{name}")


def encoded(decoded):
    return json.loads(encoder.JSONEncoder().encode(decoded))


plugins.register_default_plugins()
for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as opened:
        text = json.load(opened)
    before = {key: value for key, value in text.items() if key not in IMPORT}
    decoded = dashboard.Dashboard.from_json(before)
    for difference in [*lost(before, encoded(decoded), ""), *mistyped(decoded, dashboard.Dashboard, "")]:
        print(f"{file}: {difference}")
