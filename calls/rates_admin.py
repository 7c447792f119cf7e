"""The page of a campaign's outcome rates in the admin, and the lists that its counts lead to."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy
from unfold.admin import ModelAdmin

from calls.access import SEE_FIGURES
from calls.dispositions import (
    DISPOSITIONS,
    DispositionCount,
    add_up,
    count_dispositions,
    filter_contacts,
    list_names,
)
from calls.rates import RATES, SYMBOLS, Rate, find_e, spell_e
from calls.recollection import recollection
from campaigns.admin import link_to_contacts
from campaigns.counting import say_count
from campaigns.models import Campaign, CampaignStatus
from contacts.models import Contact, ContactState

KINDS: dict[str, tuple[Promise, Promise]] = {
    "response": (gettext_lazy("Response rates"), gettext_lazy("Interviews, of all who could have been interviewed.")),
    "cooperation": (gettext_lazy("Cooperation rates"), gettext_lazy("Interviews, of all who were reached.")),
    "refusal": (gettext_lazy("Refusal rates"), gettext_lazy("Refusals and break-offs, of all who could refuse.")),
    "contact": (gettext_lazy("Contact rates"), gettext_lazy("Those who were reached, of all who could be.")),
}
MEANINGS: dict[str, Promise] = {
    "I": gettext_lazy("complete interviews"),
    "P": gettext_lazy("partial interviews"),
    "R": gettext_lazy("refusals and break-offs"),
    "NC": gettext_lazy("non-contacts"),
    "O": pgettext_lazy("disposition", "others"),
    "UH": gettext_lazy("unknown whether eligible: nobody has answered"),
    "UO": gettext_lazy("unknown for another reason: does not occur here"),
    "NE": gettext_lazy("not eligible"),
}


class CampaignRates:
    """For the admin of campaigns: the page of the rates, for whoever sees campaigns and calls."""

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.show_rates)
        return [path("<uuid:campaign>/rates/", page, name="campaigns_campaign_rates"), *super().get_urls()]

    def show_rates(self, request: HttpRequest, campaign: UUID) -> HttpResponse:
        if not request.user.has_perms(SEE_FIGURES):
            raise PermissionDenied
        chosen = get_object_or_404(Campaign, pk=campaign)
        counts, counted_at = recollection.recall(
            ("dispositions", chosen.pk), lambda: (count_dispositions(chosen), timezone.now())
        )
        context = {
            **self.admin_site.each_context(request),
            "title": _("Rates: %(campaign)s") % {"campaign": chosen},
            "opts": self.opts,
            "original": chosen,
            "back": reverse("admin:campaigns_campaign_change", args=[chosen.pk]),
            "counted_at": counted_at,
            **describe_rates(chosen, counts),
        }
        if not request.user.has_perm("contacts.view_contact"):
            for row in [*context["dispositions"], *context["symbols"], *context["unfinished"]]:
                row["url"] = ""
        return TemplateResponse(request, "calls/outcome_rates.html", context)


def describe_rates(campaign: Campaign, counts: Mapping[str, DispositionCount]) -> dict[str, Any]:
    """What the page shows, in the current language."""
    symbols = add_up(counts)
    contacts = sum(count.contacts for count in counts.values())
    unfinished = sum(count.unfinished for count in counts.values())
    return {
        "contacts": contacts,
        "verdict": say_how_final(campaign, unfinished),
        "unfinished": list(_link_unfinished(campaign)) if unfinished else [],
        "dispositions": list(_list_dispositions(campaign, counts, contacts)),
        "symbols": [_describe_symbol(campaign, symbol, symbols[symbol]) for symbol in SYMBOLS],
        "e": _describe_e(symbols),
        "kinds": [
            (title, note, [_describe_rate(rate, symbols) for rate in RATES[kind]])
            for kind, (title, note) in KINDS.items()
        ],
    }


def say_how_final(campaign: Campaign, unfinished: int) -> str:
    """Whether calls may still change the rates."""
    if not unfinished:
        return _("Nobody is left to call, so these rates are final.")
    if campaign.status == CampaignStatus.CANCELLED:
        text = ngettext(
            "The campaign was cancelled before %(count)s contact was done; these rates are final.",
            "The campaign was cancelled before %(count)s contacts were done; these rates are final.",
            unfinished,
        )
    else:
        text = ngettext(
            "%(count)s contact is still to be called or in a call, so these rates are provisional.",
            "%(count)s contacts are still to be called or in a call, so these rates are provisional.",
            unfinished,
        )
    return text % {"count": say_count(unfinished)}


def _link_unfinished(campaign: Campaign) -> Iterator[dict[str, Any]]:
    if campaign.status != CampaignStatus.CANCELLED:
        yield {"title": _("Still to be called"), "url": link_to_contacts(campaign, next="waiting")}
    in_call = link_to_contacts(campaign, state__exact=ContactState.IN_PROGRESS.value)
    yield {"title": _("In a call"), "url": in_call}


def _list_dispositions(
    campaign: Campaign, counts: Mapping[str, DispositionCount], contacts: int
) -> Iterator[dict[str, Any]]:
    for name, disposition in DISPOSITIONS.items():
        count = counts[name]
        yield {
            "disposition": disposition,
            "contacts": count.contacts,
            "unfinished": count.unfinished,
            "share": 100 * count.contacts / (contacts or 1),
            "url": link_to_contacts(campaign, disposition=name) if count.contacts else "",
        }


def _describe_symbol(campaign: Campaign, symbol: str, contacts: int) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "meaning": MEANINGS[symbol],
        "contacts": contacts,
        "url": link_to_contacts(campaign, counts_as=symbol) if contacts else "",
    }


def _describe_rate(rate: Rate, symbols: Counter[str]) -> dict[str, str]:
    return {
        "name": rate.name,
        "value": say_share(rate.value(symbols)),
        "formula": rate.spell({**{symbol: symbol for symbol in SYMBOLS}, "e": "e"}),
        "numbers": rate.spell(_say_numbers(symbols)),
    }


def _describe_e(symbols: Counter[str]) -> dict[str, str]:
    return {
        "value": _say_e(symbols),
        "formula": spell_e({symbol: symbol for symbol in SYMBOLS}),
        "numbers": spell_e(_say_numbers(symbols)),
    }


def _say_numbers(symbols: Counter[str]) -> dict[str, str]:
    return {**{symbol: say_count(symbols[symbol]) for symbol in SYMBOLS}, "e": _say_e(symbols) or "?"}


def _say_e(symbols: Counter[str]) -> str:
    e = find_e(symbols)
    return "" if e is None else _say_decimal(e, 3)


def say_share(share: float | None) -> str:
    """45.3%; empty while it is not defined."""
    return "" if share is None else f"{_say_decimal(100 * share, 1)}%"


def _say_decimal(number: float, places: int) -> str:
    """Rounded, which number_format() does not do."""
    return number_format(Decimal(f"{number:.{places}f}"))


class _FilterByCalls(admin.SimpleListFilter):
    """Of one campaign's contacts: a disposition follows from all calls, and those of all campaigns would take long."""

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        self._campaign: UUID | None = None
        with suppress(ValueError):
            self._campaign = UUID(request.GET.get("campaign__id__exact", ""))
        super().__init__(request, *args)

    def list_choices(self) -> Iterator[tuple[str, str]]:
        raise NotImplementedError

    def list_wanted(self) -> Collection[str]:
        """Of the dispositions that are wanted; empty when that is no choice."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> list[tuple[str, str]]:
        return [] if self._campaign is None else list(self.list_choices())

    def get_facet_queryset(self, changelist: ChangeList) -> dict[str, int]:
        """No counts: for each of them all calls would be read anew, and the page of the rates has them."""
        return {}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Contact]) -> QuerySet[Contact]:
        names = self.list_wanted()
        return filter_contacts(queryset, self._campaign, names) if self._campaign and names else queryset


class DispositionFilter(_FilterByCalls):
    title = gettext_lazy("disposition")
    parameter_name = "disposition"

    def list_choices(self) -> Iterator[tuple[str, str]]:
        return ((one.name, f"{one.code} {one.title}") for one in DISPOSITIONS.values())

    def list_wanted(self) -> Collection[str]:
        return {self.value()} & DISPOSITIONS.keys()


class SymbolFilter(_FilterByCalls):
    title = gettext_lazy("symbol in the rates")
    parameter_name = "counts_as"

    def list_choices(self) -> Iterator[tuple[str, str]]:
        return ((symbol, f"{symbol}: {MEANINGS[symbol]}") for symbol in SYMBOLS if list_names(symbol))

    def list_wanted(self) -> Collection[str]:
        return list_names(self.value())
