"""Envoy as the data plane: what it is told (`snapshot.py`, pure), how it starts and is kept up (`process.py`).

Configuration goes through files that are replaced by a rename, which Envoy watches; clusters carry their endpoints.
"""
