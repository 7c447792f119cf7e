"""What operators fill in for an import: the file, and which of its columns is which."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from campaigns.forms import CountryField
from campaigns.lifecycle import CampaignIsCancelled, check_admission
from contacts.models import ContactImport, DoNotCallImport
from contacts.rows import NUMBER_COLUMN, REASON_COLUMN
from contacts.sheets import UnusableFile
from contacts.uploads import columns_of, inspect_upload

COLUMN_TITLES = {
    "phone_number": _("Phone number"),
    "external_contact_id": _("Name in your own system"),
    "email": _("E-mail"),
    "preferred_language": _("Language"),
    "has_prior_consent": _("Prior consent"),
    "do_not_call": _("Do not call"),
    "time_zone": _("Time zone"),
    REASON_COLUMN: _("Reason"),
}
# Of those in which not every text will do.
COLUMN_LABELS = COLUMN_TITLES | {
    "preferred_language": _("Language (en, it, auto)"),
    "has_prior_consent": _("Prior consent (yes, no)"),
    "do_not_call": _("Do not call (yes, no)"),
    "time_zone": _("Time zone, such as Europe/Rome"),
}


def inspect_file(files: MultiValueDict[str, UploadedFile]) -> None:
    """Note with the file of a FileForm what it is, before the form is validated.

    Forms of the admin are validated within a transaction, and a large file takes longer than one may rest.
    """
    if upload := files.get("file"):
        try:
            upload.facts = inspect_upload(upload)
        except UnusableFile as error:
            upload.facts = error


class FileForm(forms.ModelForm):
    """Of files that inspect_file() has seen."""

    file = forms.FileField(
        label=_("File"),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.txt,.tsv,.xlsx"}),
        help_text=_(
            "CSV or Excel workbook (xlsx), with the names of the columns in its first line. You see what would become "
            "of it before anything is imported."
        ),
    )

    def clean_file(self) -> Any:
        upload = self.cleaned_data["file"]
        if isinstance(upload.facts, UnusableFile):
            raise forms.ValidationError(str(upload.facts), code="file") from upload.facts
        return upload


class ContactsForm(FileForm):
    class Meta:
        model = ContactImport
        fields = ["campaign"]

    def clean_campaign(self) -> Any:
        """Without a lock, which would last until the whole file is stored; whoever starts the import asks again."""
        campaign = self.cleaned_data["campaign"]
        try:
            check_admission(campaign)
        except CampaignIsCancelled as error:
            raise forms.ValidationError(str(error), code="cancelled") from error
        return campaign


class NumbersForm(FileForm):
    default_country = CountryField(
        label=_("Default country"), help_text=_("The country of numbers that are written without one.")
    )

    class Meta:
        model = DoNotCallImport
        fields = ["default_country"]


class ColumnsForm(forms.Form):
    """Which column of the file is which of ours; empty: none."""

    def __init__(self, record: ContactImport, data: Mapping[str, Any] | None = None) -> None:
        initial = {column: str(index) for column, index in record.columns.items()}
        super().__init__(data, initial=initial)
        numbered = gettext("(column %(number)s)")
        names = [
            name if name and record.header.count(name) == 1 else f"{name} {numbered % {'number': number}}".strip()
            for number, name in enumerate(record.header, start=1)
        ]
        choices = [("", "—"), *((str(index), name) for index, name in enumerate(names))]
        for column in columns_of(record):
            self.fields[column] = forms.ChoiceField(
                label=COLUMN_LABELS[column],
                choices=choices,
                required=column == NUMBER_COLUMN,
                widget=UnfoldAdminSelectWidget(),
                error_messages={"required": _("Choose the column that has the phone numbers.")},
            )

    def clean(self) -> dict[str, Any]:
        chosen = [index for index in self.cleaned_data.values() if index]
        for column, index in [*self.cleaned_data.items()]:
            if index and chosen.count(index) > 1:
                self.add_error(column, gettext("This column is chosen twice."))
        return self.cleaned_data

    @property
    def columns(self) -> dict[str, int]:
        return {column: int(index) for column, index in self.cleaned_data.items() if index}
