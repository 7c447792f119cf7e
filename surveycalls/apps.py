from django.apps import AppConfig


class SurveycallsConfig(AppConfig):
    name = "surveycalls"

    def ready(self) -> None:
        from surveycalls import checks  # noqa: F401  (registers them)
