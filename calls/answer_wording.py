"""Questions and answers in words, as operators read them: in the campaign's own language, if it has a text in that."""

from django.utils.functional import Promise
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy

from calls.hearing import NO, YES
from calls.models import Answer, AnswerMeans
from campaigns.models import Language, QuestionType, Wording

LONGEST_QUESTION = 80

YES_OR_NO: dict[str, Promise] = {YES: pgettext_lazy("answer", "Yes"), NO: pgettext_lazy("answer", "No")}


def say_question(wording: Wording, language: str) -> str:
    """Its text, in another language than asked for if it has no other."""
    texts = [wording.text_in(one) for one in (language, *Language)]
    return next(filter(None, texts), str(wording.get_type_display()))


def list_choices(wording: Wording, language: str) -> list[str]:
    """The names of its choices, the first is that of 1; in another language if they have no other."""
    return next(filter(None, (wording.choices_in(one) for one in (language, *Language))), [])


def say_value(wording: Wording, value: str, language: str) -> str:
    """An answer that is none of those which it may have is said as it is stored."""
    if wording.type == QuestionType.YES_NO:
        return str(YES_OR_NO.get(value, value))
    if wording.type == QuestionType.SINGLE_CHOICE:
        return dict(enumerate(list_choices(wording, language), start=1)).get(int(value), value)
    return value


def say_answer(answer: Answer, language: str) -> str:
    """A sentence with the question, shortened, and the answer."""
    values = {"question": Truncator(say_question(answer.version, language)).chars(LONGEST_QUESTION)}
    if answer.are_words_erased:
        return _("“%(question)s” was answered; the words were erased.") % values
    if not answer.value:
        return _("“%(question)s” is passed over.") % values
    values["answer"] = say_value(answer.version, answer.value, language)
    if answer.version.type == QuestionType.FREE_TEXT:
        return _("Answer to “%(question)s”: “%(answer)s”") % values
    return _("Answer to “%(question)s”: %(answer)s") % values


def explain_answer(answer: Answer) -> str:
    """What was pressed or said, where the answer does not tell it, and whether it was answered anew."""
    said = {"raw": answer.raw}
    heard = ""
    if answer.raw and answer.raw != answer.value:
        heard = _("Pressed: %(raw)s.") % said if answer.means == AnswerMeans.KEYS else _("Said: “%(raw)s”.") % said
    return " ".join(filter(None, [heard, "" if answer.is_current else _("It was answered anew later.")]))
