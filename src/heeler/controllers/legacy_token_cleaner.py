"""Old, unused tokens of service accounts in Secrets: first marked as invalid, and after the same time again removed.

https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#legacy-serviceaccount-token-cleaner
Only Secrets that were made for an account without being asked for (those that it lists) and that no pod mounts.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Container
from typing import NamedTuple

from heeler.base.clock import parse_rfc3339
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS
from heeler.objects.status import StatusError
from heeler.objects.value import Object, labels_of, meta, name_of
from heeler.workloads import account_tokens as tokens
from heeler.workloads import pods
from heeler.workloads.account_tokens import INVALID_SINCE, LAST_USED, TRACKED_SINCE, TRACKING

log = logging.getLogger(__name__)

PERIOD_SECONDS = 86400.0
DAY = 86400.0


class Step(NamedTuple):
    """Mark the Secret with this day ("" : don't), or delete it."""

    mark: str
    delete: bool


NOTHING = Step("", False)


def day_of(text: str) -> float | None:
    """The start of a day (YYYY-MM-DD, UTC) in seconds; None for anything else."""
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=datetime.UTC).timestamp()
    except ValueError:
        return None


def text_of(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d")


def plan(secret: Object, account: Object | None, mounted: Container[str], now: float, period: float) -> Step:
    """What to do with a token of an account (None: it has none); `mounted` are the Secrets that pods of its namespace use."""
    keep_from = now - period
    if "deletionTimestamp" in meta(secret) or parse_rfc3339(meta(secret)["creationTimestamp"]) >= keep_from:
        return NOTHING
    used = labels_of(secret).get(LAST_USED)
    if used is not None and (day_of(used) is None or used >= text_of(keep_from)):
        return NOTHING
    listed = [one.get("name") for one in (account or {}).get("secrets") or ()]
    if account is None or name_of(secret) not in listed or name_of(secret) in mounted:
        return NOTHING
    since = labels_of(secret).get(INVALID_SINCE, "")
    if day_of(since) is None:
        return Step(text_of(now), False)
    return NOTHING if since >= text_of(keep_from) else Step("", True)


def secrets_of(pod: Object) -> list[str]:
    """The Secrets that a pod uses."""
    spec = pod.get("spec") or {}
    out = [one.get("name", "") for one in spec.get("imagePullSecrets") or ()]
    for container in [*(spec.get("initContainers") or ()), *pods.containers(pod)]:
        for source in container.get("envFrom") or ():
            out.append((source.get("secretRef") or {}).get("name", ""))
        for variable in container.get("env") or ():
            out.append(((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name", ""))
    for volume in spec.get("volumes") or ():
        out.append((volume.get("secret") or {}).get("secretName", ""))
        for source in (volume.get("projected") or {}).get("sources") or ():
            out.append((source.get("secret") or {}).get("name", ""))
        for kind in volume.values():
            if isinstance(kind, dict):
                out += [(kind.get(key) or {}).get("name", "") for key in ("secretRef", "nodePublishSecretRef")]
    return [name for name in out if name]


class LegacyTokenCleaner:
    """Nothing is queued: `run` looks at everything once a day."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client, self._clock = context.client, context.clock
        self._period = context.settings.legacy_service_account_token_clean_up_period
        self._secrets = context.informers.get(SECRETS, field_selector=f"type={tokens.SECRET_TYPE}")
        self._accounts = context.informers.get(SERVICE_ACCOUNTS)
        self._pods = context.informers.get(PODS)

    async def reconcile(self, key: str) -> None:
        """Nothing is queued."""

    async def run(self) -> None:
        while True:
            try:
                await self._look()
            except (StatusError, OSError) as error:
                log.warning("legacy tokens were not looked at: %s", error)
            await self._clock.sleep(PERIOD_SECONDS)

    async def _look(self) -> None:
        now = self._clock.time()
        try:
            found = await self._client.get(CONFIG_MAPS, TRACKING, "kube-system")
        except StatusError as error:
            if error.code != 404:
                raise
            return  # the API server doesn't note who uses such tokens: none can be told to be unused
        since = day_of((found.get("data") or {}).get(TRACKED_SINCE) or "")
        if since is None or now < since + DAY + self._period:
            return  # not noted for long enough
        mounted: dict[str, dict[str, None]] = {}
        for pod in self._pods:
            used = mounted.setdefault(pod["metadata"]["namespace"], {})
            used.update(dict.fromkeys(secrets_of(pod)))
        for secret in self._secrets:
            step = plan(
                secret, self._account(secret), mounted.get(secret["metadata"]["namespace"], {}), now, self._period
            )
            try:
                await self._do(secret, step)
            except StatusError as error:
                if error.code not in (404, 409):
                    log.warning("%s: %s", key_of(secret), error)

    async def _do(self, secret: Object, step: Step) -> None:
        name, namespace = name_of(secret), secret["metadata"]["namespace"]
        if step.mark:
            patch: Object = {"metadata": {"uid": secret["metadata"]["uid"], "labels": {INVALID_SINCE: step.mark}}}
            await self._client.patch(SECRETS, name, patch, namespace)
        elif step.delete:
            revision = secret["metadata"]["resourceVersion"]
            await self._client.delete(SECRETS, name, namespace, resource_version=revision)

    def _account(self, secret: Object) -> Object | None:
        """The account of a token, if it is still the one for which it was made."""
        name = tokens.account_of(secret)
        found = self._accounts.get(f"{secret['metadata']['namespace']}/{name}") if name else None
        uid = (meta(secret).get("annotations") or {}).get(tokens.UID_ANNOTATION)
        return found if found is not None and uid in (None, "", found["metadata"]["uid"]) else None
