"""A client: which sources are backed up, and how often that was done."""

import kubernetes


def runs_by_source(kubeconfig: str, namespace: str = "default") -> dict[str, int]:
    """How many runs each source had, summed over its Backups."""
    client = kubernetes.config.new_client_from_config(kubeconfig)
    with client:
        found = kubernetes.client.CustomObjectsApi(client).list_namespaced_custom_object(
            "example.com", "v1", namespace, "backups"
        )
    out: dict[str, int] = {}
    for backup in found["items"]:
        source = backup["spec"]["source"]
        out[source] = out.get(source, 0) + backup.get("status", {}).get("runs", 0)
    return out
