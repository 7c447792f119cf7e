"""Every address of the site, but for those that machines ask (surveycalls/probes.py)."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from calls.live_pages import show_campaign_figures, show_home_figures

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("language/", include("django.conf.urls.i18n")),
    path("admin/live/", show_home_figures, name="live_home"),
    path("admin/live/<uuid:campaign>/", show_campaign_figures, name="live_campaign"),
    path("admin/", admin.site.urls),
    path("webhooks/telephony/", include("calls.urls")),
]

handler400 = "surveycalls.error_pages.show_bad_request"
handler403 = "surveycalls.error_pages.show_forbidden"
handler404 = "surveycalls.error_pages.show_missing"
handler500 = "surveycalls.error_pages.show_failure"
