"""pods/binding: bind a pod to a node, once. Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/binding-v1/"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heeler.apiserver.admission.pod_topology_labels import of_node
from heeler.apiserver.body import read_body
from heeler.apiserver.call import Call, Plain
from heeler.apiserver.options import WriteOptions, write_options
from heeler.apiserver.subresources.body import sent
from heeler.apiserver.verbs.update import change_object, precondition_failed
from heeler.base.clock import rfc3339
from heeler.kinds.bodies import BINDING
from heeler.objects import faults
from heeler.objects.status import StatusError, bad_request, conflict
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.request import Context


async def create(call: Call, context: Context) -> Plain:
    """POST of a Binding to the pod."""
    options = write_options(call, "CreateOptions")
    return await _bind(call, context, options, await _read(call, context, options))


async def _read(call: Call, context: Context, options: WriteOptions) -> Object:
    kinds = context.server.kinds
    return await context.server.aside.run(call.weight, read_body, call, BINDING, kinds, options.validation)


async def create_in_collection(call: Call, context: Context) -> Plain:
    """POST to the old collection of bindings: the pod is the binding's name."""
    from heeler.apiserver.request import Context as Made

    options = write_options(call, "CreateOptions")
    obj = await _read(call, context, options)
    pods = context.server.kind("", "pods")
    context.info.name = (obj.get("metadata") or {}).get("name", "")
    made = Made(context.server, context.user, context.info, pods, "v1", "binding")
    return await _bind(call, made, options, obj)


async def _bind(call: Call, context: Context, options: WriteOptions, obj: Object) -> Plain:
    obj = await sent(call, context, obj, BINDING, options)
    metadata, target = obj.get("metadata") or {}, obj.get("target") or {}
    name = context.info.name
    if metadata.get("name") and metadata["name"] != name:
        raise bad_request("name in URL does not match name in Binding object")
    kind, node = target.get("kind", ""), target.get("name", "")
    found = []
    if kind not in ("", "Node"):
        found.append(faults.not_supported("target.kind", kind, ("Node", "<empty>")))
    if not node:
        found.append(faults.required("target.name"))
    if found:  # upstream answers what it finds here as a bare error
        texts = [f"{fault.field}: {fault.message}" for fault in found]
        raise StatusError(500, "", texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")

    dry_run = options.dry_run

    def change(live: Object) -> tuple[Object, list[Object] | None]:
        for key, what in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            if metadata.get(key) and metadata[key] != live["metadata"][key]:
                raise precondition_failed(context, what, metadata[key], live["metadata"][key], dry_run)
        why = _refusal(live)
        if why:
            raise conflict("pods/binding", "", name, why)
        new = {**live, "spec": {**live["spec"], "nodeName": node}, "metadata": dict(live["metadata"])}
        if metadata.get("annotations"):
            annotations = {**(live["metadata"].get("annotations") or {}), **metadata["annotations"]}
            new["metadata"]["annotations"] = annotations
        topology = of_node(context.server, node)
        if topology:
            new["metadata"]["labels"] = {**(live["metadata"].get("labels") or {}), **topology}
        new["status"] = _scheduled(live, context)
        return new, live["metadata"].get("managedFields") or []

    options = WriteOptions(dry_run, options.manager, "Ignore")
    await change_object(call, context, options, change, admitted=True)
    return Plain({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)


def _refusal(pod: Object) -> str:
    name = pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp"):
        return f"pod {name} is being deleted, cannot be assigned to a host"
    bound = pod["spec"].get("nodeName")
    if bound:
        return f'pod {name} is already assigned to node "{bound}"'
    if pod["spec"].get("schedulingGates"):
        return f"pod {name} has non-empty .spec.schedulingGates"
    return ""


def _scheduled(pod: Object, context: Context) -> Object:
    """The status with the condition PodScheduled true."""
    status = dict(pod.get("status") or {})
    old = next((c for c in status.get("conditions") or () if c["type"] == "PodScheduled"), None)
    moment = rfc3339(context.server.clock.time())
    if old is not None and old.get("status") == "True":
        moment = old.get("lastTransitionTime", moment)
    condition: Object = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": moment}
    others = [c for c in status.get("conditions") or () if c["type"] != "PodScheduled"]
    status["conditions"] = [*others, condition]
    status.pop("nominatedNodeName", None)  # a promise that is kept now
    return status
