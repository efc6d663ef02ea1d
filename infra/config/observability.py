"""Observability settings: metrics, traces and logs."""

from typing import Literal

from pydantic import BaseModel, Field, SecretStr


class MetricsSettings(BaseModel):
    """Where workers serve their metrics."""

    host: str = Field("127.0.0.1", description="Address to listen on; any but a loopback one needs a token")
    port: int = Field(
        0, ge=0, le=65_535, description="Port to listen on; 0: nowhere. `up` gives each worker one, from this on"
    )
    token: SecretStr | None = Field(None, description="What readers must send as `Authorization: Bearer ...`")


class TraceSettings(BaseModel):
    """Where workers send their traces."""

    endpoint: str | None = Field(
        None, pattern=r"^https?://\S+$", description="http(s)://host:4318/v1/traces of a collector; empty: none"
    )
    share: float = Field(1, ge=0, le=1, description="Share of traces that are kept, unless their senders say")


class LogSettings(BaseModel):
    """Level and format of logs."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe level shown")
    format: Literal["console", "json"] = Field("console", description="console for people, json for machines")
