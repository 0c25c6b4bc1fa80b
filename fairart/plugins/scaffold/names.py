"""What everything in a new plugin is called, all of it derived from one name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError, UnknownNameError
from fairart.plugins.hookspecs import HOOK_OF_KIND

__all__ = ["PluginNames", "plugin_names"]

PREFIX = "fairart-"
LONGEST = 30
"""The longest name with which every line of what is written stays within 130 columns."""

TAKEN = frozenset({"none", "test", "tests", "new"})
"""``none`` switches a part off on the command line, the others are words of the commands and of packaging."""

_DISTRIBUTION = re.compile(r"[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?")

_ATTRIBUTE = {
    "target_sampler": "{camel}Sampler",
    "epsilon_scheduler": "{camel}Epsilon",
    "class_weighting": "{camel}Weighting",
    "class_sampling": "{camel}Sampling",
    "classification_loss": "{camel}Loss",
    "weight_perturbation": "{camel}Perturbation",
    "averaging": "{camel}Averaging",
    "objective": "{camel}Objective",
    "augmentation": "{camel}Augmentation",
    "fairness_metric": "{snake}_metric",
    "attack": "{snake}_attack",
    "certificate": "{camel}Certificate",
    "defence": "{camel}Defence",
    "corruption": "{snake}_corruption",
    "dataset": "load_{snake}",
    "model": "build_{snake}",
    "trainer": "{camel}Trainer",
}
"""The class or function of each kind; the affix keeps clear of keywords and built-in names."""


@dataclass(frozen=True, kw_only=True)
class PluginNames:
    """The names of a plugin.

    Args:
        kind: such as ``"target_sampler"``.
        name: registered name and entry point, such as ``"near-miss"``.
        distribution: what pip calls it, ``"fairart-near-miss"``; the folder too.
        package: what Python imports, ``"fairart_near_miss"``.
        attribute: the class or function, ``"NearMissSampler"``.
    """

    kind: str
    name: str
    distribution: str
    package: str
    attribute: str

    @property
    def hook(self) -> str:
        """The hook that registers the kind."""
        return HOOK_OF_KIND[self.kind]


def plugin_names(name: str, kind: str) -> PluginNames:
    """Derive all names from one.

    Args:
        name: with or without ``fairart-`` in front; letters, digits and ``-``, ``_``, ``.`` between them, at most 30.
        kind: with underscores or hyphens.

    Raises:
        UnknownNameError: there is no such kind.
        OptionError: the name is no name of a Python distribution, too long, or taken by fairart itself.
    """
    kind = kind.replace("-", "_")
    if kind not in HOOK_OF_KIND:
        raise UnknownNameError(f"there is no kind {kind!r}; {did_you_mean(kind, HOOK_OF_KIND)}")
    if not _DISTRIBUTION.fullmatch(name):
        raise OptionError(
            f"{name!r} is no valid name of a distribution: it must start with a letter, end with a letter or digit, and have "
            "only letters, digits, '-', '_' and '.', such as near-miss"
        )
    # As pip normalises names (PEP 503): one spelling for the folder, the entry point and the registry.
    short = re.sub(r"[-_.]+", "-", name).lower().removeprefix(PREFIX)
    if not short[0].isalpha():
        raise OptionError(f"{name!r}: what follows {PREFIX!r} must start with a letter, such as {PREFIX}near-miss")
    if len(short) > LONGEST:
        raise OptionError(f"a name may have {LONGEST} characters, {short!r} has {len(short)}")
    if short in TAKEN:
        raise OptionError(f"the name {short!r} means something else to fairart; choose another one")
    return PluginNames(
        kind=kind,
        name=short,
        distribution=f"{PREFIX}{short}",
        package=f"{PREFIX}{short}".replace("-", "_"),
        attribute=_attribute(short, kind),
    )


def _attribute(short: str, kind: str) -> str:
    words, form = short.split("-"), _ATTRIBUTE[kind]
    affix = re.sub(r"_?\{\w+\}_?", "", form).lower()
    # "near-miss-sampler" gives NearMissSampler, and no NearMissSamplerSampler.
    if len(words) > 1 and affix in (words[-1], words[0]):
        words = words[:-1] if words[-1] == affix else words[1:]
    return form.format(camel="".join(word.capitalize() for word in words), snake="_".join(words))
