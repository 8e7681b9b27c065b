"""Where charts come from and go to: repositories over HTTP, registries (OCI), and the signatures of charts."""
