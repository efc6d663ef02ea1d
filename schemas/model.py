"""The rules that every model on the wire keeps: strict, frozen, unknown fields refused."""

from pydantic import BaseModel, ConfigDict, StringConstraints

UNTRIMMED = StringConstraints(strip_whitespace=False)
"""For names that others judge before us, as a proxy does tenants: " ana" is not "ana", and is refused."""


class Model(BaseModel):
    """A value on the wire: unknown fields are refused, and a value never changes once made."""

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
