"""manage.py erase_person --number NUMBER --do-not-call --reason WHY"""

from argparse import ArgumentParser, BooleanOptionalAction
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from calls.erasure import ErasureImpossible, Person, describe_erasure, erase_person, look_for
from contacts.hashing import HashKeyMissing
from contacts.phones import InvalidPhoneNumber, normalise_number


class Command(BaseCommand):
    help = "Erase all that there is of a person, in all campaigns and for good. It asks before it does."

    def add_arguments(self, parser: ArgumentParser) -> None:
        whom = parser.add_mutually_exclusive_group(required=True)
        whom.add_argument("--number", default="", help="In any spelling.")
        whom.add_argument("--external-id", default="", help="The name in your own system.")
        parser.add_argument("--country", default="", help="Of a number that is written without one, such as IT.")
        parser.add_argument(
            "--do-not-call",
            action=BooleanOptionalAction,
            required=True,
            help="Whether the number stays on the do-not-call list, or is put on it, as a hash that nobody can read.",
        )
        parser.add_argument("--reason", required=True, help="Kept in the audit; do not write who it is.")
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(
        self,
        *,
        number: str,
        external_id: str,
        country: str,
        do_not_call: bool,
        reason: str,
        yes: bool,
        **options: Any,
    ) -> None:
        try:
            phone_number = normalise_number(number, country) if number else ""
            person = Person(phone_number=phone_number, external_id=external_id)
            found = look_for(person)
            self.stdout.write(f"There are {describe_erasure(found, keeps_off=do_not_call, reason=reason)}")
            for campaign in found.campaigns:
                self.stdout.write(f"  {campaign}")
            if not yes and input("Erase for good? Type yes: ") != "yes":
                raise CommandError("Nothing was erased.")
            erase_person(person, keeps_off=do_not_call, reason=reason, now=timezone.now())
        except (InvalidPhoneNumber, ErasureImpossible, HashKeyMissing) as error:
            raise CommandError(str(error)) from error
        self.stdout.write("Erased.")
