"""Google's two surfaces."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from vidorch.errors import InvalidRequest, ProviderFailed, Refused, Throttled, Unsupported
from vidorch.testing import ProviderConformance
from vidorch.testing.servers import Fate, ProtocolServer, VendorError, serve

OMNI: dict[str, Any] = {
    "family": "omni",
    "offer": [
        {
            "model": "omni", "endpoint": "gemini", "provider": "gemini", "title": "Gemini Omni", "vendor_model": "gemini-omni-1.1-flash",
            "as_of": dt.date(2026, 11, 26), "variables": ["GEMINI_API_KEY"], "path": "/v1/interactions", "min_poll": 5,
            "price": {"source": "x", "row": [{"per_second": "0.10"}]},
            "capabilities": {"durations": {"least": 3, "most": 10}, "resolutions": ["720p"], "aspect_ratios": ["16:9", "9:16"],
                             "audio": "on"},
            "fields": {
                "prompt": {"to": "input.0.text"}, "duration": {"to": "response_format.duration", "form": "{}s"},
                "aspect_ratio": {"to": "response_format.aspect_ratio"}, "resolution": {"to": "response_format.resolution"},
            },
            "fixed": {"model": "gemini-omni-1.1-flash", "background": True, "store": True, "input.0.type": "text",
                      "response_format.type": "video", "response_format.delivery": "uri"},
            "routes": {"text-to-video": {}},
        }
    ],
}  # fmt: skip


class TestGemini(ProviderConformance):
    model = "gemini/omni"
    catalog = OMNI
    asks = {"prompt": "a red ball rolling left", "duration": 5}
    refusals = {
        "policy": (VendorError(400, "INVALID_ARGUMENT", "The prompt violates our policy."), Refused),
        "bad": (VendorError(400, "INVALID_ARGUMENT", "duration is out of range"), InvalidRequest),
        "gone": (VendorError(404, "NOT_FOUND", "The model is no longer available."), Unsupported),
        "permission": (VendorError(403, "PERMISSION_DENIED", "Billing is not enabled."), Unsupported),
    }
    endings = {"failed": (Fate(ending="failed", message="internal trouble"), ProviderFailed)}

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("gemini", clock=clock, key=self.key)


class TestVertex(ProviderConformance):
    model = "vertex/veo-3.1-fast"
    asks = {"prompt": "a red ball rolling left", "duration": 4}
    options = {"project": "test-project", "location": "us-central1"}
    refusals = {
        "policy": (
            VendorError(400, "INVALID_ARGUMENT", "Blocked by Responsible AI. Support codes: 58061214"),
            Refused,
        ),
        "bad": (VendorError(400, "INVALID_ARGUMENT", "durationSeconds is out of range"), InvalidRequest),
        "not on the list": (VendorError(400, "FAILED_PRECONDITION", "not allowlisted"), Unsupported),
        "gone": (VendorError(404, "NOT_FOUND", "Publisher model was not found."), Unsupported),
    }
    endings = {
        "filtered": (Fate(filtered=1), Refused),
        "capacity": (Fate(ending="failed", code="8", message="The model is overloaded"), Throttled),
        "internal": (Fate(ending="failed", code="13", message="Internal error"), ProviderFailed),
    }

    def serve(self, clock: Callable[[], float]) -> ProtocolServer:
        return serve("vertex", clock=clock, key=self.key)
