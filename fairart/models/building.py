"""Making a model by what the user calls it: a registered name, a zoo and a name in it, or any callable of Python.

``preact-resnet-18``, ``robustbench:Wong2020Fast``, ``mypackage.nets:resnet``, ``./nets.py:resnet``.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from fairart.did_you_mean import did_you_mean
from fairart.errors import OptionError, PluginError, UnknownNameError
from fairart.plugins import create, get_plugin_manager, registered
from fairart.plugins.options import declared_options

__all__ = ["build_model", "model_options_of"]

SHAPES = ("input_shape", "nb_classes")
"""Arguments that a callable is given where its signature has them."""


def build_model(name: str, *, input_shape: Sequence[int], nb_classes: int, options: Mapping[str, Any] | None = None) -> nn.Module:
    """Make a model.

    Args:
        name: a registered name; ``zoo:NAME``; ``module:callable``, imported from the environment or the working folder; or
            ``path/to/file.py:callable``. What stands before the colon is looked up among registered names first.
        input_shape: (C, H, W).
        nb_classes: K.
        options: further arguments.

    Raises:
        UnknownNameError: no such name, module or attribute.
        OptionError: an argument that the model does not take, or a bad value.
        PluginError: the callable raised, or what it returned is no ``torch.nn.Module``.
    """
    given = dict(options or {})
    for taken in sorted(given.keys() & set(SHAPES)):
        raise OptionError(f"model.{taken} follows from the data set and cannot be set")
    prefix, colon, rest = name.partition(":")
    if not colon or prefix in registered("model"):
        model = create("model", name, input_shape=tuple(input_shape), nb_classes=nb_classes, **given)
    else:
        if not rest:
            raise UnknownNameError(f"model {name!r}: a name must follow the colon, as in module:callable or zoo:NAME")
        # The last colon: a path may have others.
        place, _, attribute = name.rpartition(":")
        model = _called(name, _attribute(name, _module(name, place), attribute), tuple(input_shape), nb_classes, given)
    if not isinstance(model, nn.Module):
        raise PluginError(f"model {name!r} must be a torch.nn.Module, got {type(model).__qualname__}")
    return model


def model_options_of(name: str) -> set[str] | None:
    """Names of the options of a registered model or zoo; None for ``module:callable``.

    Args:
        name: as for :func:`build_model`.
    """
    prefix, colon, _ = name.partition(":")
    if colon and prefix not in registered("model"):
        return None
    entry, _ = get_plugin_manager().find("model", name)
    return set(declared_options(entry.load()))


def _module(name: str, place: str) -> Any:
    if place.endswith(".py") or "/" in place:
        file = Path(place).expanduser()
        if not file.is_file():
            raise UnknownNameError(f"model {name!r}: there is no file {file}")
        return _from_file(name, file.resolve())
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not (place == error.name or place.startswith(f"{error.name}.")):
            raise PluginError(f"model {name!r}: importing {place} raised {type(error).__name__}: {error}") from error
        known = did_you_mean(place, registered("model"))
        raise UnknownNameError(
            f"model {name!r}: {place!r} is neither a zoo nor a module of the environment or of the folder {Path.cwd()}; {known}"
        ) from error
    except Exception as error:  # any exception that the user's module raises on import
        raise PluginError(f"model {name!r}: importing {place} raised {type(error).__name__}: {error}") from error
    finally:
        sys.path[:] = before


def _from_file(name: str, file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"fairart_model_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UnknownNameError(f"model {name!r}: {file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    sys.path.insert(0, str(file.parent))  # a file imports those beside it
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # any exception that the user's file raises on import
        raise PluginError(f"model {name!r}: importing {file} raised {type(error).__name__}: {error}") from error
    finally:
        sys.path[:] = before
    return module


def _attribute(name: str, module: Any, attribute: str) -> Callable[..., Any]:
    found = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [known for known in vars(module) if not known.startswith("_") and callable(getattr(module, known))]
            raise UnknownNameError(f"model {name!r}: {module.__name__} has no {attribute!r}; {did_you_mean(attribute, public)}")
        found = getattr(found, part)
    if not callable(found):
        raise UnknownNameError(f"model {name!r}: expected a class or a function, {attribute!r} is a {type(found).__name__}")
    build: Callable[..., Any] = found
    return build


def _called(name: str, build: Callable[..., Any], input_shape: tuple[int, ...], nb_classes: int, options: dict[str, Any]) -> Any:
    try:
        signature = inspect.signature(build)
    except ValueError as error:
        raise OptionError(f"model {name!r}: {build!r} has no signature to read; give a function or class of Python") from error
    takes = signature.parameters
    shapes = {"input_shape": input_shape, "nb_classes": nb_classes}
    arguments = {**{key: value for key, value in shapes.items() if key in takes}, **{k: _read(v) for k, v in options.items()}}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise OptionError(
            f"model {name!r}: {error}; it takes {signature}. Give arguments as --set model.NAME=VALUE; input_shape and "
            "nb_classes are passed if it has them"
        ) from error
    try:
        return build(**arguments)
    except Exception as error:  # any exception of the user's code
        raise PluginError(f"model {name!r}: calling it raised {type(error).__name__}: {error}") from error


def _read(value: Any) -> Any:
    """Text of the command line as the number, truth value or list that it spells."""
    if not isinstance(value, str):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value
