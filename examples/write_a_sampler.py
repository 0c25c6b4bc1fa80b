"""Write a target sampler, check it, register it, and train with it. About 10 s on two cores."""

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier

from fairart import create, hookimpl
from fairart.plugins import get_plugin_manager
from fairart.policies import TargetSampler
from fairart.testing import check_target_sampler
from fairart.trainers import FairTATTrainer


class WeakestThree(TargetSampler):
    """Aim only at the three classes with the lowest robust accuracy."""

    def class_weights(self, statistics):
        accuracy = np.nan_to_num(statistics.robust.class_accuracy, nan=0.0)
        weights = np.zeros_like(accuracy)
        weights[np.argsort(accuracy)[:3]] = 1.0
        return weights  # the true class's weight is set to zero and the rest renormalised for you


# The rules of the contract, checked with 2, 3 and 10 classes, absent classes and models without errors included.
check_target_sampler(WeakestThree())

# An instance works at once; a name is for config files and the command line. In a package this is the entry point's module.


class Plugin:
    @hookimpl
    def fairart_register_target_samplers(self, register):
        register("weakest-three", WeakestThree)


get_plugin_manager().register(Plugin(), "my-plugin")

digits = create("dataset", "digits")
model = create("model", "small-cnn", input_shape=digits.input_shape, nb_classes=digits.nb_classes)
classifier = PyTorchClassifier(
    model,
    torch.nn.CrossEntropyLoss(),
    input_shape=digits.input_shape,
    nb_classes=digits.nb_classes,
    optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
    clip_values=(0, 1),
)
trainer = FairTATTrainer(classifier, target_sampler="weakest-three", eps=0.15, eps_step=0.0375)
trainer.fit(digits.x_train, digits.y_train, batch_size=128, nb_epochs=5, seed=0)
print("probability of aiming at each class, given true class 0:")
print(np.round(trainer.history[-1].target_probabilities[0], 2))
