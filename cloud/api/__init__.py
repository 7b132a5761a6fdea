"""The platform API, /v1: what ordering platforms and a merchant's own programs call."""
