"""Which certificates run, under which label and with which options: what the user wrote, resolved and checked before work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from art.estimators.classification import PyTorchClassifier

from fairart.errors import OptionError, PluginError
from fairart.evaluation.certificates.base import Certificate
from fairart.evaluation.named_parts import named_parts
from fairart.norms import norm_name
from fairart.plugins import BUILTIN

__all__ = ["CertificateSpec", "Certificates", "resolve_certificates"]

Certificates = str | Mapping[str, Mapping[str, Any]] | Sequence[str | tuple[str, Mapping[str, Any]]]
"""Names, (name, options) pairs, or label -> options. Among options, ``certificate`` names it and ``label`` its label."""


@dataclass(frozen=True)
class CertificateSpec:
    """One certificate to compute.

    Args:
        label: under which the result stands.
        name: registered name.
        plugin: who supplies it.
        certificate: the certificate, options filled in.
        options: every option with its value, defaults included.
        notes: what it said about itself and the classifier.
    """

    label: str
    name: str
    plugin: str
    certificate: Certificate
    options: dict[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> Callable[..., Any]:
        """The class, for fingerprints."""
        return type(self.certificate)

    @property
    def config(self) -> dict[str, Any]:
        """What stands beside the numbers: name, plugin, options, norm, whose predictions it is about, radii of tables."""
        certificate = self.certificate
        return {
            "certificate": self.name,
            "plugin": self.plugin,
            "options": dict(self.options),
            "norm": norm_name(certificate.order),
            "deterministic": certificate.deterministic,
            "subject": certificate.subject,
            "radii": list(certificate.shown),
            **({"notes": dict(self.notes)} if self.notes else {}),
        }

    def checked(self, classifier: PyTorchClassifier) -> CertificateSpec:
        """The same certificate, after its own check on the classifier.

        Raises:
            OptionError: it cannot certify this classifier.
            PluginError: the check of a third party raised something else.
        """
        try:
            notes = self.certificate.check(classifier)
        except Exception as error:  # a third-party check may raise any exception; the message names it
            if self.plugin == BUILTIN or isinstance(error, OptionError | ImportError):
                raise
            raise PluginError(
                f"plugin {self.plugin!r}: the check of certificate {self.name!r} raised {type(error).__name__}: {error}"
            ) from error
        return replace(self, notes=dict(notes or {}))


def resolve_certificates(certificates: Certificates) -> list[CertificateSpec]:
    """Look the certificates up and check their options.

    Args:
        certificates: see :data:`Certificates`.

    Returns:
        One spec each, in the order given.

    Raises:
        TypeError: an item of another form, or a plugin's thing that is no certificate.
        UnknownNameError: no such certificate.
        OptionError: an unknown option or a bad value.
        ValueError: two of one label.
    """
    return [
        CertificateSpec(label=one.label, name=one.name, plugin=one.plugin, certificate=one.part, options=one.options)
        for one in named_parts(certificates, "certificate", Certificate)
    ]
