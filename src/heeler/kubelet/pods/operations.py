"""What a pod's worker does to the runtime: sandbox, containers, hooks, kills, clean-up; with their Events."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from heeler.base.files import remove_tree
from heeler.base.processes import ProgramError
from heeler.kubelet import checks, pressure
from heeler.kubelet.checks import Outcome
from heeler.kubelet.context import NodeContext
from heeler.kubelet.pods import admit, claims, config, env, image_volumes, plan, volumes
from heeler.kubelet.pods.amounts import container_resources, qos_class
from heeler.kubelet.pods.payload import VolumeError
from heeler.kubelet.pods.pulling import ImageFault, Puller
from heeler.kubelet.pods.views import SandboxView, View, Waiting, container_of, spec_of
from heeler.kubelet.runtime.cri import RuntimeFault
from heeler.kubelet.sources import Fetched, fetch_claims, fetch_for_environment, fetch_for_volumes
from heeler.objects.status import StatusError
from heeler.objects.value import Object, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from heeler.kubelet.pods.worker import PodWorker

log = logging.getLogger(__name__)

#: Seconds between attempts to set up a sandbox or a container that failed.
SANDBOX_RETRY, CONTAINER_RETRY = 5.0, 10.0
VOLUME_RETRIES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
#: Seconds until the network's rules must know a pod.
GUARD_SECONDS = 20.0
#: Seconds that a container has at the least between a preStop hook and its end.
MIN_GRACE = 2.0


class Operations:
    """One pod's operations."""

    def __init__(self, context: NodeContext, worker: PodWorker) -> None:
        self._context, self._worker = context, worker
        self._puller = Puller(context)
        self._attempt_floor = 0
        self._volume_failures = 0
        self._volumes_ready = False
        #: The pod with its claims followed to the volumes that they are bound to, since its volumes were made.
        self._resolved: Object | None = None
        self._backing_off: dict[str, float] = {}

    @property
    def _roots(self) -> volumes.Roots:
        options = self._context.options
        return volumes.Roots(options.pods_dir, options.memory_dir, options.logs_dir)

    @property
    def pod(self) -> Object:
        return self._worker.pod

    def _event(self, kind: str, reason: str, message: str, container: str = "") -> None:
        path = self._path(container) if container else ""
        self._context.events.event(self.pod, kind, reason, message, path)

    def _path(self, container: str) -> str:
        """A container's field path, as Events name it."""
        for group in ("initContainers", "ephemeralContainers"):
            if any(c["name"] == container for c in spec_of(self.pod).get(group) or []):
                return f"spec.{group}{{{container}}}"
        return f"spec.containers{{{container}}}"

    def _facts(self, sandbox: SandboxView | None) -> env.Facts:
        options = self._context.options
        ips = sandbox.ips if sandbox is not None else ()
        if spec_of(self.pod).get("hostNetwork"):
            ips = (options.node_ip,)
        return env.Facts(options.node, (options.node_ip,), ips, self._context.node_milli_cpu, self._context.node_memory)

    # Sandbox

    async def create_sandbox(self, attempt: int) -> None:
        """The pod's group, volumes and sandbox."""
        worker, memory = self._worker, self._worker.memory
        why = admit.unsupported(self.pod, self._context.features)
        if why:
            worker.all_waiting("Unsupported", why)
            self._event("Warning", "Unsupported", why)
            memory.retry_at["sandbox"] = self._context.clock.time() + 300.0
            return
        sysctl = config.forbidden_sysctl(self.pod, self._context.options.unsafe_sysctls)
        if sysctl:
            memory.ended = ("Failed", "SysctlForbidden", f'forbidden sysctl: "{sysctl}" not allowlisted')
            return
        if self._rejected():
            return
        await asyncio.to_thread(self._context.cgroups.make, self.pod)
        if not await self._set_up_volumes():
            return
        if config.missing_dns(self.pod, self._context.dns):
            shown = f"{name_of(self.pod)}_{namespace_of(self.pod)}({self._worker.uid})"
            text = (
                f'pod: "{shown}". kubelet does not have ClusterDNS IP configured and cannot create Pod using '
                '"ClusterFirst" policy. Falling back to "Default" policy.'
            )
            self._event("Warning", "MissingClusterDNS", text)
        for text in config.dns_warnings(self.pod, self._context.dns):
            self._event("Warning", "DNSConfigForming", text)
        if attempt > 0:
            self._event("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
        wanted = self.sandbox_config(max(attempt, self._attempt_floor))
        try:
            async with self._context.starts:
                await self._context.runtime.run_sandbox(wanted)
        except RuntimeFault as fault:
            if "is reserved for" in fault.message:
                self._attempt_floor = max(attempt, self._attempt_floor) + 1
            text = f"rpc error: code = {checks.code_name(fault.code)} desc = {fault.message}"
            self._event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {text}")
            memory.retry_at["sandbox"] = self._context.clock.time() + SANDBOX_RETRY

    def _rejected(self) -> bool:
        """A pod that doesn't fit on the node fails at once. One that ran before is let in again."""
        if self._worker.admitted:
            return False
        pressed = pressure.refused(self.pod, self._context.pressure(), qos_class(self.pod))
        if pressed is not None:
            self._worker.memory.ended = ("Failed", *pressed)
            self._event("Warning", pressed[0], pressed[1].removeprefix("Pod was rejected: "))
            return True
        cpu, memory = self._context.allocatable
        others = [p for p in self._context.pods() if str(uid_of(p)) != self._worker.uid]
        found = admit.misfit(self.pod, others, cpu, memory, self._context.options.max_pods)
        found = found or admit.misplaced(self.pod, others, self._context.node())
        if found is None:
            self._worker.admitted = True
            return False
        self._worker.memory.ended = ("Failed", *found)
        self._event("Warning", found[0], found[1].removeprefix("Pod was rejected: "))
        return True

    def sandbox_config(self, attempt: int) -> Object:
        options = self._context.options
        folder = config.pod_log_dir(options.logs_dir, self.pod)
        folder.mkdir(parents=True, exist_ok=True)
        return config.sandbox(
            self.pod, attempt, options.node, options.logs_dir, self._context.cgroups.pod(self.pod), self._context.dns
        )

    async def stop_sandbox(self, sandbox: str, remove: bool) -> None:
        try:
            await self._context.runtime.stop_sandbox(sandbox)
            if remove:
                await self._context.runtime.remove_sandbox(sandbox)
        except RuntimeFault as fault:
            if fault.code != "NOT_FOUND":
                raise
        self._worker.memory.killed[sandbox] = ""

    # Volumes

    async def _set_up_volumes(self) -> bool:
        """Make the volumes; False (and a new attempt later) where that fails."""
        memory, now = self._worker.memory, self._context.clock.time()
        try:
            await self._fill_volumes(1.0)
        except VolumeError as error:
            text = str(error)
        except (StatusError, OSError) as error:
            names = " ".join(v["name"] for v in spec_of(self.pod).get("volumes") or [])
            text = f"Unable to attach or mount volumes: unmounted volumes=[{names}], unattached volumes=[], {error}"
        else:
            self._volume_failures, self._volumes_ready = 0, True
            return True
        self._event("Warning", "FailedMount", text)
        wait = VOLUME_RETRIES[min(self._volume_failures, len(VOLUME_RETRIES) - 1)]
        self._volume_failures += 1
        memory.retry_at["sandbox"] = now + wait
        return False

    async def _fill_volumes(self, max_age: float) -> None:
        options = self._context.options
        if self._resolved is None and claims.has_claims(self.pod):
            bound = await fetch_claims(self._context.sources, self.pod)
            self._resolved = claims.resolve(self.pod, bound, self._context.node(), options.local_path_dir)
        fetched: Fetched = await fetch_for_volumes(self._context.sources, self.pod, max_age)
        facts = self._facts(self._worker.view.sandbox)
        folder = volumes.pod_dir(options.pods_dir, self.pod)
        folder.mkdir(parents=True, exist_ok=True)
        await self._mount_images()
        await volumes.set_up(self._roots, self._with_volumes(), fetched, facts, self._context.clock.time())

    def _image_volumes(self) -> list[tuple[Object, Path]]:
        """The pod's volumes that are images, and where they are mounted."""
        found = [v for v in spec_of(self.pod).get("volumes") or [] if "image" in v]
        return [(volume, volumes.volume_path(self._roots, self.pod, volume)) for volume in found]

    async def _mount_images(self) -> None:
        """Pull and mount images that are volumes. Raises VolumeError."""
        for volume, path in self._image_volumes():
            if volumes.mounts_below(path):
                continue
            source = volume["image"]
            wanted = {"image": source.get("reference", ""), "imagePullPolicy": source.get("pullPolicy")}
            try:
                await self._puller.ensure(self.pod, wanted, "")
                await image_volumes.mount(self._context.options.containerd_socket, wanted["image"], path)
            except (ImageFault, ProgramError) as error:
                raise VolumeError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error

    def _with_volumes(self) -> Object:
        """The pod as it is now, with its claims' volumes."""
        if self._resolved is None:
            return self.pod
        return {**self.pod, "spec": {**spec_of(self.pod), "volumes": spec_of(self._resolved)["volumes"]}}

    async def refresh_volumes(self, max_age: float) -> None:
        """Bring the volumes up to date; a failure is told and the old content stays."""
        try:
            await self._fill_volumes(max_age)
        except VolumeError as error:
            self._event("Warning", "FailedMount", str(error))

    # Containers

    async def start_container(self, name: str, attempt: int, sandbox: SandboxView) -> None:
        """Image, environment, mounts, create, start, postStart; what fails becomes the container's waiting reason."""
        worker, memory = self._worker, self._worker.memory
        container = container_of(self.pod, name)
        if container is None:
            return
        if attempt > 0:
            plan.count_restart(memory, name, self._context.clock.time())
        try:
            if not self._volumes_ready:
                # The agent was started anew: the volumes are there, but may be old.
                await self._fill_volumes(1.0)
                self._volumes_ready = True
            ready = await self._puller.ensure(self.pod, container, self._path(name))
            made = await self._configuration(container, attempt, sandbox, ready.reference, ready.user)
        except ImageFault as fault:
            if fault.reason == "ErrImagePull":
                self._backing_off[name] = self._context.clock.monotonic() + 1.0
                worker.later(1.1)
            worker.set_waiting(name, fault.reason, fault.message, fault.delay)
            if fault.reason != "ErrImagePull":
                self._event("Warning", "Failed", f"Error: {fault.reason}", name)
            return
        except (env.ConfigError, StatusError, OSError, VolumeError) as error:
            worker.set_waiting(name, "CreateContainerConfigError", str(error), CONTAINER_RETRY)
            self._event("Warning", "Failed", f"Error: {error}", name)
            return
        await self._create_and_start(container, attempt, sandbox, made)

    async def _configuration(
        self, container: Object, attempt: int, sandbox: SandboxView, reference: str, user: config.ImageUser
    ) -> Object:
        context, options = self._context, self._context.options
        fetched = await fetch_for_environment(context.sources, self.pod, container)
        await context.synced.wait()
        facts = self._facts(sandbox)
        variables = env.environment(self.pod, container, fetched, context.services(), facts)
        mounts = await volumes.mounts(self._roots, self._with_volumes(), container, dict(variables))
        mounts += self._own_files(container, attempt, sandbox, mounts)
        target = container.get("targetContainerName")
        beside = self._worker.view.latest(target) if target else None
        if target and (beside is None or beside.state != "running"):
            raise env.ConfigError(f"unable to find target container {target}")
        making = config.Making(
            attempt,
            options.node,
            reference,
            user,
            variables,
            mounts,
            context.node_memory,
            beside.id if beside is not None else "",
            str(options.data_dir / "seccomp"),
        )
        return config.container(self.pod, container, making)

    def _own_files(
        self, container: Object, attempt: int, sandbox: SandboxView, mounts: list[config.Mounted]
    ) -> list[config.Mounted]:
        """The files that the node itself puts into a container: /etc/hosts and the termination message."""
        options, out = self._context.options, []
        taken = [m.inside for m in mounts]
        if not spec_of(self.pod).get("hostNetwork") and "/etc/hosts" not in taken:
            hosts = volumes.pod_dir(options.pods_dir, self.pod) / "etc-hosts"
            text = volumes.hosts_text(self.pod, sandbox.ips, config.hostname(self.pod), options.cluster_domain)
            hosts.write_text(text)
            hosts.chmod(0o644)
            out.append(config.Mounted(str(hosts), "/etc/hosts"))
        last = volumes.termination_file(options.pods_dir, self._worker.uid, container["name"], attempt)
        last.parent.mkdir(parents=True, exist_ok=True)
        last.write_bytes(b"")
        last.chmod(0o666)
        out.append(config.Mounted(str(last), str(container.get("terminationMessagePath") or "/dev/termination-log")))
        return out

    async def _create_and_start(self, container: Object, attempt: int, sandbox: SandboxView, made: Object) -> None:
        runtime, name, worker = self._context.runtime, container["name"], self._worker
        settings = self.sandbox_config(sandbox.attempt)
        log = config.pod_log_dir(self._context.options.logs_dir, self.pod) / name
        log.mkdir(parents=True, exist_ok=True)
        if not await self._guarded(sandbox):
            text = (
                "the network's rules do not know the pod yet: the node can't read NetworkPolicies, namespaces or pods"
            )
            worker.set_waiting(name, "ContainerCreating", text, CONTAINER_RETRY)
            self._event("Warning", "NetworkNotReady", text)
            return
        async with self._context.starts:
            try:
                found = await runtime.create_container(sandbox.id, made, settings)
            except RuntimeFault as fault:
                worker.set_waiting(name, "CreateContainerError", fault.message, CONTAINER_RETRY)
                self._event("Warning", "Failed", f"Error: {fault.message}", name)
                return
            self._event("Normal", "Created", "Container created", name)
            hook = (container.get("lifecycle") or {}).get("postStart")
            if hook:
                worker.memory.hooking[found] = None
            try:
                await runtime.start_container(found)
            except RuntimeFault as fault:
                worker.memory.hooking.pop(found, None)
                worker.set_waiting(name, "RunContainerError", fault.message, CONTAINER_RETRY)
                self._event("Warning", "Failed", f"Error: {fault.message}", name)
                return
        worker.memory.waiting.pop(name, None)
        worker.memory.retry_at.pop(name, None)
        self._event("Normal", "Started", "Container started", name)
        if hook:
            await self._after_start(hook, container, found)

    async def _guarded(self, sandbox: SandboxView) -> bool:
        """Whether network policies hold the pod: nothing in it runs before."""
        if self._context.guard is None:
            return True
        try:
            await asyncio.wait_for(self._context.guard(self.pod, sandbox.ips), GUARD_SECONDS)
        except TimeoutError:
            return False
        return True

    async def _after_start(self, hook: Object, container: Object, found: str) -> None:
        """What the hook printed stays out of Events: it may hold secrets (upstream keeps it out too)."""
        outcome = await self._hook(hook, container, found, 3600.0)
        memory, name = self._worker.memory, container["name"]
        if outcome.ok:
            memory.hooking.pop(found, None)
            self._worker.wake()
            return
        log.info("pod %s/%s: postStart hook of %s: %s", namespace_of(self.pod), name_of(self.pod), name, outcome.text)
        self._event("Warning", "FailedPostStartHook", "PostStartHook failed", name)
        self._worker.memory.waiting[name] = Waiting("PostStartHookError", "PostStartHook failed")
        self._event("Normal", "Killing", "FailedPostStartHook", name)
        memory.killed[found] = "postStart"
        self._worker.wake()
        try:
            await self._context.runtime.stop_container(found, self._worker.grace())
        finally:
            memory.hooking.pop(found, None)

    def ended(self, why: tuple[str, str, str]) -> None:
        """Tell of the pod's end where it was decided here."""
        if why[1] == "DeadlineExceeded":
            self._event("Normal", why[1], why[2])

    def evicted(self, message: str) -> None:
        self._event("Warning", "Evicted", message)

    async def remove_dead(self) -> None:
        """Remove containers that have ended and that another one has followed."""
        for container in self._worker.view.containers:
            newest = self._worker.view.latest(container.name)
            if container.state == "exited" and newest is not None and newest.id != container.id:
                await self.remove_container(container.id)

    async def _hook(self, hook: Object, container: Object, found: str, timeout: float) -> Outcome:
        if "sleep" in hook:
            await self._context.clock.sleep(min(timeout, float(hook["sleep"].get("seconds") or 0)))
            return Outcome(True)
        return await checks.check(
            hook, container, found, self._pod_ip(), timeout, self._context.netns, self._context.runtime
        )

    def _pod_ip(self) -> str:
        if spec_of(self.pod).get("hostNetwork"):
            return self._context.options.node_ip
        sandbox = self._worker.view.sandbox
        return sandbox.ips[0] if sandbox is not None and sandbox.ips else ""

    def image_back_offs(self) -> None:
        """A failed pull is told as such first, as a back-off soon after."""
        now = self._context.clock.monotonic()
        for name, moment in list(self._backing_off.items()):
            known = self._worker.memory.waiting.get(name)
            if known is None or known.reason != "ErrImagePull":
                del self._backing_off[name]
            elif now >= moment:
                del self._backing_off[name]
                image = (container_of(self.pod, name) or {}).get("image", "")
                text = f'Back-off pulling image "{image}"'
                self._worker.memory.waiting[name] = Waiting(
                    "ImagePullBackOff", f"{text}: ErrImagePull: {known.message}"
                )
                self._event("Normal", "BackOff", text, name)
                self._event("Warning", "Failed", "Error: ImagePullBackOff", name)

    def back_off(self, name: str) -> None:
        """Tell that a crashed container waits for its next start."""
        text = f"Back-off restarting failed container {name} in pod {name_of(self.pod)}_{namespace_of(self.pod)}"
        self._event("Warning", "BackOff", f"{text}({self._worker.uid})", name)

    async def kill(self, wanted: plan.KillContainer) -> None:
        """preStop, signal, wait, kill."""
        memory, clock = self._worker.memory, self._context.clock
        if wanted.id not in memory.killed:
            self._event("Normal", "Killing", wanted.message, wanted.name)
        memory.killed[wanted.id] = wanted.why or "stop"
        grace, began = wanted.grace, clock.monotonic()
        container = container_of(self.pod, wanted.name)
        hook = ((container or {}).get("lifecycle") or {}).get("preStop")
        if hook and container is not None and grace > 0:
            await self._before_stop(hook, container, wanted.id, grace)
            grace = max(MIN_GRACE, grace - (clock.monotonic() - began))
        try:
            await self._context.runtime.stop_container(wanted.id, grace)
        except RuntimeFault as fault:
            memory.killed.pop(wanted.id, None)
            if fault.code != "NOT_FOUND":
                raise

    async def resize(self, found: str, name: str) -> None:
        """Change a running container's limits; what the kernel refuses is told and tried again."""
        container, memory = container_of(self.pod, name), self._worker.memory
        if container is None:
            return
        try:
            # The pod's group first, so that there is room; again afterwards, when a smaller limit fits.
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._context.cgroups.make, self.pod)
            wanted = container_resources(self.pod, container, self._context.node_memory)
            wanted.pop("oom_score_adj", None)
            await self._context.runtime.update_resources(found, wanted)
            await asyncio.to_thread(self._context.cgroups.make, self.pod)
        except (RuntimeFault, OSError) as error:
            self._event("Warning", "ResizeError", f"Error resizing container {name}: {error}", name)
            memory.retry_at[f"resize/{found}"] = self._context.clock.time() + CONTAINER_RETRY
            return
        memory.resized[found] = container.get("resources") or {}

    async def _before_stop(self, hook: Object, container: Object, found: str, grace: float) -> None:
        try:
            outcome = await asyncio.wait_for(self._hook(hook, container, found, grace), grace)
        except TimeoutError:
            outcome = Outcome(False, f"it did not end within the grace period of {grace:g} s")
        if not outcome.ok:
            log.info("pod %s/%s: preStop hook: %s", namespace_of(self.pod), name_of(self.pod), outcome.text)
            self._event("Warning", "FailedPreStopHook", "PreStopHook failed", container["name"])

    async def kill_now(self, found: str) -> None:
        try:
            await self._context.runtime.stop_container(found, 0)
        except RuntimeFault as fault:
            if fault.code != "NOT_FOUND":
                raise

    async def remove_container(self, found: str) -> None:
        try:
            await self._context.runtime.remove_container(found)
        except RuntimeFault as fault:
            if fault.code != "NOT_FOUND":
                raise

    # Probes

    async def check(self, probe: Object, container: Object, found: str) -> Outcome:
        timeout = float(probe.get("timeoutSeconds") or 1)
        return await checks.check(
            probe, container, found, self._pod_ip(), timeout, self._context.netns, self._context.runtime
        )

    def unhealthy(self, container: Object, kind: str, text: str) -> None:
        self._event("Warning", "Unhealthy", f"{kind} probe failed: {text}", container["name"])

    # The end

    async def clean_up(self, view: View) -> None:
        """Remove all that the pod had on the node. Raises what fails: it is tried again."""
        runtime, options = self._context.runtime, self._context.options
        for sandbox in view.sandboxes:
            try:
                await runtime.remove_sandbox(sandbox.id)
            except RuntimeFault as fault:
                if fault.code != "NOT_FOUND":
                    raise
        await volumes.tear_down(self._roots, self._worker.uid)
        for _, mounted in self._image_volumes():
            await image_volumes.forget(options.containerd_socket, mounted)
        await asyncio.to_thread(remove_tree, config.pod_log_dir(options.logs_dir, self.pod))
        path = self._context.cgroups.pod(self.pod)
        for _ in range(50):
            if await asyncio.to_thread(self._context.cgroups.remove, path):
                break
            await self._context.clock.sleep(0.1)
        self._context.sources.forget(self._worker.uid)
