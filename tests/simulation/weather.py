"""How links of the simulated network treat what passes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weather:
    """How a link treats datagrams; streams have its delay only. Times are seconds, the others shares."""

    delay: tuple[float, float] = (0.0001, 0.0004)
    loss: float = 0.0
    duplicate: float = 0.0
    late: float = 0.0  # overtaken by what comes later
    late_by: tuple[float, float] = (0.01, 0.2)


CALM = Weather()
STORM = Weather(delay=(0.0005, 0.02), loss=0.05, duplicate=0.03, late=0.05)
