"""Ranking: what counts for the score of a hit, and what moves it up beside that."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.model import Model

Intent = Literal["exact", "similar", "style", "colour"]
LEAST_WEIGHT = 1e-6
"""Weights that sum to less are nothing to scale: as float32 they come to zero, and so to no number."""
MOST_BOOST = 0.2
"""What one boost may add to a score: as much as lies between the same thing and the same kind of thing."""


class Weights(Model):
    """How much each part of the look counts; they are scaled to sum to 1."""

    object: float = Field(0, ge=0, le=1, description="What kind of thing it is, share of the score")
    style: float = Field(0, ge=0, le=1, description="Texture and pattern, share of the score")
    colour: float = Field(0, ge=0, le=1, description="Colours, share of the score")

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if self.object + self.style + self.colour < LEAST_WEIGHT:
            raise ValueError(f"object, style and colour must sum to {LEAST_WEIGHT:f} or more: raise one of them")
        return self


INTENTS: dict[Intent, Weights] = {
    "exact": Weights(object=0.75, style=0.05, colour=0.2),
    "similar": Weights(object=0.85, colour=0.15),
    "style": Weights(object=0.3, style=0.7),
    "colour": Weights(object=0.2, colour=0.8),
}
"""Each intent is a named weighting."""


class Boosts(Model):
    """What is added to the score when hits are put in order: each term between 0 and its weight.

    Boosts move hits up. They bring in nothing that is cut by the score alone.
    """

    recency: float = Field(0, ge=0, le=MOST_BOOST, description="For being new; half of it after half_life_days")
    half_life_days: float = Field(30, gt=0, le=36_500, description="Age at which half of `recency` is left, days")
    in_stock: float = Field(0, ge=0, le=MOST_BOOST, description="For being in stock, as far as is known")
    price: float = Field(0, ge=0, le=MOST_BOOST, description="For costing near_price; half of it price_spread off")
    near_price: float | None = Field(None, ge=0, description="The price to be near to, in `currency`")
    price_spread: float | None = Field(None, gt=0, description="Where half of `price` is left, in `currency`")
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="ISO 4217 code of near_price")

    @model_validator(mode="after")
    def _prices_can_be_compared(self) -> Self:
        told = [self.near_price is not None, self.price_spread is not None, self.currency is not None]
        if self.price > 0 and not all(told):
            raise ValueError("the boost `price` needs `near_price`, `price_spread` and `currency`")
        if self.price == 0 and any(told):
            raise ValueError("`near_price`, `price_spread` and `currency` are for the boost `price`: weigh it")
        return self

    @property
    def most(self) -> float:
        """What all terms add at most."""
        return self.recency + self.in_stock + self.price
