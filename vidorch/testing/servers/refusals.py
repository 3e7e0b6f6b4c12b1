"""What each vendor answers a submit with that it does not take, in its own words: nothing is made, and nothing is paid."""

from __future__ import annotations

from vidorch.testing.servers.jobs import VendorError

__all__ = ["refusal_of"]


def refusal_of(provider: str) -> VendorError:
    """The refusal of a prompt; of vendors that judge prompts only later (Replicate, Runway), of an input that is not valid."""
    said = {
        "fal": VendorError(422, "", "", detail=[
            {"loc": ["body", "prompt"], "msg": "The content was flagged.", "type": "content_policy_violation", "input": ""},
        ]),
        "gemini": VendorError(400, "INVALID_ARGUMENT", "The prompt violates our policy."),
        "kling": VendorError(400, "1301", "Trigger the content security policy"),
        "openai": VendorError(400, "moderation_blocked", "Your request was blocked by our moderation system."),
        "replicate": VendorError(422, "", "- input.prompt: is not valid"),
        "runway": VendorError(400, "", "Validation of body failed"),
        "vertex": VendorError(400, "INVALID_ARGUMENT", "Blocked by Responsible AI. Support codes: 58061214"),
    }  # fmt: skip
    return said[provider]
