"""Why not, and what to do next.

A forbid names its own denial code. Where simply nothing allows the act, Cedar gives no reason, so we ask the policies
themselves: with which smallest change of standing would the answer be yes? That change is the next step.
"""

from dataclasses import replace
from typing import Any, NamedTuple

from gatekeeper.access.tables import RequestState
from gatekeeper.authz.actions import Action
from gatekeeper.authz.outcome import Code
from gatekeeper.authz.policies import Answer, Policies
from gatekeeper.authz.resource import Question, Resource, Revision, Target
from gatekeeper.authz.sentences import SENTENCES, Why, words_for
from gatekeeper.kit.canonical import instant_text

# Several forbids may apply at once; what comes first here is what the person is told.
_FIRST_TOLD = (
    Code.ACCOUNT_DISABLED,
    Code.WITHDRAWN,
    Code.HELD,
    Code.EMBARGOED,
    Code.TOKEN_NOT_APPROVED,
    Code.TOKEN_REACH_MISSING,
    Code.TOKEN_SCOPE_MISSING,
    Code.PERSON_REQUIRED,
    Code.SESSION_REQUIRED,
    Code.SIGN_IN_REQUIRED,
)


class _Change(NamedTuple):
    """A change of standing and the code that says it is what lacks."""

    code: Code
    facts: dict[str, Any]


_TERMS: dict[str, Any] = {"terms_accepted": True}
_GRANT: dict[str, Any] = {"grant": True}
_CHANGES = (
    _Change(Code.TERMS_NOT_ACCEPTED, _TERMS),
    _Change(Code.ACCESS_NOT_REQUESTED, _GRANT),
    _Change(Code.ACCESS_NOT_REQUESTED, _GRANT | _TERMS),
    _Change(Code.PURPOSE_NEEDED, _GRANT | _TERMS | {"purpose": True}),
    _Change(Code.INSTITUTION_NEEDED, _GRANT | _TERMS | {"institution": True}),
    _Change(Code.TESTERS_ONLY, _GRANT | {"tester": True}),
    _Change(Code.TESTERS_ONLY, _GRANT | _TERMS | {"tester": True}),
    _Change(Code.MEMBERS_ONLY, {"is_member": True}),
    _Change(Code.MEMBERS_ONLY, _TERMS | {"is_member": True}),
    _Change(Code.OWNERS_ONLY, {"is_member": True, "is_owner": True}),
    _Change(
        Code.MAINTAINERS_ONLY, {"is_member": True, "is_owner": True, "is_maintainer": True, "is_safety_team": True}
    ),
    _Change(Code.ADMINS_ONLY, {"is_site_admin": True}),
)
# Requests under way; how a decided one stands is told by its grant.
_OF_REQUESTS = {
    RequestState.IN_REVIEW: Code.REQUEST_PENDING,
    RequestState.REFERRED: Code.REQUEST_PENDING,
    RequestState.RETURNED: Code.REQUEST_RETURNED,
    RequestState.AWAITING_TERMS: Code.APPROVAL_INCOMPLETE,
    RequestState.SUSPENDED: Code.ACCESS_SUSPENDED,
}


def why_not(policies: Policies, action: Action, resource: Target, question: Question, answer: Answer) -> Why:
    """The code, the reason and the next step of a denial."""
    if answer.errors:
        return _say(Code.POLICY_ERROR, action, resource)
    is_anonymous = question.principal == "Anonymous"
    if answer.rules:
        rules = [policies.rules[id] for id in answer.rules]
        rule = min(rules, key=lambda rule: _rank(rule.code))
        then = _lacking(policies, action, question) if is_anonymous else None
        return _say(Code(rule.code), action, resource, scope=rule.scope, reason=rule.reason, then=then)
    code = _lacking(policies, action, question)
    if is_anonymous and code not in (Code.NOT_AT_THIS_STAGE, Code.LICENSE_FORBIDS):
        # Who they are decides everything else; what comes after signing in they are told too.
        return _say(Code.SIGN_IN_REQUIRED, action, resource, then=code)
    if isinstance(resource, Resource):
        code = _refined(code, resource, question)
    return _say(code, action, resource)


def until(why: Why, revision: Revision) -> Why:
    """The same with the embargo's end."""
    if revision.embargoed_until is None:
        return why
    return replace(why, reason=f"{why.reason.rstrip('.')} until {instant_text(revision.embargoed_until)}.")


def _rank(code: str) -> int:
    return _FIRST_TOLD.index(Code(code)) if code in _FIRST_TOLD else len(_FIRST_TOLD)


def _lacking(policies: Policies, action: Action, question: Question) -> Code:
    """The first change that opens the way."""
    if question.principal == "Anonymous":
        question = question._replace(principal="Person")
        if policies.evaluate(question, action).is_allowed:
            return Code.SIGN_IN_REQUIRED
    for change in _CHANGES:
        changed = question._replace(context=question.context._replace(**change.facts))
        if changed != question and policies.evaluate(changed, action).is_allowed:
            return change.code
    attributes = question.attributes
    if attributes is not None and not attributes.may_redistribute:
        changed = question._replace(
            attributes=attributes._replace(may_redistribute=True),
            context=question.context._replace(grant=True, terms_accepted=True),
        )
        if policies.evaluate(changed, action).is_allowed:
            return Code.LICENSE_FORBIDS
    return Code.NOT_AT_THIS_STAGE


def _refined(code: Code, resource: Resource, question: Question) -> Code:
    """What lacks, told by how the person's own case stands."""
    standing = resource.standing
    match code:
        case Code.TERMS_NOT_ACCEPTED if question.attributes is None or not question.attributes.has_terms:
            return Code.TERMS_MISSING
        case Code.TERMS_NOT_ACCEPTED if standing.accepted:
            return Code.TERMS_CHANGED
        case Code.TERMS_NOT_ACCEPTED if standing.has_withdrawn:
            return Code.TERMS_WITHDRAWN
        case Code.ACCESS_NOT_REQUESTED | Code.PURPOSE_NEEDED | Code.INSTITUTION_NEEDED if not question.context.grant:
            if question.lacking:
                return Code.PREREQUISITE_MISSING
            if standing.request in _OF_REQUESTS:
                return _OF_REQUESTS[standing.request]
            if standing.was_revoked or standing.request is RequestState.REVOKED:
                return Code.ACCESS_REVOKED
            if standing.grants or standing.request is RequestState.EXPIRED:
                return Code.ACCESS_EXPIRED
            if standing.request is RequestState.REJECTED:
                return Code.REQUEST_REJECTED
            return Code.ACCESS_NOT_REQUESTED
    return code


def _say(
    code: Code, action: Action, resource: Target, *, scope: str = "", reason: str = "", then: Code | None = None
) -> Why:
    words = words_for(action, resource, scope=scope, rule_reason=reason)
    said, next_step = SENTENCES[code]
    if code is Code.SIGN_IN_REQUIRED and then in (
        Code.TERMS_NOT_ACCEPTED,
        Code.ACCESS_NOT_REQUESTED,
        Code.PURPOSE_NEEDED,
        Code.INSTITUTION_NEEDED,
    ):
        next_step = next_step.removesuffix(".") + ", then " + SENTENCES[then][1][:1].lower() + SENTENCES[then][1][1:]
        said = "{restricted}" if action.is_gated else said
    return Why(code, said.format(**words).strip(), next_step.format(**words).strip())
