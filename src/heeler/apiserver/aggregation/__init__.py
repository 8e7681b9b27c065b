"""API groups of other servers, served here as if they were our own, and how APIService objects tell of all groups.

`services.py` knows what the objects say, `registration.py` keeps those of our own groups, `availability.py` asks the others
whether they are there, `transport.py` is the way to them, `proxy.py` hands requests on, `documents.py` has what they say of
themselves, `trust.py` tells them whom to believe. `aggregator.py` puts these together for one API server. Source:
https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/
"""
