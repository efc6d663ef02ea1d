"""Moderation labels: short words that classify the content of a picture."""

from typing import Annotated

from pydantic import Field

MAX_LABELS = 20
Label = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Labels = Annotated[
    tuple[Label, ...],
    Field(
        max_length=MAX_LABELS,
        description="Moderation labels, for example adult: up to 20, of 1 to 64 lower-case letters, digits, _ . "
        "or -. The settings define which labels block or restrict an item",
    ),
]
