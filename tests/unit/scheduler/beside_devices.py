"""What kube-scheduler allocated in drawn clusters, held against our allocations.

`tests/peers/device_differential.py` records it. A round is `{"nodes": […], "slices": […], "classes": […], "steps": [step, …]}`,
a step `{"pod": pod, "claims": [claim, …], "node": NAME, "devices": {claim: [result, …]}}`, or with a `message` in the place of
the last two. `extended`: the claim that was made for extended resources, its requests, mappings and devices.
"""

from heeler.scheduler.configuration.profiles import default_profile
from heeler.scheduler.cycle import find
from heeler.scheduler.devices.extended import IN_MEMORY
from heeler.scheduler.devices.known import Devices
from heeler.scheduler.plugins.dynamic_resources import DynamicResources
from heeler.scheduler.plugins.plugin import PluginError
from heeler.scheduler.plugins.registry import Tools
from tests.unit.scheduler.setting import Setting

FAILED = 'running "DynamicResources" filter plugin: '


def differences(one):
    """What we would have allocated otherwise in a round, as lines."""
    devices = Devices()
    for known, objects in ((devices.classes, one["classes"]), (devices.slices, one["slices"])):
        known.update({each["metadata"]["name"]: each for each in objects})
    setting = Setting(*one["nodes"], profile=default_profile(Tools(devices=devices)))
    out = []
    for step in one["steps"]:
        devices.claims.update({f"default/{each['metadata']['name']}": each for each in step["claims"]})
        devices.changed()
        found = _differs(setting, step)
        if found:
            out.append(f"{step['pod']['metadata']['name']}: {found}")
        if "node" in step:
            there = step["pod"]
            setting.cache.set_pod({**there, "spec": {**there["spec"], "nodeName": step["node"]}})
        if "extended" in step:
            made = {"name": step["extended"]["claim"], "namespace": "default", "uid": step["extended"]["claim"]}
            status = {"allocation": {"devices": {"results": step["extended"]["devices"]}}}
            devices.claims[f"default/{made['name']}"] = {"metadata": made, "spec": {}, "status": status}
        for each in step["claims"]:
            key = f"default/{each['metadata']['name']}"
            if "node" in step:
                results = step["devices"][each["metadata"]["name"]]
                devices.claims[key] = {**each, "status": {"allocation": {"devices": {"results": results}}}}
            else:
                del devices.claims[key]
    return out


def _differs(setting, step):
    info = setting.cache.info(step["pod"])
    told = step.get("message", "")
    try:
        rows = find(info, setting.cache.table, setting.profile).rows
    except PluginError as error:
        # several nodes may have something wrong: any of them is told
        return "" if told.startswith(FAILED) else f"kube-scheduler had {step.get('node') or told!r}, we {str(error)!r}"
    plugin = setting.profile.plugins["DynamicResources"]
    assert isinstance(plugin, DynamicResources)
    ours = {setting.cache.table.names[row]: plugin.chosen(info, int(row)) for row in rows}
    extended = {setting.cache.table.names[row]: plugin.special(info, int(row)) for row in rows}
    if "node" not in step:
        decision = setting.choose(step["pod"])
        said = decision.node or decision.message
        return "" if said == told else f"kube-scheduler said {told!r}, we {said!r}"
    told, special = step.get("extended"), extended.get(step["node"])
    if (told is None) != (special is None):
        return f"kube-scheduler made the claim {told}, we {special}"
    if told is not None and special is not None:
        asked = special.claim["spec"]["devices"]["requests"]
        if (told["requests"], told["mappings"]) != (asked, special.mappings):
            return f"kube-scheduler asked for {told}, we {asked, special.mappings}"
    step = {**step, "devices": {**step["devices"], **({IN_MEMORY: told["devices"]} if told else {})}}
    wanted = sorted(
        (
            claim,
            result["request"],
            result["pool"],
            result["device"],
            sorted((result.get("consumedCapacity") or {}).items()),
        )
        for claim, results in step["devices"].items()
        for result in results
    )
    had = sorted(
        (
            claim,
            one.request,
            one.device.id.pool,
            one.device.id.device,
            sorted((k, str(v)) for k, v in (one.consumed or {}).items()),
        )
        for claim, one in ours.get(step["node"], ())
    )
    return "" if had == wanted else f"kube-scheduler allocated {wanted} on {step['node']}, we {had}"
