"""Screening: what rules say about a request before a person looks at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.access import blocks
from gatekeeper.access.rules import Rules, ScreeningRule
from gatekeeper.access.tables import AccessRequest
from gatekeeper.accounts.names import fold
from gatekeeper.accounts.namespaces import former_names
from gatekeeper.accounts.tables import Person
from gatekeeper.licensing import COUNTRIES, FieldKind, Form
from gatekeeper.repos.tables import Repo

BLOCKED = "blocked"
_BLOCKED_REASON = "The maintainers do not take requests from this account."


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules look at.

    countries   answers to questions for a country, as codes
    email_domain  of the address that the person gave; `is_confirmed` once it was shown to be theirs
    namespaces  folded names that the repository's owner has and had, for nobody renames themselves out of a rule
    """

    answers: Mapping[str, Any]
    countries: frozenset[str]
    email_domain: str
    account_days: int
    stage: str
    namespaces: frozenset[str]
    is_confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What screening found: ids of the rules that spoke, and what follows from them."""

    rules: tuple[str, ...] = ()
    reject_reason: str = ""
    is_flagged: bool = False
    is_approved: bool = False
    queue: str = ""


async def screen(
    session: AsyncSession,
    request: AccessRequest,
    repo: Repo,
    form: Form,
    rules: Rules,
    *,
    stage: str,
    at: datetime,
) -> Verdict:
    """The verdict on a request that was just submitted."""
    if await blocks.is_blocked(session, request.person_id, repo):
        return Verdict((BLOCKED,), _BLOCKED_REASON)
    person = await session.get_one(Person, request.person_id)
    names = await names_of(session, repo)
    return judge(rules.screening, _facts_of(person, names, form, request.fields, stage=stage, at=at))


async def names_of(session: AsyncSession, repo: Repo) -> frozenset[str]:
    """What the repository's owner is and was called, folded."""
    had = await former_names(session, repo.owner_person_id or repo.owner_organization_id or "")
    return frozenset(map(fold, (repo.namespace, *had)))


def _facts_of(
    person: Person, names: frozenset[str], form: Form, answers: Mapping[str, Any], *, stage: str, at: datetime
) -> Facts:
    asked = {field.name for field in form.fields if field.kind is FieldKind.COUNTRY}
    return Facts(
        answers=answers,
        countries=frozenset(str(answer) for name, answer in answers.items() if name in asked and answer in COUNTRIES),
        email_domain=person.email.rpartition("@")[2].lower(),
        account_days=(at - person.created_at).days,
        stage=stage,
        namespaces=names,
        is_confirmed=person.email_verified_at is not None,
    )


def judge(rules: tuple[ScreeningRule, ...], facts: Facts) -> Verdict:
    """What the rules say about the facts. Rejecting wins over flagging, flagging over approving. Pure."""
    spoke = [rule for rule in rules if _applies(rule.when, facts) and _is_believed(rule, facts)]
    rejects = [rule for rule in spoke if rule.then == "reject"]
    is_flagged = any(rule.then == "flag" for rule in spoke)
    return Verdict(
        rules=tuple(rule.id for rule in spoke),
        reject_reason=rejects[0].reason if rejects else "",
        is_flagged=is_flagged,
        is_approved=not rejects and not is_flagged and any(rule.then == "approve" for rule in spoke),
        queue=next((rule.queue for rule in spoke if rule.then == "route"), ""),
    )


def _is_believed(rule: ScreeningRule, facts: Facts) -> bool:
    """Nobody is let in for an address that they only typed."""
    return facts.is_confirmed or rule.then != "approve" or "email_domains" not in rule.when


def _applies(when: Mapping[str, Any], facts: Facts) -> bool:
    return all(_holds(key, wanted, facts) for key, wanted in when.items())


def _holds(key: str, wanted: Any, facts: Facts) -> bool:
    match key:
        case "countries":
            return bool(facts.countries & set(wanted))
        case "email_domains":
            return any(
                facts.email_domain == domain.lower() or facts.email_domain.endswith("." + domain.lower())
                for domain in wanted
            )
        case "account_days_below":
            return facts.account_days < int(wanted)
        case "account_days_from":
            return facts.account_days >= int(wanted)
        case "stages":
            return facts.stage in wanted
        case "namespaces":
            return bool(facts.namespaces & set(map(fold, wanted)))
        case "answers":
            return all(_answered(facts.answers.get(question), values) for question, values in wanted.items())
    return False


def _answered(answer: Any, values: list[Any]) -> bool:
    given = answer if isinstance(answer, list) else [answer]
    return any(_plain(one) in {_plain(value) for value in values} for one in given)


def _plain(value: Any) -> Any:
    return value.strip().casefold() if isinstance(value, str) else value
