"""The options of an address, behind its question mark, and the TLS that they ask for."""

import ssl
from urllib.parse import parse_qsl

TLS_OPTIONS = frozenset({"ca", "cert", "key"})


def read_options(query: str, known: frozenset[str]) -> dict[str, str]:
    """
    Return the options of a query; ``insecure`` can only be ``true``.

    :raises ValueError: for one that is unknown, empty or there twice, and for a key without a certificate
    """
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    options = dict(pairs)
    is_clear = options.keys() <= known and len(options) == len(pairs) and "" not in options.values()
    is_whole = "key" not in options or "cert" in options
    if not is_clear or not is_whole or options.get("insecure", "true") != "true":
        raise ValueError("options")
    return options


def client_tls(options: dict[str, str]) -> ssl.SSLContext:
    """
    Return what proves the server's name, and ours where there is a certificate.

    :raises OSError: if a file can't be used
    """
    context = ssl.create_default_context(cafile=options.get("ca"))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if "cert" in options:
        context.load_cert_chain(options["cert"], options.get("key"))
    return context
