"""manage.py import_contacts CAMPAIGN FILE.csv"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import override

from campaigns.lifecycle import CampaignIsCancelled
from campaigns.lookup import UnknownCampaign, find_campaign
from contacts.importing import ImportStopped, import_contacts
from contacts.models import ContactImport, ImportRefusal
from contacts.sheets import UnusableFile

PROGRESS_ROWS = 10_000


class Command(BaseCommand):
    help = "Add the contacts of a file to a campaign and report every row that was refused."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("campaign", help="Its id, or its name if no other campaign has the same.")
        parser.add_argument("file", type=Path, help="CSV or Excel workbook (xlsx) with a header.")

    def handle(self, **options: Any) -> None:
        with override("en-gb"):  # as all that commands say, and so is what is kept of refused rows
            self._import_file(**options)

    def _import_file(self, *, campaign: str, file: Path, **options: Any) -> None:
        try:
            target = find_campaign(campaign)
            with file.open("rb") as source:
                record = import_contacts(
                    target, source, now=timezone.now(), file_name=file.name, show_progress=self._show_progress
                )
        except OSError as exc:
            raise CommandError(f"{file} cannot be read: {exc.strerror}.") from exc
        except (UnknownCampaign, UnusableFile, CampaignIsCancelled, ImportStopped) as exc:
            raise CommandError(str(exc)) from exc
        self._show_report(record)
        if record.refused > record.duplicates and record.refused == record.rows:
            raise CommandError("Nothing was imported.")

    def _show_progress(self, record: ContactImport) -> None:
        if record.rows % PROGRESS_ROWS == 0:
            self.stderr.write(f"{record.rows:,} rows read")

    def _show_report(self, record: ContactImport) -> None:
        for refusal in record.refusals.iterator():
            self.stdout.write(describe_refusal(refusal))
        if record.ignored_columns:
            self.stdout.write(f"Columns that were ignored: {', '.join(record.ignored_columns)}.")
        self.stdout.write(
            f"{record.imported:,} imported ({record.excluded:,} of them on the do-not-call list), "
            f"{record.updated:,} updated, {record.unchanged:,} unchanged, "
            f"{record.refused:,} refused ({record.duplicates:,} of them duplicates)."
        )


def describe_refusal(refusal: ImportRefusal) -> str:
    place = f", {refusal.column} {refusal.value!r}" if refusal.column else ""
    return f"line {refusal.line}{place}: {refusal.reason}"
