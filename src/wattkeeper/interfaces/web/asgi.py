"""What the web server runs."""

import os

from django.core.asgi import get_asgi_application

from wattkeeper.interfaces.web.admission import Admission
from wattkeeper.interfaces.web.bounded_body import BoundedBody

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wattkeeper.data.settings")
application = Admission(BoundedBody(get_asgi_application()))
