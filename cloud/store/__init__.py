"""The cloud's database: schema, migrations, and the door to it."""
