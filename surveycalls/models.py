"""What operators have done: the audit."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class AuditAction(models.TextChoices):
    SIGNED_IN = "signed_in", _("Signed in")
    SIGNED_OUT = "signed_out", _("Signed out")
    SIGN_IN_FAILED = "sign_in_failed", _("Sign-in failed")
    REFUSED = "refused", _("Refused access")
    ADDED = "added", _("Added")
    CHANGED = "changed", _("Changed")
    DELETED = "deleted", _("Deleted")
    STATUS = "status", _("Step of a campaign")
    IMPORTED = "imported", _("Imported")
    EXPORTED = "exported", _("Exported")
    ERASED = "erased", _("Erased")


class AuditEntry(models.Model):
    """Who did what, when and from where; written by surveycalls.audit and never changed, which the database sees to.

    No key refers to another table, so that it outlives all that it tells of. It holds no personal data of contacts.
    """

    at = models.DateTimeField(_("at"), default=timezone.now)
    user_name = models.CharField(
        _("user"), max_length=150, blank=True, help_text=_("Empty: a command or a background job.")
    )
    address = models.CharField(_("address"), max_length=45, blank=True)
    action = models.CharField(_("action"), max_length=20, choices=AuditAction)
    object_type = models.CharField(_("what"), max_length=100, blank=True)
    object_id = models.CharField(_("its id"), max_length=255, blank=True)
    object_name = models.CharField(_("which"), max_length=200, blank=True)
    message = models.TextField(_("message"), blank=True)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name = _("entry of the audit")
        verbose_name_plural = _("audit")
        # The list, its filters and its search; each in the list's order, because a page of it is all that is read.
        indexes = [
            models.Index(fields=["-at", "-id"], name="audit_newest"),
            models.Index(fields=["user_name", "-at", "-id"], name="audit_of_user"),
            models.Index(fields=["action", "-at", "-id"], name="audit_of_action"),
            models.Index(fields=["address", "-at", "-id"], name="audit_of_address"),
            models.Index(fields=["object_id", "-at", "-id"], name="audit_of_object"),
        ]

    def __str__(self) -> str:
        who = self.user_name or gettext("A job")
        return f"{who}: {self.get_action_display()}"
