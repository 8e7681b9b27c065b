"""Heeler: Kubernetes from the laptop to production, in one Python package."""

__version__ = "0.1.0"
