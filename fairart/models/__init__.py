"""Models: functions ``build(*, input_shape, nb_classes, **options) -> torch.nn.Module`` that give logits.

Each is registered by name and lives in a module of its own, imported when it is asked for. No model normalises its input:
mean and deviation belong to the ART classifier's ``preprocessing``, and there alone::

    from fairart import create

    model = create("model", "preact-resnet-18", input_shape=(3, 32, 32), nb_classes=10)
"""

from __future__ import annotations

__all__: list[str] = []
