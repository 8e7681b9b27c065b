"""Service account tokens: made for TokenRequest, and checked again at each use against what still exists.

Signed with RS256 (or ES256 for an elliptic-curve key). Source:
https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from heeler.apiserver.user import CREDENTIAL, User, service_account
from heeler.base.clock import Clock, parse_rfc3339
from heeler.base.random import Random
from heeler.objects.value import Object, labels_of
from heeler.workloads import account_tokens

log = logging.getLogger(__name__)

#: Remembered signatures; all are dropped when full.
MAX_REMEMBERED = 4_096
#: A signed token as RFC 7515 writes it: readers of base64 forgive padding and what isn't of its alphabet.
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
#: So long after its deletion (grace period included) an object that is still there counts as alive.
DELETED_SECONDS = 60
#: What a token is bound to, by the claim's key, and where that lives.
BOUND = {"pod": ("", "pods"), "secret": ("", "secrets"), "node": ("", "nodes")}

#: (group, plural, namespace, name) -> the object, or None.
Lookup = Callable[[str, str, str, str], Object | None]


@dataclass(frozen=True, slots=True)
class Key:
    """A public key to check with, and its id."""

    id: str
    algorithm: str
    public: Any


class ServiceAccountTokens:
    """Signs with `signing_key`, accepts what any of `public_keys` signed for one of the audiences."""

    def __init__(
        self,
        *,
        issuer: str,
        audiences: tuple[str, ...],
        signing_key: bytes,
        public_keys: tuple[bytes, ...] = (),
        lookup: Lookup,
        clock: Clock,
        random: Random,
        used: Callable[[Object], None] = lambda secret: None,
    ) -> None:
        """`used` is told of each Secret whose token somebody comes with."""
        self.issuer = issuer
        self.audiences = audiences
        self._lookup = lookup
        self._clock = clock
        self._random = random
        self._signing_pem = signing_key
        self._public_pems = public_keys or (signing_key,)
        self._signer: Callable[[Object], str] | None = None
        self._keys: list[Key] = []
        self._remembered: dict[str, Object] = {}
        self._used = used

    def keys(self) -> list[Key]:
        """The keys that tokens are checked with (read at the first use)."""
        if not self._keys:
            self._keys = [_public_key(pem) for pem in self._public_pems]
        return self._keys

    def issue(
        self,
        account: Object,
        *,
        audiences: tuple[str, ...],
        seconds: int,
        bound: tuple[str, Object] | None = None,
        node: Object | None = None,
    ) -> tuple[str, float, str]:
        """A token for a service account, when it ends, its id; `bound` is (claim, object) it falls with."""
        now = self._clock.time()
        metadata = account["metadata"]
        private: Object = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        for claim, obj in ([bound] if bound else []) + ([("node", node)] if node else []):
            private[claim] = {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}
        claims = {
            "aud": list(audiences or self.audiences),
            "exp": int(now) + seconds,
            "iat": int(now),
            "iss": self.issuer,
            "jti": self._random.uuid(),
            "kubernetes.io": private,
            "nbf": int(now),
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
        }
        return self.sign(claims), now + seconds, f"JTI={claims['jti']}"

    def sign(self, claims: Object) -> str:
        """A token with these claims."""
        if self._signer is None:
            self._signer = signer(self._signing_pem)
        return self._signer(claims)

    def user(self, token: str, audiences: tuple[str, ...] = ()) -> User | None:
        """Whose token this is, or None: a wrong signature, audience or time, or something it is bound to is gone."""
        claims = self._claims(token)
        if claims is None:
            return None
        if claims.get("iss") == account_tokens.ISSUER:
            return self._user_of_secret(token, claims, audiences or self.audiences)
        now = self._clock.time()
        if not claims.get("nbf", 0) - 10 <= now < claims.get("exp", 0):
            return None
        if not set(claims.get("aud") or ()) & set(audiences or self.audiences):
            return None
        return self._user_of(claims)

    def _user_of(self, claims: Object) -> User | None:
        private = claims.get("kubernetes.io") or {}
        namespace = private.get("namespace", "")
        account = private.get("serviceaccount") or {}
        found = self._lookup("", "serviceaccounts", namespace, account.get("name", ""))
        if not found or found["metadata"]["uid"] != account.get("uid") or self._was_deleted(found):
            return None
        extra: dict[str, tuple[str, ...]] = {CREDENTIAL: (f"JTI={claims['jti']}",)}
        for claim, (group, plural) in BOUND.items():
            reference = private.get(claim)
            if not reference:
                continue
            where = "" if plural == "nodes" else namespace
            thing = self._lookup(group, plural, where, reference.get("name", ""))
            gone = not thing or thing["metadata"]["uid"] != reference.get("uid") or self._was_deleted(thing)
            if gone and not (claim == "node" and "pod" in private):
                return None
            if claim in ("pod", "node"):
                extra[f"authentication.kubernetes.io/{claim}-name"] = (reference["name"],)
                extra[f"authentication.kubernetes.io/{claim}-uid"] = (reference["uid"],)
        user = service_account(namespace, account["name"], account["uid"])
        return User(user.name, user.uid, user.groups, extra)

    def _user_of_secret(self, token: str, claims: Object, audiences: tuple[str, ...]) -> User | None:
        """Whose token in a Secret this is: it holds as long as the Secret has it and the account is there."""
        if not set(audiences) & set(self.audiences):
            return None
        found = account_tokens.read(claims)
        secret = self._lookup("", "secrets", found.namespace, found.secret)
        account = self._lookup("", "serviceaccounts", found.namespace, found.account)
        if secret is None or account is None or self._was_deleted(secret) or self._was_deleted(account):
            return None
        if account["metadata"]["uid"] != found.uid or not account_tokens.is_for(secret, account):
            return None
        kept = str((secret.get("data") or {}).get("token") or "")
        if not hmac.compare_digest(kept.encode(), base64.b64encode(token.encode())):
            return None
        self._used(secret)
        if labels_of(secret).get(account_tokens.INVALID_SINCE):
            log.info("the token in secret %s/%s has been marked invalid", found.namespace, found.secret)
            return None
        return service_account(found.namespace, found.account, found.uid)

    def _was_deleted(self, obj: Object) -> bool:
        """Is it over with the object, whatever its finalizers still wait for?"""
        moment = obj["metadata"].get("deletionTimestamp")
        return moment is not None and self._clock.time() > parse_rfc3339(moment) + DELETED_SECONDS

    def _claims(self, token: str) -> Object | None:
        """The claims of a token that one of our keys signed; the signature is checked once per token."""
        if not _FORM.fullmatch(token) or _issuer(token) not in (self.issuer, account_tokens.ISSUER):
            return None
        digest = hashlib.sha256(token.encode()).hexdigest()
        if digest in self._remembered:
            return self._remembered[digest]
        import jwt

        options: Any = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        for key in self.keys():
            try:
                claims: Object = jwt.decode(token, key.public, algorithms=[key.algorithm], options=options)
            except jwt.InvalidTokenError:
                continue
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[digest] = claims
            return claims
        return None

    def documents(self, jwks_uri: str) -> tuple[Object, Object]:
        """The issuer's OpenID discovery document and its key set."""
        from jwt.algorithms import ECAlgorithm, RSAAlgorithm

        keys = []
        for key in self.keys():
            algorithm: Any = RSAAlgorithm if key.algorithm == "RS256" else ECAlgorithm
            keys.append(
                {"use": "sig", "kid": key.id, "alg": key.algorithm, **algorithm.to_jwk(key.public, as_dict=True)}
            )
        for entry in keys:
            entry.pop("key_ops", None)
        discovery = {
            "issuer": self.issuer,
            "jwks_uri": jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted({k.algorithm for k in self.keys()}),
        }
        return discovery, {"keys": keys}


def signer(pem: bytes) -> Callable[[Object], str]:
    """A function that makes tokens of claims, signed with a private key (PEM). Raises ValueError."""
    import jwt

    key, algorithm, key_id = _private_key(pem)
    return lambda claims: jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id})


def _issuer(token: str) -> str:
    try:
        body = token.split(".")[1]
        return str(orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))).get("iss", ""))
    except (ValueError, AttributeError):
        return ""


def _private_key(pem: bytes) -> tuple[Any, str, str]:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key: Any = load_pem_private_key(pem, None)
    public = _public_of(key.public_key())
    return key, public.algorithm, public.id


def _public_key(pem: bytes) -> Key:
    """From a public key, a private key or a certificate, PEM. Raises ValueError."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    if b"PRIVATE KEY" in pem:
        key: Any = load_pem_private_key(pem, None)
        return _public_of(key.public_key())
    if b"BEGIN CERTIFICATE" in pem:
        return _public_of(x509.load_pem_x509_certificate(pem).public_key())
    return _public_of(load_pem_public_key(pem))


def _public_of(public: Any) -> Key:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key_id = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    return Key(key_id, "RS256" if isinstance(public, rsa.RSAPublicKey) else "ES256", public)
