"""For each Backup a CronJob; the Backup's status counts the runs. Start it with `kopf run backup_operator.py`."""

from typing import Any

import kopf
import kubernetes


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.enabled = False
    settings.persistence.finalizer = "example.com/backup"
    kubernetes.config.load_config()


@kopf.on.create("example.com", "v1", "backups")
@kopf.on.update("example.com", "v1", "backups", field="spec")
def keep(name: str, namespace: str, spec: kopf.Spec, **_: Any) -> None:
    """Make the CronJob, or bring it up to date. It belongs to the Backup and goes with it."""
    container = {"name": "backup", "image": "backup:1", "args": [spec["source"]]}
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "labels": {"backup": name}},
        "spec": {
            "schedule": spec["schedule"],
            "timeZone": "Etc/UTC",
            "successfulJobsHistoryLimit": 10,
            "jobTemplate": {
                "metadata": {"labels": {"backup": name}},
                "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
            },
        },
    }
    kopf.adopt(cron)
    batch = kubernetes.client.BatchV1Api()
    try:
        batch.create_namespaced_cron_job(namespace, cron)
    except kubernetes.client.ApiException as error:
        if error.status != 409:
            raise
        batch.patch_namespaced_cron_job(name, namespace, cron)


@kopf.on.event("batch", "v1", "jobs", labels={"backup": kopf.PRESENT})
def count(namespace: str, labels: dict[str, str], **_: Any) -> None:
    """Count what has run."""
    jobs = kubernetes.client.BatchV1Api().list_namespaced_job(namespace, label_selector=f"backup={labels['backup']}")
    runs = sum(1 for job in jobs.items if job.status.succeeded)
    api = kubernetes.client.CustomObjectsApi()
    try:
        api.patch_namespaced_custom_object_status(
            "example.com", "v1", namespace, "backups", labels["backup"], {"status": {"runs": runs}}
        )
    except kubernetes.client.ApiException as error:
        if error.status != 404:  # the Backup is gone, its jobs follow
            raise
