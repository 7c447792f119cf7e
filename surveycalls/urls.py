"""Every address of the site, but for those that machines ask (surveycalls/probes.py)."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin/", admin.site.urls),
    path("webhooks/telephony/", include("calls.urls")),
]
