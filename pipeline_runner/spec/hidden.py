"""What hides a pipeline's secrets wherever something of it is shown or kept."""

from __future__ import annotations

from pipeline_runner.masks import Mask
from pipeline_runner.spec.pipeline import PipelineSpec


def mask_of(spec: PipelineSpec) -> Mask:
    """What hides the secrets of a pipeline."""
    return Mask(secret.value for secret in spec.secrets if secret.value)
