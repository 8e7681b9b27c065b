"""A pod's life on a node: pure decisions and the thin executor of them."""
