"""Plugins as Helm has them: programs with a plugin.yaml that add commands or change what is rendered."""
