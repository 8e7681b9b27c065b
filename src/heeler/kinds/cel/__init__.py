"""Expressions in the Common Expression Language, as Kubernetes uses it. https://kubernetes.io/docs/reference/using-api/cel/"""
