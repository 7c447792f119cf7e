"""What the pages of imports show."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext
from unfold.utils import display_for_label

from campaigns.counting import say_count
from contacts.exclusion import numbers_on_do_not_call
from contacts.import_forms import COLUMN_TITLES
from contacts.models import Contact, ContactImport, ImportRefusal, ImportStatus
from contacts.rows import NUMBER_COLUMN, REFUSAL_COLUMNS, ContactRow, RefusedRow, list_candidates
from contacts.spreadsheets import Cell, restore
from contacts.uploads import LOST_AFTER, columns_of, preview

STATUS_COLOURS = {
    ImportStatus.PREPARED: "info",
    ImportStatus.RUNNING: "success",
    ImportStatus.COMPLETED: "primary",
    ImportStatus.CANCELLED: "warning",
    ImportStatus.FAILED: "danger",
}

SHOWN_REFUSALS = 20


def url_of(record: ContactImport, page: str) -> str:
    """``record`` as its own admin has read it: imports of the do-not-call list are of another model."""
    return reverse(f"admin:contacts_{record._meta.model_name}_{page}", args=[record.pk])


def show_status(record: ContactImport) -> str:
    return display_for_label((record.status, record.get_status_display()), "-", STATUS_COLOURS)


def describe_import(record: ContactImport) -> dict[str, Any]:
    """What its page shows of how far it is and what became of its rows."""
    rows = record.rows_in_file or record.rows
    is_running = record.status == ImportStatus.RUNNING
    shown = record.refusals.all()[:SHOWN_REFUSALS] if record.refused else []
    return {
        "status": show_status(record),
        "urls": {page: url_of(record, page) for page in ("change", "progress", "refused")},
        "result": _link_to_result(record),
        "is_running": is_running,
        "is_over": record.ended_at is not None,
        "share": f"{100 * record.rows / (rows or 1):.1f}",
        "rows_left": _describe_rest(record) if is_running else "",
        "rows_in_file": count_rows(record.rows_in_file or 0),
        "figures": _count_figures(record),
        "refusals": {
            "headers": [pgettext("of a file", "line"), _("column"), _("value"), _("reason")],
            "rows": [[one.line, one.column or "—", one.value or "—", one.reason] for one in shown],
        },
        "import_button": _import_button(record.rows_in_file or 0),
        "download_button": _download_button(record.refused),
        "refused_not_shown": _describe_not_shown(record.refused - len(shown)),
    }


def _count_figures(record: ContactImport) -> list[tuple[str, str, str]]:
    """The title, what it means where that needs to be said, and the number."""
    if record.campaign_id:
        own = [
            (_("Not to be called"), _("Of the imported those who are on the do-not-call list"), record.excluded),
            (
                pgettext("rows of a file", "Updated"),
                _("Contacts that the campaign had, with something new of them"),
                record.updated,
            ),
            (
                pgettext("rows of a file", "Unchanged"),
                _("Contacts that the campaign had as the file says"),
                record.unchanged,
            ),
        ]
    else:
        own = [
            (_("Contacts excluded"), _("Contacts of all campaigns that would have been rung"), record.excluded),
            (pgettext("rows of a file", "Unchanged"), _("Numbers that were on the list"), record.unchanged),
        ]
    figures = [
        (_("Rows read"), "", record.rows),
        (pgettext("rows of a file", "Imported"), "", record.imported),
        *own,
        (pgettext("rows of a file", "Refused"), "", record.refused),
        (
            pgettext("rows of a file", "Duplicates"),
            _("Of the refused those whose number stands further up"),
            record.duplicates,
        ),
    ]
    return [(title, meaning, say_count(count)) for title, meaning, count in figures]


def _link_to_result(record: ContactImport) -> tuple[str, str]:
    if not record.campaign_id:
        return _("The do-not-call list"), reverse("admin:contacts_donotcallentry_changelist")
    query = urlencode({"campaign__id__exact": record.campaign_id})
    return _("Contacts of the campaign"), f"{reverse('admin:contacts_contact_changelist')}?{query}"


def count_rows(rows: int) -> str:
    return ngettext("%(count)s row", "%(count)s rows", rows) % {"count": say_count(rows)}


def _import_button(rows: int) -> str:
    return ngettext("Import %(count)s row", "Import %(count)s rows", rows) % {"count": say_count(rows)}


def _download_button(rows: int) -> str:
    text = ngettext("Download %(count)s row as CSV", "Download %(count)s rows as CSV", rows)
    return text % {"count": say_count(rows)}


def _describe_not_shown(rows: int) -> str:
    if rows <= 0:
        return ""
    text = ngettext("The file has %(count)s row more.", "The file has %(count)s rows more.", rows)
    return text % {"count": say_count(rows)}


def _describe_rest(record: ContactImport) -> str:
    """How long it will take, from how long it has taken; or that nobody works on it."""
    now = timezone.now()
    if not record.rows_in_file or record.started_at is None:
        return ""  # of the command line, which reads its file once
    if now - record.updated_at >= LOST_AFTER:
        return _(
            "For a minute or longer nobody has worked on it: the cluster does other imports, or does not run. Nothing "
            "is lost, and it goes on by itself when the cluster does. If this stays so, tell whoever runs the site."
        )
    if not record.rows:
        return _("It begins as soon as a worker of the cluster is free.")
    seconds = (now - record.started_at).total_seconds()
    left = seconds / record.rows * (record.rows_in_file - record.rows)
    if left < 60:
        return _("Less than a minute left.")
    minutes = round(left / 60)
    text = ngettext("About %(count)s minute left.", "About %(count)s minutes left.", minutes)
    return text % {"count": say_count(minutes)}


def describe_preview(record: ContactImport, columns: Mapping[str, int]) -> dict[str, Any]:
    """A table of the first rows as they would be imported, with what would become of each."""
    if NUMBER_COLUMN not in columns:
        return {}
    rows = preview(record, columns)
    shown = [column for column in columns_of(record) if column in columns]
    fates = _Fates(record, rows)
    title = ngettext("The first %(count)s row", "The first %(count)s rows", len(rows))
    return {
        "title": title % {"count": len(rows)},
        "verdict": _describe_problems(sum(isinstance(row, RefusedRow) for row in rows), len(rows)),
        "candidates": _describe_candidates(record),
        "table": {
            "headers": [
                pgettext("of a file", "line"),
                *(COLUMN_TITLES[column] for column in shown),
                _("what becomes of it"),
            ],
            "rows": [[row.line, *_show_cells(row, shown, columns), fates.describe(row)] for row in rows],
        },
    }


class _Fates:
    """What would become of rows, by what there is now."""

    def __init__(self, record: ContactImport, rows: list[ContactRow | RefusedRow]) -> None:
        numbers = [row.phone_number for row in rows if isinstance(row, ContactRow)]
        known = Contact.objects.filter(campaign=record.campaign_id, phone_number__in=numbers)
        self._is_of_a_campaign = record.campaign_id is not None
        self._known = set(known.values_list("phone_number", flat=True)) if self._is_of_a_campaign else set()
        self._listed = numbers_on_do_not_call(numbers)

    def describe(self, row: ContactRow | RefusedRow) -> str:
        if isinstance(row, RefusedRow):
            return _("Refused: %(reason)s") % {"reason": row.reason}
        is_listed = row.phone_number in self._listed
        if not self._is_of_a_campaign:
            return _("It is on the list already.") if is_listed else _("It is put on the list.")
        if row.do_not_call and not is_listed:
            return _("It is put on the do-not-call list, and is not rung.")
        if row.phone_number in self._known:
            return (
                _("The campaign has it: what is new is taken over. It is on the do-not-call list, and is not rung.")
                if is_listed
                else _("The campaign has it: what is new is taken over.")
            )
        return (
            _("New, but on the do-not-call list: it is not rung.")
            if is_listed
            else pgettext("contact of a file", "New")
        )


def _describe_candidates(record: ContactImport) -> str:
    """The columns of which several may have been meant."""
    several = [
        f"{COLUMN_TITLES[column]} ({', '.join(record.header[place] for place in places)})"
        for column, places in list_candidates(record.header, columns_of(record)).items()
        if len(places) > 1
    ]
    if not several:
        return ""
    text = _("More than one column may be meant: %(columns)s. See above which one is taken.")
    return text % {"columns": "; ".join(several)}


def _describe_problems(rows: int, of_rows: int) -> str:
    if not rows:
        return ngettext("Nothing is wrong with it.", "Nothing is wrong with them.", of_rows)
    if of_rows == 1:
        return _("It would be refused.")
    text = ngettext(
        "%(count)s of them would be refused; the others are imported all the same.",
        "%(count)s of them would be refused; the others are imported all the same.",
        rows,
    )
    return text % {"count": rows}


def _show_cells(row: ContactRow | RefusedRow, shown: list[str], columns: Mapping[str, int]) -> Iterator[str]:
    for column in shown:
        text = row.cells[columns[column]] if columns[column] < len(row.cells) else ""
        if column == NUMBER_COLUMN and isinstance(row, ContactRow):
            text = row.phone_number
        yield text or "—"


def list_refused(record: ContactImport) -> tuple[list[str], Iterator[list[Cell]]]:
    """The header and the rows of the file of what was refused: each with its reason, and as it would be imported.

    If it was refused before, and came in such a file, without what was said of it then.
    """
    has_refusals = {*REFUSAL_COLUMNS} <= {*record.header}
    former = {record.header.index(name) for name in REFUSAL_COLUMNS} if has_refusals else set()

    def keep(cells: Sequence[str]) -> list[str]:
        return [restore(cell) for place, cell in enumerate(cells) if place not in former]

    refusals = ImportRefusal.objects.filter(contact_import=record).order_by("line").iterator()
    rows = ([one.line, one.column, one.value, one.reason, *keep(one.cells)] for one in refusals)
    return [*REFUSAL_COLUMNS, *keep(record.header)], rows
