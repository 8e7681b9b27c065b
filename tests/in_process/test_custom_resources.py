"""CustomResourceDefinitions at work: served once established, gone with their objects."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import heeler
from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object

DEFINITIONS = GroupVersionResource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
THINGS = GroupVersionResource("example.com", "v1", "things")


def definition(properties: Object) -> Object:
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": properties},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    subresources = {"status": {}, "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}}
    return {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": subresources,
                }
            ],
        },
    }


async def until(found: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await found():
            await asyncio.sleep(0.02)


async def served(client: Client) -> bool:
    try:
        await client.list(THINGS, "default")
    except StatusError as error:
        assert error.code == 404
        return False
    return True


def run(story: Callable[[Client], Awaitable[None]], properties: Object) -> None:
    async def main() -> None:
        async with heeler.Cluster(simulated_nodes=0) as cluster:
            await cluster.client.create(DEFINITIONS, definition(properties))
            await until(lambda: served(cluster.client))
            await story(cluster.client)

    asyncio.run(main())


async def create(client: Client, name: str, **spec: Any) -> Object:
    metadata = {"name": name, "namespace": "default"}
    thing = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": metadata, "spec": spec}
    return await client.create(THINGS, thing, "default")


def test_objects_are_pruned_defaulted_validated_and_scaled():
    async def story(client: Client) -> None:
        made = await create(client, "a", n=2, unknown=1)
        assert made["spec"] == {"n": 2, "color": "red"}
        with pytest.raises(StatusError) as caught:
            await create(client, "b", n=0)
        assert caught.value.code == 422
        assert "spec.n in body should be greater than or equal to 1" in caught.value.message
        await client.patch(
            THINGS, "a", {"spec": {"replicas": 5}}, "default", type="application/merge-patch+json", subresource="scale"
        )
        assert (await client.get(THINGS, "a", "default"))["spec"]["n"] == 5

    run(story, {"n": {"type": "integer", "minimum": 1}, "color": {"type": "string", "default": "red"}})


def test_a_changed_definition_is_seen_in_objects_that_are_stored_already():
    async def story(client: Client) -> None:
        await create(client, "a", n=1)
        later = definition({"n": {"type": "integer"}, "size": {"type": "string", "default": "big"}})
        found = await client.get(DEFINITIONS, "things.example.com")
        await client.update(DEFINITIONS, {**found, "spec": later["spec"]})

        async def defaulted() -> bool:
            return (await client.get(THINGS, "a", "default"))["spec"] == {"n": 1, "size": "big"}

        await until(defaulted)
        assert (await client.get(THINGS, "a", "default"))["metadata"]["generation"] == 1

    run(story, {"n": {"type": "integer"}})


def test_objects_go_before_their_definition_does():
    async def story(client: Client) -> None:
        await create(client, "a", n=1)
        await client.delete(DEFINITIONS, "things.example.com")

        async def gone() -> bool:
            return not await served(client)

        await until(gone)
        await client.create(DEFINITIONS, definition({"n": {"type": "integer"}}))
        await until(lambda: served(client))
        assert (await client.list(THINGS, "default")).items == []

    run(story, {"n": {"type": "integer"}})


async def _owned_by_a_custom_resource() -> None:
    """The owner's kind is so new that the collector hears of it from the child first."""
    definitions = GroupVersionResource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    things = GroupVersionResource("own.example.com", "v1", "things")
    config_maps = GroupVersionResource("", "v1", "configmaps")
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {"plural": "things", "kind": "Thing"}
    spec = {"group": "own.example.com", "scope": "Cluster", "names": names, "versions": [version]}
    async with heeler.Cluster(simulated_nodes=0) as cluster, asyncio.timeout(20):
        client = cluster.client
        while not (await client.list(config_maps, "default")).items:
            await asyncio.sleep(0.02)
        await client.create(definitions, {"metadata": {"name": "things.own.example.com"}, "spec": spec})
        owner: Object = {"apiVersion": "own.example.com/v1", "kind": "Thing", "metadata": {"name": "t"}}
        while True:
            try:
                made = await client.create(things, owner)
                break
            except StatusError as error:
                assert error.code == 404
                await asyncio.sleep(0.02)
        ref = {"apiVersion": "own.example.com/v1", "kind": "Thing", "name": "t", "uid": made["metadata"]["uid"]}
        child: Object = {"metadata": {"name": "child", "ownerReferences": [ref]}}
        await client.create(config_maps, child, "default")
        await asyncio.sleep(0.5)  # the collector asks discovery for the owner's kind
        await client.delete(things, "t", propagation="Background")
        while any(one["metadata"]["name"] == "child" for one in (await client.list(config_maps, "default")).items):
            await asyncio.sleep(0.05)


def test_what_a_custom_resource_owns_goes_with_it() -> None:
    asyncio.run(_owned_by_a_custom_resource())


def test_a_schema_that_became_stricter_holds_for_what_changes() -> None:
    async def story(client: Client) -> None:
        await create(client, "a", n=50, text="t")
        stricter = {"n": {"type": "integer", "maximum": 10}, "text": {"type": "string"}}
        versions = definition(stricter)["spec"]["versions"]
        await client.patch(DEFINITIONS, "things.example.com", {"spec": {"versions": versions}})

        numbers = itertools.count(51)

        async def refused() -> bool:
            number = next(numbers)  # one that was stored before may stay
            try:
                await client.patch(THINGS, "a", {"spec": {"n": number}}, "default")
            except StatusError as error:
                words = f"spec.n: Invalid value: {number}: spec.n in body should be less than or equal to 10"
                assert error.message.endswith(words)
                return True
            return False

        await until(refused)
        patched = await client.patch(THINGS, "a", {"spec": {"text": "u"}}, "default")
        assert patched["spec"]["text"] == "u"
        assert patched["spec"]["n"] > 10
        await client.patch(THINGS, "a", {"spec": {"n": 9}}, "default")
        with pytest.raises(StatusError, match="should be less than or equal to 10"):
            await client.patch(THINGS, "a", {"spec": {"n": 11}}, "default")

    run(story, {"n": {"type": "integer"}, "text": {"type": "string"}})
