"""What people answered in their own words."""

from uuid import UUID

from django.db.models import QuerySet

from calls.models import Answer
from campaigns.models import Question


def find_words(question: Question, *, version: UUID | None = None, term: str = "") -> QuerySet[Answer]:
    """The newest first, in which the term occurs, in large letters or small.

    Nothing of whoever was erased, and nothing that was passed over: those have no words.
    """
    words = Answer.objects.filter(question=question, is_current=True, version__type="free_text").exclude(value="")
    if version:
        words = words.filter(version=version)
    if term:
        words = words.filter(value__icontains=term)
    return words.select_related("version").order_by("-pk")
