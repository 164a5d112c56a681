"""Every kind of event there is, by who records it and what it is about.

Compatibility: kinds are in the log for good; they are added, never renamed. `tests/shape` holds the list against the
code, and against docs/domain.md.
"""

# The request machine's acts, each a step of one request.
_REQUEST_ACTS = """create renew save submit screen correct withdraw appeal accept-rejection accept-revocation
    confirm close-out claim unclaim route return refer answer recall vote delegate approval approve activate
    add-terms reject cancel undo suspend resume revoke close expire grant overdue"""

_BY_SOURCE: dict[str, dict[str, str]] = {
    "access": {
        "request": _REQUEST_ACTS,
        "grant": "open revoke close expiring",
        "person": "block unblock",
        "prerequisite": "set withdraw require waive",
        "template": "save retire",
    },
    "accounts": {
        "factors": "take-off",
        "identity": "link unlink",
        "invitation": "make offer accept decline withdraw",
        "organization": "ask-factor create delete remove-member rename set-member",
        "passkey": "add remove",
        "person": "add confirm-email disable enable follow-link invite let-in rename set-admin set-password",
        "recovery-codes": "renew use",
        "session": "end end-all start",
        "team": "create delete add-member remove-member",
        "totp": "confirm remove",
    },
    "community": {
        "collection": "create update delete add-item update-item remove-item",
        "comment": "write edit hide",
        "discussion": "open rename status lock pin",
        "person": "mention",
        "pull": "open merge",
    },
    "evaluation": {"image": "clear", "report": "sign speak", "run": "start pause resume cancel fail"},
    "generation": {"order": "submit finish", "quota": "change", "result": "delete", "strike": "record appeal review"},
    "incidents": {"incident": "report open take-up dismiss link unlink note hold suspend notify close reopen"},
    "jobs": {"failed": "retry dismiss"},
    "licensing": {
        "catalogue": "add",
        "terms": "present accept withdraw change classify",
        "text": "add recognize",
        "version": "newer",
    },
    "notices": {"repo": "follow unfollow", "webhook": "create update enable disable delete redeliver"},
    "operator": {"backup": "make restore", "key": "replace"},
    "policies": {"bundle": "activate propose"},
    "privacy": {"hold": "place lift", "person": "erase", "retention": "enforce"},
    "releases": {
        "ladder": "change",
        "proposal": "propose approve waive ask withdraw refuse",
        "release": "draft promote hold resume demote withdraw deprecate undeprecate embargo lift open drill",
        "repo": "stage",
    },
    "repos": {
        "branch": "create delete commit push rewrite squash",
        "file": "copy delete download flag receive rescan share",
        "history": "fetch rewrite",
        "mirror": "begin bring",
        "repo": "create delete duplicate like move unlike update",
        "shadow": "create",
        "store": "clean verify",
        "tag": "create delete push",
        "team": "give take",
        "upload": "expire",
        "xet": "readdress",
    },
    "tokens": {
        "application": "register remove",
        "consent": "give withdraw",
        "device": "deny",
        "grant": "open revoke",
        "policy": "set",
        "publisher": "remove trust",
        "service": "create remove renew-secret",
        "statement": "exchange",
        "token": "decide issue revoke",
    },
}

KINDS = frozenset(
    f"{source}:{subject}:{act}"
    for source, subjects in _BY_SOURCE.items()
    for subject, acts in subjects.items()
    for act in acts.split()
)
