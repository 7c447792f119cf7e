from typing import Any

from django.core.management.base import BaseCommand, CommandError

from calls.cluster import Cluster, ClusterDied


class Command(BaseCommand):
    help = "Work on the background jobs, and ring in short shifts, until it is stopped. Several may run."

    def handle(self, **options: Any) -> None:
        try:
            Cluster().run()
        except ClusterDied as error:
            raise CommandError(str(error)) from error
