"""Static bearer tokens: the file of `--token-auth-file`, lines of `token,user,uid[,"group1,group2"]`.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from heeler.apiserver.user import User, authenticated


class TokenFile:
    """Users by token, read once."""

    def __init__(self, users: dict[str, User]) -> None:
        self._users = users

    @classmethod
    def load(cls, path: Path) -> TokenFile:
        """Raises ValueError with the line that is wrong."""
        users: dict[str, User] = {}
        for number, row in enumerate(csv.reader(io.StringIO(path.read_text()), skipinitialspace=True), 1):
            if not row or row[0].startswith("#"):
                continue
            if len(row) < 3:
                raise ValueError(f'{path}, line {number}: needs token,user,uid and may have "group1,group2"')
            groups = tuple(g.strip() for g in row[3].split(",")) if len(row) > 3 and row[3] else ()
            users[row[0]] = authenticated(row[1], row[2], groups)
        return cls(users)

    def user(self, token: str) -> User | None:
        return self._users.get(token)
