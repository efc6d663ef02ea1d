"""Dialects: the names that shop systems give to the columns of their exports, and how each export is recognised.

The names of columns are compared without regard to case, blanks, underscores and dashes (`column_key`), so that the
tables here hold one spelling of each.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from producers.feeds.column_names import GOOGLE_COLUMNS, column_key

MAX_NUMBER = 30
"""Options and attributes of a product that are read."""


@dataclass(frozen=True)
class Dialect:
    """A kind of export: the columns by which it is recognised, and those that it has for Google's."""

    name: str
    marks: tuple[frozenset[str], ...]
    """An export has all columns of one of these sets."""
    columns: Mapping[str, tuple[str, ...]]
    """Google's columns, and the columns that they are read from; of several, the first that has a value."""
    other_columns: frozenset[str] = frozenset()
    """Further columns that its reader uses, for example to skip drafts."""

    def fits(self, names: Collection[str]) -> bool:
        """Whether a feed with these columns is such an export."""
        return any(mark <= set(names) for mark in self.marks)


def _mark(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _numbered(*names: str) -> frozenset[str]:
    """Columns with the numbers that exports have in them."""
    return frozenset(name.format(number) for name in names for number in range(1, MAX_NUMBER + 1))


SHOPIFY = Dialect(
    "a product export of Shopify",
    (_mark("handle image_src"), _mark("url_handle product_image_url"), _mark("handle product_image_url")),
    # https://help.shopify.com/en/manual/products/import-export/using-csv: the present names, and those until 2025
    {
        "id": ("url_handle", "handle"),
        "title": ("title",),
        "image_link": ("product_image_url", "image_src"),
        "additional_image_link": ("variant_image_url", "variant_image"),
        "price": ("price", "variant_price"),
        "availability": ("inventory_quantity", "variant_inventory_qty"),
        "product_type": ("type", "product_category"),
        "brand": ("vendor",),
        "tags": ("tags",),
        "gtin": ("barcode", "variant_barcode"),
        "mpn": ("sku", "variant_sku"),
        "google_product_category": ("google_product_category", "google_shopping_/_google_product_category"),
        "gender": ("google_shopping_/_gender",),
        "age_group": ("google_shopping_/_age_group",),
        "condition": ("google_shopping_/_condition",),
        "color": (),
        "size": (),
        "material": (),
    },
    _mark("status published published_on_online_store image_position variant_inventory_policy")
    | _mark("continue_selling_when_out_of_stock")
    | _numbered("option{}_name", "option{}_value"),
)
WOOCOMMERCE = Dialect(
    "a product export of WooCommerce",
    (
        _mark("id type name images published"),
        _mark("id name images regular_price"),
        _mark("sku name images regular_price"),
        _mark("name images in_stock regular_price"),
    ),
    # https://github.com/woocommerce/woocommerce/wiki/Product-CSV-Import-Schema
    {
        "id": ("id", "sku"),
        "title": ("name",),
        "image_link": ("images",),
        "additional_image_link": (),
        "price": ("regular_price",),
        "sale_price": ("sale_price",),
        "sale_price_effective_date": ("date_sale_price_starts",),
        "availability": ("in_stock", "stock"),
        "product_type": ("categories",),
        "brand": ("brands",),
        "tags": ("tags",),
        "link": ("external_url",),
        "mpn": ("sku",),
        "gtin": ("gtin,_upc,_ean,_or_isbn",),
        "color": (),
        "size": (),
        "material": (),
    },
    _mark("type published visibility_in_catalog parent date_sale_price_ends")
    | _numbered("attribute_{}_name", "attribute_{}_value(s)"),
)
MAGENTO = Dialect(
    "a product export of Magento",
    tuple(
        _mark(f"sku base_image {other}")
        for other in ("attribute_set_code", "product_online", "store_view_code", "additional_attributes", "name")
    ),
    # https://experienceleague.adobe.com/en/docs/commerce-admin/systems/data-transfer/data-attributes-product
    {
        "id": ("sku",),
        "title": ("name",),
        "image_link": ("base_image", "small_image", "thumbnail_image"),
        "additional_image_link": ("additional_images",),
        "price": ("price",),
        "sale_price": ("special_price",),
        "sale_price_effective_date": ("special_price_from_date",),
        "availability": ("is_in_stock", "qty"),
        "product_type": ("categories",),
        "brand": ("brand", "manufacturer"),
        "color": ("color",),
        "size": ("size",),
        "material": ("material",),
        "gender": ("gender",),
    },
    _mark("store_view_code product_online visibility product_type special_price_to_date additional_attributes")
    | _mark("configurable_variations bundle_values associated_skus"),
)
YML = Dialect(
    "a YML feed",
    (_mark("picture currencyid"), _mark("picture categoryid"), _mark("picture vendor url")),
    # https://yandex.com/support/market/feed.html; Rozetka, Prom and others read it too
    {
        "title": ("name", "model"),
        "image_link": ("picture",),
        "currency": ("currencyid",),
        "availability": ("available",),
        "product_type": ("category", "typeprefix"),
        "brand": ("vendor",),
        "link": ("url",),
        "gtin": ("barcode",),
        "mpn": ("vendorcode",),
    },
)
HEUREKA = Dialect(
    "a feed of Heureka",
    (_mark("item_id imgurl"), _mark("productname imgurl")),
    # https://sluzby.heureka.cz/napoveda/xml-feed/
    {
        "id": ("item_id",),
        "title": ("productname", "product"),
        "image_link": ("imgurl",),
        "additional_image_link": ("imgurl_alternative",),
        "price": ("price_vat",),
        "product_type": ("categorytext",),
        "brand": ("manufacturer",),
        "link": ("url",),
        "gtin": ("ean",),
        "mpn": ("productno",),
    },
)
SHOPIFY_JSON = Dialect(
    "products of Shopify in JSON",
    (_mark("handle variants images"),),
    # https://shopify.dev/docs/api/admin-rest/latest/resources/product
    {
        "image_link": ("images", "image"),
        "price": ("variants",),
        "availability": ("variants",),
        "brand": ("vendor",),
        "mpn": ("variants",),
    },
)
WOOCOMMERCE_JSON = Dialect(
    "products of WooCommerce in JSON",
    (_mark("permalink images stock_status"), _mark("permalink images prices")),
    # https://woocommerce.github.io/woocommerce-rest-api-docs/#products, and its Store API
    {
        "title": ("name",),
        "image_link": ("images",),
        "price": ("regular_price", "price", "prices"),
        "availability": ("stock_status", "is_in_stock"),
        "product_type": ("categories",),
        "brand": ("brands",),
        "link": ("permalink",),
        "mpn": ("sku",),
    },
)
META = Dialect(
    "a catalogue of Meta",
    tuple(
        _mark(f"id title {mark}") for mark in ("fb_product_category", "quantity_to_sell_on_facebook", "visibility")
    ),
    # https://www.facebook.com/business/help/120325381656392; the other columns are Google's
    {"product_type": ("product_type", "fb_product_category")},
)
DIALECTS = (SHOPIFY, SHOPIFY_JSON, WOOCOMMERCE_JSON, WOOCOMMERCE, MAGENTO, YML, HEUREKA, META)
KNOWN_COLUMNS = frozenset(
    [
        *GOOGLE_COLUMNS.values(), "description", "sku", "name", "handle", "url", "image", "status",
        *(name for dialect in DIALECTS for mark in dialect.marks for name in mark),
        *(name for dialect in DIALECTS for names in dialect.columns.values() for name in names),
    ]
)  # fmt: skip
"""Names by which the header of a table is found."""
PICTURE_COLUMNS = frozenset(
    ["image_link", *(name for dialect in DIALECTS for name in dialect.columns.get("image_link", ()))]
)
"""Columns that hold the main picture of a product, under Google's name and those of the dialects."""


def find_dialect(names: Collection[str]) -> Dialect | None:
    """The dialect of a feed with these columns; None for Google's own."""
    if {"id", "image_link"} <= set(names):
        return META if META.fits(names) else None
    return next((dialect for dialect in DIALECTS if dialect.fits(names)), None)


def is_known_column(name: str) -> bool:
    """Whether feeds have a column of this name."""
    return column_key(name) in KNOWN_COLUMNS
