"""The page on which a person is erased: first it shows what there is, then it asks."""

import re
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from calls.erasure import (
    ErasureImpossible,
    Findings,
    Person,
    count_findings,
    describe_obstacle,
    erase_person,
    look_for,
)
from campaigns.confirmation import leave_page
from campaigns.forms import CountryField
from contacts.hashing import is_hashing_possible
from contacts.phones import InvalidPhoneNumber, normalise_number

_LOOKS_LIKE_A_NUMBER = re.compile(r"(\d[\s()/.-]*){7}|@")


class ErasureForm(forms.Form):
    phone_number = forms.CharField(
        required=False,
        max_length=50,
        widget=UnfoldAdminTextInputWidget,
        label=_("Phone number"),
        help_text=_("In any spelling; with + and the country code, or with the country beside it."),
    )
    country = CountryField(
        label=_("Country of the number"),
        widget=UnfoldAdminSelectWidget,
        help_text=_("Only for a number that is written without one."),
    )
    external_contact_id = forms.CharField(
        required=False,
        max_length=100,
        widget=UnfoldAdminTextInputWidget,
        label=_("Or: external contact id"),
        help_text=_("The name in your own system. All who have it are erased, and all contacts with their numbers."),
    )
    keeps_off = forms.BooleanField(
        required=False,
        label=_("Never ring this number again"),
        widget=UnfoldBooleanSwitchWidget,
        help_text=_(
            "The number stays on the do-not-call list, or is put on it, as a hash that nobody can read. Otherwise it "
            "is taken off, and is rung when somebody imports it again."
        ),
    )
    reason = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        label=_("Reason"),
        help_text=_("It is kept in the audit for good, so do not write who the person is."),
    )

    def clean_keeps_off(self) -> bool:
        keeps_off = self.cleaned_data["keeps_off"]
        if keeps_off and not is_hashing_possible():
            problem = gettext(
                "This site cannot keep a number in a way that nobody can read: ask whoever runs it to set the secret "
                "key for that, or switch this off."
            )
            raise ValidationError(problem, code="hash_key")
        return keeps_off

    def clean_reason(self) -> str:
        reason = self.cleaned_data["reason"]
        if _LOOKS_LIKE_A_NUMBER.search(reason):
            raise ValidationError(gettext("Leave numbers and addresses out: the reason is kept."), code="personal")
        return reason

    def clean(self) -> None:
        number, name = self.cleaned_data.get("phone_number"), self.cleaned_data.get("external_contact_id")
        if bool(number) == bool(name):
            raise ValidationError(gettext("Give a phone number or an external contact id, and not both."), code="whom")
        if number:
            try:
                number = normalise_number(number, self.cleaned_data.get("country", ""))
            except InvalidPhoneNumber as error:
                raise ValidationError({"phone_number": str(error)}, code="phone_number") from error
        self.cleaned_data["person"] = Person(phone_number=number) if number else Person(external_id=name)


class ErasurePages:
    """For the admin of contacts."""

    actions_list = ["erase"]
    actions_detail = ["erase_this"]

    def has_erase_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("contacts.erase_contact")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[UnfoldAction]:
        contact = self.get_object(request, str(object_id))
        return super().get_actions_detail(request, object_id) if contact and not contact.erased_at else []

    @action(description=_("Erase this person"), icon="person_off", variant=ActionVariant.DANGER, permissions=["erase"])
    def erase_this(self, request: HttpRequest, object_id: str) -> HttpResponse:
        # By its id: addresses of pages are written into logs and histories, and may not have a number in them.
        return HttpResponseRedirect(f"{reverse('admin:contacts_contact_erase')}?{urlencode({'contact': object_id})}")

    @action(description=_("Erase a person"), icon="person_off", permissions=["erase"])
    def erase(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            form = ErasureForm(request.POST)
        else:
            form = ErasureForm(initial={"keeps_off": is_hashing_possible(), **self._find_initial(request)})
        found, obstacle = None, ""
        if form.is_bound and form.is_valid() and "edit" not in request.POST:
            person = form.cleaned_data["person"]
            try:
                if request.POST.get("step") == "erase":
                    return self._erase(request, person, form)
                obstacle = describe_obstacle()
            except ErasureImpossible as error:
                obstacle = str(error)
            found = look_for(person)
            if not found.contacts and not person.phone_number:
                form.add_error("external_contact_id", gettext("No contact has this external id."))
                found = None
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Erase a person"),
            "opts": self.opts,
            "form": form,
            "found": found and describe_findings(found, keeps_off=form.cleaned_data["keeps_off"]),
            "obstacle": obstacle,
        }
        return TemplateResponse(request, "calls/erase.html", context)

    def _find_initial(self, request: HttpRequest) -> dict[str, str]:
        contact = self.get_object(request, request.GET.get("contact", ""))
        return {"phone_number": contact.phone_number} if contact and contact.phone_number else {}

    def _erase(self, request: HttpRequest, person: Person, form: ErasureForm) -> HttpResponse:
        """Raises ErasureImpossible."""
        found = erase_person(
            person,
            keeps_off=form.cleaned_data["keeps_off"],
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
        )
        self.message_user(
            request, gettext("Erased: %(findings)s.") % {"findings": say_findings(found)}, messages.SUCCESS
        )
        return leave_page(request, reverse("admin:contacts_contact_changelist"))


def say_findings(found: Findings) -> str:
    contacts, calls, answers, rows = count_findings(found)
    text = gettext("%(contacts)s, %(calls)s, %(answers)s and %(rows)s of imports")
    return text % {"contacts": contacts, "calls": calls, "answers": answers, "rows": rows}


def describe_findings(found: Findings, *, keeps_off: bool) -> dict[str, Any]:
    return {
        "numbers": found.numbers,
        "campaigns": found.campaigns,
        "count": say_findings(found),
        "listed": _say_what_becomes_of_the_entry(found, keeps_off),
        "is_nothing": not (found.contacts or found.refused_rows),
    }


def _say_what_becomes_of_the_entry(found: Findings, keeps_off: bool) -> str:
    if keeps_off and found.is_on_do_not_call:
        return gettext("The number stays on it, as a hash that nobody can read.")
    if keeps_off:
        return gettext("The number is put on it, as a hash that nobody can read.")
    if found.is_on_do_not_call:
        return gettext("The number is taken off it, and is rung when somebody imports it again.")
    return gettext("The number is not on it, and is rung when somebody imports it again.")
