"""Telling people and programs what happened: notices, mail, and webhooks.

`hand_out` reads the sealed ledger in order and leaves notices for people and deliveries for webhooks; the `Courier`
brings those, the `Postman` sends mail. Who may be told what is decided by a judge that the composition supplies, for
decisions lie beside this room; it is asked when a delivery is made, not when its event happened.
"""

from gatekeeper.notices import following, webhooks
from gatekeeper.notices.audience import TELL_APPLICANT, remind_of_ends, tell_applicant
from gatekeeper.notices.courier import Courier, Judge, Question, clean_up
from gatekeeper.notices.dispatch import hand_out
from gatekeeper.notices.events import Domain
from gatekeeper.notices.groups import GROUPS, MAINTAINING
from gatekeeper.notices.holding import TELL_HOLDERS, names_of, tell_holders, told_of_release
from gatekeeper.notices.kinds import KINDS
from gatekeeper.notices.links import MAIL_LINK, ask_link, send_link
from gatekeeper.notices.mail import MAIL, MailServer, Postman, mail
from gatekeeper.notices.sending import Sender
from gatekeeper.notices.tables import DeliveryState, Notice, Webhook, WebhookDelivery
from gatekeeper.notices.targets import Rules
from gatekeeper.notices.telling import (
    NOTICE_MAIL,
    listing,
    mail_preferences,
    mark_read,
    own,
    prefer_mail,
    tell,
    unread,
)
from gatekeeper.notices.webhooks import Wanted, Watched
from gatekeeper.notices.wording import say

__all__ = [
    "GROUPS",
    "KINDS",
    "MAIL",
    "MAIL_LINK",
    "MAINTAINING",
    "NOTICE_MAIL",
    "TELL_APPLICANT",
    "TELL_HOLDERS",
    "Courier",
    "DeliveryState",
    "Domain",
    "Judge",
    "MailServer",
    "Notice",
    "Postman",
    "Question",
    "Rules",
    "Sender",
    "Wanted",
    "Watched",
    "Webhook",
    "WebhookDelivery",
    "ask_link",
    "clean_up",
    "following",
    "hand_out",
    "listing",
    "mail",
    "mail_preferences",
    "mark_read",
    "names_of",
    "own",
    "prefer_mail",
    "remind_of_ends",
    "say",
    "send_link",
    "tell",
    "tell_applicant",
    "tell_holders",
    "told_of_release",
    "unread",
    "webhooks",
]
