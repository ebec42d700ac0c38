"""A JSON Schema as a table: path -> what is said of the values there.

`/linux/namespaces/[]/type` is the `type` of each namespace, `/annotations/{}` a value of a map.  References are
followed; the branches of `allOf`, `anyOf` and `oneOf` add to the same path, what only an alternative requires does not.
`if`, `then` and `else` are left out.  For comparing schemas by different hands, in draft 4 and draft 2020-12.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

FACTS = ("type", "enum", "required", "minimum", "maximum", "minItems", "maxItems", "pattern", "maxLength", "minLength")
MERGED = ("allOf", "anyOf", "oneOf")


class Schemas:
    """The schemas of one directory, found by file name or by $id."""

    def __init__(self, directory: Path) -> None:
        self.files: dict[str, Any] = {}
        for path in sorted(directory.glob("*.json")):
            schema = json.loads(path.read_bytes())
            self.files[path.name] = schema
            if "$id" in schema:
                self.files[schema["$id"]] = schema

    def flatten(self, name: str) -> dict[str, dict[str, Any]]:
        table: dict[str, dict[str, Any]] = {}
        self._walk(table, "", name, self.files[name])
        return table

    def _walk(self, table: dict[str, dict[str, Any]], path: str, file: str, node: dict[str, Any]) -> None:
        if "$ref" in node:
            self._walk(table, path, *self._target(file, node["$ref"]))
        facts = table.setdefault(path, {})
        for key in FACTS:
            if key in node:
                value = node[key]
                if isinstance(value, list):
                    value = sorted({*facts.get(key, ()), *value}, key=str)
                if value != []:
                    facts[key] = value
        if all(type(word) is str for word in facts.get("enum", [0])):
            facts.setdefault("type", "string")  # said or not, it is the same
        for key in MERGED:
            for branch in node.get(key, ()):
                alternative = {} if key == "allOf" else {"required": node.get("required", [])}
                self._walk(table, path, file, {**branch, **alternative})
        for key, inner in node.get("properties", {}).items():
            self._walk(table, f"{path}/{key}", file, inner)
        if isinstance(node.get("items"), dict):
            self._walk(table, f"{path}/[]", file, node["items"])
        maps = [node.get("additionalProperties"), *node.get("patternProperties", {}).values()]
        for inner in maps:
            if isinstance(inner, dict):
                self._walk(table, f"{path}/{{}}", file, inner)

    def _target(self, file: str, reference: str) -> tuple[str, dict[str, Any]]:
        name, _, pointer = reference.partition("#")
        file = name or file
        node = self.files[file]
        for step in pointer.split("/")[1:]:
            node = node[step]
        return file, node
