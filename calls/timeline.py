"""The story of an attempt and of a contact: what happened, when, by whom, and what comes next."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from calls.answer_wording import explain_answer, say_answer
from calls.answerers import read_answerer
from calls.caps import Waiting, find_next_calls
from calls.conversation import LEFT_MESSAGE
from calls.models import Answer, CallAttempt, ProviderConfig
from calls.providers.base import Answerer
from calls.providers.messages import translate_message
from calls.states import AttemptStatus
from calls.wording import say_minute
from campaigns.models import Campaign, CampaignStatus
from contacts.exclusion import entries_of
from contacts.loading import find_import
from contacts.models import CallOutcome, Contact, ContactImport, ContactState, DoNotCallEntry

HEARD: dict[AttemptStatus, Promise] = {
    AttemptStatus.UNKNOWN: gettext_lazy("Nobody knows whether the provider has taken the call."),
    AttemptStatus.QUEUED: gettext_lazy("The provider has accepted the call."),
    AttemptStatus.RINGING: gettext_lazy("The phone rings."),
    AttemptStatus.ANSWERED: gettext_lazy("Somebody, or something, has answered."),
}
OVER: dict[CallOutcome, Promise] = {
    CallOutcome.COMPLETED: gettext_lazy("The call is over: everything was answered."),
    CallOutcome.REFUSED: gettext_lazy("The call is over: the survey was refused."),
    CallOutcome.NO_ANSWER: gettext_lazy("Nobody answered."),
    CallOutcome.BUSY: gettext_lazy("The line was busy."),
    CallOutcome.FAILED: gettext_lazy("The call failed."),
}
DECIDED: dict[CallOutcome, Promise] = {
    CallOutcome.COMPLETED: gettext_lazy("Everything was answered."),
    CallOutcome.REFUSED: gettext_lazy("The person refuses."),
}
HUNG_UP = gettext_lazy("The call was over before the person agreed to take part; it counts as not answered.")
MACHINE = gettext_lazy("A machine had answered; it counts as not answered.")
MESSAGE_LEFT = gettext_lazy("A machine had answered, and the message was left on it; it counts as not answered.")
BROKEN_OFF = gettext_lazy("The call was over before everything was answered; it counts as not answered.")
GIVEN_BACK = gettext_lazy("Given back: nobody was rung, and the try does not count.")

# RFC 3261, 21: what the telephone network says of a call, where it says more than the outcome.
SIP_ANSWERS: dict[str, Promise] = {
    "403": gettext_lazy("the network forbids the call"),
    "404": gettext_lazy("the number does not exist"),
    "408": gettext_lazy("the network did not answer in time"),
    "410": gettext_lazy("the number is not in use any more"),
    "480": gettext_lazy("the phone cannot be reached at the moment"),
    "484": gettext_lazy("the number is not complete"),
    "488": gettext_lazy("the networks did not agree on how to speak"),
    "500": gettext_lazy("a fault in the network"),
    "502": gettext_lazy("a fault in the network"),
    "503": gettext_lazy("the network is overloaded or out of order"),
    "603": gettext_lazy("the call was declined"),
}
SOUNDS_LIKE: dict[Answerer, Promise] = {
    Answerer.PERSON: gettext_lazy("Sounds like a person."),
    Answerer.MACHINE: gettext_lazy("Sounds like an answering machine."),
    Answerer.FAX: gettext_lazy("Sounds like a fax machine."),
    Answerer.UNKNOWN: gettext_lazy("Whether a person or a machine was not recognised."),
}

NOT_RUNNING: dict[CampaignStatus, Promise] = {
    CampaignStatus.DRAFT: gettext_lazy("Its campaign is a draft, and rings nobody before it is activated."),
    CampaignStatus.PAUSED: gettext_lazy("Its campaign is paused, and rings nobody until it is resumed."),
    CampaignStatus.COMPLETED: gettext_lazy("Its campaign is completed, and rings nobody unless it is activated again."),
    CampaignStatus.CANCELLED: gettext_lazy("Its campaign is cancelled: nobody is rung any more."),
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
    answers = attempt.answers.select_related("version").order_by("pk")
    return _put_in_order(_list_of_attempt(attempt, answers, attempt.campaign.language), zones)


def tell_contact(contact: Contact) -> list[Moment]:
    """From where it came to the last thing that happened, with all of its attempts.

    Five questions, however much there is to tell.
    """
    moments = [*_list_records(contact)]
    answers = defaultdict[UUID, list[Answer]](list)
    for answer in contact.answers.select_related("version").order_by("pk"):
        answers[answer.attempt_id].append(answer)
    for attempt in CallAttempt.objects.of_contact(contact):
        link = reverse("admin:calls_callattempt_change", args=[attempt.pk])
        moments += _list_of_attempt(attempt, answers[attempt.pk], contact.campaign.language, link=link)
    return _put_in_order(moments, contact.campaign.zones_of(contact.calling_zone))


def _put_in_order(moments: Iterable[Moment], zones: Sequence[str]) -> list[Moment]:
    """What has the same time stays as it is listed."""
    ordered = sorted(moments, key=lambda moment: moment.at)
    return [Moment(**vars(moment) | {"there": say_there(moment.at, zones, _say_second)}) for moment in ordered]


def _list_of_attempt(
    attempt: CallAttempt, answers: Iterable[Answer], language: str, *, link: str = ""
) -> Iterator[Moment]:
    title = _("Call %(number)s") % {"number": attempt.attempt_number}
    yield Moment(at=attempt.claimed_at, text=_("A line is taken for it."), title=title, link=link)
    if attempt.started_at:
        yield Moment(at=attempt.started_at, text=_("The provider is asked to ring."))
    for status, text in HEARD.items():
        if status in attempt.heard:
            at, word = attempt.heard[status]
            yield Moment(at=datetime.fromisoformat(at), text=str(text), detail=_explain_step(attempt, status, word))
    if attempt.answered_at and AttemptStatus.ANSWERED not in attempt.heard:
        yield Moment(at=attempt.answered_at, text=str(HEARD[AttemptStatus.ANSWERED]))
    if attempt.consented_at:
        yield Moment(at=attempt.consented_at, text=_("The person agrees to take part."))
    for answer in answers:
        yield Moment(at=answer.answered_at, text=say_answer(answer, language), detail=explain_answer(answer))
    if attempt.decided_at:
        yield Moment(at=attempt.decided_at, text=str(DECIDED[CallOutcome(attempt.outcome)]))
    if attempt.ended_at:
        yield Moment(at=attempt.ended_at, text=_say_end(attempt), detail=_explain_end(attempt), is_end=True)


def _explain_step(attempt: CallAttempt, status: AttemptStatus, word: str) -> str:
    if status == AttemptStatus.UNKNOWN:
        return _("It is rung by nobody else until that is settled.")
    answerer = read_answerer(attempt.metadata) if status == AttemptStatus.ANSWERED else None
    heard = str(SOUNDS_LIKE.get(answerer, ""))
    return " ".join(filter(None, [_quote(word), heard]))


def _say_end(attempt: CallAttempt) -> str:
    if attempt.given_back:
        return str(GIVEN_BACK)
    if attempt.outcome == CallOutcome.NO_ANSWER and attempt.answered_at:
        return str(BROKEN_OFF if attempt.consented_at else _say_end_without_consent(attempt.metadata))
    return str(OVER[CallOutcome(attempt.outcome)])


def _say_end_without_consent(metadata: Mapping[str, Any]) -> Promise:
    if metadata.get(LEFT_MESSAGE):
        return MESSAGE_LEFT
    return MACHINE if read_answerer(metadata) in (Answerer.MACHINE, Answerer.FAX) else HUNG_UP


def _explain_end(attempt: CallAttempt) -> str:
    """The provider's own word, unless it is an earlier step's, and everything it said about an error."""
    earlier = {word for _at, word in attempt.heard.values()}
    word = "" if attempt.provider_raw_status in earlier else attempt.provider_raw_status
    code = _("Error %(code)s.") % {"code": attempt.error_code} if attempt.error_code else ""
    sip = SIP_ANSWERS.get(attempt.metadata.get("sip_response_code", ""))
    network = _("The telephone network says: %(answer)s.") % {"answer": sip} if sip else ""
    return " ".join(filter(None, [_quote(word), translate_message(attempt.error_message), network, code]))


def _quote(word: str) -> str:
    return _("The provider says “%(word)s”.") % {"word": word} if word else ""


def _list_records(contact: Contact) -> Iterator[Moment]:
    """Where the contact came from, the do-not-call list, and what operators did."""
    if contact.erased_at:
        text = _("The person was erased: whose contact this was is not known any more.")
        yield Moment(at=contact.erased_at, text=text)
    entry = entries_of([contact.phone_number]).first() if contact.phone_number else None
    types = ContentType.objects.get_for_models(Contact, DoNotCallEntry)
    own = Q(content_type=types[Contact], object_id=str(contact.pk))
    of_list = Q(content_type=types[DoNotCallEntry], object_repr=contact.phone_number)
    edits = list(LogEntry.objects.filter(own | of_list).select_related("user"))
    added = {edit.object_id for edit in edits if edit.action_flag == ADDITION}
    if str(contact.pk) not in added:
        yield _tell_origin(contact)
    if entry and str(entry.pk) not in added:
        text = _("Put on the do-not-call list (%(source)s).") % {"source": entry.get_source_display()}
        yield Moment(at=entry.created_at, text=text, detail=entry.reason)
    for edit in edits:
        reason = entry.reason if entry and edit.object_id == str(entry.pk) and edit.action_flag == ADDITION else ""
        is_own = edit.content_type_id == types[Contact].pk
        text = _describe_edit(edit) if is_own else _describe_list_edit(edit)
        by = _("By %(who)s.") % {"who": edit.user}
        yield Moment(at=edit.action_time, text=text, detail=f"{by} {reason}".strip())


def _tell_origin(contact: Contact) -> Moment:
    record = find_import(contact.pk)
    if record is None:
        return Moment(at=contact.created_at, text=_("Added."))
    link = reverse("admin:contacts_contactimport_change", args=[record.pk])
    by = _("Uploaded by %(who)s.") % {"who": record.created_by} if record.created_by else ""
    return Moment(
        at=contact.created_at, title=pgettext("of a contact", "Imported"), text=_say_file(record), detail=by, link=link
    )


def _say_file(record: ContactImport) -> str:
    if not record.file_name:
        return pgettext("Imported", "from a file without a name.")
    return pgettext("Imported", "from “%(name)s”.") % {"name": record.file_name}


def _describe_edit(edit: LogEntry) -> str:
    return _("Added by hand.") if edit.action_flag == ADDITION else edit.get_change_message()


def _describe_list_edit(edit: LogEntry) -> str:
    if edit.action_flag == ADDITION:
        return _("Put on the do-not-call list.")
    return _("Do-not-call list. %(change)s") % {"change": edit.get_change_message()}


def tell_next(contact: Contact, *, now: datetime) -> str:
    """When the contact is rung next by the rules that the scheduler has, or why it never is."""
    campaign = contact.campaign
    if contact.state == ContactState.IN_PROGRESS:
        return _("A call is going on. What comes next follows from how it ends.")
    if contact.next_attempt_at is None:
        return _explain_never(contact, campaign)
    waiting = Waiting(contact.calling_zone, contact.phone_number, contact.next_attempt_at)
    (call,) = find_next_calls(campaign, [waiting], ProviderConfig.objects.get().caps, now)
    due = max(filter(None, [call.at, campaign.starts_at, now]))
    opening = campaign.next_opening_for(contact.calling_zone, due)
    if opening is None:
        return _("Waits in vain: its calling hours never open. Widen those of the campaign, or mend its time zone.")
    if campaign.ends_at and opening >= campaign.ends_at:
        ends = say_minute(localtime(campaign.ends_at))
        return _("Is rung no more: the campaign ends on %(when)s, before its next turn.") % {"when": ends}
    is_first = not contact.attempts_count
    said = str(NOT_RUNNING.get(CampaignStatus(campaign.status), ""))
    if opening <= now:
        said = said or _("That happens as soon as a line is free.")
        return f"{_say_due(is_first)} {said}"
    why = (
        _("Its number was rung as often as is allowed in 24 hours or in 7 days.")
        if call.is_capped and due == call.at
        else ""
    )
    when = _say_turn(opening, campaign.zones_of(contact.calling_zone), is_first)
    return " ".join(filter(None, [when, why, said]))


def _say_due(is_first: bool) -> str:
    return _("Is due to be rung for the first time.") if is_first else _("Is due to be tried again.")


def _say_turn(opening: datetime, zones: Sequence[str], is_first: bool) -> str:
    """By the clock of the page, and by the contact's own."""
    if is_first:
        sentence = _("Is rung for the first time on %(yours)s your time, %(there)s there, at the earliest.")
    else:
        sentence = _("Is tried again on %(yours)s your time, %(there)s there, at the earliest.")
    return sentence % {"yours": say_minute(localtime(opening)), "there": say_there(opening, zones, say_minute)}


def _explain_never(contact: Contact, campaign: Campaign) -> str:
    if contact.erased_at:
        return _("Is never rung: the person was erased.")
    if contact.state == ContactState.COMPLETED:
        return _("Has taken part, and is not rung again.")
    if contact.state == ContactState.REFUSED:
        return _("Has refused, and is not rung again.")
    if contact.do_not_call:
        return _("Is never rung: the number is on the do-not-call list.")
    if contact.number_rejected:
        return _("Is not rung again: the provider says that this number will never work.")
    sentence = ngettext(
        "Is not rung again. The only try that its campaign allows has been used.",
        "Is not rung again. All %(count)s tries that its campaign allows have been used.",
        campaign.max_attempts,
    )
    return sentence % {"count": campaign.max_attempts}


def say_there(instant: datetime, zones: Sequence[str], say: Callable[[datetime], str]) -> str:
    """By the clocks of the contact's own zones, from the earliest to the latest when they differ; empty without any."""
    clocks = sorted({instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for zone in zones})
    if len(clocks) < 2:
        return "".join(map(say, clocks))
    return pgettext("clocks of time zones", "%(first)s to %(last)s") % {
        "first": say(clocks[0]),
        "last": say(clocks[-1]),
    }


def _say_second(local: datetime) -> str:
    return date_format(local, "DATETIME_FORMAT")
