"""The only place that answers "may they"."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from gatekeeper import errors
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Role
from gatekeeper.authz import reasons
from gatekeeper.authz.actions import REPOSITORY, Action, action_for_path
from gatekeeper.authz.outcome import Allowed, Code, Decision, Denied
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.resource import Attributes, Context, Hub, Question, Resource, Revision, Standing, Target
from gatekeeper.kit.canonical import instant_text
from gatekeeper.releases.tables import Stage

_OWNERS = (Role.ADMIN, Role.WRITE)
_MEMBERS = frozenset({Role.READ, *_OWNERS})
# Refusals that have nothing to do with the gate, so nobody should be sent there.
_NO_GATE = frozenset(
    {
        Code.TOKEN_SCOPE_MISSING,
        Code.TOKEN_REACH_MISSING,
        Code.TOKEN_NOT_APPROVED,
        Code.PERSON_REQUIRED,
        Code.ACCOUNT_DISABLED,
        Code.POLICY_ERROR,
    }
)
_NOTHING_RELEASED = Revision(stage=Stage.DRAFT)


def decide(policies: Policies, principal: Principal, action: Action, resource: Target, instant: datetime) -> Decision:
    """Whether `principal` may do `action` to `resource` at `instant`. Pure: the same facts give the same answer.

    `resource` must have been loaded for this principal. Raises ValueError for one loaded for another person.
    """
    _refuse_mixed_facts(principal, action, resource)
    question = ask(policies, principal, resource, instant)
    answer = policies.evaluate(question, action)
    valid_until = _valid_until(resource, instant)
    if answer.is_allowed:
        return Allowed(answer.rules, valid_until, question.revision, _terms_until(policies, question, action))
    hides, hides_revision = _hides(policies, principal, resource, question, instant)
    why = reasons.why_not(policies, action, resource, question, answer)
    if why.code is Code.EMBARGOED and question.revision:
        why = reasons.until(why, question.revision)
    return Denied(
        code=why.code,
        rules=answer.rules,
        reason=why.reason,
        next_step=why.next_step,
        hides=hides,
        hides_revision=hides_revision,
        valid_until=valid_until,
        revision=question.revision,
    )


def require(policies: Policies, principal: Principal, action: Action, resource: Target, instant: datetime) -> Allowed:
    """The permission, or the error that answers for its absence.

    Raises RepoNotFound or RevisionNotFound where existence must not be told, Gated where content is behind a gate
    (401 for nobody in particular), NotSignedIn, NotAllowed. `details["denial"]` is the stable denial code.
    """
    decision = decide(policies, principal, action, resource, instant)
    if isinstance(decision, Allowed):
        return decision
    error = error_for(decision, principal, action)
    error.repo_id = resource.repo_id if isinstance(resource, Resource) else ""
    raise error


def require_path(policies: Policies, principal: Principal, path: str, resource: Resource, instant: datetime) -> None:
    """What it takes to be told whether `path` exists: listing files, having all of them, or having one of that name.

    Its bytes take the right of `action_for_path` once it is found. Raises as `require` does.
    """
    if not any(decide(policies, principal, each, resource, instant) for each in (Action.LIST_FILES, Action.DOWNLOAD)):
        require(policies, principal, action_for_path(path, is_lfs=False), resource, instant)


def require_global(policies: Policies, principal: Principal, action: Action, instant: datetime) -> Allowed:
    """`require` for a right that concerns the hub as a whole."""
    return require(policies, principal, action, Hub(person_id=principal.person_id), instant)


class Capabilities(Mapping[Action, Decision]):
    """The answer for every right that concerns a repository, each decided when it is first asked for."""

    def __init__(self, policies: Policies, principal: Principal, resource: Resource, instant: datetime) -> None:
        self._asked = (policies, principal, resource, instant)
        self._decided: dict[Action, Decision] = {}

    def __getitem__(self, action: Action) -> Decision:
        if action not in self._decided:
            policies, principal, resource, instant = self._asked
            self._decided[action] = decide(policies, principal, action, resource, instant)
        return self._decided[action]

    def __iter__(self) -> Iterator[Action]:
        return iter(REPOSITORY)

    def __len__(self) -> int:
        return len(REPOSITORY)


def needs_institution(policies: Policies, principal: Principal, resource: Resource, instant: datetime) -> bool:
    """Whether weights go to those alone, of people with access, who named their institution."""
    question = ask(policies, principal, resource, instant)

    def opens(*, institution: bool) -> bool:
        context = question.context._replace(grant=True, terms_accepted=True, institution=institution)
        return policies.evaluate(question._replace(principal="Person", context=context), Action.DOWNLOAD).is_allowed

    return not opens(institution=False) and opens(institution=True)


def error_for(denied: Denied, principal: Principal, action: Action) -> errors.GatekeeperError:
    """The error that answers for a denial."""
    details = {"denial": denied.code.value}
    if denied.code is Code.EMBARGOED and denied.revision and denied.revision.embargoed_until:
        details["until"] = instant_text(denied.revision.embargoed_until)
    if denied.hides:
        # Word for word what a repository that is not there gets, rules and code left out.
        return errors.RepoNotFound(
            "Repository not found.",
            next_step="Check the name, and sign in with a token that may see it if it is private.",
        )
    if denied.hides_revision:
        return errors.RevisionNotFound("Revision not found.", next_step="Check its name in the list of releases.")
    if action.is_gated and denied.code not in _NO_GATE:
        status = errors.Gated.status if principal.is_signed_in else errors.NotSignedIn.status
        return errors.Gated(
            denied.reason, next_step=denied.next_step, status=status, rules=denied.rules, details=details
        )
    if denied.code is Code.SIGN_IN_REQUIRED:
        return errors.NotSignedIn(denied.reason, next_step=denied.next_step, rules=denied.rules, details=details)
    return errors.NotAllowed(denied.reason, next_step=denied.next_step, rules=denied.rules, details=details)


def ask(policies: Policies, principal: Principal, resource: Target, instant: datetime) -> Question:
    """The facts as the policies read them; of several releases, the best one that may be known."""
    kind = _kind(principal)
    if isinstance(resource, Hub):
        return Question(kind, None, _hub_context(principal, resource), None)
    if resource.revision is not None:
        return _at(policies, principal, resource, resource.revision, instant)
    releases = _best_first(resource.releases)
    for revision in releases:
        question = _at(policies, principal, resource, revision, instant)
        if policies.evaluate(question, Action.KNOW).is_allowed:
            return question
    nothing = _NOTHING_RELEASED if resource.is_staged else Revision()
    return _at(policies, principal, resource, releases[0] if releases else nothing, instant)


def _best_first(releases: tuple[Revision, ...]) -> list[Revision]:
    """What is in effect before what is embargoed, held or withdrawn; the order among equals is kept."""
    return sorted(
        releases, key=lambda release: (release.is_withdrawn, release.is_held, release.embargoed_until is not None)
    )


def _at(
    policies: Policies, principal: Principal, resource: Resource, revision: Revision, instant: datetime
) -> Question:
    duties = policies.catalogue.of(revision.texts)
    attributes = Attributes(
        staged=resource.is_staged,
        stage=(revision.stage or Stage.DRAFT).value if resource.is_staged else "",
        private=resource.is_private,
        gate=resource.gate.value,
        # Its instant opens nothing: what was announced is checked then, and opened (releases/embargoes.py).
        embargoed=revision.embargoed_until is not None,
        held=revision.is_held,
        withdrawn=revision.is_withdrawn,
        deprecated=revision.is_deprecated,
        has_terms=bool(revision.texts),
        binds_use=duties.binds_use,
        needs_click=duties.needs_click,
        may_redistribute=duties.may_redistribute,
        proposed=revision.is_proposed,
    )
    standing = resource.standing
    grants = [grant for grant in standing.grants if grant.is_in_force(instant)]
    lacking = _lacking(policies, standing, revision, instant) if grants else ()
    if lacking:
        grants = []
    accepted, terms_until = _has_accepted(revision, standing, instant)
    context = _context(
        principal, standing.role, is_disabled=standing.is_disabled, owner_id=resource.owner_id, repo_id=resource.repo_id
    )._replace(
        is_safety_team=standing.is_safety or standing.role is Role.ADMIN,
        grant=bool(grants),
        tester=any(grant.is_tester for grant in grants),
        institution=any(grant.names_institution for grant in grants),
        purpose=any(grant.names_purpose for grant in grants),
        terms_accepted=accepted,
        proposer=revision.proposer_id is not None and revision.proposer_id == principal.person_id,
    )
    return Question(_kind(principal), attributes, context, revision, lacking, terms_until)


def _lacking(policies: Policies, standing: Standing, revision: Revision, instant: datetime) -> tuple[str, ...]:
    """Prerequisites that the repository or the stage demands and that do not count at `instant`."""
    demands = [*standing.demands, *policies.demands.get(revision.stage, ())]
    return tuple(sorted({demand.kind for demand in demands if not demand.is_met(standing.brought, instant)}))


def _has_accepted(revision: Revision, standing: Standing, instant: datetime) -> tuple[bool, datetime | None]:
    """Whether one act of acceptance covers the terms now, and until when if it covers earlier ones only for a while."""
    texts = {text.sha256 for text in revision.texts}
    if not texts:
        return False, None
    if any(texts <= accepted for accepted in standing.accepted):
        return True, None
    ends = [
        each.until
        for each in revision.earlier
        if (each.until is None or instant < each.until) and any(each.texts <= given for given in standing.accepted)
    ]
    return bool(ends), None if None in ends else max((end for end in ends if end), default=None)


def _terms_until(policies: Policies, question: Question, action: Action) -> datetime | None:
    """The end of an answer that rests on earlier terms; None where nothing rests on them."""
    if question.terms_until is None:
        return None
    without = question._replace(context=question.context._replace(terms_accepted=False))
    return None if policies.evaluate(without, action).is_allowed else question.terms_until


def _hub_context(principal: Principal, hub: Hub) -> Context:
    return _context(principal, hub.role, is_disabled=hub.is_disabled, owner_id=hub.owner_id)


def _context(
    principal: Principal, role: Role | None, *, is_disabled: bool, owner_id: str | None, repo_id: str | None = None
) -> Context:
    return Context(
        is_member=role in _MEMBERS,
        is_owner=role in _OWNERS,
        is_maintainer=role is Role.ADMIN,
        is_safety_team=role is Role.ADMIN,
        is_site_admin=principal.is_admin,
        is_disabled=is_disabled,
        is_token=principal.scopes is not None,
        scopes=tuple(sorted(principal.scopes or ())),
        token_covers=principal.covers(owner_id, repo_id),
        token_public=principal.reach is None or principal.reach.is_public,
        token_pending=owner_id in principal.closed,
        is_service=principal.is_service,
    )


def _kind(principal: Principal) -> str:
    if principal.is_signed_in:
        return "Person"
    return "Operator" if principal.is_admin else "Anonymous"


def _hides(
    policies: Policies, principal: Principal, resource: Target, question: Question, instant: datetime
) -> tuple[bool, bool]:
    """Whether the repository must not be told of, and whether this revision must not."""
    if isinstance(resource, Hub) or policies.evaluate(question, Action.KNOW).is_allowed:
        return False, False
    for revision in resource.releases:
        if policies.evaluate(_at(policies, principal, resource, revision, instant), Action.KNOW).is_allowed:
            return False, True
    return True, False


def _valid_until(resource: Target, instant: datetime) -> datetime | None:
    """The earliest instant after which the same facts may give another answer."""
    if isinstance(resource, Hub):
        return None
    ends = [grant.ends_at for grant in resource.standing.grants]
    ends += [brought.ends_at for brought in resource.standing.brought]
    revisions = [release for release in (resource.revision, *resource.releases) if release]
    ends += [each.until for release in revisions for each in release.earlier]
    return min((end for end in ends if end is not None and end > instant), default=None)


def _refuse_mixed_facts(principal: Principal, action: Action, resource: Target) -> None:
    if resource.person_id != principal.person_id:
        raise ValueError("the facts were loaded for another person")
    if action.is_global is not isinstance(resource, Hub):
        raise ValueError(f"{action} does not concern a {type(resource).__name__.lower()}")
