"""The pods' network: namespaces and links, services in nftables, addresses published on the host's loopback."""
