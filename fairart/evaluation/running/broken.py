"""A certificate that an attack breaks is wrong: attacks and certificates of one evaluation are held against each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairart.evaluation.errors import EvaluationError
from fairart.evaluation.results.certificate_result import CertificateResult
from fairart.evaluation.results.outcome import AttackResult
from fairart.norms import norm_text

__all__ = ["check_unbroken"]

SLACK = 1e-5
"""A certificate must reach this share beyond eps to be held against an attack: an example may lie outside eps by a rounding."""


def check_unbroken(certificates: Sequence[CertificateResult], attacks: Sequence[AttackResult]) -> None:
    """Check that no attack changed a prediction within a radius that is certified in the attack's own norm.

    Certificates that hold with a probability, or for another classifier than the model, are about something else and are left
    out.

    Args:
        certificates: of the samples.
        attacks: results on the same samples; those without a budget are left out.

    Raises:
        EvaluationError: one did; the message names the sample.
    """
    for certificate in certificates:
        if not certificate.deterministic:
            continue
        for attack in attacks:
            budget = attack.budget
            if budget is None or budget.order != certificate.order:
                continue
            certified = certificate.right & (certificate.radii >= budget.eps * (1 + SLACK))
            broken = np.flatnonzero(certified & ~attack.correct)
            if len(broken):
                where = int(broken[0])
                raise EvaluationError(
                    f"certificate {certificate.label!r} is wrong: sample {where} is certified for class "
                    f"{certificate.name_of(int(certificate.predictions[where]))} within {certificate.radii[where]:.6g} in "
                    f"{norm_text(budget.order)}, and attack {attack.label!r} with eps {budget.eps:.6g} changed its prediction to "
                    f"class {certificate.name_of(int(attack.predictions[where]))} ({len(broken)} samples in all). Likely causes: "
                    "a layer that the certificate does not bound, a model that is random or depends on the batch"
                )
