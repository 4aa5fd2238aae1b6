"""What commands print with --json, against the schemas in docs/schemas."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parents[1] / "docs" / "schemas"


def read_document(printed, kind):
    """The one document that a command printed, which its schema describes."""
    document = json.loads(printed)
    assert document["kind"] == kind
    schema = json.loads((SCHEMAS / f"{kind}.json").read_text(encoding="utf-8"))
    errors = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(document)]
    assert errors == []
    return document
