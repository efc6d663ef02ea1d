"""Ranking: the weights that make up the score of a hit, and the boosts that are added to it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.model import LenientModel

Intent = Literal["exact", "similar", "style", "colour"]
MIN_WEIGHT_SUM = 1e-6
"""Minimum sum of the weights: with a smaller sum, scaling in float32 would divide by zero and give NaN."""
MAX_BOOST = 0.2
"""Maximum of one boost: about the score difference between the same thing and another of the same kind."""


class Weights(LenientModel):
    """Weights of the parts of the visual similarity score; they are scaled to sum to 1."""

    object: float = Field(0, ge=0, le=1, description="Weight of the object part (kind of thing), 0 to 1")
    style: float = Field(0, ge=0, le=1, description="Weight of the style part (texture and pattern), 0 to 1")
    colour: float = Field(0, ge=0, le=1, description="Weight of the colour part, 0 to 1")

    @model_validator(mode="after")
    def _require_positive_weight(self) -> Self:
        if self.object + self.style + self.colour < MIN_WEIGHT_SUM:
            raise ValueError(f"object, style and colour must sum to {MIN_WEIGHT_SUM:f} or more: raise one of them")
        return self


INTENTS: dict[Intent, Weights] = {
    "exact": Weights(object=0.75, style=0.05, colour=0.2),
    "similar": Weights(object=0.85, colour=0.15),
    "style": Weights(object=0.3, style=0.7),
    "colour": Weights(object=0.2, colour=0.8),
}
"""Weights of each intent."""


class Boosts(LenientModel):
    """Boosts that are added to the score for ranking; each term is between 0 and its weight.

    Boosts change only the order of the hits: a hit whose score alone is below the threshold stays excluded.
    """

    recency: float = Field(
        0, ge=0, le=MAX_BOOST, description="Boost for new items, 0 to 0.2; it halves with every `half_life_days`"
    )
    half_life_days: float = Field(30, gt=0, le=36_500, description="Half-life of `recency`, in days")
    in_stock: float = Field(
        0, ge=0, le=MAX_BOOST, description="Boost for items that are known to be in stock, 0 to 0.2"
    )
    price: float = Field(
        0,
        ge=0,
        le=MAX_BOOST,
        description="Boost for prices near `near_price`, 0 to 0.2; it halves with every `price_spread` of distance",
    )
    near_price: float | None = Field(None, ge=0, description="Price with the full boost `price`, in `currency`")
    price_spread: float | None = Field(
        None, gt=0, description="Distance from `near_price` at which the boost `price` is halved, in `currency`"
    )
    currency: str | None = Field(
        None, pattern=r"^[A-Z]{3}$", description="ISO 4217 code of `near_price` and `price_spread`"
    )

    @model_validator(mode="after")
    def _require_price_fields(self) -> Self:
        price_fields = [self.near_price is not None, self.price_spread is not None, self.currency is not None]
        if self.price > 0 and not all(price_fields):
            raise ValueError("the boost `price` needs `near_price`, `price_spread` and `currency`")
        if self.price == 0 and any(price_fields):
            raise ValueError("`near_price`, `price_spread` and `currency` need the boost `price`: set it above 0")
        return self

    @property
    def most(self) -> float:
        """Maximum sum of all boosts."""
        return self.recency + self.in_stock + self.price
