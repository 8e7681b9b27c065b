from collections.abc import Iterator
from pathlib import Path

import pytest
from backups import runs_by_source
from kopf.testing import KopfRunner

HERE = Path(__file__).parent
BACKUP = """
apiVersion: example.com/v1
kind: Backup
metadata: {name: orders}
spec: {source: postgres://orders}
"""


@pytest.fixture
def operator(cluster, kubeconfig) -> Iterator[KopfRunner]:
    """The operator, running against the test's own cluster."""
    cluster.apply(HERE / "crd.yaml")
    with KopfRunner(["run", "--all-namespaces", str(HERE / "backup_operator.py")], timeout=30) as runner:
        yield runner
    assert runner.exception is None


def test_a_backup_gets_a_cron_job(cluster, operator):
    cluster.apply(BACKUP)
    cron = cluster.wait("cronjob/orders", "exists")
    assert cron["spec"]["schedule"] == "0 3 * * *"  # the definition's default
    assert cron["metadata"]["ownerReferences"][0]["kind"] == "Backup"


def test_after_three_days_there_were_three_runs(cluster, operator):
    cluster.apply(BACKUP)
    cluster.wait("cronjob/orders", "exists")
    cluster.clock.advance("3 days")
    cluster.wait("backup/orders", lambda backup: backup.get("status", {}).get("runs") == 3)
    assert runs_by_source(str(cluster.kubeconfig)) == {"postgres://orders": 3}


def test_what_a_backup_made_goes_with_it(cluster, operator):
    cluster.apply(BACKUP)
    cluster.wait("cronjob/orders", "exists")
    cluster.delete("backup", "orders")
    cluster.wait("cronjob/orders", "delete")


def test_a_backup_without_a_source_is_refused(cluster):
    cluster.apply(HERE / "crd.yaml")
    with pytest.raises(Exception, match=r"spec.source: Required value"):
        cluster.apply({"apiVersion": "example.com/v1", "kind": "Backup", "metadata": {"name": "x"}, "spec": {}})
