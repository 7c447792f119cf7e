"""manage.py why CAMPAIGN"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from calls.clock import DatabaseClock
from calls.why import explain
from campaigns.lookup import UnknownCampaign, find_campaign


class Command(BaseCommand):
    help = "Say in one sentence what a campaign is doing, or why it rings nobody."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("campaign", help="Its id, or its name if no other campaign has the same.")

    def handle(self, *, campaign: str, **options: Any) -> None:
        try:
            found = find_campaign(campaign)
        except UnknownCampaign as error:
            raise CommandError(str(error)) from error
        self.stdout.write(explain(found, clock=DatabaseClock()))
