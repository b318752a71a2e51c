"""E-mail by SMTP.

Address: `connections.smtp.url`, `smtp://host:587` (STARTTLS where the server offers it; with a password never without)
or `smtps://host:465`. Sender: `connections.smtp.options.from`. A mail has no look-up; it carries a Message-ID made from
its key, so that one that is sent again after a time-out is the same mail to those who compare it.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import parseaddr
from urllib.parse import urlsplit

from incident_pipeline.config import Connection
from incident_pipeline.connectors.answers import RateLimitedError
from incident_pipeline.connectors.base import SourceSettings
from incident_pipeline.errors import ConfigurationError, PermanentSourceError, TransientSourceError

PORTS = {"smtp": 587, "smtps": 465}


class Smtp:
    """One mail server."""

    def __init__(self, connection: Connection, scheme: str, host: str, port: int) -> None:
        self._connection = connection
        self._scheme, self._host, self._port = scheme, host, port

    async def send(self, mail: EmailMessage) -> None:
        """Hand a mail over to those whom it names.

        Raises:
            RateLimitedError: the server does not take it now; it has not been sent.
            TransientSourceError: nobody knows whether it was taken.
            PermanentSourceError: it was refused.
        """
        await asyncio.to_thread(self._send, mail)

    def _send(self, mail: EmailMessage) -> None:
        try:
            with self._opened() as server:
                self._log_in(server)
                server.send_message(mail)
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            raise _refused(error) from None
        except smtplib.SMTPAuthenticationError as error:
            raise PermanentSourceError("the mail server refused connections.smtp.username and password") from error
        except smtplib.SMTPNotSupportedError as error:
            raise PermanentSourceError(f"the mail server {self._host} cannot do what is needed: {error}") from error
        except ssl.SSLError as error:
            raise PermanentSourceError(
                f"the certificate of {self._host} is not trusted; set connections.smtp.ca"
            ) from error
        except (smtplib.SMTPException, OSError) as error:
            raise TransientSourceError(f"the mail server {self._host} broke off ({type(error).__name__})") from error

    def _opened(self) -> smtplib.SMTP:
        seconds = self._connection.timeout.total_seconds()
        if self._scheme == "smtps":
            return smtplib.SMTP_SSL(self._host, self._port, timeout=seconds, context=self._tls())
        return smtplib.SMTP(self._host, self._port, timeout=seconds)

    def _log_in(self, server: smtplib.SMTP) -> None:
        server.ehlo()
        password = self._connection.password
        if self._scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=self._tls())
            server.ehlo()
        elif self._scheme == "smtp" and password is not None:
            raise PermanentSourceError(f"the mail server {self._host} offers no STARTTLS, so no password is sent to it")
        if self._connection.username and password is not None:
            server.login(self._connection.username, password.get_secret_value())

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._connection.ca is not None:
            context.load_verify_locations(self._connection.ca)
        return context


def build(settings: SourceSettings) -> Smtp:
    """The server of `connections.smtp.url`.

    Raises:
        ConfigurationError: the address is missing or is none.
    """
    parts = urlsplit(settings.url())
    if parts.scheme not in PORTS or not parts.hostname:
        raise ConfigurationError(f"connections.{settings.name}.url: write smtp://HOST:587 or smtps://HOST:465")
    sender_of(settings.connection)
    return Smtp(settings.connection, parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme])


def sender_of(connection: Connection) -> str:
    """The address that mails come from.

    Raises:
        ConfigurationError: it is missing or is none.
    """
    sender = connection.options.get("from", "")
    if "@" not in parseaddr(sender)[1]:
        raise ConfigurationError("connections.smtp.options.from is not set; write the address that mails come from")
    return sender


def _refused(error: smtplib.SMTPException) -> Exception:
    codes = [code for code, _ in error.recipients.values()] if isinstance(error, smtplib.SMTPRecipientsRefused) else []
    code = codes[0] if codes else getattr(error, "smtp_code", 500)
    if 400 <= code < 500:
        return RateLimitedError(f"the mail server does not take it now (code {code})")
    return PermanentSourceError(f"the mail server refused it (code {code})")
