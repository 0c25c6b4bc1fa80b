"""Certificates: radii within which a prediction provably does not change, registered as kind ``certificate``.

See :mod:`fairart.evaluation.certificates.base` for what a certificate is given and must give back.
"""

from __future__ import annotations

from fairart.evaluation.certificates.base import Certificate, Radii, checked_radii
from fairart.evaluation.certificates.ibp import IBPCertificate
from fairart.evaluation.certificates.lipschitz import LipschitzCertificate
from fairart.evaluation.certificates.smoothing import SmoothingCertificate, smoothed_radius

__all__ = [
    "Certificate",
    "IBPCertificate",
    "LipschitzCertificate",
    "Radii",
    "SmoothingCertificate",
    "checked_radii",
    "smoothed_radius",
]
