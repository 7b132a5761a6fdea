"""The cloud's database: schema, migrations, and the door to it."""

from cloud.store import access, counter, figures, fleet, keeping, rules, schema, sounds

__all__ = [
    "access",
    "counter",
    "figures",
    "fleet",
    "keeping",
    "rules",
    "schema",
    "sounds",
]  # loaded here: all of the metadata
