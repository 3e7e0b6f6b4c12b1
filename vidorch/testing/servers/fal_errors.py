"""fal's errors by their names: of the infrastructure, of the models, and of inputs.

Source: fal's pages on errors and request errors (docs), read 2026-11-22. Not confirmed: the names `extra_forbidden`, `int_type`
and the like, which are pydantic's own.
"""

from __future__ import annotations

from typing import Any

from vidorch.testing.servers.checks import Problem

__all__ = ["MODEL_ERRORS", "REQUEST_ERRORS", "USUAL", "details", "page"]

REQUEST_ERRORS = {
    "request_timeout": 504, "startup_timeout": 504, "runner_scheduling_failure": 503, "runner_connection_timeout": 503,
    "runner_disconnected": 503, "runner_connection_refused": 503, "runner_connection_error": 503,
    "runner_incomplete_response": 502, "runner_server_error": 500, "internal_error": 500, "client_disconnected": 499,
    "client_cancelled": 499, "bad_request": 400,
}  # fmt: skip
"""Of the infrastructure: `error_type` and its HTTP status (fal's page on request errors)."""
MODEL_ERRORS = {
    "internal_server_error": (500, True), "generation_timeout": (504, True), "downstream_service_error": (400, True),
    "downstream_service_unavailable": (500, True),
}  # fmt: skip
"""Of the model: HTTP status and X-Fal-Retryable; every other `type` is a 422 that will not go away."""
USUAL = {400: "bad_request", 401: "auth_error", 403: "auth_error", 404: "not_found", 500: "internal_error",
          502: "runner_incomplete_response", 503: "runner_scheduling_failure", 504: "request_timeout"}  # fmt: skip
"""What a status is called where a test names no code."""


def details(found: list[Problem]) -> list[dict[str, Any]]:
    """As pydantic says it, by the names on fal's page of errors."""
    return [
        {"loc": list(one.where), "msg": _sentence(one), "type": kind,
        "ctx": {"expected": list(one.choices)} if one.choices else {},
         "input": one.given, "url": page(kind)}
        for one in found for kind in (_kind(one),)
    ]  # fmt: skip


def _kind(one: Problem) -> str:
    if one.kind == "type":
        return {"integer": "int_type", "number": "float_type", "boolean": "bool_type", "list": "list_type",
        "object": "dict_type"}.get(
            one.message.rpartition(" ")[2], "string_type"
        )  # fmt: skip
    text, items = isinstance(one.given, str), isinstance(one.given, list)
    sizes = {
        "least": "string_too_short" if text else "too_short" if items else "greater_than_equal",
        "most": "string_too_long" if text else "too_long" if items else "less_than_equal",
    }
    kinds = {"missing": "missing", "unknown": "extra_forbidden", "choice": "one_of", "rule": "value_error"}
    return (sizes | kinds)[one.kind]


def _sentence(one: Problem) -> str:
    return "Field required" if one.kind == "missing" else f"{one.dotted.removeprefix('body.')} {one.message}"


def page(kind: str) -> str:
    """Where fal explains it."""
    return f"https://docs.fal.ai/errors#{kind}"
