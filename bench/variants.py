"""What is compared. Each variant is a database with the triggers of variants/NAME.sql, and may have a consumer."""

import os
from dataclasses import dataclass

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "variants")
NONE = "none"


@dataclass(frozen=True)
class Variant:
    name: str
    title: str
    setup: str = ""        # the file of variants, if it is not named as the variant
    consumer: str = ""
    channel: str = ""      # on which a message about a row comes
    deletes: bool = True   # the key is gone some time after the commit
    extension: str = ""    # that has to be there
    logical: bool = False  # in a cluster with wal_level = logical
    aside: bool = False    # only for workloads that name it


VARIANTS = [
    Variant(NONE, "no trigger", deletes=False),
    Variant("floor", "empty C row trigger", deletes=False),
    Variant("ours", "cache_invalidate", channel="cache_invalidation"),
    Variant("ours_listen", "cache_invalidate, with a listener", setup="ours", consumer="listen", channel="cache_invalidation"),
    Variant("ours_off", "cache_invalidate, durability = off", channel="cache_invalidation"),
    Variant("ours_many", "cache_invalidate, beside 63 servers and 10 000 triggers", channel="cache_invalidation", aside=True),
    Variant("ours_exact", "cache_invalidate, each key exact", channel="cache_invalidation", aside=True),
    Variant("notify", "PL/pgSQL trigger with pg_notify", consumer="notify", channel="invalidation"),
    Variant("tcn", "contrib tcn", consumer="tcn", channel="tcn", extension="tcn"),
    Variant("outbox", "PL/pgSQL outbox table", consumer="outbox"),
    Variant("pgq", "PgQ", consumer="pgq", extension="pgq"),
    Variant("none_logical", "no trigger, wal_level = logical", setup=NONE, deletes=False, logical=True),
    Variant("wal2json", "wal2json", consumer="wal2json", logical=True, extension="wal2json"),
]


def base_of(variant):
    """The name of the variant that its figures are divided by."""
    return "none_logical" if variant.logical else NONE


def missing(variant, sharedir, pkglibdir):
    """Why the variant cannot be measured here; empty: it can."""
    if not variant.extension:
        return ""
    for path in (os.path.join(sharedir, "extension", variant.extension + ".control"),
                 os.path.join(pkglibdir, variant.extension + ".so")):
        if os.path.exists(path):
            return ""
    return f"{variant.extension} is not installed"


def create(cluster, variant):
    """Makes its database."""
    cluster.psql("postgres", f"CREATE DATABASE {variant.name} TEMPLATE prepared")
    cluster.psql_file(variant.name, os.path.join(FOLDER, f"{variant.setup or variant.name}.sql"),
                      redis=cluster.redis.path, floor=cluster.floor)
    cluster.psql(variant.name, "VACUUM ANALYZE")
