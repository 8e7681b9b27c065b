"""The cluster that a command is about, and where its releases are recorded: by flags, variables and kubeconfigs.

A `Connection` runs what is asynchronous in a thread of its own, so that a template's `lookup` can ask while it renders.
Source: https://helm.sh/docs/helm/helm/ (variables) and `helm env`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.settings import home, namespace

if TYPE_CHECKING:
    from heeler.client.https import HttpsClient
    from heeler.client.kubeconfig import Access
    from heeler.packages.releases.doing import Doing
    from heeler.packages.releases.sql import Sql
    from heeler.packages.releases.storage import Driver

T = TypeVar("T")

#: Where a cluster is looked for if nothing says where it is.
NOWHERE = "http://localhost:8080"


class Connection:
    """One command's way to its cluster. `with connect(call) as connection: connection.run(…)`."""

    def __init__(self, call: Call, where: str) -> None:
        self._call, self._namespace = call, where
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cluster", daemon=True)
        self._client: HttpsClient | None = None
        self._database: Sql | None = None
        #: What SIGTERM did before; while there is a connection it is Ctrl-C.
        self._before: Any = None

    def __enter__(self) -> Connection:
        self._thread.start()
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
        if self._database is not None:
            self._database.close()
        if self._client is not None:
            self.run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of what runs over there. Ctrl-C cancels it, and what comes of that is the result."""
        tasks: list[asyncio.Task[Any]] = []

        async def under_way() -> T:
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            return await work

        future = asyncio.run_coroutine_threadsafe(under_way(), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            if self._call.command in ("install", "upgrade") and self._call.arguments:
                self._call.write(f"Release {self._call.arguments[0]} has been cancelled.\n")
            for task in tasks:
                self._loop.call_soon_threadsafe(task.cancel)
            try:
                return future.result()  # another Ctrl-C ends it at once
            except (asyncio.CancelledError, concurrent.futures.CancelledError):
                raise KeyboardInterrupt from None

    @property
    def client(self) -> HttpsClient:
        if self._client is None:
            from heeler.client.https import HttpsClient
            from heeler.client.kubeconfig import KubeconfigError

            try:
                found = access(self._call)
            except (KubeconfigError, OSError) as error:
                raise HelmError(f"kubernetes cluster unreachable: {error}") from None

            async def made() -> HttpsClient:
                return HttpsClient(found, user_agent="Helm/4.3.1")

            self._client = self.run(made())
        return self._client

    def doing(self, *, most: int = 0, everywhere: bool = False) -> Doing:
        """What actions on releases need. `most`: revisions that are kept; `everywhere`: releases of all namespaces."""
        from heeler.base.clock import SystemClock
        from heeler.packages.releases.cluster import Cluster
        from heeler.packages.releases.doing import Doing
        from heeler.packages.releases.records import moment
        from heeler.packages.releases.storage import Storage

        clock = SystemClock()
        storage = Storage(self._driver(clock.time, everywhere), most)
        cluster = Cluster(self.client, self._namespace, self.client.server)
        return Doing(cluster, storage, lambda: moment(clock.time()), self._call.log, self._call.write)

    def _driver(self, now: Callable[[], float], everywhere: bool) -> Driver:
        from heeler.packages.releases.storage import ConfigMaps, Secrets

        named, where = self._call.environment.get("HELM_DRIVER", ""), "" if everywhere else self._namespace
        if named == "sql":
            return self._sql(where, now)
        return (ConfigMaps if named.startswith("configmap") else Secrets)(self.client, where, now)

    def _sql(self, where: str, now: Callable[[], float]) -> Driver:
        from heeler.packages.releases.sql import Sql
        from heeler.packages.releases.storage import StorageError

        try:
            self._database = Sql(self._call.environment.get("HELM_DRIVER_SQL_CONNECTION_STRING", ""), where, now)
        except StorageError as error:
            raise HelmError(str(error)) from None
        return self._database


def connect(call: Call) -> Connection:
    return Connection(call, namespace(call))


def access(call: Call) -> Access:
    """How to reach the cluster. Raises KubeconfigError, OSError."""
    from heeler.client.kubeconfig import Access, KubeconfigError, combined, in_cluster
    from heeler.client.kubeconfig import access as of_context

    flags, environment = call.flags, call.environment

    def said(flag: str, variable: str) -> str:
        return flags.text(flag) if flags.changed(flag) else environment.get(variable, "")

    paths = _kubeconfigs(call)
    if flags.changed("kubeconfig") and not paths[0].exists():
        raise KubeconfigError(f"stat {flags.text('kubeconfig')}: no such file or directory")
    config = combined(paths)
    context = said("kube-context", "HELM_KUBECONTEXT")
    if context and all(one["name"] != context for one in config.get("contexts") or ()):
        raise KubeconfigError(f'context "{context}" does not exist')
    if config.get("contexts") or context:
        found = of_context(config, paths[0], context)
    else:
        found = in_cluster(environment) or Access(NOWHERE)
    if server := said("kube-apiserver", "HELM_KUBEAPISERVER"):
        found = replace(found, server=server.rstrip("/"))
    if token := said("kube-token", "HELM_KUBETOKEN"):
        found = replace(found, token=token, token_file=None, plugin=None)
    if authority := said("kube-ca-file", "HELM_KUBECAFILE"):
        try:
            found = replace(found, authority=call.path(authority).read_bytes())
        except OSError as error:
            raise KubeconfigError(f"unable to read certificate-authority {authority}: {error.strerror}") from error
    if name := said("kube-tls-server-name", "HELM_KUBETLS_SERVER_NAME"):
        found = replace(found, server_name=name)
    insecure = environment.get("HELM_KUBEINSECURE_SKIP_TLS_VERIFY", "").lower() in ("1", "t", "true")
    if flags.on("kube-insecure-skip-tls-verify") or insecure:
        found = replace(found, insecure=True, authority=None)
    user = said("kube-as-user", "HELM_KUBEASUSER")
    groups = flags.many("kube-as-group") or [g for g in environment.get("HELM_KUBEASGROUPS", "").split(",") if g]
    if user or groups:
        found = replace(found, as_user=user or found.as_user, as_groups=tuple(groups))
    return found


def _kubeconfigs(call: Call) -> list[Path]:
    """The files to read, by flag, variable or place."""
    if call.flags.changed("kubeconfig") and call.flags.text("kubeconfig"):
        return [call.path(call.flags.text("kubeconfig"))]
    named = [call.path(name) for name in call.environment.get("KUBECONFIG", "").split(":") if name]
    return named or [Path(home(call.environment)) / ".kube" / "config"]
