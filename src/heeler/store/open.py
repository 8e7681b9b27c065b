"""Which store a server gets: etcd if addresses are given, SQLite in a folder, else memory."""

from __future__ import annotations

from pathlib import Path

from heeler.base.files import private_folder
from heeler.store.store import Store


def open_store(data_dir: Path | None, etcd_servers: tuple[str, ...] = ()) -> Store:
    """Raises StoreUnavailable (and OSError for a folder that can't be made)."""
    if etcd_servers:
        from heeler.store.etcd import EtcdStore

        return EtcdStore(etcd_servers)
    if data_dir is not None:
        from heeler.store.sqlite import SqliteStore

        return SqliteStore.open(private_folder(data_dir) / "store.db")
    from heeler.store.memory import MemoryStore

    return MemoryStore()
