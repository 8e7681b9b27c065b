"""YAML, JSON and TOML as Go's libraries read and write them: what Helm's values, charts and functions go through."""
