"""Region policy: decides in which items the things in the pictures are indexed too."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from consumers.vision.look import Look
from infra.config.settings import DEFAULT_DETECTOR, Settings
from schemas.items import ItemUpserted, Objects, Source

MAX_REGION_SHARE = 0.8
"""Share of the picture from which a thing is not indexed for itself: the picture as a whole shows the same."""


@dataclass(frozen=True)
class RegionPolicy:
    """Which things count for themselves: by the item's own event, else by its tenant, else by its source."""

    detector: str = DEFAULT_DETECTOR
    tenants: Mapping[str, Objects] = field(default_factory=dict)
    sources: Mapping[Source, Objects] = field(default_factory=dict)
    """Without an entry, none."""

    def objects(self, item: ItemUpserted) -> Objects:
        """Which things in the pictures of an item are indexed."""
        return item.objects or self.tenants.get(item.tenant) or self.sources.get(item.source, "none")

    def method(self, item: ItemUpserted) -> str:
        """How the regions of an item's pictures are found; empty if it has none. Equal methods find the same."""
        objects = self.objects(item)
        return "" if objects == "none" else f"{objects}:{self.detector}"


NO_REGIONS = RegionPolicy()
"""Policy by which only items whose events ask for it have regions."""


def region_policy(settings: Settings) -> RegionPolicy:
    objects = settings.objects
    sources: dict[Source, Objects] = {"catalog": objects.catalog, "social": objects.social}
    return RegionPolicy(settings.detector, objects.tenants, sources)


def drop_whole_regions(look: Look) -> Look:
    """The look without the regions that are nearly the whole picture."""
    regions = tuple(each for each in look.regions if each.box.w * each.box.h < MAX_REGION_SHARE)
    return look if len(regions) == len(look.regions) else replace(look, regions=regions)
