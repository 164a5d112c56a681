"""The one decision: who may do what to which repository, at which revision, now.

    policies = authz.Policies.load(directory)     once, at start; a broken folder stops the start
    resource = await authz.load(session, principal, repo, commit=...)                  the facts, as one frozen value
    decision = authz.decide(policies, principal, Action.DOWNLOAD, resource, instant)   pure: Allowed or Denied
    authz.require(...)                            the same, raising the error that answers

Rules are Cedar policies in `policies/`; nothing else in the program decides. Any error while they are evaluated is a
denial and an alarm.
"""

from gatekeeper.authz.actions import Action, action_for_path
from gatekeeper.authz.activation import (
    InForce,
    activate,
    activate_candidate,
    active_folder,
    candidates,
    follow_folder,
    history,
    propose,
    roll_back,
    unfold,
    with_changed,
)
from gatekeeper.authz.audiences import in_words
from gatekeeper.authz.bundle import BrokenPolicies
from gatekeeper.authz.check import Report, check
from gatekeeper.authz.copying import Copied, copyable
from gatekeeper.authz.decide import (
    Capabilities,
    decide,
    needs_institution,
    require,
    require_global,
    require_path,
)
from gatekeeper.authz.explain import explain
from gatekeeper.authz.facts import at_release, load, load_each, load_many, load_namespace, load_namespaces
from gatekeeper.authz.fetching import fetchable
from gatekeeper.authz.listing import filter_known, listing_filter, visible
from gatekeeper.authz.matrix import COLUMNS, as_markdown, matrix
from gatekeeper.authz.openness import is_public_by
from gatekeeper.authz.outcome import Allowed, Code, Decision, Denied
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.readable import sender
from gatekeeper.authz.resource import Grant, Hub, Resource, Revision, Standing
from gatekeeper.authz.simulate import simulate
from gatekeeper.authz.simulation import Simulation
from gatekeeper.authz.standing import asks_institution
from gatekeeper.authz.who import who

__all__ = [
    "COLUMNS",
    "Action",
    "Allowed",
    "BrokenPolicies",
    "Capabilities",
    "Code",
    "Copied",
    "Decision",
    "Denied",
    "Grant",
    "Hub",
    "InForce",
    "Policies",
    "Report",
    "Resource",
    "Revision",
    "Simulation",
    "Standing",
    "action_for_path",
    "activate",
    "activate_candidate",
    "active_folder",
    "as_markdown",
    "asks_institution",
    "at_release",
    "candidates",
    "check",
    "copyable",
    "decide",
    "explain",
    "fetchable",
    "filter_known",
    "follow_folder",
    "history",
    "in_words",
    "is_public_by",
    "listing_filter",
    "load",
    "load_each",
    "load_many",
    "load_namespace",
    "load_namespaces",
    "matrix",
    "needs_institution",
    "propose",
    "require",
    "require_global",
    "require_path",
    "roll_back",
    "sender",
    "simulate",
    "unfold",
    "visible",
    "who",
    "with_changed",
]
