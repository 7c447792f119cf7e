"""Who may be rung: the contacts of every campaign, and the people who said no to all of them."""

from collections.abc import Collection
from datetime import datetime
from typing import Self
from uuid import UUID

from django.conf import settings
from django.db import connection, models
from django.db.models import F, Q
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from campaigns.lifecycle import ACTIVE
from campaigns.models import Campaign, Language, validate_country, validate_e164, validate_time_zone

E164 = r"^\+[1-9][0-9]{6,14}$"
SHA256 = r"^[0-9a-f]{64}$"


class ContactState(models.TextChoices):
    # not rung yet, or rung in vain by no fault of its own
    PENDING = "pending", pgettext_lazy("state of a contact", "Pending")
    # an attempt is open
    IN_PROGRESS = "in_progress", pgettext_lazy("state of a contact", "In Progress")
    # took part to the end
    COMPLETED = "completed", pgettext_lazy("state of a contact", "Completed")
    # said no to this campaign
    REFUSED = "refused", pgettext_lazy("state of a contact", "Refused")
    # tried; next_attempt_at says whether it will be tried again
    NOT_REACHED = "not_reached", pgettext_lazy("state of a contact", "Not Reached")
    # on the do-not-call list
    EXCLUDED = "excluded", pgettext_lazy("state of a contact", "Excluded")


class PreferredLanguage(models.TextChoices):
    ENGLISH = Language.ENGLISH.value, Language.ENGLISH.label
    ITALIAN = Language.ITALIAN.value, Language.ITALIAN.label
    AUTO = "auto", _("Campaign's language")


class CallOutcome(models.TextChoices):
    """How an attempt ended; written once."""

    COMPLETED = "completed", pgettext_lazy("outcome of a call", "Completed")
    REFUSED = "refused", pgettext_lazy("outcome of a call", "Refused")
    NO_ANSWER = "no_answer", pgettext_lazy("outcome of a call", "No Answer")
    BUSY = "busy", pgettext_lazy("outcome of a call", "Busy")
    FAILED = "failed", pgettext_lazy("outcome of a call", "Failed")


# After these nobody is tried again.
SETTLING_OUTCOMES = (CallOutcome.COMPLETED, CallOutcome.REFUSED)


def validate_calling_zone(value: str) -> None:
    for zone in value.split():
        validate_time_zone(zone)


class ContactQuerySet(models.QuerySet["Contact"]):
    def waiting(self) -> Self:
        """Will be rung some time: now, when the window opens, or when the retry interval is over."""
        return self.filter(next_attempt_at__isnull=False)

    def due(self, now: datetime) -> Self:
        """Wanted now, but for the campaign's status and the window."""
        return self.filter(next_attempt_at__lte=now)

    def in_progress(self) -> Self:
        return self.filter(state=ContactState.IN_PROGRESS)

    def unfinished(self) -> Self:
        return self.filter(Q(next_attempt_at__isnull=False) | Q(state=ContactState.IN_PROGRESS))


class ContactManager(models.Manager.from_queryset(ContactQuerySet)):
    def find_waiting_zones(self, campaigns: Collection[UUID]) -> list[tuple[UUID, str]]:
        """The lanes: each of the campaigns with each calling zone in which somebody of it waits.

        Goes from one calling zone to the next through the index contact_lane, one probe each, so that it costs the
        same whether ten or a million contacts wait in a zone. From the last zone to the first: so each is met at its
        end. At its beginning lie the index entries of all who were claimed, until a vacuum can remove them.
        """
        next_zone = """
            SELECT max(contact.calling_zone) FROM contacts_contact contact
            WHERE contact.campaign_id = {campaign} AND contact.next_attempt_at IS NOT NULL {before}
        """
        first = next_zone.format(campaign="wanted.campaign_id", before="")
        following = next_zone.format(campaign="lane.campaign_id", before="AND contact.calling_zone < lane.zone")
        sql = f"""
            WITH RECURSIVE lane(campaign_id, zone) AS (
                SELECT wanted.campaign_id, ({first}) FROM unnest(%s::uuid[]) AS wanted(campaign_id)
                UNION ALL
                SELECT lane.campaign_id, ({following}) FROM lane WHERE lane.zone IS NOT NULL
            )
            SELECT campaign_id, zone FROM lane WHERE zone IS NOT NULL
        """
        with connection.cursor() as cursor:
            cursor.execute(sql, [list(campaigns)])
            return cursor.fetchall()


class Contact(models.Model):
    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    campaign = models.ForeignKey(
        Campaign, verbose_name=_("campaign"), on_delete=models.PROTECT, related_name="contacts", db_index=False
    )
    external_contact_id = models.CharField(
        _("external contact id"), max_length=100, blank=True, help_text=_("The name in your own system.")
    )
    # NULL once the person is erased, and not "": the unique constraint then lets any number of them be.
    phone_number = models.CharField(_("phone number"), max_length=16, null=True, validators=[validate_e164])
    email = models.EmailField(_("email"), blank=True)
    preferred_language = models.CharField(
        _("preferred language"), max_length=4, choices=PreferredLanguage, default=PreferredLanguage.AUTO
    )
    has_prior_consent = models.BooleanField(_("has prior consent"), default=False)
    do_not_call = models.BooleanField(_("do not call"), default=False)
    number_rejected = models.BooleanField(
        _("number rejected"),
        default=False,
        help_text=_("The provider said that this number will never work; it is not tried again."),
    )
    calling_zone = models.TextField(
        _("calling zone"),
        blank=True,
        validators=[validate_calling_zone],
        help_text=_(
            "IANA time zone. A number that may lie in several zones has them all, separated by spaces, and is "
            "rung only when every one is open. Empty: the campaign's zone."
        ),
    )

    state = models.CharField(_("state"), max_length=20, choices=ContactState, default=ContactState.PENDING)
    attempts_count = models.PositiveSmallIntegerField(_("attempts count"), default=0)
    last_attempt_at = models.DateTimeField(
        _("last attempt at"), null=True, blank=True, help_text=_("When the last attempt ended.")
    )
    last_outcome = models.CharField(_("last outcome"), max_length=20, choices=CallOutcome, blank=True)
    next_attempt_at = models.DateTimeField(
        _("next attempt at"), null=True, blank=True, help_text=_("Due from then on; empty: never.")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    erased_at = models.DateTimeField(
        _("erased at"),
        null=True,
        editable=False,
        help_text=_("Whose contact this was is not known any more; its counts stay."),
    )

    objects = ContactManager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        permissions = [("erase_contact", "Can erase people for good")]
        constraints = [
            # The number first: adding a do-not-call entry looks for it in every campaign.
            models.UniqueConstraint(
                name="contact_number_is_unique_in_campaign",
                fields=["phone_number", "campaign"],
                violation_error_message=_("This campaign already has a contact with this number."),
            ),
            # A person, or nobody who could be known or rung. That there is a number must be said: of NULL a condition
            # is neither true nor false, and the constraint content.
            models.CheckConstraint(
                name="contact_is_a_person_or_erased",
                condition=Q(erased_at=None, phone_number__isnull=False, phone_number__regex=E164)
                | Q(
                    erased_at__isnull=False,
                    phone_number=None,
                    external_contact_id="",
                    email="",
                    next_attempt_at=None,
                    state__in=["completed", "refused", "not_reached", "excluded"],
                ),
            ),
            # Whatever stands in the index below may be rung: it holds nobody who is in a call, done, or excluded.
            models.CheckConstraint(
                name="contact_waits_only_when_callable",
                condition=Q(next_attempt_at=None)
                | Q(state__in=["pending", "not_reached"], do_not_call=False, number_rejected=False),
            ),
            models.CheckConstraint(
                name="contact_on_do_not_call_is_not_callable",
                condition=Q(do_not_call=False) | ~Q(state__in=["pending", "not_reached"]),
            ),
        ]
        # Few, because each claim writes a new entry into every one of them.
        indexes = [
            # The head of a lane: claims take the oldest due contacts of one campaign in one calling zone.
            models.Index(
                "campaign",
                "calling_zone",
                "next_attempt_at",
                "id",
                name="contact_lane",
                condition=Q(next_attempt_at__isnull=False),
            ),
            # Whether a campaign that has nobody waiting is done.
            models.Index("campaign", name="contact_in_progress", condition=Q(state="in_progress")),
            # The lists and counts by state of the admin, and all contacts of a campaign.
            models.Index("campaign", "state", name="contact_state"),
            # A campaign's list in the admin, the newest first.
            models.Index(fields=["campaign", "id"], name="contact_of_campaign"),
            # The search box. Not the e-mail: it is in no order, so a claim would write as many pages more as contacts.
            models.Index("external_contact_id", name="contact_external_id", condition=~Q(external_contact_id="")),
        ]

    def __str__(self) -> str:
        return self.external_contact_id or self.phone_number or gettext("Erased person")

    @property
    def is_given_up(self) -> bool:
        """Tried in vain, and not tried any more by the rules as they are; pending is whose last try was given back."""
        return self.state in (ContactState.NOT_REACHED, ContactState.PENDING) and self.next_attempt_at is None

    @property
    def due_from(self) -> datetime | None:
        """From when on its campaign rings it, whenever the window opens; None as long as that rings nobody."""
        if self.next_attempt_at is None or self.campaign.status not in ACTIVE:
            return None
        return self.campaign.unless_ended(max(self.next_attempt_at, self.campaign.starts_at or self.next_attempt_at))


class Rearming(models.Model):
    """A campaign whose rules have changed, as long as contacts of it may still wait by the former ones.

    Whoever goes through them has its row locked.
    """

    campaign = models.OneToOneField(
        Campaign, verbose_name=_("campaign"), on_delete=models.CASCADE, primary_key=True, related_name="rearming"
    )
    done_to = models.UUIDField(_("done to"), help_text=_("All contacts up to this one wait by the present rules."))

    class Meta:
        verbose_name = _("rearming")
        verbose_name_plural = _("rearmings")

    def __str__(self) -> str:
        return str(self.campaign)


class DoNotCallSource(models.TextChoices):
    IMPORT = "import", pgettext_lazy("source of an entry", "Import")
    API = "api", _("API")
    MANUAL = "manual", pgettext_lazy("source of an entry", "Manual")
    CALL = "call", pgettext_lazy("source of an entry", "Asked for in a call")


class DoNotCallEntry(models.Model):
    """A number that no campaign may ring. Add with contacts.exclusion, which also excludes its contacts.

    Of a person who was erased it has no number, only its hash (contacts.hashing).
    """

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    phone_number = models.CharField(
        _("phone number"), max_length=16, null=True, unique=True, validators=[validate_e164]
    )
    number_hash = models.CharField(_("number hash"), max_length=64, null=True, editable=False)
    hash_key = models.CharField(
        _("hash key"),
        max_length=16,
        blank=True,
        db_default="",
        editable=False,
        help_text=_("The fingerprint of the key in the hash."),
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    source = models.CharField(
        _("source"), max_length=10, choices=DoNotCallSource, default=DoNotCallSource.MANUAL, editable=False
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("do-not-call entry")
        verbose_name_plural = _("do-not-call entries")
        constraints = [
            # Not by unique=True, which makes a second index for LIKE.
            models.UniqueConstraint(name="do_not_call_hash_is_unique", fields=["number_hash"]),
            models.CheckConstraint(
                name="do_not_call_has_a_number_or_a_hash",
                condition=Q(phone_number__isnull=False, phone_number__regex=E164, number_hash=None, hash_key="")
                | Q(~Q(hash_key=""), phone_number=None, number_hash__isnull=False, number_hash__regex=SHA256),
            ),
        ]
        indexes = [
            # The filters of the list.
            models.Index(fields=["source", "-id"], name="do_not_call_source"),
            models.Index(fields=["created_at"], name="do_not_call_created"),
            # Whether there is one that another key has hashed.
            models.Index("hash_key", name="do_not_call_hash_key", condition=~Q(hash_key="")),
        ]

    def __str__(self) -> str:
        return self.phone_number or gettext("The number of an erased person")


class ImportStatus(models.TextChoices):
    # uploaded; somebody is to look at it and start it
    PREPARED = "prepared", pgettext_lazy("status of an import", "Prepared")
    RUNNING = "running", pgettext_lazy("status of an import", "Running")
    COMPLETED = "completed", pgettext_lazy("status of an import", "Completed")
    CANCELLED = "cancelled", pgettext_lazy("status of an import", "Cancelled")
    # what was imported before stays
    FAILED = "failed", pgettext_lazy("status of an import", "Failed")


class ContactImport(models.Model):
    """A file that becomes contacts of a campaign, how far that is, and what became of its rows.

    Without a campaign it becomes entries of the do-not-call list (DoNotCallImport).

    Of the rows that it has read so far each is counted once: imported (of those are excluded who are on the do-not-call
    list), updated or unchanged (their contacts were there before), or refused (of those are duplicates whose number
    stands further up).
    """

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    campaign = models.ForeignKey(
        Campaign, verbose_name=_("campaign"), null=True, on_delete=models.CASCADE, related_name="imports"
    )
    default_country = models.CharField(
        _("default country"),
        max_length=2,
        blank=True,
        validators=[validate_country],
        help_text=_("Of numbers that are written without one, such as IT; a campaign has its own."),
    )
    file_name = models.CharField(_("file name"), max_length=255, blank=True)
    format = models.CharField(_("format"), max_length=100, blank=True)
    header = models.JSONField(pgettext_lazy("of a file", "header"), default=list)
    sample = models.JSONField(
        pgettext_lazy("of a file", "sample"),
        default=list,
        help_text=_("The first rows as they stand in the file: line, cells, fault."),
    )
    columns = models.JSONField(
        pgettext_lazy("of a file", "columns"),
        default=dict,
        help_text=_("Which of our columns stands where in the file, from 0."),
    )
    language = models.CharField(
        _("language"),
        max_length=10,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text=_("That of whoever uploaded it: what is wrong with its rows is written down in it."),
    )
    status = models.CharField(_("status"), max_length=20, choices=ImportStatus, default=ImportStatus.PREPARED)
    failure = models.TextField(_("failure"), blank=True)

    line = models.PositiveIntegerField(
        pgettext_lazy("of a file", "line"), default=0, help_text=_("All rows up to this line of the file are done.")
    )
    rows_in_file = models.PositiveIntegerField(_("rows in file"), null=True)
    rows = models.PositiveIntegerField(_("rows"), default=0)
    imported = models.PositiveIntegerField(pgettext_lazy("rows of a file", "imported"), default=0)
    excluded = models.PositiveIntegerField(pgettext_lazy("rows of a file", "excluded"), default=0)
    updated = models.PositiveIntegerField(pgettext_lazy("rows of a file", "updated"), default=0)
    unchanged = models.PositiveIntegerField(pgettext_lazy("rows of a file", "unchanged"), default=0)
    refused = models.PositiveIntegerField(pgettext_lazy("rows of a file", "refused"), default=0)
    duplicates = models.PositiveIntegerField(pgettext_lazy("rows of a file", "duplicates"), default=0)

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    started_at = models.DateTimeField(_("started at"), null=True)
    ended_at = models.DateTimeField(_("ended at"), null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        constraints = [
            models.CheckConstraint(
                name="import_counts_each_row_once",
                condition=Q(rows=F("imported") + F("updated") + F("unchanged") + F("refused")),
            ),
        ]
        indexes = [models.Index("status", name="import_running", condition=Q(status="running"))]

    def __str__(self) -> str:
        return self.file_name or str(self.pk)

    @property
    def ignored_columns(self) -> list[str]:
        used = set(self.columns.values())
        return [name for index, name in enumerate(self.header) if name and index not in used]


class DoNotCallImport(ContactImport):
    """One without a campaign: its numbers are put on the do-not-call list."""

    class Meta:
        proxy = True
        verbose_name = _("import of the do-not-call list")
        verbose_name_plural = _("imports of the do-not-call list")


class ImportPiece(models.Model):
    """A piece of the file of an import that is not over, because the machine that works on it may be another one."""

    contact_import = models.ForeignKey(
        ContactImport,
        verbose_name=_("contact import"),
        on_delete=models.CASCADE,
        related_name="pieces",
        db_index=False,
    )
    number = models.PositiveIntegerField(_("number"))
    data = models.BinaryField(_("data"))

    class Meta:
        verbose_name = _("import piece")
        verbose_name_plural = _("import pieces")
        constraints = [models.UniqueConstraint(name="import_piece_is_unique", fields=["contact_import", "number"])]


class ImportedNumber(models.Model):
    """A number that an import has met, as long as it is not over: whoever comes again is a duplicate.

    Those of contacts that the import has made itself are not among them.
    """

    contact_import = models.ForeignKey(
        ContactImport,
        verbose_name=_("contact import"),
        on_delete=models.CASCADE,
        related_name="numbers",
        db_index=False,
    )
    phone_number = models.CharField(_("phone number"), max_length=16)
    line = models.PositiveIntegerField(pgettext_lazy("of a file", "line"))

    class Meta:
        verbose_name = _("imported number")
        verbose_name_plural = _("imported numbers")
        constraints = [
            models.UniqueConstraint(name="imported_number_is_unique", fields=["contact_import", "phone_number"])
        ]


class ImportRefusal(models.Model):
    """A row that became no contact; column and value are empty when the row as a whole is at fault."""

    contact_import = models.ForeignKey(
        ContactImport,
        verbose_name=_("contact import"),
        on_delete=models.CASCADE,
        related_name="refusals",
        db_index=False,
    )
    line = models.PositiveIntegerField(pgettext_lazy("of a file", "line"))
    column = models.CharField(_("column"), max_length=40, blank=True)
    value = models.TextField(_("value"), blank=True)
    reason = models.TextField(_("reason"))
    cells = models.JSONField(_("cells"), default=list, help_text=_("The row as it stands in the file."))

    class Meta:
        ordering = ["line"]
        verbose_name = _("import refusal")
        verbose_name_plural = _("import refusals")
        constraints = [models.UniqueConstraint(name="import_refusal_is_unique", fields=["contact_import", "line"])]
