"""A container's image made present: by policy, with the pod's pull secrets, and the words of what goes wrong.

Source: https://kubernetes.io/docs/concepts/containers/images/
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import orjson

from heeler.base.clock import duration_text
from heeler.images.layout import full_name
from heeler.kubelet.checks import code_name
from heeler.kubelet.context import NodeContext
from heeler.kubelet.pods.config import ImageUser
from heeler.kubelet.runtime.cri import RuntimeFault
from heeler.objects.value import Object, namespace_of

FIRST_DELAY, MAX_DELAY = 10.0, 300.0
_NAME = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[A-Za-z0-9_+.-]+:[0-9a-fA-F]{32,})?\Z"
)


def misnamed(name: str) -> str:
    """What is wrong with an image's name; "" if it is one."""
    if _NAME.match(name):
        return ""
    first, slash, _ = name.partition("/")
    # The first part is a host if it can't be a folder of Docker Hub.
    is_host = slash and (set(first) & set(".:") or first == "localhost" or first != first.lower())
    path = name.removeprefix(f"{first}/") if is_host else name if slash else f"library/{name}"
    path = path.partition("@")[0].partition(":")[0]
    if path != path.lower():
        return f"invalid reference format: repository name ({path}) must be lowercase"
    return "invalid reference format"


class ImageFault(Exception):
    """The image can't be had: `reason` is the container's waiting reason. `delay`: seconds until the next attempt."""

    def __init__(self, reason: str, message: str, delay: float = 0.0) -> None:
        super().__init__(message)
        self.reason, self.message, self.delay = reason, message, delay


@dataclass(frozen=True, slots=True)
class Ready:
    reference: str
    user: ImageUser


class Puller:
    """One pod's images; remembers how long to wait after failed pulls."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._delays: dict[str, float] = {}

    async def ensure(self, pod: Object, container: Object, path: str) -> Ready:
        """`path` is the container's field path, for Events. Raises ImageFault."""
        name, policy = str(container.get("image", "")), container.get("imagePullPolicy") or "IfNotPresent"
        events, runtime = self._context.events, self._context.runtime
        wrong = misnamed(name)
        if wrong:
            why = f'couldn\'t parse image name "{name}": {wrong}'
            text = f'Failed to apply default image tag "{name}": {why}'
            events.event(pod, "Warning", "InspectFailed", text, path)
            raise ImageFault("InvalidImageName", text, MAX_DELAY)
        image = await runtime.image(name)
        if image is not None and policy != "Always":
            text = f'Container image "{name}" already present on machine and can be accessed by the pod'
            events.event(pod, "Normal", "Pulled", text, path)
        elif policy == "Never":
            text = f'Container image "{name}" is not present with pull policy of Never'
            events.event(pod, "Warning", "ErrImageNeverPull", text, path)
            raise ImageFault("ErrImageNeverPull", text, FIRST_DELAY)
        else:
            image = await self._pull(pod, name, path)
        return Ready(str(image.id), _user(image))

    async def _pull(self, pod: Object, name: str, path: str) -> Any:
        events, runtime, clock = self._context.events, self._context.runtime, self._context.clock
        events.event(pod, "Normal", "Pulling", f'Pulling image "{name}"', path)
        asked = clock.monotonic()
        async with self._context.pulls:
            began = clock.monotonic()
            try:
                await self._fetch(pod, name)
                image = await runtime.image(name)
            except RuntimeFault as fault:
                raise self._failed(pod, name, path, fault) from fault
        self._delays.pop(name, None)
        now = clock.monotonic()
        size = int(image.size) if image is not None else 0
        took, waited = duration_text(now - began), duration_text(now - asked)
        text = f'Successfully pulled image "{name}" in {took} ({waited} including waiting). Image size: {size} bytes.'
        events.event(pod, "Normal", "Pulled", text, path)
        if image is None:
            raise ImageFault("ErrImagePull", f'image "{name}" was pulled and is not there', FIRST_DELAY)
        return image

    async def _fetch(self, pod: Object, name: str) -> None:
        """Pull with the credentials that fit, one after the other. Raises the last RuntimeFault."""
        logins: list[Object | None] = [*await self._logins(pod, name)] or [None]
        for number, login in enumerate(logins):
            try:
                await self._context.runtime.pull(name, login, None)
                return
            except RuntimeFault:
                if number == len(logins) - 1:
                    raise

    def _failed(self, pod: Object, name: str, path: str, fault: RuntimeFault) -> ImageFault:
        events = self._context.events
        text = fault.message  # a code that says nothing is left out (as upstream)
        if code_name(fault.code) != "Unknown":
            text = f"rpc error: code = {code_name(fault.code)} desc = {text}"
        events.event(pod, "Warning", "Failed", f'Failed to pull image "{name}": {text}', path)
        events.event(pod, "Warning", "Failed", "Error: ErrImagePull", path)
        delay = min(MAX_DELAY, self._delays.get(name, FIRST_DELAY / 2) * 2)
        self._delays[name] = delay
        return ImageFault("ErrImagePull", text, delay)

    async def _logins(self, pod: Object, name: str) -> list[Object]:
        """The credentials for an image out of the pod's imagePullSecrets, the most fitting first."""
        found: list[tuple[int, Object]] = []
        for ref in (pod.get("spec") or {}).get("imagePullSecrets") or []:
            secret = await self._context.sources.get("secret", namespace_of(pod), ref.get("name", ""))
            if secret is None:
                text = f"Unable to retrieve some image pull secrets ({ref.get('name', '')}); "
                text += "attempting to pull the image may not succeed."
                self._context.events.event(pod, "Warning", "FailedToRetrieveImagePullSecret", text)
                continue
            found += credentials(secret, full_name(name))
        return [login for _, login in sorted(found, key=lambda one: -one[0])]


#: Names under which Docker Hub's credentials are kept.
_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


def credentials(secret: Object, image: str) -> list[tuple[int, Object]]:
    """CRI's AuthConfigs for an image (full name) out of a secret of type dockerconfigjson (or the older dockercfg), each
    with how closely its place fits: a place is a host, perhaps with "*" for whole labels, a port and a path."""
    data = secret.get("data") or {}
    try:
        if ".dockerconfigjson" in data:
            entries = orjson.loads(base64.b64decode(data[".dockerconfigjson"])).get("auths") or {}
        elif ".dockercfg" in data:
            entries = orjson.loads(base64.b64decode(data[".dockercfg"]))
        else:
            return []
        found = []
        for where, entry in entries.items():
            fits = _fits(where, image)
            if fits:
                out = {"username": entry.get("username", ""), "password": entry.get("password", "")}
                if entry.get("auth"):
                    out["auth"] = entry["auth"]
                found.append((fits, out))
    except (orjson.JSONDecodeError, binascii.Error, AttributeError, TypeError):
        return []
    return found


def _fits(where: str, image: str) -> int:
    """How closely a place fits an image: 0 for not at all, else the longer the better."""
    host, _, path = re.sub(r"^https?://", "", where).partition("/")
    registry, _, repository = image.partition("/")
    path = re.sub(r"^v[12](/|$)", "", path).strip("/")
    if registry == "docker.io" and host in _HUB:
        host = registry
    labels, wanted = host.partition(":"), registry.partition(":")
    if labels[2] and labels[2] != wanted[2]:
        return 0
    parts, have = labels[0].split("."), wanted[0].split(".")
    if len(parts) != len(have) or not all(fnmatchcase(h, p) for h, p in zip(have, parts)):
        return 0
    if path and not f"{repository}/".startswith(f"{path}/") and not repository.startswith(f"{path}:"):
        return 0
    return len(host) + len(path) + 1


def _user(image: Any) -> ImageUser:
    if image.HasField("uid"):
        return ImageUser(int(image.uid.value))
    return ImageUser(None, str(image.username)) if image.username else ImageUser(0)
