"""Users and background jobs in the admin's own looks."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django_q import admin as jobs
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from campaigns.read_only import ReadOnly
from surveycalls import audit_admin  # noqa: F401  (registers it)
from surveycalls.roles import ROLES

admin.site.index_title = _("Home")

for model in (User, Group, Schedule, Success, Failure):
    admin.site.unregister(model)


@admin.register(User)
class OperatorAdmin(UserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    filter_horizontal = ["user_permissions"]
    # With what it takes to sign in here and to see anything.
    add_fieldsets = [(None, {"fields": ["username", "password1", "password2", "is_staff", "groups"]})]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"is_staff": True, **super().get_changeform_initial_data(request)}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        """Nobody gives what they do not have: roles are given, everything else by superusers alone."""
        fixed = () if request.user.is_superuser else ("is_superuser", "user_permissions", "last_login", "date_joined")
        return [*super().get_readonly_fields(request, obj), *fixed]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Of the groups, roles: another one may hold permissions that whoever gives it does not have."""
        if db_field.name == "groups":
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.name == "groups" and not request.user.is_superuser:
            field.queryset = field.queryset.filter(name__in=ROLES)
        return field

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Groups that were not offered stay."""
        kept = [] if request.user.is_superuser else list(form.instance.groups.exclude(name__in=ROLES))
        super().save_related(request, form, formsets, change)
        form.instance.groups.add(*kept)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever could change a superuser, or its password, would be one."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (request.user.is_superuser or not (isinstance(obj, User) and obj.is_superuser))


@admin.register(Group)
class OperatorGroupAdmin(GroupAdmin, ModelAdmin):
    pass


# Of jobs nothing can be written: a job names the function that it runs, and whoever could write one, or send it again,
# could run anything.


@admin.register(Schedule)
class ScheduleAdmin(ReadOnly, jobs.ScheduleAdmin, ModelAdmin):
    pass


@admin.register(Success)
class SuccessAdmin(ReadOnly, jobs.TaskAdmin, ModelAdmin):
    pass


@admin.register(Failure)
class FailureAdmin(ReadOnly, jobs.FailAdmin, ModelAdmin):
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser


if admin.site.is_registered(OrmQ):
    admin.site.unregister(OrmQ)

    @admin.register(OrmQ)
    class QueueAdmin(ReadOnly, jobs.QueueAdmin, ModelAdmin):
        pass
