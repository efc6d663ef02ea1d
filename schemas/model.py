"""Base models: the pydantic settings of all contract models (strict, frozen, unknown fields rejected)."""

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, StringConstraints

KEEP_WHITESPACE = StringConstraints(strip_whitespace=False)
"""For identifiers. Other programs compare them too: a proxy compares tenants, and Kafka compares record keys. So
" ana" is another tenant than "ana", or invalid, and is never trimmed."""


class _Default:
    """Replaces null by the default of a field."""

    def __init__(self, field: Any) -> None:
        self._field = field

    def __call__(self, value: object) -> object:
        if value is not None:
            return value
        return self._field["default_factory"]() if "default_factory" in self._field else self._field["default"]


def _fields_of(schema: Any) -> Any:
    """The fields in the schema of a model, which validators of the whole model may wrap."""
    while schema["type"] != "model-fields":
        schema = schema["schema"]
    return schema["fields"]


def _nullable(field: Any) -> Any:
    """The schema of a field with a default, extended to accept null; unchanged where null has a meaning."""
    schema = field["schema"]
    is_nullable = schema["type"] == "nullable"
    is_extended = schema["type"] == "function-after" and isinstance(schema["function"]["function"], _Default)
    is_constant = schema["type"] == "literal" and len(schema["expected"]) == 1
    if is_nullable or is_extended or is_constant:
        return schema
    return _after({"type": "nullable", "schema": schema}, _Default(field))


def _after(schema: Any, function: Any) -> Any:
    return {"type": "function-after", "function": {"type": "no-info", "function": function}, "schema": schema}


def _without_nulls(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: value for name, value in values.items() if value is not None}
    return tuple(value for value in values if value is not None)


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


class LenientModel(Model):
    """Base of the models that other programs write: a field that is null gets its default, as if it were absent.

    Many serialisers write each absent field as null. Fields without a default still need a value.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> Any:
        """The schema of the model, in which each field with a default also accepts null."""
        schema: Any = handler(source)
        for field in _fields_of(schema).values():
            if field["schema"]["type"] == "default":
                field["schema"]["schema"] = _nullable(field["schema"])
        return schema


class NullElements:
    """Annotation of a tuple or a mapping that removes its null elements, or null values.

    Write it after the constraints in `Annotated`.
    """

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> Any:
        """The schema of the annotated type, whose elements or values may be null."""
        schema: Any = handler(source)
        if schema["type"] == "tuple":
            schema["items_schema"] = [{"type": "nullable", "schema": each} for each in schema["items_schema"]]
        else:
            schema["values_schema"] = {"type": "nullable", "schema": schema["values_schema"]}
        return _after(schema, _without_nulls)
