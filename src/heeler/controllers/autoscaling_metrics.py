"""Gets metrics from the API server: metrics.k8s.io, custom.metrics.k8s.io, external.metrics.k8s.io.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#support-for-metrics-apis
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from heeler.base.clock import parse_rfc3339
from heeler.client.client import Client
from heeler.client.discovery import Discovery
from heeler.controllers.autoscaling_math import MetricError, Sample
from heeler.objects import quantities, selectors
from heeler.objects.value import Object

CUSTOM, EXTERNAL = "custom.metrics.k8s.io", "external.metrics.k8s.io"
NOT_SERVED = "the server could not find the requested resource"


class Metrics:
    """`discovery` says what is served; it is refreshed by its owner."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.discovery = Discovery([], [])

    async def _get(self, path: str, query: Mapping[str, str], what: str) -> Any:
        code, body = await self._client.request("GET", path, query={k: v for k, v in query.items() if v})
        if code == 200:
            return orjson.loads(body)
        message = ""
        try:
            status = orjson.loads(body)
            message = status.get("message", "") if isinstance(status, dict) else ""
        except orjson.JSONDecodeError:
            pass
        if code == 404 and message in ("", NOT_SERVED, "404 page not found"):
            message = f"{NOT_SERVED} (get {what})"
        raise MetricError(message or f"an error on the server (status {code})")

    async def resource(self, namespace: str, selector: str, resource: str, container: str) -> dict[str, Sample]:
        """Each pod's use of a resource, by pod. Raises MetricError."""
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"
        try:
            found = await self._get(path, {"labelSelector": selector}, "pods.metrics.k8s.io")
        except MetricError as error:
            raise MetricError(f"unable to fetch metrics from resource metrics API: {error}") from error
        if not found.get("items"):
            raise MetricError("no metrics returned from resource metrics API")
        out: dict[str, Sample] = {}
        for item in found["items"]:
            value = _used(item, resource, container)
            if value is not None:
                stamp, window = item.get("timestamp"), item.get("window") or "1m"
                out[item["metadata"]["name"]] = Sample(value, parse_rfc3339(stamp) if stamp else 0.0, _seconds(window))
        return out

    def _custom_version(self) -> str:
        found = next((one.name.version for one in self.discovery.resources if one.name.group == CUSTOM), "")
        if not found:
            text = f"no custom metrics API ({CUSTOM}) registered"
            raise MetricError(f"unable to fetch metrics from custom metrics API: {text}")
        return found

    async def pods(self, namespace: str, selector: str, metric: Object) -> dict[str, Sample]:
        """A custom metric of each pod."""
        version = self._custom_version()
        path = f"/apis/{CUSTOM}/{version}/namespaces/{namespace}/pods/*/{metric['name']}"
        query = {"labelSelector": selector, "metricLabelSelector": _text(metric.get("selector"))}
        found = await self._custom(path, query, f"pods.{CUSTOM}")
        return {
            item["describedObject"]["name"]: Sample(
                quantities.parse(str(item["value"])).milli,
                parse_rfc3339(item["timestamp"]) if item.get("timestamp") else 0.0,
                float(item.get("windowSeconds") or 60),
            )
            for item in found
        }

    async def object(self, namespace: str, resource: str, name: str, metric: Object) -> int:
        """A custom metric of an object."""
        version = self._custom_version()
        path = f"/apis/{CUSTOM}/{version}/namespaces/{namespace}/{resource}/{name}/{metric['name']}"
        found = await self._custom(path, {"metricLabelSelector": _text(metric.get("selector"))}, f"{resource}.{CUSTOM}")
        return quantities.parse(str(found[0]["value"])).milli

    async def _custom(self, path: str, query: Mapping[str, str], what: str) -> list[Any]:
        try:
            found = (await self._get(path, query, what)).get("items") or []
        except MetricError as error:
            raise MetricError(f"unable to fetch metrics from custom metrics API: {error}") from error
        if not found:
            raise MetricError("no metrics returned from custom metrics API")
        return list(found)

    async def external(self, namespace: str, metric: Object) -> int:
        """The sum of a metric of something outside of the cluster."""
        path = f"/apis/{EXTERNAL}/v1beta1/namespaces/{namespace}/{metric['name']}"
        query = {"labelSelector": _text(metric.get("selector"))}
        try:
            found = (await self._get(path, query, f"{metric['name']}.{EXTERNAL}")).get("items") or []
        except MetricError as error:
            raise MetricError(f"unable to fetch metrics from external metrics API: {error}") from error
        if not found:
            raise MetricError("no metrics returned from external metrics API")
        return sum(quantities.parse(str(item["value"])).milli for item in found)


def _used(item: Any, resource: str, container: str) -> int | None:
    """What a pod, or one container of it, uses; None if it isn't told."""
    total = 0
    for one in item.get("containers") or ():
        if container and one.get("name") != container:
            continue
        amount = (one.get("usage") or {}).get(resource)
        if amount is None:
            return None
        total += quantities.parse(str(amount)).milli
        if container:
            return total
    if container:
        name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        raise MetricError(f"container {container} not present in metrics for pod {name}")
    return total if item.get("containers") else None


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}


def _seconds(text: str) -> float:
    """A Go duration in seconds."""
    return sum(float(n) * _UNITS[u] for n, u in re.findall(r"([\d.]+)(ms|h|m|s)", text)) or 60.0


def _text(selector: Object | None) -> str:
    return str(selectors.of_object(selector)) if selector else ""
