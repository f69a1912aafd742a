"""The channel e-mail, by SMTP. The message's key is in its Message-ID, so that mail servers recognise a repetition."""

import asyncio
import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime

from nightdesk.effects.channels.addresses import MailServer, RouteAddress, RouteInvalid
from nightdesk.effects.channels.channel import TIMEOUT_S, Channel, ChannelPorts
from nightdesk.effects.secrets import redact
from nightdesk.processors.notifications import Message
from nightdesk.processors.playbook import StepResult

ERROR_CHARACTERS_AT_MOST = 300


class EmailChannel:
    """One e-mail for each message, to all addresses of the route."""

    def __init__(self, address: RouteAddress, server: MailServer) -> None:
        self._to = address.to
        self._server = server

    async def send(self, message: Message) -> StepResult:
        """smtplib blocks, so it runs in a thread, which ends after the timeout."""
        return await asyncio.to_thread(self._hand_in, self._written(message))

    def _written(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self._server.sender
        mail["To"] = ", ".join(self._to)
        mail["Subject"] = message.title
        mail["Date"] = format_datetime(message.last_at)
        mail["Message-ID"] = f"<{message.key}@nightdesk>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        return mail

    def _hand_in(self, mail: EmailMessage) -> StepResult:
        try:
            refused = self._send(mail)
        except smtplib.SMTPRecipientsRefused as error:
            return self._failed(f"refused: {', '.join(error.recipients)}", retryable=_is_temporary(error))
        except smtplib.SMTPResponseException as error:
            text = (
                error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            )
            return self._failed(f"SMTP {error.smtp_code}: {text}", retryable=error.smtp_code < 500)
        except (OSError, smtplib.SMTPException) as error:
            return self._failed(str(error) or type(error).__name__, retryable=True)
        # The message is not sent again, because those whose address was accepted would get it twice.
        note = f"refused: {', '.join(refused)}" if refused else None
        return StepResult("done", error=note, answered=True)

    def _send(self, mail: EmailMessage) -> dict[str, tuple[int, bytes]]:
        """Send the message. Returns the recipients that the server refused although it accepted others."""
        smtp = self._connected()
        try:
            if self._server.user:
                smtp.login(self._server.user, self._server.password)
            return smtp.send_message(mail)
        finally:
            # The answer to QUIT does not matter: the server has the message, and everybody would get it twice if it
            # were sent again.
            with suppress(OSError, smtplib.SMTPException):
                smtp.quit()
            smtp.close()

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        if server.tls == "tls":
            return smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        smtp = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
        if server.tls == "starttls":
            try:
                smtp.starttls(context=ssl.create_default_context())
            except (OSError, smtplib.SMTPException):
                smtp.close()
                raise
        return smtp

    def _failed(self, error: str, *, retryable: bool) -> StepResult:
        text = redact(self._server.password, " ".join(error.split()))[:ERROR_CHARACTERS_AT_MOST]
        return StepResult("failed", error=text, retryable=retryable)


def _is_temporary(error: smtplib.SMTPRecipientsRefused) -> bool:
    return all(code < 500 for code, _ in error.recipients.values())


def build(address: RouteAddress, ports: ChannelPorts) -> Channel:
    """Raises `RouteInvalid`."""
    if ports.mail is None:
        raise RouteInvalid(f"route {address.name}: set NIGHTDESK_SMTP__HOST and NIGHTDESK_SMTP__SENDER")
    if not address.to:
        raise RouteInvalid(f"route {address.name}: set the addresses that its e-mail goes to")
    return EmailChannel(address, ports.mail)
