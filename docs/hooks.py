"""What MkDocs needs beyond its plugins: examples in the help of commands as code, and the fields of jobs as tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
EXAMPLES = re.compile(r"<p>Examples:\n(.*?)</p>", flags=re.DOTALL)
JOB_FIELDS = "<!-- job fields -->"
RECIPE_FIELDS = "<!-- recipe fields -->"
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<", "minItems": ", at least"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with a marker replaced by a section for each part of a job, or recipe, made from its JSON Schema."""
    if JOB_FIELDS not in markdown and RECIPE_FIELDS not in markdown:
        return markdown
    from geoseg.jobs.spec import schema

    parts = schema()["$defs"]
    ordered = sorted(parts, key=lambda name: not name.endswith("Job"))  # jobs first, then what they are made of
    for marker, names in ((JOB_FIELDS, ordered), (RECIPE_FIELDS, _parts_of("TrainJob", parts))):
        markdown = markdown.replace(marker, "\n".join(line for name in names for line in _section(name, parts[name])))
    return markdown


def _parts_of(name: str, parts: Mapping[str, Schema]) -> list[str]:
    """A part and all that it is made of, in the order in which they are named."""
    found = [name]
    for each in found:
        named = re.findall(r'"#/\$defs/(\w+)"', json.dumps(parts[each]["properties"]))
        found += [part for part in dict.fromkeys(named) if part not in found]
    return found


def on_page_content(html: str, **_: Any) -> str:
    """The page with each `Examples:` paragraph turned into a block of code, one command a line."""
    return EXAMPLES.sub(_as_code, html)


def _as_code(found: re.Match[str]) -> str:
    lines = "\n".join(line.strip() for line in found[1].splitlines())
    return f"<p>Examples:</p>\n<pre><code>{lines}\n</code></pre>"


def _section(name: str, part: Schema) -> Iterator[str]:
    yield from (f"### {name}", "", part.get("description", ""), "", "| field | is | default |", "|---|---|---|")
    required = part.get("required", ())
    for field, what in part["properties"].items():
        default = what.get("default")
        shown = "" if default is None or isinstance(default, dict) else f"`{json.dumps(default)}`"
        yield f"| `{field}` | {_kind(what)} | {'required' if field in required else shown} |"
    yield ""


def _kind(what: Schema) -> str:
    """What a value may be, in words."""
    if "$ref" in what:
        name = what["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in what:
        return " or ".join(_kind(each) for each in what["anyOf"] if each.get("type") != "null")
    if "const" in what or "enum" in what:
        return ", ".join(f"`{json.dumps(value)}`" for value in what.get("enum", [what.get("const")]))
    known = {} if "prefixItems" in what else LIMITS  # how many items there are is said by the items
    limits = "".join(f" {sign} {what[key]:g}" for key, sign in known.items() if key in what).replace(" ,", ",")
    pattern = what.get("pattern", "").replace("|", "&#124;")  # a bar would end the table's cell
    return _plain(what) + limits + (f" like <code>{pattern}</code>" if pattern else "")


def _plain(what: Schema) -> str:
    if what.get("type") == "array":
        items = what.get("prefixItems")
        return f"{len(items)} times {_kind(items[0])}" if items else f"list of {_kind(what['items'])}"
    if what.get("type") == "object":
        items = what.get("additionalProperties")
        return f"object of {_kind(items)}" if isinstance(items, dict) else "object"
    return {"string": "text", "boolean": "true or false"}.get(what.get("type", ""), what.get("type", "anything"))
