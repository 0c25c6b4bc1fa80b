"""The corruptions that fairart registers, each beside the file that makes it.

A new corruption is a function in this folder and a line here. Targets are text, so that listing the names imports no torch.
"""

from __future__ import annotations

from fairart.plugins.hookspecs import Register, hookimpl

__all__: list[str] = []


@hookimpl
def fairart_register_corruptions(register: Register) -> None:
    register("gaussian_noise", "fairart.corruptions.noise:gaussian_noise")
    register("shot_noise", "fairart.corruptions.noise:shot_noise")
    register("impulse_noise", "fairart.corruptions.noise:impulse_noise")
    register("defocus_blur", "fairart.corruptions.blur:defocus_blur")
    register("glass_blur", "fairart.corruptions.blur:glass_blur")
    register("motion_blur", "fairart.corruptions.motion:motion_blur")
    register("zoom_blur", "fairart.corruptions.blur:zoom_blur")
    register("snow", "fairart.corruptions.weather:snow")
    register("frost", "fairart.corruptions.weather:frost")
    register("fog", "fairart.corruptions.weather:fog")
    register("brightness", "fairart.corruptions.colour:brightness")
    register("contrast", "fairart.corruptions.colour:contrast")
    register("elastic_transform", "fairart.corruptions.elastic:elastic_transform")
    register("pixelate", "fairart.corruptions.digital:pixelate")
    register("jpeg_compression", "fairart.corruptions.digital:jpeg_compression")
    register("speckle_noise", "fairart.corruptions.noise:speckle_noise")
    register("gaussian_blur", "fairart.corruptions.blur:gaussian_blur")
    register("spatter", "fairart.corruptions.spatter:spatter")
    register("saturate", "fairart.corruptions.colour:saturate")
