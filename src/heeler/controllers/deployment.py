"""Deployments: from one version of a pod template to the next, by ReplicaSets.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/ — a sync looks at a Deployment and its sets and
takes one step; what it says of progress is in `deployment_status`. Old sets keep their revision as an annotation, which
is all that `kubectl rollout undo` needs.
"""

from __future__ import annotations

from collections.abc import Sequence

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers import deployment_status as report
from heeler.controllers.deployment_plan import (
    DESIRED,
    MAX,
    REVISION,
    REVISION_HISTORY,
    Step,
    is_scaling_event,
    new_set_of,
    plan,
    removable,
    revision,
    size,
    wanted_annotations,
)
from heeler.controllers.loop import Context
from heeler.controllers.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from heeler.objects import selectors
from heeler.objects.status import StatusError
from heeler.objects.value import Object, labels_of, meta, name_of
from heeler.workloads import owners, pods, rollout


class DeploymentController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._events = context.recorder("deployment-controller")
        self._deployments = context.informers.get(DEPLOYMENTS)
        self._sets = context.informers.get(REPLICA_SETS)
        self._pods = context.informers.get(PODS)
        self._pods.add_index("controller", lambda pod: [owners.controller_uid(pod)])
        self._sets.add_index("controller", lambda obj: [owners.controller_uid(obj)])
        self._deployments.add_index("namespace", lambda obj: [meta(obj).get("namespace", "")])
        self._deployments.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))
        self._sets.add_handler(self._set_changed)
        self._pods.add_handler(self._pod_changed)

    # what concerns whom

    def _set_changed(self, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            ref = owners.controller_of(obj) if obj is not None else None
            if obj is not None and ref is not None and ref.get("kind") == "Deployment":
                self.queue.add(f"{obj['metadata']['namespace']}/{ref['name']}")
        if new is not None and owners.controller_of(new) is None:
            for deployment in self._deployments.by_index("namespace", new["metadata"]["namespace"]):
                if selectors.of_object(deployment["spec"].get("selector")).matches(labels_of(new)):
                    self.queue.add(key_of(deployment))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """Recreate waits for the last old pod to be gone."""
        if new is not None or old is None:
            return
        ref = owners.controller_of(old)
        if ref is None or ref.get("kind") != "ReplicaSet":
            return
        owner = self._sets.get(f"{old['metadata']['namespace']}/{ref['name']}")
        up = owners.controller_of(owner) if owner is not None else None
        if up is not None:
            deployment = self._deployments.get(f"{old['metadata']['namespace']}/{up['name']}")
            if deployment is not None and (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
                self.queue.add(key_of(deployment))

    # one step

    async def reconcile(self, key: str) -> None:
        deployment = self._deployments.get(key)
        if deployment is None:
            return
        if not (deployment["spec"].get("selector") or {}):
            message = "This deployment is selecting all pods. A non-empty selector is required."
            self._events.record(_about(deployment), "Warning", "SelectingAll", message)
            return
        sets = await self._claim(deployment)
        if "deletionTimestamp" in deployment["metadata"]:
            await self._write_status(deployment, report.calculate(deployment, sets, self._now()))
            return
        deployment = await self._note_pause(deployment)
        paused = bool(deployment["spec"].get("paused"))
        scaling = is_scaling_event(deployment, sets)
        recreate = (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"
        deployment, new = await self._new_set(deployment, sets, create=not paused and not scaling and not recreate)
        sets = _with(sets, new)
        if paused or scaling:
            await self._perform(deployment, sets, plan(deployment, sets, scale_only=True), paused)
            return
        if recreate:
            await self._recreate(deployment, sets, new)
            return
        step = plan(deployment, sets)
        sets = await self._scale(deployment, sets, step)
        if not step.scale and report.complete(deployment, deployment.get("status") or {}):
            await self._clean_up(deployment, sets)
        await self._report(deployment, sets)

    async def _perform(self, deployment: Object, sets: list[Object], step: Step, clean: bool) -> None:
        """A paused Deployment, or one whose size was changed: scale, and say so without judging progress."""
        sets = await self._scale(deployment, sets, step)
        if clean:
            await self._clean_up(deployment, sets)
        await self._write_status(deployment, report.calculate(deployment, sets, self._now()))

    async def _recreate(self, deployment: Object, sets: list[Object], new: Object | None) -> None:
        old_step = Step([(name_of(s), 0) for s in sets if s is not new and size(s) > 0], [])
        if old_step.scale:
            sets = await self._scale(deployment, sets, old_step)
            await self._report(deployment, sets)
            return
        if self._old_pods_remain(sets, new):
            await self._report(deployment, sets)
            return
        deployment, new = await self._new_set(deployment, sets, create=True)
        sets = _with(sets, new)
        wanted = deployment["spec"].get("replicas") or 0
        if new is not None and size(new) != wanted:
            sets = await self._scale(deployment, sets, Step([(name_of(new), wanted)], []))
        if report.complete(deployment, deployment.get("status") or {}):
            await self._clean_up(deployment, sets)
        await self._report(deployment, sets)

    def _old_pods_remain(self, sets: Sequence[Object], new: Object | None) -> bool:
        for obj in sets:
            if new is not None and obj["metadata"]["uid"] == new["metadata"]["uid"]:
                continue
            if (obj.get("status") or {}).get("replicas"):
                return True
            if any(not pods.is_finished(pod) for pod in self._pods.by_index("controller", obj["metadata"]["uid"])):
                return True
        return False

    # sets

    async def _claim(self, deployment: Object) -> list[Object]:
        selector = selectors.of_object(deployment["spec"].get("selector"))
        uid, namespace = deployment["metadata"]["uid"], deployment["metadata"]["namespace"]
        owned = self._sets.by_index("controller", uid)
        free = [obj for obj in self._sets.by_index("controller", "") if obj["metadata"].get("namespace") == namespace]
        claims = owners.claim(deployment, selector, [*owned, *free], lambda _: True)
        found = list(claims.owned)
        if claims.adopt:
            fresh = await self._client.get(DEPLOYMENTS, name_of(deployment), namespace)
            if fresh["metadata"]["uid"] == uid and "deletionTimestamp" not in fresh["metadata"]:
                for obj in claims.adopt:
                    ref = owners.reference(deployment, "apps/v1", "Deployment")
                    found.append(await self._patch_set(obj, owners.adoption(obj, ref)))
        for obj in claims.release:
            await self._patch_set(obj, owners.letting_go(obj, deployment))
        return sorted(found, key=lambda obj: (meta(obj).get("creationTimestamp", ""), name_of(obj)))

    async def _patch_set(self, obj: Object, patch: Object) -> Object:
        found = await self._client.patch(
            REPLICA_SETS,
            name_of(obj),
            patch,
            obj["metadata"]["namespace"],
            type="application/strategic-merge-patch+json",
        )
        self._sets.assume(found)
        return found

    async def _new_set(
        self, deployment: Object, sets: Sequence[Object], *, create: bool
    ) -> tuple[Object, Object | None]:
        """The set of the current template, made if wanted, with its revision; and the Deployment that says so."""
        new = new_set_of(deployment, sets)
        old = [obj for obj in sets if obj is not new]
        number = max((revision(obj) for obj in old), default=0) + 1
        if new is None and not create:
            return deployment, None
        if new is None:
            return await self._create_set(deployment, sets, number)
        new = await self._update_annotations(deployment, new, number)
        status = dict(deployment.get("status") or {})
        if report.has_deadline(deployment) and pods.condition(deployment, "Progressing") is None:
            message = f'Found new replica set "{name_of(new)}"'
            status = report.with_condition(status, "Progressing", "True", "FoundNewReplicaSet", message, self._now())
        return await self._write_revision(deployment, str(revision(new)), status), new

    async def _update_annotations(self, deployment: Object, new: Object, number: int) -> Object:
        annotations = dict(meta(new).get("annotations") or {})
        annotations.update(wanted_annotations(deployment))
        before = revision(new)
        if before < number:
            annotations[REVISION] = str(number)
            if REVISION in (meta(new).get("annotations") or {}):
                history = annotations.get(REVISION_HISTORY)
                annotations[REVISION_HISTORY] = f"{history},{before}" if history else str(before)
        min_ready = deployment["spec"].get("minReadySeconds") or 0
        if annotations == (meta(new).get("annotations") or {}) and min_ready == (
            new["spec"].get("minReadySeconds") or 0
        ):
            return new
        spec = {key: value for key, value in new["spec"].items() if key != "minReadySeconds"}
        if min_ready:
            spec["minReadySeconds"] = min_ready
        return await self._update_set(
            {**new, "metadata": {**new["metadata"], "annotations": annotations}, "spec": spec}
        )

    async def _update_set(self, obj: Object) -> Object:
        done = await self._client.update(REPLICA_SETS, obj)
        self._sets.assume(done)
        return done

    async def _create_set(
        self, deployment: Object, sets: Sequence[Object], number: int
    ) -> tuple[Object, Object | None]:
        spec, metadata = deployment["spec"], deployment["metadata"]
        status = dict(deployment.get("status") or {})
        template = rollout.without_nulls(spec["template"])
        digest = rollout.template_hash(template, status.get("collisionCount"))
        given = template.get("metadata") or {}
        labels = {**(given.get("labels") or {}), rollout.HASH_LABEL: digest}
        template = {**template, "metadata": {**given, "labels": labels}}
        selector = dict(spec["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), rollout.HASH_LABEL: digest}
        wanted, strategy = spec.get("replicas") or 0, spec.get("strategy") or {}
        count = rollout.new_replicas(strategy, wanted, 0, sum(size(obj) for obj in sets))
        surge = rollout.bounds(strategy, wanted).surge
        obj: Object = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{metadata['name']}-{digest}",
                "namespace": metadata["namespace"],
                "labels": labels,
                "annotations": {
                    **wanted_annotations(deployment),
                    REVISION: str(number),
                    DESIRED: str(wanted),
                    MAX: str(wanted + surge),
                },
                "ownerReferences": [owners.reference(deployment, "apps/v1", "Deployment")],
            },
            "spec": {"replicas": count, "selector": selector, "template": template},
        }
        if spec.get("minReadySeconds"):
            obj["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        name = obj["metadata"]["name"]
        there = False
        try:
            made = await self._client.create(REPLICA_SETS, obj, metadata["namespace"])
        except StatusError as error:
            if error.code == 409 and error.reason == "AlreadyExists":
                made = await self._client.get(REPLICA_SETS, name, metadata["namespace"])
                there = True
                if not self._is_ours(deployment, made):
                    status["collisionCount"] = (status.get("collisionCount") or 0) + 1
                    await self._write_status(deployment, status)
                    raise
            else:
                await self._note_failure(deployment, name, error)
                raise
        self._sets.assume(made)
        if not there and count > 0:
            self._scaled_event(deployment, name, 0, count)
        if not there and report.has_deadline(deployment):
            message = f'Created new replica set "{name}"'
            status = report.with_condition(status, "Progressing", "True", "NewReplicaSetCreated", message, self._now())
        return await self._write_revision(deployment, str(number), status), made

    @staticmethod
    def _is_ours(deployment: Object, obj: Object) -> bool:
        return owners.controller_uid(obj) == deployment["metadata"]["uid"] and rollout.same_template(
            deployment["spec"]["template"], obj["spec"]["template"]
        )

    async def _note_failure(self, deployment: Object, name: str, error: StatusError) -> None:
        if not report.has_deadline(deployment):
            return
        message = f'Failed to create new replica set "{name}": {error}'
        status = dict(deployment.get("status") or {})
        status = report.with_condition(status, "Progressing", "False", "ReplicaSetCreateError", message, self._now())
        await self._write_status(deployment, status)

    async def _scale(self, deployment: Object, sets: list[Object], step: Step) -> list[Object]:
        """Do what the step says; the sets as they are afterwards."""
        wanted, strategy = deployment["spec"].get("replicas") or 0, deployment["spec"].get("strategy") or {}
        top = wanted + rollout.bounds(strategy, wanted).surge
        targets = dict(step.scale)
        out = []
        for obj in sets:
            count = targets.get(name_of(obj), size(obj))
            notes = {DESIRED: str(wanted), MAX: str(top)}
            annotations = meta(obj).get("annotations") or {}
            annotate = name_of(obj) in step.annotate and any(annotations.get(k) != v for k, v in notes.items())
            if count == size(obj) and not annotate:
                out.append(obj)
                continue
            changed = {
                **obj,
                "metadata": {**obj["metadata"], "annotations": {**annotations, **notes}},
                "spec": {**obj["spec"], "replicas": count},
            }
            done = await self._update_set(changed)
            if count != size(obj):
                self._scaled_event(deployment, name_of(obj), size(obj), count)
            out.append(done)
        return out

    def _scaled_event(self, deployment: Object, name: str, before: int, after: int) -> None:
        direction = "up" if after > before else "down"
        message = f"Scaled {direction} replica set {name} from {before} to {after}"
        self._events.record(_about(deployment), "Normal", "ScalingReplicaSet", message)

    async def _clean_up(self, deployment: Object, sets: Sequence[Object]) -> None:
        for obj in removable(deployment, sets):
            try:
                gone = await self._client.delete(
                    REPLICA_SETS, name_of(obj), obj["metadata"]["namespace"], uid=obj["metadata"]["uid"]
                )
            except StatusError as error:
                if error.code != 404:
                    raise
            else:
                self._sets.assume_deleted(obj if gone.get("kind") != "ReplicaSet" else gone)

    # reports

    def _now(self) -> float:
        return self._context.clock.time()

    async def _note_pause(self, deployment: Object) -> Object:
        """The Progressing condition says when somebody paused or went on: the deadline doesn't run meanwhile."""
        if not report.has_deadline(deployment):
            return deployment
        known = pods.condition(deployment, "Progressing") or {}
        paused = bool(deployment["spec"].get("paused"))
        if known.get("reason") == "ProgressDeadlineExceeded" or paused == (known.get("reason") == "DeploymentPaused"):
            return deployment
        word, message = (
            ("DeploymentPaused", "Deployment is paused")
            if paused
            else (
                "DeploymentResumed",
                "Deployment is resumed",
            )
        )
        status = report.with_condition(
            deployment.get("status") or {}, "Progressing", "Unknown", word, message, self._now()
        )
        return await self._write_status(deployment, status)

    async def _report(self, deployment: Object, sets: Sequence[Object]) -> None:
        now = self._now()
        status = report.with_progress(deployment, sets, now)
        await self._write_status(deployment, status)
        seconds = report.until_deadline(deployment, status, now)
        if seconds is not None:
            self.queue.add_after(key_of(deployment), seconds)

    async def _write_status(self, deployment: Object, status: Object) -> Object:
        if report.comparable(status) == report.comparable(deployment.get("status") or {}):
            return deployment
        done = await self._client.update(DEPLOYMENTS, {**deployment, "status": status}, subresource="status")
        self._deployments.assume(done)
        return done

    async def _write_revision(self, deployment: Object, number: str, status: Object) -> Object:
        annotations = meta(deployment).get("annotations") or {}
        if annotations.get(REVISION) == number:
            return await self._write_status(deployment, status)
        metadata = {**deployment["metadata"], "annotations": {**annotations, REVISION: number}}
        changed = {**deployment, "metadata": metadata, "status": status}
        done = await self._client.update(DEPLOYMENTS, changed, subresource="status")
        self._deployments.assume(done)
        return done


def _about(deployment: Object) -> Object:
    return {"kind": "Deployment", "apiVersion": "apps/v1", **deployment}


def _with(sets: Sequence[Object], new: Object | None) -> list[Object]:
    """The sets with the newest version of one of them, or one more."""
    if new is None:
        return list(sets)
    uid = new["metadata"]["uid"]
    if any(obj["metadata"]["uid"] == uid for obj in sets):
        return [new if obj["metadata"]["uid"] == uid else obj for obj in sets]
    return [*sets, new]
