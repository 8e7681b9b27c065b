"""What an Envoy is told, as plain values, and the same as Envoy's resources in JSON. Pure.

Source: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/api
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

TYPE = "type.googleapis.com/"
LISTENER, CLUSTER = TYPE + "envoy.config.listener.v3.Listener", TYPE + "envoy.config.cluster.v3.Cluster"
ROUTES = TYPE + "envoy.config.route.v3.RouteConfiguration"
#: The one table of routes that all listeners of a gateway share.
ROUTE_NAME = "ingress"
#: Requests that may be sent again whatever became of the first one.
SAFE = "GET|HEAD|OPTIONS"
#: What a request is sent again for, to another endpoint: the first one never got it; for safe ones, nothing came back.
RETRY_ON, RETRY_SAFE = "connect-failure,refused-stream,reset-before-request", "reset,connect-failure,refused-stream"
RETRIES = 4
# A SYN that got lost is sent again after a second: there must be time for that.
CONNECT_TIMEOUT, IDLE_TIMEOUT, STREAM_IDLE_TIMEOUT = "2.5s", "60s", "300s"
#: Linux' numbers of what marks a socket's packets.
SOL_SOCKET, SO_MARK = 1, 36


@dataclass(frozen=True, slots=True)
class Route:
    """A path, exact or with all below it, and where it leads: a cluster's name, or "" for an answer of 503."""

    path: str
    exact: bool
    cluster: str
    #: Not one of the host's own: it holds for every name that comes to this host.
    general: bool = False


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """`domain` is a name, *.name (one label in place of the star), or * for all others. Routes are tried in order."""

    domain: str
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """Endpoints that take the same requests: (address, port); `http2` is what they speak."""

    name: str
    endpoints: tuple[tuple[str, int], ...]
    http2: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """A PEM pair for names (*.name too); without names it is the one for clients that ask for none."""

    names: tuple[str, ...]
    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where it listens: address, ports (0: not at all), and the file of the network namespace of its sockets. `mark` is
    set on the packets to endpoints (0: none), which takes CAP_NET_ADMIN."""

    address: str
    http: int
    https: int
    netns: str = ""
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment."""

    hosts: tuple[VirtualHost, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    certificates: tuple[Certificate, ...] = ()


def bootstrap(folder: str, name: str) -> Json:
    """What Envoy starts with: where its files are. There is no administration port."""

    def source(file: str) -> Json:
        return {"path_config_source": {"path": f"{folder}/{file}"}, "resource_api_version": "V3"}

    limit = {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": TYPE + "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            "max_active_downstream_connections": 10_000,
        },
    }
    return {
        "node": {"id": name, "cluster": name},
        "dynamic_resources": {"lds_config": source("listeners.json"), "cds_config": source("clusters.json")},
        "overload_manager": {"resource_monitors": [limit]},
        # The expression for a star's one label grows with the host's name: it may be the longest that there is.
        "layered_runtime": {"layers": [{"name": "static", "static_layer": {"re2.max_program_size.error_level": 1000}}]},
    }


def clusters(snapshot: Snapshot, mark: int = 0) -> Json:
    return {"resources": [_cluster(cluster, mark) for cluster in snapshot.clusters]}


def _cluster(cluster: Cluster, mark: int) -> Json:
    ends = [
        {"endpoint": {"address": {"socket_address": {"address": ip, "port_value": port}}}}
        for ip, port in cluster.endpoints
    ]
    out: Json = {
        "@type": CLUSTER,
        "name": cluster.name,
        "type": "STATIC",
        "connect_timeout": CONNECT_TIMEOUT,
        "load_assignment": {"cluster_name": cluster.name, "endpoints": [{"lb_endpoints": ends}] if ends else []},
        # An endpoint that can't be connected to is left alone for a moment; what it answers is its own business.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 2,
            "enforcing_consecutive_5xx": 0,
            "enforcing_consecutive_gateway_failure": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": "2s",
            "max_ejection_percent": 50,
        },
    }
    if mark:
        option = {"level": SOL_SOCKET, "name": SO_MARK, "int_value": mark, "state": "STATE_PREBIND"}
        out["upstream_bind_config"] = {"socket_options": [{"description": "mark", **option}]}
    protocol: Json = {"http2_protocol_options": {}} if cluster.http2 else {"http_protocol_options": {}}
    options = TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    out["typed_extension_protocol_options"] = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": options,
            "explicit_http_config": protocol,
            "common_http_protocol_options": {"idle_timeout": IDLE_TIMEOUT},
        }
    }
    return out


def routes(snapshot: Snapshot) -> Json:
    config: Json = {
        "@type": ROUTES,
        "name": ROUTE_NAME,
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [_virtual_host(host) for host in snapshot.hosts],
    }
    return {"resources": [config]}


def _virtual_host(host: VirtualHost) -> Json:
    return {
        "name": host.domain,
        "domains": [host.domain],
        "routes": [made for route in host.routes for made in _routes(route, host.domain)],
    }


def _routes(route: Route, domain: str) -> list[Json]:
    path = route.path.rstrip("/")
    if route.exact:
        match: Json = {"path": route.path}
    elif not path:
        match = {"prefix": "/"}
    else:
        match = {"path_separated_prefix": path}
    headers: list[Json] = []
    if domain.startswith("*.") and not route.general:  # Envoy's star takes several labels, Kubernetes' one
        regex = rf"[^.:]+{re.escape(domain[1:])}(:[0-9]+)?"
        headers.append({"name": ":authority", "string_match": {"safe_regex": {"regex": regex}}})
    if not route.cluster:
        body = {"inline_string": "the backend of this path is not there\n"}
        return [{"match": {**match, "headers": headers}, "direct_response": {"status": 503, "body": body}}]
    safe = {"name": ":method", "string_match": {"safe_regex": {"regex": SAFE}}}
    return [
        {"match": {**match, "headers": [*headers, safe]}, "route": _action(route.cluster, RETRY_SAFE)},
        {"match": {**match, "headers": headers}, "route": _action(route.cluster, RETRY_ON)},
    ]


def _action(cluster: str, retry_on: str) -> Json:
    previous = TYPE + "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "cluster": cluster,
        "timeout": "0s",
        "retry_policy": {
            "retry_on": retry_on,
            "num_retries": RETRIES,
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
            "retry_host_predicate": [
                {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": previous}}
            ],
            "host_selection_retry_max_attempts": 3,
        },
    }


def listeners(snapshot: Snapshot, gateway: Gateway, routes_file: str) -> Json:
    out: list[Json] = []
    if gateway.http:
        out.append(_listener("http", gateway, gateway.http, [_chain("http", routes_file)]))
    if gateway.https and snapshot.certificates:
        chains = [_chain("https", routes_file, certificate) for certificate in snapshot.certificates]
        listener = _listener("https", gateway, gateway.https, chains)
        inspector = TYPE + "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
        listener["listener_filters"] = [
            {"name": "envoy.filters.listener.tls_inspector", "typed_config": {"@type": inspector}}
        ]
        out.append(listener)
    return {"resources": out}


def _listener(name: str, gateway: Gateway, port: int, chains: list[Json]) -> Json:
    address: Json = {"address": gateway.address, "port_value": port}
    if gateway.netns:
        address["network_namespace_filepath"] = gateway.netns
    return {
        "@type": LISTENER,
        "name": name,
        "address": {"socket_address": address},
        "filter_chains": chains,
        "per_connection_buffer_limit_bytes": 1 << 20,
    }


def _chain(name: str, routes_file: str, certificate: Certificate | None = None) -> Json:
    router = {"@type": TYPE + "envoy.extensions.filters.http.router.v3.Router"}
    source = {"path_config_source": {"path": routes_file}, "resource_api_version": "V3"}
    manager = {
        "@type": TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "rds": {"route_config_name": ROUTE_NAME, "config_source": source},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "stream_idle_timeout": STREAM_IDLE_TIMEOUT,
        "common_http_protocol_options": {"headers_with_underscores_action": "ALLOW"},
        "http_protocol_options": {"accept_http_10": True},
        "upgrade_configs": [{"upgrade_type": "websocket"}],
    }
    out: Json = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if certificate is None:
        return out
    pair = {
        key: {"inline_bytes": base64.b64encode(text.encode()).decode()}
        for key, text in (("certificate_chain", certificate.certificate), ("private_key", certificate.key))
    }
    out["name"] = ",".join(certificate.names) or "default"
    out["transport_socket"] = {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": TYPE + "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_certificates": [pair]},
        },
    }
    if certificate.names:
        out["filter_chain_match"] = {"server_names": list(certificate.names)}
    return out


def files(snapshot: Snapshot, gateway: Gateway, folder: str) -> dict[str, Json]:
    """File -> content, in the order in which they are to be written: what is referred to comes first."""
    return {
        "clusters.json": clusters(snapshot, gateway.mark),
        "routes.json": routes(snapshot),
        "listeners.json": listeners(snapshot, gateway, f"{folder}/routes.json"),
    }
