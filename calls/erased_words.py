"""An answer without a value was passed over, or it was words of somebody who has been erased since.

Of erased words nothing is left but by which means they were said. What was passed over by an erased person has no means
either, whatever was heard: so the two are told apart.
"""

from collections.abc import Mapping
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models import QuestionType


class AnswerMeans(models.TextChoices):
    KEYS = "keys", _("Keys")
    SPEECH = "speech", _("Speech")
    NOTHING = "nothing", _("Nothing")


# Of an answer, in a question to the database: it was answered, also if the words are erased, and not passed over.
IS_ANSWERED = f"(value <> '' OR (raw = '' AND means <> '{AnswerMeans.NOTHING.value}'))"


def are_words_erased(*, value: str, raw: str, means: str) -> bool:
    return not value and not raw and means != AnswerMeans.NOTHING


def erase_words(content: Mapping[str, Any], question_type: str) -> dict[str, Any]:
    """Of an answer that is about to be stored (value, raw, means): as it is kept of an erased person."""
    means = content["means"] if content["value"] else AnswerMeans.NOTHING
    value = "" if question_type == QuestionType.FREE_TEXT else content["value"]
    return {**content, "raw": "", "value": value, "means": means}


class AnswerQuerySet(models.QuerySet):
    def erase_words(self) -> None:
        """Keep nobody's own words, but that they were said, and all other answers: figures of a campaign."""
        # Before the words go: what was passed over must not look like words that were erased.
        self.filter(value="").exclude(raw="").update(means=AnswerMeans.NOTHING)
        self.filter(version__type=QuestionType.FREE_TEXT).update(value="")
        self.exclude(raw="").update(raw="")
