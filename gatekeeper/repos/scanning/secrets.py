"""Secrets in texts: tokens of well-known kinds and private keys. A finding names kind and line, never the secret."""

import re

from gatekeeper.kit.secrets import is_well_formed
from gatekeeper.repos.scanning.source import Budget, Reader
from gatekeeper.repos.scanning.verdict import Kind, Status, Verdict

_BLOCK = 2**20
_OVERLAP = 4 * 2**10  # no pattern is longer
_MOST_BYTES = 64 * 2**20
_FEWEST_DIFFERENT = 8
_OWN = "access token of a Gatekeeper hub"
_PLACEHOLDER = re.compile(rb"example|xxxx|1234567890|abcdefgh|your[_-]?|placeholder|redacted", re.IGNORECASE)

_PATTERNS: tuple[tuple[str, bytes], ...] = (
    (_OWN, rb"gk_[0-9A-Za-z]{44}"),
    ("Hugging Face token", rb"(?:hf|api_org)_[A-Za-z0-9]{34,40}"),
    ("GitHub token", rb"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255}"),
    ("GitLab token", rb"glpat-[A-Za-z0-9_-]{20,60}"),
    ("AWS access key id", rb"(?:AKIA|ASIA)[A-Z0-9]{16}"),
    ("Google API key", rb"AIza[0-9A-Za-z_-]{35}"),
    ("Slack token", rb"xox[abprs]-[0-9A-Za-z-]{20,250}"),
    ("Slack webhook", rb"hooks\.slack\.com/services/T[A-Za-z0-9]{6,}/B[A-Za-z0-9]{6,}/[A-Za-z0-9]{20,}"),
    ("Stripe key", rb"[rs]k_live_[0-9A-Za-z]{20,120}"),
    ("Anthropic key", rb"sk-ant-[A-Za-z0-9_-]{32,200}"),
    ("OpenAI key", rb"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{32,250}|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
    ("npm token", rb"npm_[A-Za-z0-9]{36}"),
    ("PyPI token", rb"pypi-AgE[A-Za-z0-9_-]{50,250}"),
    ("SendGrid key", rb"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    ("private key", rb"-----BEGIN (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----\s{0,4}(?=[A-Za-z0-9+/])"),
)
_ANY = re.compile(
    b"|".join(b"(?P<k%d>(?<![A-Za-z0-9_])(?:%s))" % (number, pattern) for number, (_, pattern) in enumerate(_PATTERNS))
)


def examine(stream: Reader, budget: Budget, verdict: Verdict, *, where: str = "") -> None:
    """Look through the first 64 MiB of a text and add what it gives away."""
    lines, read, kept = 1, 0, b""
    while piece := stream.read(_BLOCK):
        budget.spend()
        read += len(piece)
        block = kept + piece
        for match in _ANY.finditer(block):
            name = _PATTERNS[int((match.lastgroup or "k0")[1:])][0]
            if _is_real(name, match[0]):
                line = lines + block.count(b"\n", 0, match.start())
                verdict.find(
                    Kind.SECRET,
                    Status.UNSAFE,
                    f"{where}Line {line} holds a secret ({name}): revoke it.",
                )
        if read >= _MOST_BYTES:
            return
        cut = max(len(block) - _OVERLAP, 0)
        lines += block.count(b"\n", 0, cut)
        kept = block[cut:]


def _is_real(name: str, found: bytes) -> bool:
    """Whether it can be a secret at all: not an example, and for our own kind with the right checksum."""
    if name == "private key":
        return True
    if name == _OWN:
        return is_well_formed(found.decode("ascii", "replace"), "gk_")
    body = found.lower()
    return not _PLACEHOLDER.search(found) and len(set(body.partition(b"_")[2] or body)) >= _FEWEST_DIFFERENT
