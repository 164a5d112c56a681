"""What tokens and applications may do, in words."""

SCOPES: dict[str, str] = {
    "read": "Read cards, lists of files and your own standing",
    "download": "Download files that you may download",
    "generate": "Make images with models that you may run",
    "write": "Create repositories, upload to yours, propose changes to others and talk about them",
    "review": "Decide requests for repositories that you maintain",
    "admin": "Administer the hub, where you may",
}

# The same of what acts for nobody: service accounts and trusted jobs.
OF_PROGRAMS: dict[str, str] = {
    "read": "Read cards and lists of files",
    "download": "Download files that are open to it",
    "generate": "Make images with models that are open to it",
    "write": "Upload",
}

# What an application may know of a person, beside what it may do (above).
IDENTITY: dict[str, str] = {
    "openid": "Know that it is you",
    "profile": "See your name, your organizations and your roles in them",
    "email": "See your e-mail address",
    "offline_access": "Stay connected while you are away",
}
