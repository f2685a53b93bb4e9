"""Routes of the example."""

from django.contrib import admin
from django.urls import path

from project import views

urlpatterns = [
    path("", views.home),
    path("plain", views.plain),
    path("pid", views.pid),
    path("admin/", admin.site.urls),
]
