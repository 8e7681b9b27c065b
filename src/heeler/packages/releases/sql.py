"""Releases' records in PostgreSQL (`HELM_DRIVER=sql`), in Helm's tables.

Needs the Python package pg8000 (`pip install heeler[sql]`). One connection, one statement after the other. Source: the
tables that helm 4.3 made; connection strings: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from heeler.packages.releases.records import RecordError, Release, decode, encode
from heeler.packages.releases.storage import OWNER, SECRET_TYPE, SYSTEM_LABELS, ReleaseNotFound, StorageError

#: What makes the tables, by the names under which Helm remembers that it was done.
MIGRATIONS: Mapping[str, tuple[str, ...]] = {
    "init": (
        """CREATE TABLE releases_v1 (
            key VARCHAR(90) NOT NULL, type VARCHAR(64) NOT NULL, body TEXT NOT NULL, name VARCHAR(64) NOT NULL,
            namespace VARCHAR(64) NOT NULL, version INTEGER NOT NULL, status TEXT NOT NULL, owner TEXT NOT NULL,
            createdAt INTEGER NOT NULL, modifiedAt INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (key, namespace))""",
        *(f"CREATE INDEX ON releases_v1 ({columns})" for columns in ("key, namespace", "version", "status", "owner")),
        *(f"CREATE INDEX ON releases_v1 ({column})" for column in ("createdAt", "modifiedAt")),
        "ALTER TABLE releases_v1 ENABLE ROW LEVEL SECURITY",
    ),
    "custom_labels": (
        """CREATE TABLE custom_labels_v1 (
            releaseKey VARCHAR(64), releaseNamespace VARCHAR(67), key VARCHAR(317), value VARCHAR(63))""",
        "CREATE INDEX ON custom_labels_v1 (releaseKey, releaseNamespace)",
        "ALTER TABLE custom_labels_v1 ENABLE ROW LEVEL SECURITY",
    ),
}
_REMEMBERED = "CREATE TABLE IF NOT EXISTS gorp_migrations (id TEXT PRIMARY KEY, applied_at TIMESTAMP WITH TIME ZONE)"
#: Columns that records are found by.
_FINDABLE = ("name", "status", "version")


class Sql:
    """A driver of `storage.Storage`. `namespace` "" is all of them. Raises StorageError where the database can't be reached."""

    def __init__(self, where: str, namespace: str, now: Callable[[], float]) -> None:
        self._namespace, self._now = namespace, now
        self._failed, self._connection = _connect(where)
        self._migrate()

    def close(self) -> None:
        self._connection.close()

    async def get(self, name: str, version: int) -> Release:
        key = f"sh.helm.release.v1.{name}.v{version}"
        rows = self._run(
            "SELECT body FROM releases_v1 WHERE key = :key AND namespace = :namespace",
            key=key,
            namespace=self._namespace,
        )
        if not rows:
            raise ReleaseNotFound
        try:
            return decode(rows[0][0], self._labels(key, self._namespace))
        except RecordError as error:
            raise StorageError(f'get: failed to decode data "{key}": {error}') from error

    async def find(self, **labels: str) -> list[Release]:
        conditions, values = ["owner = :owner"], {"owner": OWNER}
        if self._namespace:
            conditions.append("namespace = :namespace")
            values["namespace"] = self._namespace
        for name in _FINDABLE:
            if name in labels:
                conditions.append(f"{name} = :{name}")
                values[name] = labels[name]
        statement = f"SELECT key, namespace, body FROM releases_v1 WHERE {' AND '.join(conditions)}"
        out = []
        for key, namespace, body in self._run(statement, **values):
            try:
                out.append(decode(body, self._labels(key, namespace)))
            except RecordError:
                continue  # one broken record doesn't hide the others
        return out

    async def create(self, release: Release) -> None:
        with self._together():
            there = self._run(
                "SELECT 1 FROM releases_v1 WHERE key = :key AND namespace = :namespace FOR UPDATE",
                key=release.key,
                namespace=release.namespace,
            )
            if there:
                raise StorageError("release: already exists")
            self._run(
                "INSERT INTO releases_v1 (key, type, body, name, namespace, version, status, owner, createdAt) "
                "VALUES (:key, :type, :body, :name, :namespace, :version, :status, :owner, :now)",
                type=SECRET_TYPE,
                now=int(self._now()),
                **_columns(release),
            )
            for label, value in release.labels.items():
                if label not in SYSTEM_LABELS:
                    self._run(
                        "INSERT INTO custom_labels_v1 VALUES (:key, :namespace, :label, :value)",
                        key=release.key,
                        namespace=release.namespace,
                        label=label,
                        value=value,
                    )

    async def update(self, release: Release) -> None:
        with self._together():
            changed = self._run(
                "UPDATE releases_v1 SET body = :body, name = :name, version = :version, status = :status, owner = :owner, "
                "modifiedAt = :now WHERE key = :key AND namespace = :namespace RETURNING 1",
                now=int(self._now()),
                **_columns(release),
            )
            if not changed:
                raise ReleaseNotFound

    async def delete(self, release: Release) -> None:
        where = {"key": release.key, "namespace": release.namespace}
        with self._together():
            gone = self._run("DELETE FROM releases_v1 WHERE key = :key AND namespace = :namespace RETURNING 1", **where)
            if not gone:
                raise ReleaseNotFound
            self._run("DELETE FROM custom_labels_v1 WHERE releaseKey = :key AND releaseNamespace = :namespace", **where)

    def _labels(self, key: str, namespace: str) -> dict[str, str]:
        statement = "SELECT key, value FROM custom_labels_v1 WHERE releaseKey = :key AND releaseNamespace = :namespace"
        return {str(label): str(value) for label, value in self._run(statement, key=key, namespace=namespace)}

    def _run(self, statement: str, **values: Any) -> list[list[Any]]:
        try:
            found: list[list[Any]] = self._connection.run(statement, **values) or []
        except self._failed as error:
            raise StorageError(f"sql: {_said(error)}") from error
        return found

    def _together(self) -> _Transaction:
        return _Transaction(self._run)

    def _migrate(self) -> None:
        """Make the tables that aren't there yet; the same as Helm would, and remembered where it looks."""
        with self._together():
            self._run("SELECT pg_advisory_xact_lock(4711)")
            self._run(_REMEMBERED)
            done = {row[0] for row in self._run("SELECT id FROM gorp_migrations")}
            for name, statements in MIGRATIONS.items():
                if name not in done:
                    for statement in statements:
                        self._run(statement)
                    self._run("INSERT INTO gorp_migrations VALUES (:name, now())", name=name)


class _Transaction:
    """All statements within, or none."""

    def __init__(self, run: Callable[[str], object]) -> None:
        self._run = run

    def __enter__(self) -> None:
        self._run("BEGIN")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._run("COMMIT" if kind is None else "ROLLBACK")


def _columns(release: Release) -> dict[str, Any]:
    return {
        "key": release.key,
        "body": encode(release),
        "name": release.name,
        "namespace": release.namespace,
        "version": release.version,
        "status": release.status,
        "owner": OWNER,
    }


def _connect(where: str) -> tuple[tuple[type[Exception], ...], Any]:
    """(what a failure is raised as, a connection)."""
    try:
        import pg8000.exceptions
        import pg8000.native
    except ImportError:
        raise StorageError("HELM_DRIVER=sql needs the Python package pg8000: pip install heeler[sql]") from None
    failures = (pg8000.exceptions.Error, pg8000.native.InterfaceError, OSError)
    settings = parameters(where)
    try:
        return failures, pg8000.native.Connection(
            settings.get("user", "postgres"),
            host=settings.get("host", "localhost"),
            port=int(settings.get("port", "5432")),
            database=settings.get("dbname"),
            password=settings.get("password"),
            ssl_context=tls(settings),
            timeout=int(settings.get("connect_timeout", "30")),
            application_name="heeler helm",
        )
    except (*failures, ValueError) as error:
        raise StorageError(
            f"sql: can't connect to the database of HELM_DRIVER_SQL_CONNECTION_STRING: {_said(error)}"
        ) from None


def parameters(text: str) -> dict[str, str]:
    """The settings of a connection string: a URL, or `host=… dbname='…'`. Raises StorageError."""
    if text.startswith(("postgres://", "postgresql://")):
        parts = urlsplit(text)
        try:
            found = {"host": parts.hostname or "", "port": str(parts.port or ""), "dbname": unquote(parts.path[1:])}
        except ValueError as error:
            raise StorageError(f"sql: HELM_DRIVER_SQL_CONNECTION_STRING is no address of a database: {error}") from None
        found |= {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
        found |= {key: values[-1] for key, values in parse_qs(parts.query).items()}
    else:
        found = {}
        for key, quoted, plain in re.findall(r"(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S*))", text):
            found[key] = re.sub(r"\\(.)", r"\1", quoted or plain)
    found = {key: value for key, value in found.items() if value}
    if not found:
        raise StorageError(
            "sql: HELM_DRIVER_SQL_CONNECTION_STRING must say where the database is: postgresql://user@host/name"
        )
    return found


def tls(settings: Mapping[str, str]) -> ssl.SSLContext | None:
    """By `sslmode`: encrypted unless it says `disable`; certificates are checked with `verify-ca` and `verify-full`."""
    mode = settings.get("sslmode", "require")
    if mode == "disable":
        return None
    if mode not in ("require", "verify-ca", "verify-full"):
        raise StorageError(f'sql: unsupported sslmode "{mode}": choose of require, verify-full, verify-ca and disable')
    try:
        context = ssl.create_default_context(cafile=settings.get("sslrootcert"))
        context.check_hostname = mode == "verify-full"
        if mode == "require" and "sslrootcert" not in settings:
            context.verify_mode = ssl.CERT_NONE
        if "sslcert" in settings:
            context.load_cert_chain(settings["sslcert"], settings.get("sslkey"))
    except (OSError, ssl.SSLError) as error:
        raise StorageError(f"sql: {error}") from error
    return context


def _said(error: Exception) -> str:
    """The database's words; never the connection string, which may hold a password."""
    found = error.args[0] if error.args else ""
    return str(found.get("M", "")) if isinstance(found, dict) else str(error)
