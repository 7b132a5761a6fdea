"""Steps of the schema, numbered."""
