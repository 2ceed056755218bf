"""Django settings, read from the environment through strict parsers. Nobody imports this module."""

import os
from pathlib import Path

from wattkeeper.data.environment import database_from_url, read_bool, read_secret

DATA_FOLDER = Path(os.environ.get("WATTKEEPER_DATA", "var")).resolve()
MASTER_KEY_FILE = Path(os.environ.get("WATTKEEPER_KEY_FILE") or DATA_FOLDER / "master.key").resolve()
SECRET_KEY = read_secret(DATA_FOLDER / "secret.key")
DEBUG = read_bool("WATTKEEPER_DEBUG", default=False)
ALLOWED_HOSTS = os.environ.get("WATTKEEPER_HOSTS", "127.0.0.1,localhost,[::1],testserver").split(",")

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "ninja",
    "wattkeeper.data.sealing",
    "wattkeeper.data.accounts",
    "wattkeeper.data.registry",
    "wattkeeper.data.collection",
    "wattkeeper.data.billing",
    "wattkeeper.data.commands",
    "wattkeeper.data.alarms",
    "wattkeeper.data.audit",
    "wattkeeper.data.virtual",
    "wattkeeper.data.vee",
    "wattkeeper.data.upgrades",
    "wattkeeper.interfaces.web.console",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "wattkeeper.interfaces.web.middleware.ConsoleMiddleware",
]

ROOT_URLCONF = "wattkeeper.interfaces.web.urls"
ASGI_APPLICATION = "wattkeeper.interfaces.web.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": database_from_url(os.environ.get("WATTKEEPER_DATABASE", ""), DATA_FOLDER)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [Path(__file__).resolve().parents[1] / "interfaces" / "locale"]

STATIC_URL = "/static/"
STATICFILES_DIRS = [Path(__file__).resolve().parents[1] / "interfaces" / "web" / "static"]
WHITENOISE_USE_FINDERS = True
IS_TLS = bool(os.environ.get("WATTKEEPER_TLS_CERT"))
IS_VOUCHED_FOR = IS_TLS and not read_bool("WATTKEEPER_TLS_OWN", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_TLS
SECURE_HSTS_SECONDS = 31_536_000 if IS_VOUCHED_FOR else 0  # with a self-signed one nobody could go on
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
# what people upload never lies in a temporary file; interfaces.web.bounded_body bounds it
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 67 * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024
LOGGING_CONFIG = None
