"""What the pages of imports show."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from unfold.utils import display_for_label

from contacts.import_forms import COLUMN_TITLES
from contacts.models import ContactImport, ImportRefusal, ImportStatus
from contacts.rows import NUMBER_COLUMN, ContactRow, RefusedRow
from contacts.spreadsheets import Cell
from contacts.uploads import columns_of, preview

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
            "headers": ["line", "column", "value", "reason"],
            "rows": [[one.line, one.column or "—", one.value or "—", one.reason] for one in shown],
        },
        "refused": count_rows(record.refused),
        "refused_not_shown": count_rows(record.refused - len(shown)) if record.refused > len(shown) else "",
    }


def _count_figures(record: ContactImport) -> list[tuple[str, str, str]]:
    """The title, what it means where that needs to be said, and the number."""
    if record.campaign_id:
        own = [
            ("Not to be called", "Of the imported those who are on the do-not-call list", record.excluded),
            ("Updated", "Contacts that the campaign had, with something new of them", record.updated),
            ("Unchanged", "Contacts that the campaign had as the file says", record.unchanged),
        ]
    else:
        own = [
            ("Contacts excluded", "Contacts of all campaigns that would have been rung", record.excluded),
            ("Unchanged", "Numbers that were on the list", record.unchanged),
        ]
    figures = [
        ("Rows read", "", record.rows),
        ("Imported", "", record.imported),
        *own,
        ("Refused", "", record.refused),
        ("Duplicates", "Of the refused those whose number stands further up", record.duplicates),
    ]
    return [(title, meaning, f"{count:,}") for title, meaning, count in figures]


def _link_to_result(record: ContactImport) -> tuple[str, str]:
    if not record.campaign_id:
        return "The do-not-call list", reverse("admin:contacts_donotcallentry_changelist")
    query = urlencode({"campaign__id__exact": record.campaign_id})
    return "Contacts of the campaign", f"{reverse('admin:contacts_contact_changelist')}?{query}"


def count_rows(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _describe_rest(record: ContactImport) -> str:
    """How long it will take, from how long it has taken."""
    if not record.rows or not record.rows_in_file or record.started_at is None:
        return "It begins as soon as a worker of the cluster is free."
    seconds = (timezone.now() - record.started_at).total_seconds()
    left = seconds / record.rows * (record.rows_in_file - record.rows)
    return "Less than a minute left." if left < 60 else f"About {round(left / 60)} minutes left."


def describe_preview(record: ContactImport, columns: Mapping[str, int]) -> dict[str, Any]:
    """A table of the first rows as they would be imported, with what is wrong with each."""
    if NUMBER_COLUMN not in columns:
        return {}
    rows = preview(record, columns)
    shown = [column for column in columns_of(record) if column in columns]
    return {
        "problems": sum(isinstance(row, RefusedRow) for row in rows),
        "count": len(rows),
        "table": {
            "headers": ["line", *(COLUMN_TITLES[column].split(" (")[0].split(",")[0] for column in shown), "problem"],
            "rows": [[row.line, *_show_cells(row, shown, columns), getattr(row, "reason", "—")] for row in rows],
        },
    }


def _show_cells(row: ContactRow | RefusedRow, shown: list[str], columns: Mapping[str, int]) -> Iterator[str]:
    for column in shown:
        text = row.cells[columns[column]] if columns[column] < len(row.cells) else ""
        if column == NUMBER_COLUMN and isinstance(row, ContactRow):
            text = row.phone_number
        yield text or "—"


def list_refused(record: ContactImport) -> Iterator[list[Cell]]:
    for refusal in ImportRefusal.objects.filter(contact_import=record).order_by("line").iterator():
        yield [refusal.line, refusal.column, refusal.value, refusal.reason, *refusal.cells]
