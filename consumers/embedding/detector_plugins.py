"""Detector plug-ins: finds the detectors that installed packages declare, and guards the worker from their faults.

A package declares a function without parameters that returns a detector (consumers/vision/contracts.py):

    [project.entry-points."lookstream.detectors"]
    faces = "my_package:open_detector"
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

import structlog
from PIL.Image import Image

from consumers.vision.contracts import Detector
from consumers.vision.embedder import OpenDetector
from infra.array_types import Box
from infra.config.errors import SettingsError

ENTRY_POINTS = "lookstream.detectors"


@dataclass(frozen=True)
class PluginDetector:
    """Detector of another package, which may fail in any way; then no thing is found, and the log says why."""

    name: str
    detector: Detector

    def detect(self, images: Sequence[Image]) -> list[list[tuple[Box, float]]]:
        """The boxes that the plug-in finds; none for any picture if it fails."""
        try:
            found = self.detector.detect(images)
            return [[_parse_box(each) for each in boxes] for _, boxes in zip(images, found, strict=True)]
        except Exception:  # a plug-in may raise any exception
            log = structlog.get_logger()
            log.exception("the detector failed", detector=self.name, images=len(images))
            return [[] for _ in images]


def _parse_box(detection: tuple[Box, float]) -> tuple[Box, float]:
    """The same box and objectness as plain numbers; raises TypeError or ValueError if they are none."""
    (left, top, right, bottom), objectness = detection
    numbers = [float(number) for number in (left, top, right, bottom, objectness)]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"a box or an objectness is not finite: {numbers}")
    left, top, right, bottom, objectness = numbers
    return (left, top, right, bottom), objectness


def find_plugin(name: str) -> OpenDetector:
    """The function that opens the detector that a package declares by this name, once; raises SettingsError."""
    declared = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in declared:
        names = ", ".join(["default", *sorted(declared)])
        raise SettingsError(f"LOOKSTREAM_DETECTOR: no package declares a detector {name}: set one of {names}")
    try:
        open_detector = declared[name].load()
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"LOOKSTREAM_DETECTOR: {name} cannot be imported ({error}): install it again") from None

    def open_once() -> Detector:
        return PluginDetector(name, open_detector())

    return cache(open_once)
