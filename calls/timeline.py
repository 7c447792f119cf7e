"""The story of an attempt and of a contact: what happened, when, by whom, and what comes next."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.timezone import localtime

from calls.models import CallAttempt
from calls.states import AttemptStatus
from campaigns.models import Campaign, CampaignStatus
from contacts.exclusion import entries_of
from contacts.loading import find_import
from contacts.models import CallOutcome, Contact, ContactImport, ContactState, DoNotCallEntry

MINUTES, SECONDS = "j M Y, H:i", "j M Y, H:i:s"

HEARD = {
    AttemptStatus.UNKNOWN: "Nobody knows whether the provider has taken the call.",
    AttemptStatus.QUEUED: "The provider has accepted the call.",
    AttemptStatus.RINGING: "The phone rings.",
    AttemptStatus.ANSWERED: "Somebody, or something, has answered.",
}
OVER = {
    CallOutcome.COMPLETED: "The call is over: the script was heard to its end.",
    CallOutcome.REFUSED: "The call is over: the survey was refused.",
    CallOutcome.NO_ANSWER: "Nobody answered.",
    CallOutcome.BUSY: "The line was busy.",
    CallOutcome.FAILED: "The call failed.",
}
HUNG_UP = "The call was over before the end of the script; it counts as not answered."
GIVEN_BACK = "Given back: nobody was rung, and the try does not count."

# RFC 3261, 21: what the telephone network says of a call, where it says more than the outcome.
SIP_ANSWERS = {
    "403": "the network forbids the call",
    "404": "the number does not exist",
    "408": "the network did not answer in time",
    "410": "the number is not in use any more",
    "480": "the phone cannot be reached at the moment",
    "484": "the number is not complete",
    "488": "the networks did not agree on how to speak",
    "500": "a fault in the network",
    "502": "a fault in the network",
    "503": "the network is overloaded or out of order",
    "603": "the call was declined",
}
ANSWERED_BY = {
    "human": "Sounds like a person.",
    "fax": "Sounds like a fax machine.",
    "unknown": "Whether a person or a machine was not recognised.",
}

NOT_RUNNING = {
    CampaignStatus.DRAFT: "Its campaign is a draft, and rings nobody before it is activated.",
    CampaignStatus.PAUSED: "Its campaign is paused, and rings nobody until it is resumed.",
    CampaignStatus.COMPLETED: "Its campaign is completed, and rings nobody unless it is activated again.",
    CampaignStatus.CANCELLED: "Its campaign is cancelled: nobody is rung any more.",
}


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One thing that happened. ``link`` leads to the ``title`` before the text; ``there`` is the contact's own time."""

    at: datetime
    text: str
    there: str = ""
    detail: str = ""
    title: str = ""
    link: str = ""
    is_end: bool = False


def tell_attempt(attempt: CallAttempt) -> list[Moment]:
    """From its claim to its end, the first thing first."""
    zones = attempt.campaign.zones_of(attempt.contact.calling_zone)
    return _put_in_order(_list_of_attempt(attempt), zones)


def tell_contact(contact: Contact) -> list[Moment]:
    """From where it came to the last thing that happened, with all of its attempts.

    Four questions, however much there is to tell.
    """
    moments = [*_list_records(contact)]
    for attempt in CallAttempt.objects.of_contact(contact):
        moments += _list_of_attempt(attempt, link=reverse("admin:calls_callattempt_change", args=[attempt.pk]))
    return _put_in_order(moments, contact.campaign.zones_of(contact.calling_zone))


def _put_in_order(moments: Iterable[Moment], zones: Sequence[str]) -> list[Moment]:
    """What has the same time stays as it is listed."""
    ordered = sorted(moments, key=lambda moment: moment.at)
    return [Moment(**vars(moment) | {"there": say_there(moment.at, zones, SECONDS)}) for moment in ordered]


def _list_of_attempt(attempt: CallAttempt, *, link: str = "") -> Iterator[Moment]:
    title = f"Call {attempt.attempt_number}"
    yield Moment(at=attempt.claimed_at, text="A line is taken for it.", title=title, link=link)
    if attempt.started_at:
        yield Moment(at=attempt.started_at, text="The provider is asked to ring.")
    for status, text in HEARD.items():
        if status in attempt.heard:
            at, word = attempt.heard[status]
            yield Moment(at=datetime.fromisoformat(at), text=text, detail=_explain_step(attempt, status, word))
    if attempt.answered_at and AttemptStatus.ANSWERED not in attempt.heard:
        yield Moment(at=attempt.answered_at, text=HEARD[AttemptStatus.ANSWERED])
    if attempt.played_at:
        yield Moment(at=attempt.played_at, text="The script was played to its end.")
    if attempt.ended_at:
        yield Moment(at=attempt.ended_at, text=_say_end(attempt), detail=_explain_end(attempt), is_end=True)


def _explain_step(attempt: CallAttempt, status: AttemptStatus, word: str) -> str:
    if status == AttemptStatus.UNKNOWN:
        return "It is rung by nobody else until that is settled."
    by = attempt.metadata.get("answered_by", "") if status == AttemptStatus.ANSWERED else ""
    heard = ANSWERED_BY.get(by, "Sounds like an answering machine." if by.startswith("machine") else "")
    return " ".join(filter(None, [_quote(word), heard]))


def _say_end(attempt: CallAttempt) -> str:
    if attempt.given_back:
        return GIVEN_BACK
    if attempt.outcome == CallOutcome.NO_ANSWER and attempt.answered_at:
        return HUNG_UP
    return OVER[CallOutcome(attempt.outcome)]


def _explain_end(attempt: CallAttempt) -> str:
    """The provider's own word, unless it is an earlier step's, and everything it said about an error."""
    earlier = {word for _, word in attempt.heard.values()}
    word = "" if attempt.provider_raw_status in earlier else attempt.provider_raw_status
    code = f"Error {attempt.error_code}." if attempt.error_code else ""
    sip = SIP_ANSWERS.get(attempt.metadata.get("sip_response_code", ""))
    network = f"The telephone network says: {sip}." if sip else ""
    return " ".join(filter(None, [_quote(word), attempt.error_message, network, code]))


def _quote(word: str) -> str:
    return f"The provider says “{word}”." if word else ""


def _list_records(contact: Contact) -> Iterator[Moment]:
    """Where the contact came from, the do-not-call list, and what operators did."""
    if contact.erased_at:
        yield Moment(at=contact.erased_at, text="The person was erased: whose contact this was is not known any more.")
    entry = entries_of([contact.phone_number]).first() if contact.phone_number else None
    types = ContentType.objects.get_for_models(Contact, DoNotCallEntry)
    own = Q(content_type=types[Contact], object_id=str(contact.pk))
    of_list = Q(content_type=types[DoNotCallEntry], object_repr=contact.phone_number)
    edits = list(LogEntry.objects.filter(own | of_list).select_related("user"))
    added = {edit.object_id for edit in edits if edit.action_flag == ADDITION}
    if str(contact.pk) not in added:
        yield _tell_origin(contact)
    if entry and str(entry.pk) not in added:
        text = f"Put on the do-not-call list ({entry.get_source_display()})."
        yield Moment(at=entry.created_at, text=text, detail=entry.reason)
    for edit in edits:
        reason = entry.reason if entry and edit.object_id == str(entry.pk) and edit.action_flag == ADDITION else ""
        is_own = edit.content_type_id == types[Contact].pk
        text = _describe_edit(edit) if is_own else _describe_list_edit(edit)
        yield Moment(at=edit.action_time, text=text, detail=f"By {edit.user}. {reason}".strip())


def _tell_origin(contact: Contact) -> Moment:
    record = find_import(contact.pk)
    if record is None:
        return Moment(at=contact.created_at, text="Added.")
    link = reverse("admin:contacts_contactimport_change", args=[record.pk])
    by = f"Uploaded by {record.created_by}." if record.created_by else ""
    return Moment(at=contact.created_at, title="Imported", text=f"from {_name_import(record)}.", detail=by, link=link)


def _name_import(record: ContactImport) -> str:
    return f"“{record.file_name}”" if record.file_name else "a file without a name"


def _describe_edit(edit: LogEntry) -> str:
    return "Added by hand." if edit.action_flag == ADDITION else edit.get_change_message()


def _describe_list_edit(edit: LogEntry) -> str:
    if edit.action_flag == ADDITION:
        return "Put on the do-not-call list."
    return f"Do-not-call list. {edit.get_change_message()}"


def tell_next(contact: Contact, *, now: datetime) -> str:
    """When the contact is rung next by the rules that the scheduler has, or why it never is."""
    campaign = contact.campaign
    if contact.state == ContactState.IN_PROGRESS:
        return "A call is going on. What comes next follows from how it ends."
    if contact.next_attempt_at is None:
        return _explain_never(contact, campaign)
    due = max(filter(None, [contact.next_attempt_at, campaign.starts_at, now]))
    opening = campaign.next_opening_for(contact.calling_zone, due)
    if opening is None:
        return "Waits in vain: its calling hours never open. Widen those of the campaign, or mend its time zone."
    if campaign.ends_at and opening >= campaign.ends_at:
        return f"Is rung no more: the campaign ends on {say_yours(campaign.ends_at)}, before its next turn."
    said = NOT_RUNNING.get(CampaignStatus(campaign.status), "")
    again = "tried again" if contact.attempts_count else "rung for the first time"
    if opening <= now:
        return f"Is due to be {again}. {said or 'That happens as soon as a line is free.'}"
    there = say_there(opening, campaign.zones_of(contact.calling_zone), MINUTES)
    return f"Is {again} on {say_yours(opening)} your time, {there} there, at the earliest. {said}".rstrip()


def _explain_never(contact: Contact, campaign: Campaign) -> str:
    if contact.erased_at:
        return "Is never rung: the person was erased."
    if contact.state == ContactState.COMPLETED:
        return "Has taken part, and is not rung again."
    if contact.state == ContactState.REFUSED:
        return "Has refused, and is not rung again."
    if contact.do_not_call:
        return "Is never rung: the number is on the do-not-call list."
    if contact.number_rejected:
        return "Is not rung again: the provider says that this number will never work."
    tries = "The only try" if campaign.max_attempts == 1 else f"All {campaign.max_attempts} tries"
    return f"Is not rung again. {tries} that its campaign allows have been used."


def say_yours(instant: datetime) -> str:
    """In the time zone of the page."""
    return date_format(localtime(instant), MINUTES)


def say_there(instant: datetime, zones: Sequence[str], form: str) -> str:
    """By the clocks of the contact's own zones, from the earliest to the latest when they differ; empty without any."""
    clocks = sorted({instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for zone in zones})
    said = [date_format(clock, form) for clock in clocks[:1] + clocks[1:][-1:]]
    return " to ".join(said)
