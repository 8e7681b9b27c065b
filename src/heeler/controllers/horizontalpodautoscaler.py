"""HorizontalPodAutoscalers: as many pods as their metrics ask for.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ — what a metric asks for is in
`autoscaling_math`, how fast that is followed in `autoscaling_behavior`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from heeler.base.clock import rfc3339
from heeler.client.discovery import discover
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers import autoscaling_math as arithmetic
from heeler.controllers.autoscaling_behavior import Change, Condition, Memory, normalised
from heeler.controllers.autoscaling_math import MetricError, Patience, Tolerances
from heeler.controllers.autoscaling_metrics import NOT_SERVED, Metrics
from heeler.controllers.loop import Context
from heeler.controllers.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from heeler.objects import quantities, selectors
from heeler.objects.selectors import LabelSelector
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, labels_of, meta, name_of

#: Discovery is asked again after so long.
DISCOVERY_SECONDS = 30.0
#: Nothing older than this is remembered of scaling (the longest window and period that an object may ask for).
MEMORY_SECONDS = 3600.0


@dataclass(slots=True)
class Verdict:
    """What one metric asks for; `error` instead: (reason, what is wrong, the same with its kind of metric)."""

    replicas: int = 0
    name: str = ""
    status: Object = field(default_factory=lambda: {"type": ""})
    error: tuple[str, str, str] | None = None


@dataclass(slots=True)
class _Sync:
    """One look at one autoscaler."""

    scaler: Object
    conditions: list[Object]
    events: list[tuple[str, str, str]] = field(default_factory=list)


class HorizontalPodAutoscalerController:
    def __init__(self, context: Context) -> None:
        period = context.settings.horizontal_pod_autoscaler_sync_period
        self.queue: WorkQueue[str] = WorkQueue(first_delay=period, max_delay=period)
        self._context, self._client, self._period = context, context.client, period
        self._settings = settings = context.settings
        self._patience = Patience(
            settings.horizontal_pod_autoscaler_cpu_initialization_period,
            settings.horizontal_pod_autoscaler_initial_readiness_delay,
        )
        self._events = context.recorder("horizontal-pod-autoscaler")
        self._scalers = context.informers.get(HORIZONTAL_POD_AUTOSCALERS)
        self._pods = context.informers.get(PODS)
        self._pods.add_index("namespace", lambda pod: [meta(pod).get("namespace", "")])
        self._metrics = Metrics(self._client)
        self._discovered = float("-inf")
        self._memories: dict[str, Memory] = {}
        self._selectors: dict[str, LabelSelector] = {}
        self._scalers.add_handler(self._scaler_changed)

    def _scaler_changed(self, old: Object | None, new: Object | None) -> None:
        key = key_of(new or old or {})
        if new is None:
            self._memories.pop(key, None)
            self._selectors.pop(key, None)
        elif old is None or old["spec"] != new["spec"]:
            self.queue.add(key)

    async def reconcile(self, key: str) -> None:
        scaler = self._scalers.get(key)
        if scaler is None:
            return
        self.queue.add_after(key, self._period)
        await self._discover()
        sync = _Sync(scaler, list((scaler.get("status") or {}).get("conditions") or ()))
        try:
            status = await self._sync(key, sync)
        finally:
            about = {**scaler, "kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2"}
            for event in sync.events:
                self._events.record(about, *event)
        if sync.conditions:
            status["conditions"] = sync.conditions
        if status != (scaler.get("status") or {}):
            done = await self._client.update(
                HORIZONTAL_POD_AUTOSCALERS, {**scaler, "status": status}, subresource="status"
            )
            self._scalers.assume(done)

    async def _discover(self) -> None:
        now = self._context.clock.monotonic()
        if now - self._discovered >= DISCOVERY_SECONDS:
            self._metrics.discovery = await discover(self._client, self._metrics.discovery)
            self._discovered = now

    def _set(self, sync: _Sync, type: str, status: str, reason: str, message: str) -> None:
        known = next((c for c in sync.conditions if c.get("type") == type), None)
        moment = rfc3339(self._context.clock.time())
        since = known["lastTransitionTime"] if known is not None and known.get("status") == status else moment
        fresh = {"type": type, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
        if known is None:
            sync.conditions.append(fresh)
        else:
            sync.conditions[sync.conditions.index(known)] = fresh

    async def _sync(self, key: str, sync: _Sync) -> Object:
        """The new status, without its conditions."""
        scaler, spec = sync.scaler, sync.scaler["spec"]
        old = dict(scaler.get("status") or {})
        old.pop("conditions", None)
        try:
            path, scale = await self._scale_of(scaler)
        except MetricError as error:
            sync.events.append(("Warning", "FailedGetScale", str(error)))
            text = f"the HPA controller was unable to get the target's current scale: {error}"
            self._set(sync, "AbleToScale", "False", "FailedGetScale", text)
            return old
        self._set(
            sync,
            "AbleToScale",
            "True",
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale",
        )
        now = self._context.clock.time()
        memory = self._memories.setdefault(key, Memory())
        memory.forget(now, MEMORY_SECONDS)
        current = int((scale.get("spec") or {}).get("replicas") or 0)
        if not memory.recommendations:
            memory.recommendations.append(Change(now, current))
        least = 1 if spec.get("minReplicas") is None else int(spec["minReplicas"])
        most = int(spec["maxReplicas"])
        verdicts: list[Verdict] | None = None
        wanted, reason = current, ""
        if current == 0 and least != 0:
            wanted = 0
            text = "scaling is disabled since the replica count of the target is zero"
            self._set(sync, "ScalingActive", "False", "ScalingDisabled", text)
        elif current > most:
            wanted, reason = most, "Current number of replicas above Spec.MaxReplicas"
        elif current < least:
            wanted, reason = least, "Current number of replicas below Spec.MinReplicas"
        else:
            verdicts = await self._evaluate(key, sync, scale)
            chosen = self._chosen(sync, verdicts, current)
            if chosen is None:
                before = int(old.get("desiredReplicas") or 0)
                return self._status(sync, old, current, before, verdicts, rescaled=False)
            if chosen.replicas > current:
                reason = f"{chosen.name} above target"
            elif chosen.replicas < current:
                reason = "All metrics below target"
            window = self._settings.horizontal_pod_autoscaler_downscale_stabilization
            result = normalised(spec.get("behavior"), memory, current, chosen.replicas, least, most, now, window)
            wanted = result.replicas
            for condition in result.conditions:
                self._note(sync, condition)
        if wanted == current:
            return self._status(sync, old, current, current, verdicts, rescaled=False)
        rescaled = await self._rescale(sync, path, scale, wanted, reason)
        if rescaled:
            memory.note_scaled(current, wanted, now)
        return self._status(sync, old, current, wanted if rescaled else current, verdicts, rescaled=rescaled)

    def _note(self, sync: _Sync, condition: Condition) -> None:
        self._set(sync, *condition)

    # the target

    async def _scale_of(self, scaler: Object) -> tuple[str, Any]:
        """(path, Scale) of the target. Raises MetricError."""
        target = scaler["spec"]["scaleTargetRef"]
        group = target.get("apiVersion", "").rpartition("/")[0]
        found = self._metrics.discovery.of_kind(target.get("apiVersion", ""), target["kind"])
        if found is None:
            resources = self._metrics.discovery.resources
            found = next((r for r in resources if r.name.group == group and r.kind == target["kind"]), None)
        if found is None:
            raise MetricError(f'no matches for kind "{target["kind"]}" in group "{group}"')
        path = found.name.path(scaler["metadata"]["namespace"], target["name"], "scale")
        code, body = await self._client.request("GET", path)
        if code != 200:
            raise MetricError(_message(code, body))
        return path, orjson.loads(body)

    async def _rescale(self, sync: _Sync, path: str, scale: Any, wanted: int, reason: str) -> bool:
        changed = {**scale, "spec": {**(scale.get("spec") or {}), "replicas": wanted}}
        code, body = await self._client.request(
            "PUT", path, body=orjson.dumps(changed), headers={"content-type": "application/json"}
        )
        if code != 200:
            error = _message(code, body)
            sync.events.append(("Warning", "FailedRescale", f"New size: {wanted}; reason: {reason}; error: {error}"))
            text = f"the HPA controller was unable to update the target scale: {error}"
            self._set(sync, "AbleToScale", "False", "FailedUpdateScale", text)
            return False
        text = f"the HPA controller was able to update the target scale to {wanted}"
        self._set(sync, "AbleToScale", "True", "SucceededRescale", text)
        if wanted == 0:
            self._set(sync, "ScaledToZero", "True", "ScaledToZero", "the HPA controller scaled the workload to zero")
        else:
            text = "the HPA controller did not scale the workload to zero"
            self._set(sync, "ScaledToZero", "False", "NotScaledToZero", text)
        sync.events.append(("Normal", "SuccessfulRescale", f"New size: {wanted}; reason: {reason}"))
        return True

    def _status(
        self,
        sync: _Sync,
        old: Object,
        current: int,
        wanted: int,
        verdicts: Sequence[Verdict] | None,
        *,
        rescaled: bool,
    ) -> Object:
        out: Object = {"desiredReplicas": wanted, "observedGeneration": meta(sync.scaler).get("generation") or 0}
        if current:
            out["currentReplicas"] = current
        moment = rfc3339(self._context.clock.time()) if rescaled else old.get("lastScaleTime")
        if moment:
            out["lastScaleTime"] = moment
        out["currentMetrics"] = [verdict.status for verdict in verdicts] if verdicts else None
        return out

    # the metrics

    async def _evaluate(self, key: str, sync: _Sync, scale: Any) -> list[Verdict]:
        """What each metric asks for."""
        namespace = sync.scaler["metadata"]["namespace"]
        text = (scale.get("status") or {}).get("selector") or ""
        if not text:
            sync.events.append(("Warning", "SelectorRequired", "selector is required"))
            message = "the HPA target's scale is missing a selector"
            self._set(sync, "ScalingActive", "False", "InvalidSelector", message)
            return []
        selector = selectors.parse_labels(text)
        found = [p for p in self._pods.by_index("namespace", namespace) if selector.matches(labels_of(p))]
        shared = self._sharing(key, namespace, selector, found)
        if shared:
            message = f"pods by selector {text} are controlled by multiple HPAs: [{' '.join(shared)}]"
            sync.events.append(("Warning", "AmbiguousSelector", message))
            self._set(sync, "ScalingActive", "False", "AmbiguousSelector", message)
            return []
        found.sort(key=name_of)
        return [await self._one(sync.scaler, metric, scale, text, found) for metric in sync.scaler["spec"]["metrics"]]

    def _sharing(self, key: str, namespace: str, selector: LabelSelector, found: Sequence[Object]) -> list[str]:
        """The autoscalers that want the same pods, this one too; none if it is alone."""
        self._selectors[key] = selector
        names = {
            other
            for other, theirs in self._selectors.items()
            if other.partition("/")[0] == namespace and any(theirs.matches(labels_of(pod)) for pod in found)
        }
        return sorted(names) if len(names) > 1 else []

    def _chosen(self, sync: _Sync, verdicts: Sequence[Verdict], current: int) -> Verdict | None:
        """The metric that asks for most; None if nothing can be said, which the conditions and events then tell."""
        if not verdicts:
            return None
        failed = [verdict for verdict in verdicts if verdict.error is not None]
        best: Verdict | None = None
        for verdict in verdicts:
            if verdict.error is None:
                if best is None or verdict.replicas > best.replicas:
                    best = verdict
            else:
                sync.events.append(("Warning", verdict.error[0], verdict.error[1]))
        if best is None or (failed and best.replicas < current):
            first = failed[0].error or ("", "", "")
            text = f"the HPA was unable to compute the replica count: {first[1]}"
            self._set(sync, "ScalingActive", "False", first[0], text)
            text = f"invalid metrics ({len(failed)} invalid out of {len(verdicts)}), first error is: {first[2]}"
            sync.events.append(("Warning", "FailedComputeMetricsReplicas", text))
            return None
        text = f"the HPA was able to successfully calculate a replica count from {best.name}"
        self._set(sync, "ScalingActive", "True", "ValidMetricFound", text)
        return best

    async def _one(self, scaler: Object, metric: Object, scale: Any, selector: str, found: Sequence[Object]) -> Verdict:
        kind = metric["type"]
        try:
            if kind in ("Resource", "ContainerResource"):
                return await self._of_resource(scaler, metric, scale, selector, found)
            if kind == "Pods":
                return await self._of_pods(scaler, metric, scale, selector, found)
            if kind == "Object":
                return await self._of_object(scaler, metric, scale, found)
            if kind == "External":
                return await self._of_external(scaler, metric, scale, found)
            text = f'unknown metric source type "{kind}"'
            return Verdict(error=("InvalidMetricSourceType", text, text))
        except MetricError as error:
            return Verdict(error=(f"FailedGet{kind}Metric", str(error), f"{_outer(metric)}: {error}"))

    def _numbers(self, scaler: Object, scale: Any) -> tuple[int, Tolerances, float]:
        behavior = scaler["spec"].get("behavior") or {}
        given = [(behavior.get(way) or {}).get("tolerance") for way in ("scaleDown", "scaleUp")]
        usual = self._settings.horizontal_pod_autoscaler_tolerance
        down, up = (usual if one is None else float(quantities.parse(str(one)).value) for one in given)
        current = int((scale.get("spec") or {}).get("replicas") or 0)
        return current, Tolerances(down, up), self._context.clock.time()

    async def _of_resource(
        self, scaler: Object, metric: Object, scale: Any, selector: str, found: Sequence[Object]
    ) -> Verdict:
        place = metric["type"][0].lower() + metric["type"][1:]
        source = metric[place]
        name, target, container = source["name"], source["target"], source.get("container") or ""
        current, tolerances, now = self._numbers(scaler, scale)
        percent = target.get("averageUtilization")
        word = "container resource" if container else "resource"
        try:
            try:
                samples = await self._metrics.resource(scaler["metadata"]["namespace"], selector, name, container)
            except MetricError as error:
                raise MetricError(f"unable to get metrics for resource {name}: {error}") from error
            if percent is None:
                value = quantities.parse(str(target["averageValue"])).milli
                answer = arithmetic.by_value(current, value, found, samples, name, tolerances, now, self._patience)
            else:
                answer = arithmetic.by_utilization(
                    current, int(percent), found, samples, name, tolerances, now, self._patience, container
                )
        except MetricError as error:
            raise MetricError(
                f"failed to get {name} {'usage' if percent is None else 'utilization'}: {error}"
            ) from error
        told: Object = {"averageValue": str(quantities.of_milli(answer.average))}
        label = f"{name} {word}"
        if percent is not None:
            told["averageUtilization"] = answer.utilization
            label += " utilization (percentage of request)"
        status: Object = {"name": name, "current": told}
        if container:
            status["container"] = container
        return Verdict(answer.replicas, label, {"type": metric["type"], place: status})

    async def _of_pods(
        self, scaler: Object, metric: Object, scale: Any, selector: str, found: Sequence[Object]
    ) -> Verdict:
        source = metric["pods"]
        name = source["metric"]["name"]
        current, tolerances, now = self._numbers(scaler, scale)
        try:
            samples = await self._metrics.pods(scaler["metadata"]["namespace"], selector, source["metric"])
        except MetricError as error:
            raise MetricError(f"unable to get metric {name}: {error}") from error
        value = quantities.parse(str(source["target"]["averageValue"])).milli
        answer = arithmetic.by_value(current, value, found, samples, "", tolerances, now, self._patience)
        told = {"averageValue": str(quantities.of_milli(answer.average))}
        status = {"type": "Pods", "pods": {"metric": source["metric"], "current": told}}
        return Verdict(answer.replicas, f"pods metric {name}", status)

    async def _of_object(self, scaler: Object, metric: Object, scale: Any, found: Sequence[Object]) -> Verdict:
        source, namespace = metric["object"], scaler["metadata"]["namespace"]
        about, name = source["describedObject"], source["metric"]["name"]
        known = self._metrics.discovery.of_kind(about.get("apiVersion", ""), about["kind"])
        resource = known.name if known is not None else GroupVersionResource("", "", about["kind"].lower() + "s")
        plural = f"{resource.resource}.{resource.group}" if resource.group else resource.resource
        try:
            value = await self._metrics.object(namespace, plural, about["name"], source["metric"])
        except MetricError as error:
            text = f"unable to get metric {name} on {about['kind']} {namespace}/{about['name']}: {error}"
            raise MetricError(text) from error
        replicas, told = self._of_total(scaler, scale, source["target"], value, found)
        status = {
            "type": "Object",
            "object": {"metric": source["metric"], "describedObject": about, "current": told},
        }
        if source["target"].get("averageValue") is None:
            return Verdict(replicas, f"{about['kind']} metric {name}", status)
        shown = selectors.go_text(source["metric"].get("selector"))
        return Verdict(replicas, f"external metric {name}({shown})", status)  # so upstream names it

    async def _of_external(self, scaler: Object, metric: Object, scale: Any, found: Sequence[Object]) -> Verdict:
        source, namespace = metric["external"], scaler["metadata"]["namespace"]
        name, selector = source["metric"]["name"], source["metric"].get("selector")
        try:
            value = await self._metrics.external(namespace, source["metric"])
        except MetricError as error:
            text = f"unable to get external metric {namespace}/{name}/{selectors.go_text(selector)}: {error}"
            raise MetricError(text) from error
        replicas, told = self._of_total(scaler, scale, source["target"], value, found)
        status = {"type": "External", "external": {"metric": source["metric"], "current": told}}
        return Verdict(replicas, f"external metric {name}({selectors.go_text(selector)})", status)

    def _of_total(
        self, scaler: Object, scale: Any, target: Object, value: int, found: Sequence[Object]
    ) -> tuple[int, Object]:
        """(replicas, what the status tells) for a value that belongs to no pod."""
        current, tolerances, _ = self._numbers(scaler, scale)
        if target.get("averageValue") is not None:
            share = quantities.parse(str(target["averageValue"])).milli
            there = int((scale.get("status") or {}).get("replicas") or 0)
            average = -(-value // there) if there else value
            told = {"averageValue": str(quantities.of_milli(average))}
            return arithmetic.by_share(there, value, share, tolerances), told
        wanted = quantities.parse(str(target["value"])).milli
        told = {"value": str(quantities.of_milli(value))}
        return arithmetic.by_total(current, found, value, wanted, tolerances), told


def _outer(metric: Object) -> str:
    """How the error of all metrics names the one that failed."""
    kind = metric["type"]
    if kind == "Resource":
        return f"failed to get {metric['resource']['name']} resource metric value"
    if kind == "ContainerResource":
        return f"failed to get {metric['containerResource']['container']} container metric value"
    if kind == "Pods":
        return "failed to get pods metric value"
    source = metric[kind.lower()]
    name, shared = source["metric"]["name"], source["target"].get("averageValue") is not None
    if kind == "External":
        inner = f"failed to get {name} external metric" if shared else f"failed to get external metric {name}"
        return f"failed to get {name} external metric value: {inner}"
    return "failed to get object metric value" + (f": failed to get {name} object metric" if shared else "")


def _message(code: int, body: bytes) -> str:
    """The message of an answer that is a refusal."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    message = str(status.get("message", "")) if isinstance(status, dict) else ""
    if code == 404 and (not message or message == "404 page not found"):
        return NOT_SERVED
    return str(StatusError(code, "", message or f"the server answered {code}"))
