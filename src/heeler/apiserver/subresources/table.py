"""What answers a subresource, or a resource that isn't stored: one table.

A subresource that isn't here reads and writes the kind's own object through the ordinary verbs (status, approval,
finalize, resize, ephemeralcontainers).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from heeler.apiserver.call import Call, Result
from heeler.apiserver.extensions import metrics
from heeler.apiserver.subresources import binding, eviction, nodes, proxy, reviews, scale, token

if TYPE_CHECKING:
    from heeler.apiserver.request import Context

Action = Callable[[Call, "Context"], Awaitable[Result]]


def _every_method(action: Action) -> dict[str, Action]:
    return dict.fromkeys(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), action)


#: (group, plural, subresource) -> method -> action; "*" for any group and plural.
SUBRESOURCES: dict[tuple[str, str, str], dict[str, Action]] = {
    ("*", "*", "scale"): {"GET": scale.get, "PUT": scale.update, "PATCH": scale.patch},
    ("", "pods", "binding"): {"POST": binding.create},
    ("", "pods", "eviction"): {"POST": eviction.create},
    ("", "serviceaccounts", "token"): {"POST": token.create},
    ("", "pods", "log"): {"GET": nodes.log},
    ("", "pods", "exec"): {"GET": nodes.exec_, "POST": nodes.exec_},
    ("", "pods", "attach"): {"GET": nodes.attach, "POST": nodes.attach},
    ("", "pods", "portforward"): {"GET": nodes.port_forward, "POST": nodes.port_forward},
    ("", "pods", "proxy"): _every_method(proxy.pod),
    ("", "services", "proxy"): _every_method(proxy.service),
    ("", "nodes", "proxy"): _every_method(proxy.node),
}

#: Resources that are answered and not stored.
VIRTUAL: dict[tuple[str, str], dict[str, Action]] = {
    ("", "bindings"): {"create": binding.create_in_collection},
    ("", "componentstatuses"): {"list": reviews.component_statuses, "get": reviews.component_status},
    ("metrics.k8s.io", "nodes"): {"list": metrics.list_nodes, "get": metrics.get_node},
    ("metrics.k8s.io", "pods"): {"list": metrics.list_pods, "get": metrics.get_pod},
    ("authentication.k8s.io", "tokenreviews"): {"create": reviews.token_review},
    ("authentication.k8s.io", "selfsubjectreviews"): {"create": reviews.self_subject},
    ("authorization.k8s.io", "subjectaccessreviews"): {"create": reviews.subject_access},
    ("authorization.k8s.io", "localsubjectaccessreviews"): {"create": reviews.local_subject_access},
    ("authorization.k8s.io", "selfsubjectaccessreviews"): {"create": reviews.self_subject_access},
    ("authorization.k8s.io", "selfsubjectrulesreviews"): {"create": reviews.self_subject_rules},
}
