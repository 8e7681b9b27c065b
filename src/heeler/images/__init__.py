"""Images made and loaded without a registry, a compiler or Docker."""
