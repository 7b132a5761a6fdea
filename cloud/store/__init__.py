"""The cloud's database: schema, migrations, and the door to it."""

from cloud.store import access, counter, figures, fleet, keeping, rules, schema

__all__ = ["access", "counter", "figures", "fleet", "keeping", "rules", "schema"]  # loaded here: all of the metadata
