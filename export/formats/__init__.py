"""File formats: tables of formats and precisions, files to be made, and a module with a converter for each format."""

from export.formats.artifacts import Artifact, all_artifacts, artifact
from export.formats.precisions import PRECISIONS, Offer, Precision, Tolerance
from export.formats.table import FORMATS, Contents, Format, format_of

__all__ = [
    "FORMATS",
    "PRECISIONS",
    "Artifact",
    "Contents",
    "Format",
    "Offer",
    "Precision",
    "Tolerance",
    "all_artifacts",
    "artifact",
    "format_of",
]
