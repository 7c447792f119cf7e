"""What django-q2 runs."""

from uuid import UUID

from contacts import rearming, uploads


def run_import(pk: str) -> str:
    return uploads.work_on(UUID(pk))


def resume_imports() -> str:
    return f"{uploads.resume_imports()} resumed"


def rearm_contacts() -> str:
    return rearming.rearm_for_a_while()
