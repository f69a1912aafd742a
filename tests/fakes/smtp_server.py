"""A mail server that speaks TLS and asks for a login (aiosmtpd), with a certificate of its own, on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "nightdesk", "s3cret-of-mail"


@dataclass
class Taken:
    """What the server took: each message, and whether it came encrypted and from whom."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    logins: list[bool] = field(default_factory=list)
    ends_badly: bool = False

    async def handle_QUIT(self, server: SMTP, _session: Any, _envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """The client takes its leave."""
        return "421 going down" if self.ends_badly else "221 bye"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """A message was handed in."""
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        assert server.transport is not None
        self.encrypted.append(server.transport.get_extra_info("cipher") is not None)
        self.logins.append(bool(session.authenticated))
        return "250 taken"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "mail.pem", folder / "mail.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


def _knows(_server: SMTP, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    known = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=known, handled=False)


@asynccontextmanager
async def smtp_server(files: tuple[Path, Path], tls: str) -> AsyncIterator[Taken]:
    """A server with TLS from the first byte, after STARTTLS, or with `none`; with TLS it asks for a login."""
    taken, loop = Taken(), asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)

    def talk() -> SMTP:
        common: dict[str, Any] = {"loop": loop, "hostname": "mail.example", "authenticator": _knows}
        if tls == "starttls":
            return SMTP(taken, require_starttls=True, tls_context=context, auth_required=True, **common)
        return SMTP(taken, auth_require_tls=False, **common)

    server = await loop.create_server(talk, "127.0.0.1", 0, ssl=context if tls == "tls" else None)
    taken.port = server.sockets[0].getsockname()[1]
    try:
        yield taken
    finally:
        server.close()
        await server.wait_closed()
