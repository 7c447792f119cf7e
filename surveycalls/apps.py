from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class SurveycallsConfig(AppConfig):
    name = "surveycalls"

    def ready(self) -> None:
        from surveycalls import checks  # noqa: F401  (registers them)
        from surveycalls.roles import create_roles

        # Django tells only of apps that have models.
        post_migrate.connect(create_roles, sender=apps.get_app_config("auth"))
