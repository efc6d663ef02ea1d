"""Moderation labels: short words that classify the content of a picture."""

from typing import Annotated

from pydantic import Field

MAX_LABELS = 20
Label = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Labels = Annotated[
    tuple[Label, ...],
    Field(
        max_length=MAX_LABELS,
        description="Moderation labels, as adult: up to 20 of 1 to 64 small letters, digits, _ . or -; which "
        "of them block and which restrict is a matter of settings",
    ),
]
