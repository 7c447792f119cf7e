"""What operators fill in for an import: the file, and which of its columns is which."""

from collections.abc import Mapping
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from campaigns.forms import CountryField
from campaigns.lifecycle import CampaignIsCancelled, admit_contacts
from contacts.models import ContactImport, DoNotCallImport
from contacts.rows import NUMBER_COLUMN, REASON_COLUMN
from contacts.sheets import UnusableFile
from contacts.uploads import columns_of, inspect_upload

COLUMN_TITLES = {
    "phone_number": "Phone number",
    "external_contact_id": "Name in your own system",
    "email": "E-mail",
    "preferred_language": "Language (en, it, auto)",
    "has_prior_consent": "Prior consent (yes, no)",
    "do_not_call": "Do not call (yes, no)",
    "time_zone": "Time zone, such as Europe/Rome",
    REASON_COLUMN: "Reason",
}


class FileForm(forms.ModelForm):
    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.txt,.tsv,.xlsx"}),
        help_text=(
            "CSV or Excel workbook (xlsx), with the names of the columns in its first line. You see what would become "
            "of it before anything is imported."
        ),
    )

    def clean_file(self) -> Any:
        try:
            self.facts = inspect_upload(self.cleaned_data["file"])
        except UnusableFile as error:
            raise forms.ValidationError(str(error), code="file") from error
        return self.cleaned_data["file"]


class ContactsForm(FileForm):
    class Meta:
        model = ContactImport
        fields = ["campaign"]

    def clean_campaign(self) -> Any:
        try:
            return admit_contacts(self.cleaned_data["campaign"])
        except CampaignIsCancelled as error:
            raise forms.ValidationError(str(error), code="cancelled") from error


class NumbersForm(FileForm):
    default_country = CountryField(help_text="The country of numbers that are written without one.")

    class Meta:
        model = DoNotCallImport
        fields = ["default_country"]


class ColumnsForm(forms.Form):
    """Which column of the file is which of ours; empty: none."""

    def __init__(self, record: ContactImport, data: Mapping[str, Any] | None = None) -> None:
        initial = {column: str(index) for column, index in record.columns.items()}
        super().__init__(data, initial=initial)
        choices = [("", "—"), *((str(i), name or f"(column {i + 1})") for i, name in enumerate(record.header))]
        for column in columns_of(record):
            self.fields[column] = forms.ChoiceField(
                label=COLUMN_TITLES[column],
                choices=choices,
                required=column == NUMBER_COLUMN,
                widget=UnfoldAdminSelectWidget(),
                error_messages={"required": "Choose the column that has the phone numbers."},
            )

    def clean(self) -> dict[str, Any]:
        chosen = [index for index in self.cleaned_data.values() if index]
        for column, index in [*self.cleaned_data.items()]:
            if index and chosen.count(index) > 1:
                self.add_error(column, "This column is chosen twice.")
        return self.cleaned_data

    @property
    def columns(self) -> dict[str, int]:
        return {column: int(index) for column, index in self.cleaned_data.items() if index}
