"""What operators have done: the audit."""

from django.db import models
from django.utils import timezone


class AuditAction(models.TextChoices):
    SIGNED_IN = "signed_in", "Signed in"
    SIGNED_OUT = "signed_out", "Signed out"
    SIGN_IN_FAILED = "sign_in_failed", "Sign-in failed"
    REFUSED = "refused", "Refused access"
    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"
    STATUS = "status", "Step of a campaign"
    IMPORTED = "imported"
    EXPORTED = "exported"
    ERASED = "erased"


class AuditEntry(models.Model):
    """Who did what, when and from where; written by surveycalls.audit and never changed, which the database sees to.

    No key refers to another table, so that it outlives all that it tells of. It holds no personal data of contacts.
    """

    at = models.DateTimeField(default=timezone.now)
    user_name = models.CharField("user", max_length=150, blank=True, help_text="Empty: a command or a background job.")
    address = models.CharField(max_length=45, blank=True)
    action = models.CharField(max_length=20, choices=AuditAction)
    object_type = models.CharField("what", max_length=100, blank=True)
    object_id = models.CharField("its id", max_length=255, blank=True)
    object_name = models.CharField("which", max_length=200, blank=True)
    message = models.TextField(blank=True)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name = "entry of the audit"
        verbose_name_plural = "audit"
        # The list, its filters and its search; each in the list's order, because a page of it is all that is read.
        indexes = [
            models.Index(fields=["-at", "-id"], name="audit_newest"),
            models.Index(fields=["user_name", "-at", "-id"], name="audit_of_user"),
            models.Index(fields=["action", "-at", "-id"], name="audit_of_action"),
            models.Index(fields=["address", "-at", "-id"], name="audit_of_address"),
            models.Index(fields=["object_id", "-at", "-id"], name="audit_of_object"),
        ]

    def __str__(self) -> str:
        return f"{self.user_name or 'A job'}: {self.get_action_display().lower()}"
