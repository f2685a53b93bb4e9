"""One view without a template, one with, and one that says who answers."""

import os
import platform

from django import get_version
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render


def home(request: HttpRequest) -> HttpResponse:
    fruit = ["apple", "banana", "cherry", "damson", "elderberry"]
    return render(request, "home.html", {"fruit": fruit, "django_version": get_version()})


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello from Django under appd!\n", content_type="text/plain")


def pid(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "pid": os.getpid(),
            "python": platform.python_version(),
            "greeting": os.environ.get("GREETING"),
        }
    )
