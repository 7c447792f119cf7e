from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class SurveycallsConfig(AppConfig):
    name = "surveycalls"
    verbose_name = _("Operation")

    def ready(self) -> None:
        from surveycalls import checks  # noqa: F401  (registers them)
        from surveycalls.audit import begin_audit
        from surveycalls.roles import create_roles

        begin_audit()

        # Django tells of each app that has models, in the order of INSTALLED_APPS.
        *_, last = (app for app in apps.get_app_configs() if app.models_module)
        post_migrate.connect(create_roles, sender=last)
