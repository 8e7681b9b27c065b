"""`helm registry`: logins of registries, kept in the file that docker knows too."""

from __future__ import annotations

import re

from heeler.cli.helm.fetching import line, registry, secret
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.packages.repositories.fetch import FAULTS
from heeler.packages.repositories.oci import Registry
from heeler.packages.repositories.web import Login

_HOST = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?\Z|\[[0-9a-fA-F:.]+\](:\d{1,5})?\Z")


def login(call: Call) -> int:
    host = call.arguments[0]
    given = _asked(call)
    if "/" in host:
        call.log(
            "WARN",
            "registry login currently only supports registry hostname, not a repository path",
            host=host,
            suggested=host.partition("/")[0],
        )
    if not _HOST.match(host):
        raise HelmError(f'invalid reference: invalid registry "{host}"')
    client = registry(call, insecure="insecure")
    try:
        if not given.name or not given.password:
            _refuse(client, host)
        client.log_in(host, given)
    except FAULTS as error:
        said = str(error)
        raise HelmError(said if said.startswith("authenticating") else f'authenticating to "{host}": {said}') from None
    call.write("Login Succeeded\n")
    return 0


def _refuse(client: Registry, host: str) -> None:
    url = f"{'http' if client.plain_http else 'https'}://{host}/v2/"
    raise HelmError(f'authenticating to "{host}": GET "{url}": missing username or password for basic auth')


def _asked(call: Call) -> Login:
    """Who logs in, by flags, standard input or the terminal."""
    flags = call.flags
    name, password = flags.text("username"), flags.text("password")
    if flags.on("password-stdin"):
        said = call.stdin().decode("utf-8", "surrogateescape")
        return Login(name, said.removesuffix("\n").removesuffix("\r"))
    if password:
        call.log("WARN", "using --password via the CLI is insecure. Use --password-stdin")
        return Login(name, password)
    name = name or line(call, "Username: ").strip()
    if name:
        return Login(name, secret(call, "Password: "))
    return Login("", secret(call, "Token: "))


def logout(call: Call) -> int:
    host = call.arguments[0]
    call.write(f"Removing login credentials for {host}\n")
    try:
        registry(call).credentials.remove(host)
    except FAULTS as error:
        raise HelmError(str(error)) from None
    return 0
