"""An operator: for each Site a Deployment and a Service; and the webhook that refuses Sites with forbidden words.

Run in a pod, it finds the API server and its right to speak by itself. It looks at everything when it starts and at what
changes afterwards, so nothing is lost while it is away.
"""

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kubernetes import client, config, watch

GROUP, VERSION, PLURAL = "example.com", "v1", "sites"
FORBIDDEN = "lorem ipsum"
PAGES = "mkdir -p /tmp/www && printf '%s\\n' \"$TEXT\" > /tmp/www/index.html && exec python3 -m http.server -d /tmp/www 8080"


def deployment(site):
    """What a Site should have; a pure function."""
    labels = {"site": site["metadata"]["name"]}
    container = {
        "name": "pages",
        "image": "examples:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", PAGES],
        "env": [{"name": "TEXT", "value": site["spec"]["text"]}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "10m", "memory": "24Mi"}},
    }
    pod = {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": owned(site, labels),
        "spec": {
            "replicas": site["spec"]["replicas"],
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def service(site):
    labels = {"site": site["metadata"]["name"]}
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": owned(site, labels),
        "spec": {"selector": labels, "ports": ports},
    }


def owned(site, labels):
    owner = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Site", "controller": True, "blockOwnerDeletion": True}
    owner |= {"name": site["metadata"]["name"], "uid": site["metadata"]["uid"]}
    return {"name": f"site-{site['metadata']['name']}", "labels": labels, "ownerReferences": [owner]}


def apply(create, patch, namespace, wanted):
    """Make it, or bring it to what is wanted."""
    try:
        create(namespace, wanted)
    except client.ApiException as error:
        if error.status != 409:
            raise
        patch(wanted["metadata"]["name"], namespace, wanted)


def reconcile(site):
    if site["metadata"].get("deletionTimestamp"):
        return  # what it has goes with it
    namespace, apps, core = site["metadata"]["namespace"], client.AppsV1Api(), client.CoreV1Api()
    apply(apps.create_namespaced_deployment, apps.patch_namespaced_deployment, namespace, deployment(site))
    apply(core.create_namespaced_service, core.patch_namespaced_service, namespace, service(site))
    found = apps.read_namespaced_deployment(f"site-{site['metadata']['name']}", namespace)
    report(site, found.status.ready_replicas or 0)


def report(site, ready):
    status = {"ready": ready, "observedGeneration": site["metadata"]["generation"]}
    if site.get("status") != status:
        name, namespace = site["metadata"]["name"], site["metadata"]["namespace"]
        api = client.CustomObjectsApi()
        api.patch_namespaced_custom_object_status(GROUP, VERSION, namespace, PLURAL, name, {"status": status})
        print(f"{namespace}/{name}: {ready} of {site['spec']['replicas']} ready")


def follow_sites():
    api = client.CustomObjectsApi()
    for event in watch.Watch().stream(api.list_cluster_custom_object, GROUP, VERSION, PLURAL, timeout_seconds=60):
        if event["type"] != "DELETED":
            reconcile(event["object"])


def follow_deployments():
    apps, custom = client.AppsV1Api(), client.CustomObjectsApi()
    stream = watch.Watch().stream(apps.list_deployment_for_all_namespaces, label_selector="site", timeout_seconds=60)
    for event in stream:
        made = event["object"]
        arguments = GROUP, VERSION, made.metadata.namespace, PLURAL, made.metadata.labels["site"]
        try:
            reconcile(custom.get_namespaced_custom_object(*arguments))
        except client.ApiException as error:
            if error.status != 404:  # the Site is gone, what it has follows
                raise


def forever(work):
    while True:
        try:
            work()
        except Exception as error:
            print(f"{work.__name__}: {error}; again in a second")
            time.sleep(1)


class Webhook(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"ok")

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = {"uid": review["request"]["uid"], "allowed": True}
        if FORBIDDEN in review["request"]["object"]["spec"]["text"].lower():
            told |= {"allowed": False, "status": {"message": f'a site says more than "{FORBIDDEN}"', "code": 403}}
        self.answer(json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": told}).encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve():
    server = ThreadingHTTPServer(("", 8443), Webhook)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain("/certificate/tls.crt", "/certificate/tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


def register():
    """Tell the API server of the webhook, and whom to believe: the certificate's authority lies beside it."""
    with open("/certificate/ca.crt", "rb") as file:
        authority = base64.b64encode(file.read()).decode()
    reached = {"service": {"namespace": "site-operator", "name": "site-operator", "path": "/validate"}}
    hook = {
        "name": "sites.example.com",
        "clientConfig": {**reached, "caBundle": authority},
        "rules": [
            {"apiGroups": [GROUP], "apiVersions": [VERSION], "resources": [PLURAL], "operations": ["CREATE", "UPDATE"]}
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "timeoutSeconds": 5,
    }
    body = {"metadata": {"name": "sites.example.com"}, "webhooks": [hook]}
    api = client.AdmissionregistrationV1Api()
    try:
        api.create_validating_webhook_configuration(body)
    except client.ApiException as error:
        if error.status != 409:
            raise
        api.patch_validating_webhook_configuration("sites.example.com", body)
    print("the webhook is registered")


config.load_incluster_config()
threading.Thread(target=serve, daemon=True).start()
while True:
    try:
        register()
        break
    except Exception as error:
        print(f"not registered: {error}; again in a second")
        time.sleep(1)
threading.Thread(target=forever, args=[follow_deployments], daemon=True).start()
forever(follow_sites)
