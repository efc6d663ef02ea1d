"""Settings: read from the environment (LOOKSTREAM_*), in one group for each part."""

import difflib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as InvalidJson

from infra.config.errors import SettingsError
from infra.config.gateway import GatewaySettings
from infra.config.images import ImageSettings
from infra.config.kafka import KafkaSettings
from infra.config.observability import LogSettings, MetricsSettings, TraceSettings
from infra.config.qdrant import QdrantSettings
from schemas.items import Objects

DEFAULT_DETECTOR = "default"
"""The detector that needs no plug-in."""


class TorchSettings(BaseModel):
    """How the encoder runs its model."""

    threads: int = Field(0, ge=0, le=256, description="Threads for the model; 0: one for each core")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the processor is faster with it"
    )
    engine: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="Runtime of the default encoders; auto: torch for a GPU, else OpenVINO"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")


class WorkerSettings(BaseModel):
    """How workers batch, buffer and deliver records."""

    batch_records: int = Field(64, ge=1, le=1_000, description="Maximum number of item events in a batch")
    batch_ms: int = Field(50, ge=1, le=10_000, description="Milliseconds to wait for a batch to fill")
    niceness: int = Field(
        10,
        ge=0,
        le=19,
        description="Niceness of index workers, so that searches on the same machine go first; 0: no priority",
    )
    search_records: int = Field(16, ge=1, le=1_000, description="Maximum number of search requests in a batch")
    search_ms: int = Field(
        0, ge=0, le=10_000, description="Milliseconds to wait for more search requests; they gather during a batch"
    )
    search_delivery: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once", description="exactly_once: results and offsets in one transaction; at_least_once: without"
    )
    slot: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.-]{1,100}$",
        description="Name of this worker among those of its kind, the same after a restart; empty: host and number",
    )
    queue_records: int = Field(512, ge=1, le=100_000, description="Maximum number of records that are prefetched")
    queue_mb: int = Field(64, ge=1, le=10_000, description="Maximum size of the prefetched records in MB")
    dead_in_a_row: int = Field(
        50,
        ge=1,
        description="Consecutive dead letters of a tenant at which its events wait for 10 minutes, so that "
        "other tenants do not wait",
    )
    dead_share: float = Field(
        0.2,
        gt=0,
        le=1,
        description="Share of dead letters among the last 500 events of a tenant above which its events wait",
    )
    fetch_patience_s: float = Field(
        1, gt=0, le=60, description="Seconds that a batch waits for its pictures; slower ones are tried again later"
    )


class ObjectsSettings(BaseModel):
    """In which items the things in the pictures are indexed too, if their events do not say it."""

    catalog: Objects = Field(
        "none", description="Things in the pictures of catalog items that are indexed too: none, auto or all"
    )
    social: Objects = Field("auto", description="The same of social posts")
    tenants: dict[str, Objects] = Field(
        default_factory=dict, description='The same of all items of some tenants, JSON: {"shop": "auto"}'
    )


class ModerationSettings(BaseModel):
    """Effects of moderation labels, and the function that detects them."""

    blocked: tuple[str, ...] = Field(("blocked",), description="Labels whose items are never indexed")
    restricted: tuple[str, ...] = Field(
        ("adult", "sensitive"), description="Labels whose items are only in results of searches with `restricted`"
    )
    call: str | None = Field(
        None,
        pattern=r"^[\w.]+:\w+$",
        description="package.module:function that takes an upright RGB picture (PIL) and gives its labels",
    )


class McpSettings(BaseModel):
    """Address and token of the server for agents, if it serves over HTTP."""

    host: str = Field("127.0.0.1", description="Address to listen on; any but a loopback one needs a token")
    port: int = Field(8410, ge=1, le=65_535, description="Port to listen on")
    token: SecretStr | None = Field(
        None, min_length=8, description="What agents must send as `Authorization: Bearer ...`"
    )


class Settings(BaseSettings):
    """All settings; fields of groups are read from LOOKSTREAM_<GROUP>_<FIELD>."""

    model_config = SettingsConfigDict(
        env_prefix="LOOKSTREAM_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_ignore_empty=True,
        extra="ignore",
    )

    data: Path = Field(Path(".lookstream"), description="Folder of the local mode: index, logs, dead letters")
    cache: Path = Field(
        Path("~/.cache/lookstream"),
        description="Cache folder of this machine; its content can be computed again",
    )
    encoder: str = Field(
        "best",
        description="best, balanced or fast; a folder of `lookstream fit`; a Hugging Face model; an entry point",
    )
    detector: str = Field(
        DEFAULT_DETECTOR,
        description="Finds the things in pictures, of searches and of items: default, or a plug-in",
    )
    drain_s: float = Field(
        120, ge=0, le=3_600, description="Seconds that a local `up` may take to finish what is queued when it stops"
    )
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    qdrant: QdrantSettings = Field(default_factory=QdrantSettings)
    images: ImageSettings = Field(default_factory=ImageSettings)
    torch: TorchSettings = Field(default_factory=TorchSettings)
    objects: ObjectsSettings = Field(default_factory=ObjectsSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    moderation: ModerationSettings = Field(default_factory=ModerationSettings)
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    mcp: McpSettings = Field(default_factory=McpSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    traces: TraceSettings = Field(default_factory=TraceSettings)
    logs: LogSettings = Field(default_factory=LogSettings)

    def with_port(self, group: Literal["gateway", "metrics"], port: int) -> "Settings":
        """A copy in which the server of a group listens on another port."""
        return self.model_copy(update={group: getattr(self, group).model_copy(update={"port": port})})


def read_settings() -> Settings:
    """The settings in the environment; raises SettingsError with one sentence if one is invalid."""
    try:
        settings = Settings()
    except ValidationError as error:
        raise SettingsError(_first_error_message(error)) from None
    except InvalidJson as error:
        raise SettingsError(
            _invalid_json_message() or f"a setting is not the JSON that it must be: {error}"
        ) from None
    known = {setting.variable for setting in describe_settings(settings)}
    for name in sorted(os.environ):
        if name.startswith("LOOKSTREAM_") and name not in known:
            nearest = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {nearest[0]}?" if nearest else "`lookstream config` lists those that exist"
            raise SettingsError(f"there is no setting {name}: {hint}")
    return settings


def _first_error_message(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]  # the input may contain a secret
    variable = "LOOKSTREAM_" + "_".join(str(part) for part in problem["loc"]).upper()
    message = problem["msg"].removeprefix("Value error, ")
    return message if message.startswith("LOOKSTREAM_") else f"{variable}: {message}"


def _invalid_json_message() -> str | None:
    """Names the variable that is not valid JSON, without its value, which may contain a secret."""
    for setting in describe_settings(Settings.model_construct()):
        text = os.environ.get(setting.variable, "")
        try:
            if text and setting.default[:1] in ("{", "("):
                json.loads(text)
        except ValueError as error:
            return f"{setting.variable} must be JSON, and is not: {error}"
    return None


@dataclass(frozen=True)
class SettingDescription:
    """Description of a setting for users."""

    variable: str
    value: str
    default: str
    meaning: str


def describe_settings(settings: Settings) -> list[SettingDescription]:
    """All settings with their variables, values (secrets masked), defaults and meanings."""
    described = []
    for name, info in Settings.model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            fields = type(value).model_fields
            described += [
                _describe_setting(f"{name}_{inner}", getattr(value, inner), fields[inner]) for inner in fields
            ]
        else:
            described.append(_describe_setting(name, value, info))
    return described


def _describe_setting(name: str, value: object, info: FieldInfo) -> SettingDescription:
    default = info.get_default(call_default_factory=True, validated_data={})
    return SettingDescription(
        f"LOOKSTREAM_{name.upper()}", _to_text(value), _to_text(default), info.description or ""
    )


def _to_text(value: object) -> str:
    return "" if value is None else str(value)
