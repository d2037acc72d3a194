"""NVIDIA cards as their driver sees them (NVML); a machine without a driver has none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

GIB = 2**30

logger = logging.getLogger(__name__)


class Gpu(BaseModel):
    """`utilization`, in [0, 1], is None where the driver does not tell (a slice of a card, for example)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uuid: str
    name: str
    utilization: float | None
    memory_used_bytes: int
    memory_total_bytes: int


class GpuReader:
    """Reads the cards that `visible` names, as CUDA_VISIBLE_DEVICES does; all where it is empty.

    The driver's library is opened at the first reading and stays open. Numbers count cards as `nvidia-smi` does.
    """

    def __init__(self, visible: str = "") -> None:
        self._names = [name.strip() for name in visible.split(",") if name.strip()]
        self._nvml: Any = None
        self._is_missing = False

    def read(self) -> tuple[Gpu, ...]:
        """The cards as they are now; none where there is no driver. Never raises for what the driver says."""
        nvml = self._library()
        if nvml is None:
            return ()
        try:
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
            cards = [_read(nvml, handle) for handle in handles]
        except nvml.NVMLError as error:
            logger.warning("NVML: %s", error)
            return ()
        return tuple(card for index, card in enumerate(cards) if self._is_visible(index, card))

    def _is_visible(self, index: int, card: Gpu) -> bool:
        return not self._names or any(
            name == str(index) or (name.startswith("GPU-") and card.uuid.startswith(name)) for name in self._names
        )

    def _library(self) -> Any:
        if self._nvml is None and not self._is_missing:
            import pynvml

            try:
                pynvml.nvmlInit()
                self._nvml = pynvml
            except pynvml.NVMLError as error:
                self._is_missing = True
                logger.debug("no NVIDIA cards: %s", error)
        return self._nvml


def _read(nvml: Any, handle: Any) -> Gpu:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        name=_text(nvml.nvmlDeviceGetName(handle)),
        utilization=_utilization(nvml, handle),
        memory_used_bytes=int(memory.used),
        memory_total_bytes=int(memory.total),
    )


def _utilization(nvml: Any, handle: Any) -> float | None:
    try:
        return float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
    except nvml.NVMLError_NotSupported:
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


ReadGpus = Callable[[], tuple[Gpu, ...]]
