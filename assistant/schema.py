"""The JSON Schemas of what the assistant gives, for programs that read it as JSON.

A schema has a number. A new field keeps it, since readers ignore what they do not know; a field that
is removed, renamed or given another type raises it. ``docs/schema/`` holds every published one.
"""

from __future__ import annotations

from typing import Any

from assistant.types import Answer, Checklist

VERSIONS = {"answer": 1, "checklist": 1}
"""The current number of each schema, by name."""
_TYPES = {"answer": Answer, "checklist": Checklist}


def json_schema(name: str) -> dict[str, Any]:
    """The current schema (JSON Schema 2020-12) of what ``to_dict`` gives; KeyError if unknown.

    name: a key of VERSIONS. The schema's ``$id`` ends in its number.
    """
    from pydantic import TypeAdapter  # not needed to answer, and slow to import

    schema = TypeAdapter(_TYPES[name]).json_schema(mode="serialization")
    for part in (schema, *schema["$defs"].values()):
        # Whatever has a default in Python is written all the same.
        part["required"] = list(part["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:safety-guideline-assistant:{name}:{VERSIONS[name]}",
        **schema,
    }
