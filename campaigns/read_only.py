"""Records in the admin that are only ever read."""

from typing import Any

from django.http import HttpRequest


class ReadOnly:
    """For an admin or an inline: no adding, no changing, no deleting, whatever the user may otherwise do."""

    actions: list[str] = []

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
