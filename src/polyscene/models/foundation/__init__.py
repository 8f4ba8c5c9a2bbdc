"""The foundation model: its config, which fits it, and the part that answers."""

from polyscene.models.foundation.config import Foundation
from polyscene.models.foundation.part import EmbeddingFoundationPart, FoundationPart

__all__ = ["EmbeddingFoundationPart", "Foundation", "FoundationPart"]
