"""The built-in plugin: everything that ships with fairart, registered through the hooks that third parties use.

Targets are text, so that listing names imports nothing heavy.
"""

from __future__ import annotations

import importlib

from fairart.plugins.hookspecs import Register, hookimpl

__all__: list[str] = []

# Registered beside the functions. By name: plugins lie below corruptions, so nothing here imports from there.
fairart_register_corruptions = importlib.import_module("fairart.corruptions.registered").fairart_register_corruptions


@hookimpl
def fairart_register_target_samplers(register: Register) -> None:
    register("uniform", "fairart.policies.target_samplers:UniformSampler")
    register("cfps", "fairart.policies.target_samplers:CFPSSampler")
    register("cfps-softmax", "fairart.policies.target_samplers:SoftmaxCFPSSampler")
    register("confusion", "fairart.policies.target_samplers:ConfusionSampler")
    register("runner-up", "fairart.policies.target_samplers:RunnerUpSampler")
    register("trix", "fairart.policies.target_samplers:TRIXSampler")


@hookimpl
def fairart_register_epsilon_schedulers(register: Register) -> None:
    register("constant", "fairart.policies.epsilon_schedulers.constant:ConstantEpsilon")
    register("ccm", "fairart.policies.epsilon_schedulers.ccm:ClassCalibratedMargin")
    register("frl", "fairart.policies.epsilon_schedulers.frl:FRLMargin")
    register("dafa", "fairart.policies.epsilon_schedulers.dafa:DAFAMargin")


@hookimpl
def fairart_register_class_weightings(register: Register) -> None:
    register("uniform", "fairart.policies.class_weightings.uniform:UniformWeighting")
    register("ccr", "fairart.policies.class_weightings.ccr:ClassCalibratedRegularisation")
    register("frl", "fairart.policies.class_weightings.frl:FRLWeighting")
    register("wat", "fairart.policies.class_weightings.wat:WorstClassWeighting")
    register("dafa", "fairart.policies.class_weightings.dafa:DAFAWeighting")
    register("faal", "fairart.policies.class_weightings.faal:WorstCaseWeighting")
    register("csr", "fairart.policies.class_weightings.csr:ConfusionalSpectralWeighting")
    register("trix", "fairart.policies.class_weightings.trix:TRIXWeighting")
    register("cvar", "fairart.policies.class_weightings.cvar:ClassCVaRWeighting")
    register("inverse-frequency", "fairart.policies.class_weightings.long_tail:InverseFrequencyWeighting")
    register("effective-number", "fairart.policies.class_weightings.long_tail:EffectiveNumberWeighting")
    register("group-dro", "fairart.policies.class_weightings.group_dro:GroupDROWeighting")


@hookimpl
def fairart_register_class_samplings(register: Register) -> None:
    register("natural", "fairart.policies.class_samplings.natural:NaturalSampling")
    register("balanced", "fairart.policies.class_samplings.balanced:BalancedSampling")
    register("cfol", "fairart.policies.class_samplings.cfol:ClassFocusedSampling")


@hookimpl
def fairart_register_classification_losses(register: Register) -> None:
    register("cross-entropy", "fairart.policies.classification_losses.base:CrossEntropyLoss")
    register("balanced-softmax", "fairart.policies.classification_losses.prior:BalancedSoftmaxLoss")
    register("logit-adjusted", "fairart.policies.classification_losses.prior:LogitAdjustedLoss")
    register("ldam", "fairart.policies.classification_losses.ldam:LDAMLoss")
    register("focal", "fairart.policies.classification_losses.focal:FocalLoss")
    register("mae", "fairart.policies.classification_losses.mae:MeanAbsoluteErrorLoss")
    register("huber", "fairart.policies.classification_losses.huber:HuberLoss")
    register("gce", "fairart.policies.classification_losses.gce:GeneralisedCrossEntropyLoss")
    register("sce", "fairart.policies.classification_losses.sce:SymmetricCrossEntropyLoss")


@hookimpl
def fairart_register_weight_perturbations(register: Register) -> None:
    register("awp", "fairart.policies.weight_perturbations.awp:AdversarialWeightPerturbation")


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
    register("mart", "fairart.objectives.mart:MARTObjective")
    register("fgsm-rs", "fairart.objectives.single_step:FGSMRSObjective")
    register("n-fgsm", "fairart.objectives.single_step:NFGSMObjective")
    register("ibp", "fairart.objectives.ibp:IBPObjective")


@hookimpl
def fairart_register_augmentations(register: Register) -> None:
    register("crop-flip", "fairart.engine.data.augmentation.crop_flip:CropFlip")
    register("randaugment", "fairart.engine.data.augmentation.automatic:RandAugment")
    register("trivialaugment", "fairart.engine.data.augmentation.automatic:TrivialAugment")
    register("augmix", "fairart.engine.data.augmentation.automatic:AugMix")
    register("random-erasing", "fairart.engine.data.augmentation.erasing:RandomErasing")
    register("gaussian", "fairart.engine.data.augmentation.gaussian:GaussianNoise")
    register("mixup", "fairart.engine.data.augmentation.mixing:MixUp")
    register("cutmix", "fairart.engine.data.augmentation.mixing:CutMix")


@hookimpl
def fairart_register_fairness_metrics(register: Register) -> None:
    register("worst-class", "fairart.evaluation.results.metrics:worst_class")
    register("worst-decile", "fairart.evaluation.results.metrics:worst_decile")
    register("cfps-max", "fairart.evaluation.results.metrics:cfps_max")
    register("balanced", "fairart.evaluation.results.metrics:balanced")
    register("head", "fairart.evaluation.results.metrics:head")
    register("middle", "fairart.evaluation.results.metrics:middle")
    register("tail", "fairart.evaluation.results.metrics:tail")
    register("disparity", "fairart.evaluation.results.metrics:disparity")
    register("std", "fairart.evaluation.results.metrics:std")
    register("nsd", "fairart.evaluation.results.metrics:nsd")
    register("gini", "fairart.evaluation.results.metrics:gini")
    register("rho", "fairart.evaluation.results.metrics:rho")


@hookimpl
def fairart_register_attacks(register: Register) -> None:
    register("fgsm", "fairart.evaluation.attacks.pgd:fgsm_attack")
    register("pgd", "fairart.evaluation.attacks.pgd:pgd_attack")
    register("apgd-ce", "fairart.evaluation.attacks.apgd:apgd_ce_attack")
    register("apgd-dlr", "fairart.evaluation.attacks.apgd:apgd_dlr_attack")
    register("autoattack", "fairart.evaluation.attacks.autoattack:autoattack")
    register("art-autoattack", "fairart.evaluation.attacks.art_autoattack:art_autoattack")
    register("square", "fairart.evaluation.attacks.square:square_attack")
    register("cw", "fairart.evaluation.attacks.carlini:cw_attack")
    register("deepfool", "fairart.evaluation.attacks.deepfool:deepfool_attack")
    register("boundary", "fairart.evaluation.attacks.decision:boundary_attack")
    register("hop-skip-jump", "fairart.evaluation.attacks.decision:hop_skip_jump_attack")
    register("spatial", "fairart.evaluation.attacks.spatial:spatial_attack")
    register("transfer", "fairart.evaluation.attacks.transfer:transfer_attack")


@hookimpl
def fairart_register_certificates(register: Register) -> None:
    register("smoothing", "fairart.evaluation.certificates.smoothing:SmoothingCertificate")
    register("ibp", "fairart.evaluation.certificates.ibp:IBPCertificate")
    register("lipschitz", "fairart.evaluation.certificates.lipschitz:LipschitzCertificate")


@hookimpl
def fairart_register_defences(register: Register) -> None:
    register("jpeg", "fairart.evaluation.defences.jpeg:JpegDefence")
    register("feature-squeezing", "fairart.evaluation.defences.feature_squeezing:FeatureSqueezingDefence")
    register("spatial-smoothing", "fairart.evaluation.defences.spatial_smoothing:SpatialSmoothingDefence")
    register("total-variation", "fairart.evaluation.defences.total_variation:TotalVariationDefence")


@hookimpl
def fairart_register_datasets(register: Register) -> None:
    register("digits", "fairart.datasets.digits:load_digits")
    register("fashion-mnist", "fairart.datasets.vision:load_fashion_mnist")
    register("cifar10", "fairart.datasets.vision:load_cifar10")
    register("cifar100", "fairart.datasets.vision:load_cifar100")
    register("svhn", "fairart.datasets.vision:load_svhn")
    register("stl10", "fairart.datasets.vision:load_stl10")
    register("tiny-imagenet", "fairart.datasets.tiny_imagenet:load_tiny_imagenet")
    register("npz", "fairart.datasets.files:load_npz")
    register("npy", "fairart.datasets.npy:load_npy")
    register("folder", "fairart.datasets.folder:load_folder")
    register("wds", "fairart.datasets.wds:load_wds")


@hookimpl
def fairart_register_models(register: Register) -> None:
    register("small-cnn", "fairart.models.small_cnn:small_cnn")
    register("preact-resnet-18", "fairart.models.preact_resnet:preact_resnet_18")
    register("wide-resnet-34-10", "fairart.models.wide_resnet:wide_resnet_34_10")
    register("xcit-s12", "fairart.models.xcit:xcit_s12")
    register("robustbench", "fairart.models.zoos.robustbench:robustbench_model")
    register("timm", "fairart.models.zoos.timm:timm_model")
    register("torchvision", "fairart.models.zoos.torchvision:torchvision_model")
    register("hf", "fairart.models.zoos.hub:hub_model")


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
    register("trix", "fairart.trainers:TRIXTrainer")
    register("csr", "fairart.trainers:CSRTrainer")
    register("cfol", "fairart.trainers:CFOLTrainer")
    register("mart", "fairart.trainers:MARTTrainer")
    register("fgsm-rs", "fairart.trainers:FastATTrainer")
    register("n-fgsm", "fairart.trainers:NFGSMTrainer")
    register("ibp", "fairart.trainers:IBPTrainer")
    register("gaussian", "fairart.trainers:GaussianTrainer")
    register("co-teaching", "fairart.trainers:CoTeachingTrainer")
    register("self-training", "fairart.trainers:SelfTrainingTrainer")
