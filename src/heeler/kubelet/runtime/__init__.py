"""The container runtime: containerd started and spoken to over CRI."""
