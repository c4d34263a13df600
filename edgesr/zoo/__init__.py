"""Trained networks that ship with edgesr."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edgesr.errors import CheckpointError
from edgesr.files import sha256_file

DEFAULT = "ncnet_x3"
DEFAULTS: Mapping[int, str] = MappingProxyType({2: "edge_l_x2", 3: DEFAULT, 4: "edge_l_x4"})
"""What enlarges by a factor when no network is named."""

_FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """One shipped network.

    Attributes:
        name: key in ``ZOO``.
        model: network, a name in ``MODELS``.
        scale: upscaling factor.
        is_denoiser: whether it is a diffusion denoiser, which ships float weights alone.
        folder: where its files lie.
        is_pulled: whether it was fetched into the user's cache instead of shipped.
    """

    name: str
    model: str
    scale: int
    is_denoiser: bool = False
    folder: Path = _FOLDER
    is_pulled: bool = False

    @property
    def tflite(self) -> Path:
        """Full-integer file, uint8 in and out, any image size.

        Raises:
            CheckpointError: it is a denoiser, which has none.
        """
        if self.is_denoiser:
            raise CheckpointError(
                f"{self.name}: is a diffusion denoiser and ships no .tflite, only float weights; "
                "use edgesr upscale, eval, cost or bench, or name another model"
            )
        return self.folder / f"{self.name}_int8.tflite"

    @property
    def weights(self) -> Path:
        """Float weights (safetensors)."""
        return self.folder / f"{self.name}.safetensors"

    @property
    def runs(self) -> Path:
        """The file that upscales by default: the INT8 one, or a denoiser's float weights."""
        return self.weights if self.is_denoiser else self.tflite

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it consists of, without its card."""
        return (self.weights,) if self.is_denoiser else (self.tflite, self.weights)

    @property
    def card(self) -> Path:
        """Results and provenance (JSON), written by ``edgesr`` itself."""
        return self.folder / f"{self.name}.json"

    def read_card(self) -> dict[str, Any]:
        """Return the content of ``card``.

        Raises:
            CheckpointError: the installed file is missing or damaged.
        """
        try:
            content: dict[str, Any] = json.loads(self.card.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.card}: no readable card; {self._again}") from error
        return content

    def intact(self, path: Path) -> Path:
        """Return ``path``, one of ``files``, after comparing its content with the card's checksum.

        Raises:
            CheckpointError: the file or its card is missing or damaged.
        """
        wanted = self.read_card().get("files", {}).get(path.name, {}).get("sha256")
        if wanted is None:
            raise CheckpointError(f"{self.card}: has no checksum of {path.name}; {self._again}")
        if not path.is_file():
            raise CheckpointError(f"{path}: is missing; {self._again}")
        found = sha256_file(path)
        if found != wanted:
            raise CheckpointError(
                f"{path}: is damaged, SHA-256 is {found[:12]}... and its card says "
                f"{wanted[:12]}...; {self._again}"
            )
        return path

    @property
    def _again(self) -> str:
        pulled = f"fetch it again with edgesr models pull {self.name}"
        return pulled if self.is_pulled else "reinstall edgesr"


ZOO: Mapping[str, ZooEntry] = MappingProxyType(
    {
        "ncnet_x2": ZooEntry(name="ncnet_x2", model="ncnet", scale=2),
        "ncnet_x3": ZooEntry(name="ncnet_x3", model="ncnet", scale=3),
        "ncnet_x4": ZooEntry(name="ncnet_x4", model="ncnet", scale=4),
        "edge_s_x2": ZooEntry(name="edge_s_x2", model="edge_s", scale=2),
        "edge_s_x3": ZooEntry(name="edge_s_x3", model="edge_s", scale=3),
        "edge_s_x4": ZooEntry(name="edge_s_x4", model="edge_s", scale=4),
        "edge_m_x2": ZooEntry(name="edge_m_x2", model="edge_m", scale=2),
        "edge_m_x3": ZooEntry(name="edge_m_x3", model="edge_m", scale=3),
        "edge_m_x4": ZooEntry(name="edge_m_x4", model="edge_m", scale=4),
        "edge_l_x2": ZooEntry(name="edge_l_x2", model="edge_l", scale=2),
        "edge_l_x3": ZooEntry(name="edge_l_x3", model="edge_l", scale=3),
        "edge_l_x4": ZooEntry(name="edge_l_x4", model="edge_l", scale=4),
        "resshift_px_s_x4": ZooEntry(
            name="resshift_px_s_x4", model="resshift_px_s", scale=4, is_denoiser=True
        ),
        "resshift_px_s_x4_1step": ZooEntry(
            name="resshift_px_s_x4_1step", model="resshift_px_s", scale=4, is_denoiser=True
        ),
    }
)
