"""Custom resources: kinds made of CustomResourceDefinitions."""
