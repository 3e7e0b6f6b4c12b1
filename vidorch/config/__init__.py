"""What the user has set: their own file, the project's `vidorch.toml`, the environment; weakest to strongest.

Arguments of a call or a client are stronger than all of these. Each value knows where it came from (`vidorch config`).
"""

from __future__ import annotations

from vidorch.config.layers import is_trusted, load_config, project_file, trust, user_file
from vidorch.config.reading import usable_base_url
from vidorch.config.settings import Config, Credential, EndpointSettings

__all__ = [
    "Config",
    "Credential",
    "EndpointSettings",
    "is_trusted",
    "load_config",
    "project_file",
    "trust",
    "usable_base_url",
    "user_file",
]
