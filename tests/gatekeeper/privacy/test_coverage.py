"""No table about people is forgotten, by the export or by the erasure."""

from gatekeeper import models
from gatekeeper.privacy.export import SECTIONS
from gatekeeper.privacy.removal import references

# Left out of the export, each with its reason.
NOT_EXPORTED = {
    ("access_block", "blocked_by"): "somebody else's record; the act is in the log",
    ("access_block", "lifted_by"): "somebody else's record; the act is in the log",
    ("access_grant", "granted_by"): "somebody else's record; the act is in the log",
    ("access_request", "barred_id"): "somebody else's request",
    ("access_request", "claimed_by"): "somebody else's request",
    ("access_request", "decided_by"): "somebody else's request",
    ("access_request", "referred_to"): "somebody else's request",
    ("access_step", "actor_id"): "a note about somebody else, in their export",
    ("answer_template", "made_by"): "the act is in the log",
    ("approval", "person_id"): "the act is in the log",
    ("discussion_event", "author_id"): "comments are exported with their texts, the rest is in the log",
    ("erasure", "person_id"): "nobody is left to export it for",
    ("membership_offer", "offered_by"): "the act is in the log",
    ("evaluation_run", "started_by"): "the act is in the log",
    ("incident_step", "actor_id"): "the act is in the log",
    ("mail_link", "person_id"): "lives for hours, and its secret is only a hash",
    ("namespace", "person_id"): "the name itself",
    ("oauth_code", "person_id"): "lives for a minute",
    ("personal_key", "person_id"): "a key; what it opens is exported",
    ("policy_activation", "person_id"): "the act is in the log",
    ("prerequisite", "set_by"): "somebody else's record",
    ("proposal", "proposed_by"): "the act is in the log",
    ("proposed_commit", "author_id"): "the pull request is exported",
    ("recognition", "confirmed_by"): "the act is in the log",
    ("repo", "created_by"): "the act is in the log",
    ("repo_object", "uploaded_by"): "the act is in the log",
    ("repo_shadow", "person_id"): "what they sent there is in the log, and in the pull request",
    ("service_account", "created_by"): "the act is in the log",
    ("service_account", "person_id"): "a service is nobody",
    ("sign_in_link", "person_id"): "lives for minutes, and its secret is only a hash",
    ("sign_in_step", "person_id"): "lives for minutes",
    ("strike", "reviewed_by"): "somebody else's record; the act is in the log",
    ("terms_change", "classified_by"): "the act is in the log",
    ("token_verdict", "by_id"): "the act is in the log",
    ("upload", "person_id"): "gone when the upload is finished",
}


def test_every_reference_to_a_person_is_exported_or_left_out_for_a_reason() -> None:
    found = {(column.table.name, column.name) for column in references("person")}
    exported = {(table, owner) for table, owner, _ in SECTIONS.values()}
    assert found - exported - NOT_EXPORTED.keys() == set()
    assert NOT_EXPORTED.keys() <= found - exported


def test_no_secret_is_named_in_the_export() -> None:
    for section, (table, _, names) in SECTIONS.items():
        assert set(names) <= set(models.metadata.tables[table].columns.keys()), section
        assert not [name for name in names if any(word in name for word in ("secret", "hash", "sealed", "key"))]
