"""Which items have things in their pictures indexed, and which things are left out."""

import numpy as np
import pytest

from consumers.embedding.region_policy import RegionPolicy, drop_whole_regions, region_policy
from consumers.vision.look import Look, RegionLook
from infra.config.settings import ObjectsSettings, Settings, read_settings
from schemas.items import InlineImage, ItemUpserted
from schemas.searches import Crop


def item(**fields: object) -> ItemUpserted:
    base = {"item_id": "a", "revision": 1, "images": (InlineImage(data=b"x"),)}
    return ItemUpserted.model_validate(base | fields)


@pytest.mark.parametrize(
    ("fields", "objects"),
    [
        ({}, "none"),
        ({"source": "social"}, "auto"),
        ({"source": "social", "objects": "none"}, "none"),
        ({"tenant": "shop"}, "all"),
        ({"tenant": "quiet", "source": "social"}, "none"),
        ({"tenant": "quiet", "objects": "auto"}, "auto"),
    ],
)
def test_the_event_decides_before_the_tenant_and_the_tenant_before_the_source(
    fields: dict[str, object], objects: str
) -> None:
    settings = Settings(objects=ObjectsSettings(tenants={"shop": "all", "quiet": "none"}))
    assert region_policy(settings).objects(item(**fields)) == objects


def test_the_settings_of_the_environment_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKSTREAM_OBJECTS_TENANTS", '{"shop": "auto"}')
    monkeypatch.setenv("LOOKSTREAM_OBJECTS_SOCIAL", "none")
    policy = region_policy(read_settings())
    assert policy.objects(item(tenant="shop")) == "auto"
    assert policy.objects(item(source="social")) == "none"


def test_a_method_names_the_things_and_the_detector() -> None:
    assert RegionPolicy("faces").method(item(objects="auto")) == "auto:faces"
    assert RegionPolicy("faces").method(item()) == ""


def test_a_thing_that_is_nearly_the_whole_picture_is_left_out() -> None:
    def look(regions: tuple[RegionLook, ...] = ()) -> Look:
        return Look(np.ones(4, np.float32), (), (), None, 8, 8, regions=regions)

    whole = RegionLook(Crop(x=0.02, y=0, w=0.95, h=0.95), 0.9, look())
    part = RegionLook(Crop(x=0, y=0, w=0.5, h=0.95), 0.9, look())
    assert drop_whole_regions(look((whole, part))).regions == (part,)
    alone = look((part,))
    assert drop_whole_regions(alone) is alone
