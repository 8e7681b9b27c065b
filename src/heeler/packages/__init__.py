"""Packages: Helm's charts and releases. Imported only by the command line and by capabilities that render charts."""
