"""The pages of a campaign's results, in the admin."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from calls.access import SEE_ANSWERS, SEE_FIGURES
from calls.answer_wording import say_question
from calls.clock import DatabaseClock
from calls.own_words import find_words
from calls.results_page import describe_results
from campaigns.long_lists import BoundedPaginator, TooLong, give_up_in_time
from campaigns.models import Campaign, Question, QuestionType

WORDS_PER_PAGE = 50
LONGEST_TERM = 200


class CampaignResults:
    """For the admin of campaigns: the results, to which its page leads, for whoever sees campaigns and calls.

    Own words are for whoever sees contacts too, like the download of them: they may tell who somebody is.
    """

    def get_urls(self) -> list[URLPattern]:
        results, words = (self.admin_site.admin_view(view) for view in (self.show_results, self.show_words))
        return [
            path("<uuid:campaign>/results/", results, name="campaigns_campaign_results"),
            path("<uuid:campaign>/results/<uuid:question>/", words, name="campaigns_campaign_words"),
            *super().get_urls(),
        ]

    def _begin(self, request: HttpRequest, campaign: UUID, needed: Collection[str]) -> tuple[Campaign, dict[str, Any]]:
        if not request.user.has_perms(needed):
            raise PermissionDenied
        chosen = get_object_or_404(Campaign, pk=campaign)
        return chosen, {**self.admin_site.each_context(request), "opts": self.opts, "original": chosen}

    def show_results(self, request: HttpRequest, campaign: UUID) -> HttpResponse:
        """``?version=`` names a version that is to be shown alone; there may be several, of different questions."""
        chosen, context = self._begin(request, campaign, SEE_FIGURES)
        versions = read_ids(request.GET.getlist("version"))
        context |= {
            "title": _("Results: %(campaign)s") % {"campaign": chosen},
            "back": reverse("admin:campaigns_campaign_change", args=[chosen.pk]),
            "may_read_words": request.user.has_perms(SEE_ANSWERS),
            **describe_results(chosen, chosen=versions, clock=DatabaseClock()),
        }
        return TemplateResponse(request, "calls/results.html", context)

    def show_words(self, request: HttpRequest, campaign: UUID, question: UUID) -> HttpResponse:
        chosen, context = self._begin(request, campaign, SEE_ANSWERS)
        asked = get_object_or_404(Question.objects.prefetch_related("versions"), pk=question, campaign=chosen)
        versions = list(asked.versions.all())
        if not any(version.type == QuestionType.FREE_TEXT for version in versions):
            return HttpResponseRedirect(reverse("admin:campaigns_campaign_results", args=[chosen.pk]))
        term = request.GET.get("q", "").strip()[:LONGEST_TERM].replace("\x00", "")
        wanted = read_ids(request.GET.getlist("version"))
        version = next((one for one in versions if one.pk in wanted), None)
        words = find_words(asked, version=version and version.pk, term=term)
        context |= {
            "title": say_question(version or versions[-1], chosen.language),
            "back": f"{reverse('admin:campaigns_campaign_results', args=[chosen.pk])}#question-{asked.pk}",
            "term": term,
            "version": version,
            "has_versions": len(versions) > 1,
        }
        try:
            with give_up_in_time():
                paginator = BoundedPaginator(words, WORDS_PER_PAGE)
                page = paginator.get_page(request.GET.get("p"))
                context |= {"page": page, "answers": list(page.object_list), "paginator": paginator}
        except TooLong:
            context["is_too_long"] = True
        return TemplateResponse(request, "calls/own_words.html", context)


def read_ids(texts: Sequence[str]) -> set[UUID]:
    """Of what was written into an address; without what is no id."""
    ids = set()
    for text in texts:
        try:
            ids.add(UUID(text))
        except ValueError:
            continue
    return ids
