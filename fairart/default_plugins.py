"""The built-in plugin: everything that ships with fairart, registered through the hooks that strangers use.

Targets are text, so that listing names imports nothing heavy.
"""

from __future__ import annotations

from fairart.hookspecs import Register, hookimpl

__all__: list[str] = []


@hookimpl
def fairart_register_target_samplers(register: Register) -> None:
    register("uniform", "fairart.policies.targets:UniformSampler")
    register("cfps", "fairart.policies.targets:CFPSSampler")
    register("cfps-softmax", "fairart.policies.targets:SoftmaxCFPSSampler")
    register("confusion", "fairart.policies.targets:ConfusionSampler")
    register("runner-up", "fairart.policies.targets:RunnerUpSampler")


@hookimpl
def fairart_register_epsilon_schedulers(register: Register) -> None:
    register("constant", "fairart.policies.epsilons:ConstantEpsilon")
    register("ccm", "fairart.policies.epsilons:ClassCalibratedMargin")
    register("frl", "fairart.policies.epsilons_frl:FRLMargin")
    register("dafa", "fairart.policies.epsilons_dafa:DAFAMargin")


@hookimpl
def fairart_register_class_weightings(register: Register) -> None:
    register("uniform", "fairart.policies.weights:UniformWeighting")
    register("ccr", "fairart.policies.weights_ccr:ClassCalibratedRegularisation")
    register("frl", "fairart.policies.weights_frl:FRLWeighting")
    register("wat", "fairart.policies.weights_wat:WorstClassWeighting")
    register("dafa", "fairart.policies.weights_dafa:DAFAWeighting")
    register("faal", "fairart.policies.weights_faal:WorstCaseWeighting")


@hookimpl
def fairart_register_weight_perturbations(register: Register) -> None:
    register("awp", "fairart.policies.awp:AdversarialWeightPerturbation")


@hookimpl
def fairart_register_averagings(register: Register) -> None:
    register("ema", "fairart.policies.averaging:ExponentialMovingAverage")
    register("fawa", "fairart.policies.averaging:FairnessAwareWeightAveraging")


@hookimpl
def fairart_register_objectives(register: Register) -> None:
    register("standard", "fairart.objectives.standard:StandardObjective")
    register("at", "fairart.objectives.at:ATObjective")
    register("trades", "fairart.objectives.trades:TRADESObjective")
    register("fat", "fairart.objectives.fat:FATObjective")
    register("bat", "fairart.objectives.bat:BATObjective")


@hookimpl
def fairart_register_fairness_metrics(register: Register) -> None:
    register("worst-class", "fairart.evaluation.metrics:worst_class")
    register("worst-decile", "fairart.evaluation.metrics:worst_decile")
    register("cfps-max", "fairart.evaluation.metrics:cfps_max")
    register("disparity", "fairart.evaluation.metrics:disparity")
    register("std", "fairart.evaluation.metrics:std")
    register("nsd", "fairart.evaluation.metrics:nsd")
    register("gini", "fairart.evaluation.metrics:gini")
    register("rho", "fairart.evaluation.metrics:rho")


@hookimpl
def fairart_register_attacks(register: Register) -> None:
    register("fgsm", "fairart.evaluation.attacks:fgsm_attack")
    register("pgd", "fairart.evaluation.attacks:pgd_attack")
    register("apgd-ce", "fairart.evaluation.attack_library.apgd:apgd_ce_attack")
    register("apgd-dlr", "fairart.evaluation.attack_library.apgd:apgd_dlr_attack")
    register("autoattack", "fairart.evaluation.attack_library.autoattack:autoattack")
    register("art-autoattack", "fairart.evaluation.attack_library.art_autoattack:art_autoattack")
    register("square", "fairart.evaluation.attack_library.square:square_attack")
    register("cw", "fairart.evaluation.attack_library.carlini:cw_attack")
    register("deepfool", "fairart.evaluation.attack_library.deepfool:deepfool_attack")
    register("boundary", "fairart.evaluation.attack_library.decision:boundary_attack")
    register("hop-skip-jump", "fairart.evaluation.attack_library.decision:hop_skip_jump_attack")
    register("spatial", "fairart.evaluation.attack_library.spatial:spatial_attack")
    register("transfer", "fairart.evaluation.attack_library.transfer:transfer_attack")


@hookimpl
def fairart_register_corruptions(register: Register) -> None:
    register("gaussian_noise", "fairart.evaluation.corruptions.noise:gaussian_noise")
    register("shot_noise", "fairart.evaluation.corruptions.noise:shot_noise")
    register("impulse_noise", "fairart.evaluation.corruptions.noise:impulse_noise")
    register("defocus_blur", "fairart.evaluation.corruptions.blur:defocus_blur")
    register("glass_blur", "fairart.evaluation.corruptions.blur:glass_blur")
    register("motion_blur", "fairart.evaluation.corruptions.motion:motion_blur")
    register("zoom_blur", "fairart.evaluation.corruptions.blur:zoom_blur")
    register("snow", "fairart.evaluation.corruptions.weather:snow")
    register("frost", "fairart.evaluation.corruptions.weather:frost")
    register("fog", "fairart.evaluation.corruptions.weather:fog")
    register("brightness", "fairart.evaluation.corruptions.colour:brightness")
    register("contrast", "fairart.evaluation.corruptions.colour:contrast")
    register("elastic_transform", "fairart.evaluation.corruptions.elastic:elastic_transform")
    register("pixelate", "fairart.evaluation.corruptions.digital:pixelate")
    register("jpeg_compression", "fairart.evaluation.corruptions.digital:jpeg_compression")
    register("speckle_noise", "fairart.evaluation.corruptions.noise:speckle_noise")
    register("gaussian_blur", "fairart.evaluation.corruptions.blur:gaussian_blur")
    register("spatter", "fairart.evaluation.corruptions.spatter:spatter")
    register("saturate", "fairart.evaluation.corruptions.colour:saturate")


@hookimpl
def fairart_register_datasets(register: Register) -> None:
    register("digits", "fairart.datasets.digits:load_digits")
    register("fashion-mnist", "fairart.datasets.vision:load_fashion_mnist")
    register("cifar10", "fairart.datasets.vision:load_cifar10")
    register("cifar100", "fairart.datasets.vision:load_cifar100")
    register("npz", "fairart.datasets.files:load_npz")
    register("folder", "fairart.datasets.files:load_folder")


@hookimpl
def fairart_register_models(register: Register) -> None:
    register("small-cnn", "fairart.models.small_cnn:small_cnn")
    register("preact-resnet-18", "fairart.models.preact_resnet:preact_resnet_18")
    register("wide-resnet-34-10", "fairart.models.wide_resnet:wide_resnet_34_10")
    register("xcit-s12", "fairart.models.xcit:xcit_s12")


@hookimpl
def fairart_register_trainers(register: Register) -> None:
    register("standard", "fairart.trainers:StandardTrainer")
    register("at", "fairart.trainers:ATTrainer")
    register("trades", "fairart.trainers:TRADESTrainer")
    register("fat", "fairart.trainers:FATTrainer")
    register("fair-tat", "fairart.trainers:FairTATTrainer")
    register("fair-tat-uniform", "fairart.trainers:FairTATUniformTrainer")
    register("fair-tat-fixed-eps", "fairart.trainers:FairTATFixedEpsTrainer")
    register("cfa", "fairart.trainers:CFATrainer")
    register("frl", "fairart.trainers:FRLTrainer")
    register("bat", "fairart.trainers:BATTrainer")
    register("wat", "fairart.trainers:WATTrainer")
    register("dafa", "fairart.trainers:DAFATrainer")
    register("faal", "fairart.trainers:FAALTrainer")
