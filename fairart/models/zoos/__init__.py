"""Zoos: models of other packages and hubs, registered as models whose name has a colon, such as ``timm:resnet18``.

Each is a function ``build(path, *, input_shape, nb_classes, pretrained=True, ...)`` of what follows the colon. With
``pretrained=False`` it builds the architecture alone, for weights from a file. Packages are imported when a zoo is used.
"""

from __future__ import annotations

__all__: list[str] = []
