"""What a conversion webhook is asked, and what its answer must be. Pure.

A webhook may change everything but who the object is; of the metadata it may change labels and annotations. Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#response
"""

from __future__ import annotations

import copy
from typing import Any

import orjson

from heeler.kinds.meta.objectmeta import annotation_rules, label_rules
from heeler.objects import go_text
from heeler.objects.value import Object

GROUP = "apiextensions.k8s.io"
VERSIONS = ("v1", "v1beta1")
#: Bytes of an object that a message shows.
MAX_SHOWN = 4096


class BadConversion(Exception):
    """The answer can't be used. `words` go on where the message has named the webhook: "failed: …", "returned …".

    `whole`: they are the whole message."""

    def __init__(self, words: str, *, whole: bool = False) -> None:
        super().__init__(words)
        self.words, self.whole = words, whole


def review(hook: Object, objects: list[Object], api_version: str, uid: str) -> Object:
    """The ConversionReview in the first version that the webhook (`spec.conversion.webhook`) and we both know.

    Raises BadConversion."""
    version = next((v for v in hook.get("conversionReviewVersions") or () if v in VERSIONS), "")
    if not version:
        raise BadConversion("failed: no supported conversion review versions")
    request = {"uid": uid, "desiredAPIVersion": api_version, "objects": objects}
    return {"kind": "ConversionReview", "apiVersion": f"{GROUP}/{version}", "request": request}


def converted(review: Object, answer: Object) -> list[Object]:
    """The objects of the webhook's answer, each with the metadata that it must keep. Raises BadConversion."""
    request = review["request"]
    found, before = _objects(review, answer), request["objects"]
    if len(found) != len(before):
        raise BadConversion(f"returned {len(found)} objects, expected {len(before)}")
    many = len(before) > 1
    return [
        _checked(old, new, request["desiredAPIVersion"], f" at index {at}" if many else "")
        for at, (old, new) in enumerate(zip(before, found, strict=True))
    ]


def _objects(review: Object, answer: Object) -> list[Any]:
    failed = "failed: "
    response = answer.get("response")
    strict = review["apiVersion"] == f"{GROUP}/v1"
    given = (answer.get("apiVersion"), answer.get("kind"))
    if strict and given != (review["apiVersion"], review["kind"]):
        shown = f"{given[0] or ''}, Kind={given[1] or ''}"
        raise BadConversion(
            f"{failed}expected webhook response of {review['apiVersion']}, Kind={review['kind']}, got {shown}"
        )
    if not isinstance(response, dict):
        raise BadConversion(f"{failed}no response provided")
    if strict and response.get("uid") != review["request"]["uid"]:
        wanted = review["request"]["uid"]
        raise BadConversion(f'{failed}expected response.uid="{wanted}", got "{response.get("uid") or ""}"')
    result = response.get("result")
    result = result if isinstance(result, dict) else {}
    if result.get("status") != "Success":
        said = result.get("message") or f"response.result.status was '{result.get('status') or ''}', not 'Success'"
        raise BadConversion(f"{failed}{said}")
    objects = response.get("convertedObjects")
    return objects if isinstance(objects, list) else []


def _checked(old: Object, new: Any, api_version: str, at: str) -> Object:
    what = "returned invalid converted object" if at else "returned invalid object"
    where = at or " at index 0"
    if not isinstance(new, dict):
        words = f"json: cannot unmarshal {go_text.json_kind(new)} into Go value of type map[string]interface {{}}"
        raise BadConversion(words, whole=True)
    if not new.get("kind"):
        shown = orjson.dumps(new)[:MAX_SHOWN].decode("utf-8", "replace")
        raise BadConversion(f"Object 'Kind' is missing in '{shown}'", whole=True)
    if new.get("apiVersion") != api_version:
        raise BadConversion(
            f"{what}{where}: invalid groupVersion (expected {api_version}, received {new.get('apiVersion') or ''})"
        )
    if new.get("kind") != old["kind"]:
        raise BadConversion(f"{what}{where}: invalid kind (expected {old['kind']}, received {new.get('kind') or ''})")
    metadata = new.get("metadata")
    given = metadata if isinstance(metadata, dict) else {}
    for key, shown in (("name", "name"), ("namespace", "namespace"), ("uid", "UID")):
        before, after = old["metadata"].get(key, ""), given.get(key) or ""
        if before != after:
            raise BadConversion(f"{what}{at}: must have the same {shown}: {before} != {after}")
    try:
        return {**new, "metadata": _metadata(old["metadata"], new)}
    except ValueError as error:
        words = f"returned invalid metadata in object{at}" if at else "returned invalid metadata"
        raise BadConversion(f"{words}: {error}") from None


def _metadata(old: Object, new: Object) -> Object:
    """The old metadata with the new labels and annotations. Raises ValueError."""
    if "metadata" not in new:
        raise ValueError("missing metadata in converted object")
    given = new["metadata"]
    if not isinstance(given, dict):
        raise ValueError(f"invalid metadata of type {go_text.kind(given)} in converted object")
    out = copy.deepcopy(old)
    for name, rules, path in (
        ("labels", label_rules, "metadata.labels"),
        ("annotations", annotation_rules, "metadata.annotation"),
    ):
        found = given.get(name)
        if found is None:
            out.pop(name, None)
            continue
        if not isinstance(found, dict):
            raise ValueError(f"invalid metadata.{name} of type {go_text.kind(found)} in converted object")
        for key, value in found.items():
            if not isinstance(value, str):
                shown = go_text.kind(value)
                raise ValueError(f"metadata.{name}[{key}] must be a string, but is {shown} in converted object")
        if found != (old.get(name) or {}):
            texts = list(dict.fromkeys(f"{fault.field}: {fault.message}" for fault in rules(found, path)))
            if texts:
                raise ValueError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
        out[name] = found
    return out
