"""Users and background jobs in the admin's own looks."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django_q import admin as jobs
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

for model in (User, Group, Schedule, Success, Failure):
    admin.site.unregister(model)


@admin.register(User)
class OperatorAdmin(UserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class OperatorGroupAdmin(GroupAdmin, ModelAdmin):
    pass


@admin.register(Schedule)
class ScheduleAdmin(jobs.ScheduleAdmin, ModelAdmin):
    pass


@admin.register(Success)
class SuccessAdmin(jobs.TaskAdmin, ModelAdmin):
    pass


@admin.register(Failure)
class FailureAdmin(jobs.FailAdmin, ModelAdmin):
    pass


if admin.site.is_registered(OrmQ):
    admin.site.unregister(OrmQ)

    @admin.register(OrmQ)
    class QueueAdmin(jobs.QueueAdmin, ModelAdmin):
        pass
