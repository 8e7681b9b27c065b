"""Releases: charts that were installed, their records, and what is done with them in a cluster."""
