"""What is checked of webhook configurations and admission policies, but for their CEL expressions.

Expressions are compiled where they are run; here they are only asked to be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from heeler.kinds.cel.admission import RequestEnvironment, expression_faults
from heeler.kinds.cel.checked import DYN
from heeler.kinds.cel.expressions import CompileError
from heeler.kinds.cel.mutations import RETURNS
from heeler.kinds.meta.checks import numbered, optional_one_of
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.meta.selector_rules import label_selector
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, not_supported, required, too_long, too_many
from heeler.objects.value import Object

OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
#: What is deleted can't be changed.
MUTABLE = tuple(operation for operation in OPERATIONS if operation != "DELETE")
SCOPES = ("*", "Cluster", "Namespaced")
REVIEWS = ("v1", "v1beta1")
MAX_CONDITIONS = 64


def _domain(name: str, path: str) -> Iterator[Fault]:
    """A name of at least three segments."""
    if not name:
        yield required(path)
        return
    wrong = names.subdomain(name)
    yield from each(path, name, wrong)
    if not wrong and len(name.split(".")) < 3:
        yield invalid(path, name, "should be a domain with at least three segments separated by dots")


def webhooks(obj: Object, mutating: bool) -> Iterator[Fault]:
    seen: set[str] = set()
    for at, webhook in numbered(obj.get("webhooks")):
        here, name = f"webhooks[{at}]", webhook.get("name", "")
        yield from _webhook(webhook, mutating, here)
        yield from _reviews(webhook.get("admissionReviewVersions") or [], f"{here}.admissionReviewVersions")
        if name in seen:
            yield duplicate(f"{here}.name", name)
        seen.add(name)


def _webhook(webhook: Object, mutating: bool, path: str) -> Iterator[Fault]:
    yield from _domain(webhook.get("name", ""), f"{path}.name")
    for at, rule in numbered(webhook.get("rules")):
        yield from rule_rules(rule, f"{path}.rules[{at}]")
    yield from optional_one_of(webhook.get("failurePolicy"), ("Fail", "Ignore"), f"{path}.failurePolicy")
    yield from optional_one_of(webhook.get("matchPolicy"), ("Equivalent", "Exact"), f"{path}.matchPolicy")
    effects = webhook.get("sideEffects")
    if effects is None:
        yield required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun")
    else:
        yield from optional_one_of(effects, ("None", "NoneOnDryRun"), f"{path}.sideEffects")
    seconds = webhook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        yield invalid(f"{path}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds")
    for key in ("namespaceSelector", "objectSelector"):
        yield from label_selector(webhook.get(key), f"{path}.{key}")
    if mutating:
        yield from optional_one_of(
            webhook.get("reinvocationPolicy"), ("IfNeeded", "Never"), f"{path}.reinvocationPolicy"
        )
    yield from client_config(webhook.get("clientConfig") or {}, f"{path}.clientConfig")
    yield from match_conditions(webhook.get("matchConditions"), f"{path}.matchConditions")


def client_config(config: Object, path: str) -> Iterator[Fault]:
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        yield required(path, "exactly one of url or service is required")
    elif url is not None:
        yield from _url(url, f"{path}.url")
    else:
        yield from _service(service or {}, f"{path}.service")


def _url(text: str, path: str) -> Iterator[Fault]:
    form = "; desired format: https://host[/path]"
    try:
        parts = urlsplit(text)
    except ValueError as error:
        yield required(path, f"url must be a valid URL: {error}{form}")
        return
    if parts.scheme != "https":
        yield invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{form}")
    if not parts.netloc:
        yield invalid(path, parts.netloc, f"host must be specified{form}")
    if "@" in parts.netloc:
        yield invalid(path, parts.netloc.partition("@")[0], "user information is not permitted in the URL")
    if parts.fragment:
        yield invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        yield invalid(path, parts.query, "query parameters are not permitted in the URL")


def _service(service: Object, path: str) -> Iterator[Fault]:
    # upstream tells the one as the other
    for key, told in (("namespace", "name"), ("name", "namespace")):
        if not service.get(key):
            yield required(f"{path}.{told}")
    port = service.get("port", 443)
    if not 1 <= port <= 65535:
        yield invalid(f"{path}.port", port, f"port is not valid: {names.PORT}")
    text = service.get("path")
    if not text or text == "/":
        return
    if not text.startswith("/"):
        yield invalid(f"{path}.path", text, "must start with a '/'")
    steps = text[1:].removesuffix("/").split("/")
    for at, step in enumerate(steps):
        if not step:
            yield invalid(f"{path}.path", text, f"segment[{at}] may not be empty")
        else:
            for words in names.subdomain(step):
                yield invalid(f"{path}.path", text, f"segment[{at}]: {words}")


def rule_rules(rule: Object, path: str, resource_names: bool = False) -> Iterator[Fault]:
    """A rule on requests: operations, groups, versions, resources, scope."""
    operations = rule.get("operations") or []
    if not operations:
        yield required(f"{path}.operations")
    if len(operations) > 1 and "*" in operations:
        yield invalid(f"{path}.operations", operations, "if '*' is present, must not specify other operations")
    for at, operation in enumerate(operations):
        if operation not in OPERATIONS:
            yield not_supported(f"{path}.operations[{at}]", operation, OPERATIONS)
    for key in ("apiGroups", "apiVersions"):
        rows = rule.get(key) or []
        if not rows:
            yield required(f"{path}.{key}")
        word = "groups" if key == "apiGroups" else "versions"
        if len(rows) > 1 and "*" in rows:
            yield invalid(f"{path}.{key}", rows, f"if '*' is present, must not specify other API {word}")
        if key == "apiVersions":
            for at, version in enumerate(rows):
                if not version:
                    yield required(f"{path}.{key}[{at}]")
    yield from _resources(rule.get("resources") or [], f"{path}.resources")
    yield from optional_one_of(rule.get("scope"), SCOPES, f"{path}.scope")
    if resource_names:
        seen: set[str] = set()
        for at, name in numbered(rule.get("resourceNames")):
            yield from each(f"{path}.resourceNames[{at}]", name, names.path_segment(name))
            if name in seen:
                yield duplicate(f"{path}.resourceNames[{at}]", name)
            seen.add(name)


def _resources(rows: list[str], path: str) -> Iterator[Fault]:
    if not rows:
        yield required(path)
    with_subresources: list[str] = []
    of_all: list[str] = []
    for at, row in enumerate(rows):
        here = f"{path}[{at}]"
        if not row:
            yield required(here)
            continue
        if row == "*/*" and len(rows) > 1:
            yield invalid(path, rows, "if '*/*' is present, must not specify other resources")
        resource, slash, sub = row.partition("/")
        if not slash:
            continue
        if resource in with_subresources:
            yield invalid(here, row, f"if '{resource}/*' is present, must not specify {row}")
        if sub in of_all:
            yield invalid(here, row, f"if '*/{sub}' is present, must not specify {row}")
        if sub == "*":
            with_subresources.append(resource)
        if resource == "*":
            of_all.append(sub)
    plain = [row for row in rows if row and "/" not in row]
    if len(plain) > 1 and "*" in plain:
        yield invalid(path, rows, "if '*' is present, must not specify other resources without subresources")


def _reviews(versions: list[str], path: str) -> Iterator[Fault]:
    if not versions:
        yield required(path, f"must specify one of {', '.join(REVIEWS)}")
        return
    seen: set[str] = set()
    accepted = False
    for at, version in enumerate(versions):
        if version in seen:
            yield invalid(f"{path}[{at}]", version, "duplicate version")
            continue
        seen.add(version)
        yield from each(f"{path}[{at}]", version, names.label_1035(version))
        accepted = accepted or version in REVIEWS
    if not accepted:
        yield invalid(path, versions, f"must include at least one of {', '.join(REVIEWS)}")


def match_conditions(rows: list[Object] | None, path: str, params: bool = False) -> Iterator[Fault]:
    if len(rows or ()) > MAX_CONDITIONS:
        yield too_many(path, len(rows or ()), MAX_CONDITIONS)
    seen: set[str] = set()
    environment = RequestEnvironment(params=params)
    for at, row in numbered(rows):
        here, name = f"{path}[{at}]", row.get("name", "")
        if not row.get("expression", "").strip():
            yield required(f"{here}.expression")
        else:
            yield from expression_faults(environment, row["expression"].strip(), f"{here}.expression", ("bool",))
        if not name:
            yield required(f"{here}.name")
        else:
            yield from each(f"{here}.name", name, names.qualified(name))
            if name in seen:
                yield duplicate(f"{here}.name", name)
            seen.add(name)


# Policies.


def _param_kind(kind: Object | None, path: str) -> Iterator[Fault]:
    if kind is None:
        return
    version = kind.get("apiVersion", "")
    if not version:
        yield required(f"{path}.apiVersion")
    elif version.count("/") > 1:
        yield invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")
    elif version.endswith("/"):
        yield invalid(f"{path}.apiVersion", version, "version must be specified")
    else:
        group, _, own = version.rpartition("/")
        if group:
            yield from each(f"{path}.apiVersion", group, names.subdomain(group))
        yield from each(f"{path}.apiVersion", own, names.label_1035(own))
    if not kind.get("kind"):
        yield required(f"{path}.kind")
    else:
        words = names.label_1035(kind["kind"].lower())
        yield from each(
            f"{path}.kind", kind["kind"], [f"may have mixed case, but should otherwise match: {w}" for w in words]
        )


def _match_resources(match: Object, path: str) -> Iterator[Fault]:
    if match.get("matchPolicy") is None:
        yield required(f"{path}.matchPolicy")
    else:
        yield from optional_one_of(match["matchPolicy"], ("Equivalent", "Exact"), f"{path}.matchPolicy")
    for key in ("namespaceSelector", "objectSelector"):
        if match.get(key) is None:
            yield required(f"{path}.{key}")
        else:
            yield from label_selector(match[key], f"{path}.{key}")
    for key in ("resourceRules", "excludeResourceRules"):
        for at, rule in numbered(match.get(key)):
            yield from rule_rules(rule, f"{path}.{key}[{at}]", True)


_IDENTIFIER = re.compile("[_a-zA-Z][_a-zA-Z0-9]*")
#: Words of CEL that are no names (the language definition, "Syntax").
_RESERVED = (
    *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"),
    *("let", "loop", "package", "namespace", "return", "var", "void", "while"),
)


def _common(spec: Object, environment: RequestEnvironment) -> Iterator[Fault]:
    """What both kinds of policies have; `environment` comes to know the policy's variables."""
    yield from _param_kind(spec.get("paramKind"), "spec.paramKind")
    match = spec.get("matchConstraints")
    if match is None:
        yield required("spec.matchConstraints")
    else:
        yield from _match_resources(match, "spec.matchConstraints")
        if not match.get("resourceRules"):
            yield required("spec.matchConstraints.resourceRules")
    yield from match_conditions(spec.get("matchConditions"), "spec.matchConditions", _has_params(spec))
    for at, row in numbered(spec.get("variables")):
        here = f"spec.variables[{at}]"
        name = row.get("name", "")
        if not name.strip():
            yield required(f"{here}.name", "name is not specified")
        elif not _IDENTIFIER.fullmatch(name) or name in _RESERVED:
            yield invalid(f"{here}.name", name, "must be a valid CEL identifier")
        if not row.get("expression", "").strip():
            yield required(f"{here}.expression", "expression is not specified")
            continue
        try:
            compiled = environment.compile(row["expression"].strip())
            environment.declare(name, compiled.tree.type(compiled.tree.root))
        except CompileError as error:
            environment.declare(name, DYN)
            yield invalid(f"{here}.expression", row["expression"], f"compilation failed: {error}")


def _has_params(spec: Object) -> bool:
    return spec.get("paramKind") is not None


def validating_policy(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    policy = spec.get("failurePolicy")
    if policy is None:
        yield required("spec.failurePolicy")
    else:
        yield from optional_one_of(policy, ("Fail", "Ignore"), "spec.failurePolicy")
    environment = RequestEnvironment(params=_has_params(spec), composed=True)
    yield from _common(spec, environment)
    validations, audits = spec.get("validations") or [], spec.get("auditAnnotations") or []
    if not validations and not audits:
        yield required("spec.validations", "validations or auditAnnotations must contain at least one item")
        yield required("spec.auditAnnotations", "validations or auditAnnotations must contain at least one item")
    for at, row in enumerate(validations):
        yield from _validation(row, f"spec.validations[{at}]", environment)
    if len(audits) > 20:
        shown = [{"Key": row.get("key", ""), "ValueExpression": row.get("valueExpression", "")} for row in audits]
        yield invalid("spec.auditAnnotations", shown, "must not have more than 20 auditAnnotations")
    seen: set[str] = set()
    for at, row in enumerate(audits):
        here, key = f"spec.auditAnnotations[{at}]", row.get("key", "")
        full = f"{obj['metadata'].get('name', '')}/{key}"
        yield from each(f"{here}.key", full, names.qualified(full))
        if not row.get("valueExpression", "").strip():
            yield required(f"{here}.valueExpression", "valueExpression is not specified")
        elif len(row["valueExpression"]) > 5 * 1024:
            yield too_long(f"{here}.valueExpression", 5 * 1024)
        else:
            text = row["valueExpression"].strip()
            wanted = ("string", "null_type")
            yield from expression_faults(environment, text, f"{here}.valueExpression", wanted, authorizer=False)
        if key in seen:
            yield duplicate(f"{here}.key", key)
        seen.add(key)


def _validation(row: Object, path: str, environment: RequestEnvironment) -> Iterator[Fault]:
    if not row.get("expression", "").strip():
        yield required(f"{path}.expression", "expression is not specified")
    else:
        yield from expression_faults(environment, row["expression"].strip(), f"{path}.expression", ("bool",))
    if row.get("messageExpression", "").strip():
        text = row["messageExpression"].strip()
        here = f"{path}.messageExpression"
        yield from expression_faults(environment, text, here, ("string",), authorizer=False)
    elif row.get("messageExpression"):
        yield invalid(f"{path}.messageExpression", row["messageExpression"], "must be non-empty if specified")
    message = row.get("message", "")
    if message and not message.strip():
        yield invalid(f"{path}.message", message, "must be non-empty if specified")
    elif "\n" in message or "\r" in message:
        yield invalid(f"{path}.message", message, "must not contain line breaks")
    if row.get("reason") is not None:
        yield from optional_one_of(row["reason"], ("Forbidden", "Invalid", "RequestEntityTooLarge"), f"{path}.reason")


def mutating_policy(obj: Object) -> Iterator[Fault]:
    spec = obj["spec"]
    yield from optional_one_of(spec.get("failurePolicy"), ("Fail", "Ignore"), "spec.failurePolicy")
    environment = RequestEnvironment(params=_has_params(spec), composed=True)
    yield from _common(spec, environment)
    for _, rule in numbered((spec.get("matchConstraints") or {}).get("resourceRules")):
        for operation in rule.get("operations") or ():
            if operation not in MUTABLE:
                yield not_supported("spec.matchConstraints.resourceRules.operations", operation, MUTABLE)
    if not spec.get("mutations"):
        yield required("spec.mutations", "mutations must contain at least one item")
    for at, row in numbered(spec.get("mutations")):
        yield from _mutation(row, f"spec.mutations[{at}]", environment)
    policy = spec.get("reinvocationPolicy", "")
    if not policy:
        yield required("spec.reinvocationPolicy")
    else:
        yield from optional_one_of(policy, ("IfNeeded", "Never"), "spec.reinvocationPolicy")


def _mutation(row: Object, path: str, environment: RequestEnvironment) -> Iterator[Fault]:
    kind = row.get("patchType", "")
    patch, apply = row.get("jsonPatch"), row.get("applyConfiguration")
    kinds = {"ApplyConfiguration": ("applyConfiguration", apply), "JSONPatch": ("jsonPatch", patch)}
    if not kind:
        yield required(f"{path}.patchType")
        return
    if kind not in kinds:
        yield not_supported(f"{path}.patchType", kind, ("ApplyConfiguration", "JSONPatch"))
        return
    key, value = kinds[kind]
    other_key, other = kinds["JSONPatch" if kind == "ApplyConfiguration" else "ApplyConfiguration"]
    if value is None:
        yield required(f"{path}.{key}", f"must be specified when patchType is {kind}")
    elif not value.get("expression", "").strip():
        yield required(f"{path}.{key}.expression")
    else:
        text = value["expression"].strip()
        yield from expression_faults(environment, text, f"{path}.{key}.expression", (RETURNS[kind],), mutation=True)
    if other is not None:
        yield invalid(f"{path}.{other_key}", f"{{{other_key}}}", f"must not be specified when patchType is {kind}")


def binding(obj: Object, validating: bool) -> Iterator[Fault]:
    spec = obj["spec"]
    name = spec.get("policyName", "")
    if not name:
        yield required("spec.policyName")
    else:
        yield from each("spec.policyName", name, names.subdomain(name))
    yield from _param_ref(spec.get("paramRef"), "spec.paramRef")
    if spec.get("matchResources") is not None:
        yield from _match_resources(spec["matchResources"], "spec.matchResources")
    if not validating:
        return
    actions = spec.get("validationActions") or []
    if not actions:
        yield required("spec.validationActions")
    seen: set[str] = set()
    for at, action in enumerate(actions):
        here = f"spec.validationActions[{at}]"
        if action not in ("Audit", "Deny", "Warn"):
            yield not_supported(here, action, ("Audit", "Deny", "Warn"))
        if action in seen:
            yield duplicate(here, action)
        seen.add(action)
    if "Deny" in seen and "Warn" in seen:
        yield invalid(
            "spec.validationActions",
            actions,
            "must not contain both Deny and Warn (repeating the same validation failure information in the API "
            "response and headers serves no purpose)",
        )


def _param_ref(reference: Object | None, path: str) -> Iterator[Fault]:
    if reference is None:
        return
    name, selector = reference.get("name", ""), reference.get("selector")
    if name:
        yield from each(f"{path}.name", name, names.path_segment(name))
        if selector is not None:
            yield forbidden(f"{path}.name", "name and selector are mutually exclusive")
    if selector is not None:
        yield from label_selector(selector, f"{path}.selector")
        if name:
            yield forbidden(f"{path}.selector", "name and selector are mutually exclusive")
    if not name and selector is None:
        yield required(path, "one of name or selector must be specified")
    action = reference.get("parameterNotFoundAction")
    if not action:
        yield required(f"{path}.parameterNotFoundAction")
    else:
        yield from optional_one_of(action, ("Deny", "Allow"), f"{path}.parameterNotFoundAction")
