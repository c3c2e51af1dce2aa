"""What every answer of the API must be."""

from __future__ import annotations

from typing import Any

from tagger.messages import MESSAGES


def check_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """Assert that an answer is a problem of that kind, and nothing leaks in it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    data: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "code"} <= set(data)
    assert (data["status"], data["code"]) == (status, code)
    assert code in MESSAGES
    assert data["type"].endswith(f":{code}")
    assert data["detail"].strip()
    for secret in ("Traceback", "/tmp", "/home", "site-packages", ".py"):
        assert secret not in response.text
    assert (status in (429, 503)) == ("retry-after" in response.headers)
    return data
