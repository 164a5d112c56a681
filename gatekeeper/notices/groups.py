"""The kinds of notices in the groups in which people choose their mail. What nobody can do without is in none."""

MAINTAINING = "What I review and maintain"
GROUPS: dict[str, tuple[str, ...]] = {
    "My requests": (
        "request-returned", "request-approved", "request-rejected", "decision-taken-back", "request-handed-on",
        "request-referred",
    ),
    "My access and my images": (
        "access-granted", "access-expiring", "access-revoked", "access-resumed", "conditions-added",
        "prerequisite-missing", "prerequisite-waived", "terms-changed", "safety-stopped", "safety-reviewed",
    ),
    "Releases": (
        "release-new", "version-newer", "release-held", "release-resumed", "release-demoted", "release-withdrawn",
        "incident-told", "report-answered",
    ),
    "Discussions and webhooks": (
        "mentioned", "discussion-reply", "discussion-opened", "discussion-changed", "webhook-disabled",
    ),
    MAINTAINING: (
        "request-submitted", "request-appealed", "request-overdue", "strike-appealed", "report-received",
        "approval-lapsed", "token-waiting",
    ),
}  # fmt: skip
