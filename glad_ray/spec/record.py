"""The base of every record a user writes: frozen, keyword-only, strict, with an identity made of its content."""

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen record; unknown fields and non-finite numbers are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, use_attribute_docstrings=True
    )

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated like a new one; what was never set is implied anew."""
        fields = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**(fields | changes))

    @property
    def content_id(self) -> str:
        """Twelve hexadecimal digits: the hash of the content, the same on every machine."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
