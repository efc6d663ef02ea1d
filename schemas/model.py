"""Base model: the pydantic settings of all contract models (strict, frozen, unknown fields rejected)."""

from pydantic import BaseModel, ConfigDict, StringConstraints

KEEP_WHITESPACE = StringConstraints(strip_whitespace=False)
"""For identifiers that other programs check too, as a proxy checks tenants: " ana" is rejected, not trimmed."""


class Model(BaseModel):
    """Base of all contract models: unknown fields are rejected, and instances are immutable."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
        str_strip_whitespace=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )
