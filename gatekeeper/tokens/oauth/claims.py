"""What an application is told about a person: the claims of OpenID Connect, and those that the public client's helper
reads beside them (`huggingface_hub`, `_oauth.py`)."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts import Person
from gatekeeper.accounts.organizations import organizations_of


async def claims_of(session: AsyncSession, person: Person, scopes: list[str], *, issuer: str) -> dict[str, Any]:
    """The claims that `scopes` open. `sub` is the person's id, which no renaming changes."""
    claims: dict[str, Any] = {"sub": person.id}
    if "profile" in scopes:
        claims |= {
            "name": person.fullname or person.name,
            "preferred_username": person.name,
            "profile": f"{issuer}/{person.name}",
            "isPro": False,
            "canPay": False,
            "orgs": [
                {
                    "sub": organization.id,
                    "name": organization.fullname or organization.name,
                    "preferred_username": organization.name,
                    "roleInOrg": role.value,
                    "isEnterprise": False,
                    "canPay": False,
                }
                for organization, role in await organizations_of(session, person.id)
            ],
        }
    if "email" in scopes:
        claims |= {"email": person.email, "email_verified": person.email_verified_at is not None}
    return claims
