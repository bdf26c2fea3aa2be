"""The published JSON Schema of an event, as a check."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

SCHEMA = json.loads((Path(__file__).parent.parent / "docs" / "event.schema.json").read_text())
_VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())


def faults(event: Any) -> list[str]:
    """What is wrong with the JSON of an event; nothing when it fulfils the schema."""
    return [error.message for error in _VALIDATOR.iter_errors(event)]
