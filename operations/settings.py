"""The settings by which persons are identified: their keys, and the identity provider at which they log in.

Every command reads them at its start, so this imports no library of keys and no HTTP client.
"""

from pathlib import Path

from pydantic import SecretStr

from nightdesk.messaging.settings import Section, ServerUrl


class PersonSettings(Section):
    """The identity of a person who answers an approval. `key_file`: this person's private key; `keys_file`: everybody's
    public keys.

    `required`, for the act workers: only a signed answer approves. See docs/how-to/approvals.md.
    """

    key_file: Path | None = None
    keys_file: Path | None = None
    required: bool = False


class OidcSettings(Section):
    """Our registration at an identity provider. The claim `claim` of an ID token names the person, and `groups_claim`
    the groups. Without an `issuer` nobody can log in there.
    """

    issuer: ServerUrl = ""
    client_id: str = ""
    client_secret: SecretStr | None = None
    claim: str = "email"
    groups_claim: str = "groups"
    scope: str = "openid email profile"
