"""The questions of a campaign, written on its page."""

import json
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import StackedInline
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextareaWidget

from campaigns import lifecycle
from campaigns.careful_forms import CarefulForm, take_fingerprint
from campaigns.models import LAST_POSITION, LONGEST_CHOICE, Campaign, Question
from campaigns.questions import (
    ASKING,
    CONTENT,
    FIELDS_OF_TYPE,
    drop_what_does_not_apply,
    find_faults,
    find_missing_texts,
    questions_edited,
)

MOST_QUESTIONS = 100
SOMEBODY_HAS_REMOVED_IT = _(
    "Somebody else has removed this question meanwhile. Save again to ask it as a new one, or remove it here too."
)


class LinesField(forms.CharField):
    """Texts, one a line."""

    widget = UnfoldAdminTextareaWidget({"rows": 3})

    def prepare_value(self, value: Sequence[str] | str | None) -> str:
        return value if isinstance(value, str) else "\n".join(value or [])

    def to_python(self, value: str | None) -> list[str]:
        return list(filter(None, map(str.strip, (value or "").splitlines())))

    def validate(self, value: list[str]) -> None:
        super().validate(value)
        for number, line in enumerate(value, start=1):
            if len(line) > LONGEST_CHOICE:
                text = _("Choice %(number)s is longer than %(longest)s characters.")
                raise forms.ValidationError(text % {"number": number, "longest": LONGEST_CHOICE})

    def has_changed(self, initial: Sequence[str] | None, data: str | None) -> bool:
        return list(initial or []) != self.to_python(data)


def _help(name: str) -> Any:
    return Question._meta.get_field(name).help_text


class QuestionForm(CarefulForm):
    position = forms.IntegerField(
        label=capfirst(Question._meta.get_field("position").verbose_name),
        required=False,
        min_value=0,
        max_value=LAST_POSITION,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=_help("position"),
    )
    choices_en = LinesField(label=_("Choices in English"), required=False, help_text=_help("choices_en"))
    choices_it = LinesField(label=_("Choices in Italian"), required=False, help_text=_help("choices_it"))

    class Meta:
        model = Question
        exclude = ["campaign"]
        widgets = {name: UnfoldAdminTextareaWidget({"rows": 2}) for name in ("text_en", "text_it")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding:
            self.initial["position"] = None
        self.fields["type"].widget.attrs["data-fields"] = json.dumps(FIELDS_OF_TYPE)

    def clean_position(self) -> int:
        position = self.cleaned_data["position"]
        return LAST_POSITION if position is None else position

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        content = {name: cleaned[name] for name in CONTENT if name in cleaned}
        wording = Question(**content)
        for name in chain(*FIELDS_OF_TYPE.values()):
            if name in self.errors and name not in FIELDS_OF_TYPE.get(wording.type, ()):
                del self.errors[name]  # the page does not show it
        drop_what_does_not_apply(wording)
        cleaned |= {name: getattr(wording, name) for name in CONTENT if name not in self.errors}
        for name, fault in find_faults(wording).items():
            if name not in self.errors:
                self.add_error(name, fault)
        self._leave_in_its_place(cleaned)
        return cleaned

    def write_value(self, value: Any) -> str:
        return gettext("the last one") if value == LAST_POSITION else super().write_value(value)

    @property
    def is_as_seen(self) -> bool:
        """Whether it was sent as the page had shown it, but for its place."""
        names = [field.name for field in self._model_fields() if field.name != "position"]
        written = {name: take_fingerprint(self.cleaned_data.get(name)) for name in names}
        return written.items() <= self.cleaned_data.get("seen", {}).items()

    def _leave_in_its_place(self, cleaned: dict[str, Any]) -> None:
        """A question that nobody moved here stays where somebody else has moved it meanwhile."""
        is_untouched = take_fingerprint(cleaned.get("position")) == cleaned.get("seen", {}).get("position")
        if is_untouched and not self.instance._state.adding and "position" in self.changed_data:
            cleaned["position"] = self.instance.position
            cleaned["seen"] |= {"position": take_fingerprint(self.instance.position)}
            self.changed_data.remove("position")


class QuestionFormSet(forms.BaseInlineFormSet):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gone = range(0)
        if self.is_bound:
            self._put_gone_ones_last()

    def _put_gone_ones_last(self) -> None:
        """What somebody else has removed meanwhile is a new question here, lest what was written in it is lost."""
        try:
            number, total = self.initial_form_count(), self.total_form_count()
        except forms.ValidationError:
            return  # told by full_clean()
        present = {str(question.pk) for question in self.get_queryset()}
        gone = [index for index in range(number) if self.data.get(f"{self.prefix}-{index}-id") not in present]
        if not gone:
            return
        edited = [index for index in gone if not self._is_as_seen(index)]
        order = [index for index in range(total) if index not in gone] + edited
        data = self.data.copy()
        for name in [name for name in data if re.match(rf"{re.escape(self.prefix)}-\d+-", name)]:
            del data[name]
        for index, before in enumerate(order):
            start = f"{self.prefix}-{before}-"
            for name in filter(lambda name: name.startswith(start), self.data):
                data[f"{self.prefix}-{index}-{name.removeprefix(start)}"] = self.data[name]
        self._gone = range(len(order) - len(edited), len(order))
        for index in self._gone:
            data[f"{self.prefix}-{index}-id"] = ""
        data[f"{self.prefix}-TOTAL_FORMS"], data[f"{self.prefix}-INITIAL_FORMS"] = len(order), number - len(gone)
        self.data = data
        del self.management_form  # it has counted already

    def _is_as_seen(self, index: int) -> bool:
        form = self.form(self.data, prefix=f"{self.prefix}-{index}")
        return form.is_valid() and form.is_as_seen

    def clean(self) -> None:
        """Nothing may be missing of what is asked as soon as it is saved."""
        super().clean()
        for form in (self.forms[index] for index in self._gone):
            if not self._should_delete_form(form):
                form.add_error("text_en", SOMEBODY_HAS_REMOVED_IT)
        campaign = self.instance
        if campaign._state.adding:
            return
        status = Campaign.objects.values_list("status", flat=True).get(pk=campaign.pk)
        if status not in ASKING:
            return
        asking = [form for form in self.forms if form.has_changed() or not form.instance._state.adding]
        asking = [form for form in asking if form not in self.deleted_forms]
        if status in lifecycle.ACTIVE and self.deleted_forms and not asking:
            raise forms.ValidationError(_("A campaign that rings people keeps a question: pause it, or write another."))
        for form in asking:
            if form.is_valid():
                for name, problem in find_missing_texts(form.instance, campaign.spoken_languages).items():
                    form.add_error(name, problem)


class QuestionInline(StackedInline):
    model = Question
    form = QuestionForm
    formset = QuestionFormSet
    extra = 0
    max_num = MOST_QUESTIONS
    ordering_field = "position"  # and rows can be dragged
    fields = [
        ("position", "type"),
        "is_required",
        "text_en",
        "text_it",
        ("lowest", "highest"),
        ("choices_en", "choices_it"),
        "seen",
    ]

    class Media:
        js = ["campaigns/questions.js"]

    def get_formset(self, *args: Any, **kwargs: Any) -> type[QuestionFormSet]:
        formset = super().get_formset(*args, **kwargs)
        # Refuses to delete what others refer to. A question that was answered is withdrawn (`questions_edited`).
        formset.form.hand_clean_DELETE = lambda form: None
        return formset

    def get_queryset(self, request: HttpRequest) -> QuerySet[Question]:
        return super().get_queryset(request).filter(is_withdrawn=False)


def list_edited(formsets: Iterable[QuestionFormSet]) -> list[QuestionForm]:
    """The forms whose questions were changed, in the order in which Django tells of them."""
    edited = []
    for formset in formsets:
        forms_of = {form.instance.pk: form for form in formset.initial_forms}
        edited += [forms_of[question.pk] for question, _fields in formset.changed_objects]
    return edited


def save_questions(campaign: Campaign, formset: QuestionFormSet) -> None:
    saved = formset.save(commit=False)
    questions_edited(campaign, saved=saved, removed=formset.deleted_objects)
