#!/usr/bin/env python
"""Django's command line for surveycalls."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError

# How the PostgreSQL client library begins when it never got as far as a statement.
NO_CONNECTION = ("connection to server", "could not translate host name")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "surveycalls.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"surveycalls is not configured: {error}")
    except OperationalError as error:
        if not str(error).startswith(NO_CONNECTION):
            raise
        sys.exit(f"The database cannot be used; see DATABASE_URL and DATABASE_NAME: {error}")


if __name__ == "__main__":
    main()
