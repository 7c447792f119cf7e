"""For gunicorn: `gunicorn surveycalls.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "surveycalls.settings")
application = get_wsgi_application()
