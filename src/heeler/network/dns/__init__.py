"""Cluster DNS: a resolver on every node, that knows the cluster's names and asks the host's resolvers for others.

`records.py` is what there is, `answers.py` what is said of a name (both pure); `message.py` the wire, `forward.py` the
other names, `server.py` the sockets.
"""
