"""Fills Secrets of type `kubernetes.io/service-account-token`, and removes those whose account is gone.

https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#token-controller
"""

from __future__ import annotations

import base64

from heeler.client.informer import key_of, split_key
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import SECRETS, SERVICE_ACCOUNTS
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import account_tokens as tokens

SECRET, ACCOUNT = "secret:", "account:"
ACCOUNT_NAME = "service-account-token-controller"


def filled(secret: Object, account: Object, token: str, root_ca: str) -> Object:
    """The Secret with what it lacks; the same object if it lacks nothing. `token` is for one without."""
    data = dict(secret.get("data") or {})
    wanted = {"namespace": account["metadata"]["namespace"], "ca.crt": root_ca}
    for key, text in wanted.items():
        if text:
            data[key] = base64.b64encode(text.encode()).decode()
    if not data.get("token"):
        data["token"] = base64.b64encode(token.encode()).decode()
    notes = {**(meta(secret).get("annotations") or {}), tokens.UID_ANNOTATION: account["metadata"]["uid"]}
    if data == secret.get("data") and notes == meta(secret).get("annotations"):
        return secret
    return {**secret, "metadata": {**meta(secret), "annotations": notes}, "data": data}


def without_reference(account: Object, secret: str) -> Object:
    """The account without a Secret in its list; the same object if it isn't there."""
    listed = account.get("secrets") or []
    left = [one for one in listed if one.get("name") != secret]
    if len(left) == len(listed):
        return account
    out = {key: value for key, value in account.items() if key != "secrets"}
    return {**out, "secrets": left} if left else out


class ServiceAccountTokenController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client, self._settings = context.client, context.settings
        self._secrets = context.informers.get(SECRETS, field_selector=f"type={tokens.SECRET_TYPE}")
        self._accounts = context.informers.get(SERVICE_ACCOUNTS)
        self._secrets.add_index("namespace", lambda secret: [meta(secret).get("namespace", "")])
        self._secrets.add_handler(self._secret_changed)
        self._accounts.add_handler(self._account_changed)

    def _secret_changed(self, old: Object | None, new: Object | None) -> None:
        self.queue.add(SECRET + key_of(new or old or {}))

    def _account_changed(self, old: Object | None, new: Object | None) -> None:
        account = new or old or {}
        for secret in self._secrets.by_index("namespace", account["metadata"]["namespace"]):
            if tokens.account_of(secret) == name_of(account):
                self.queue.add(SECRET + key_of(secret))

    async def reconcile(self, key: str) -> None:
        if self._settings.sign is None:
            return
        key = key.removeprefix(SECRET)
        namespace, name = split_key(key)
        secret = self._secrets.get(key)
        if secret is None:
            await self._forget(namespace, name)
            return
        wanted = tokens.account_of(secret)
        if not wanted:
            return
        account = await self._account(namespace, wanted)
        if account is None or not tokens.is_for(secret, account):
            try:
                await self._client.delete(SECRETS, name, namespace, uid=secret["metadata"]["uid"])
            except StatusError as error:
                if error.code not in (404, 409):
                    raise
            return
        has_token = bool((secret.get("data") or {}).get("token"))
        token = "" if has_token else self._settings.sign(tokens.claims_of(account, secret))
        changed = filled(secret, account, token, self._settings.root_ca)
        if changed is not secret:
            self._secrets.assume(await self._client.update(SECRETS, changed))

    async def _account(self, namespace: str, name: str) -> Object | None:
        """The server is asked before an account counts as gone."""
        found = self._accounts.get(f"{namespace}/{name}")
        if found is not None:
            return found
        try:
            return await self._client.get(SERVICE_ACCOUNTS, name, namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    async def _forget(self, namespace: str, name: str) -> None:
        """Accounts that list a Secret that is gone list it no more."""
        for account in self._accounts:
            if account["metadata"]["namespace"] == namespace:
                changed = without_reference(account, name)
                if changed is not account:
                    self._accounts.assume(await self._client.update(SERVICE_ACCOUNTS, changed))
