"""Settings: agent.toml for a box, cloud.toml for the service, and the code that reads them."""
