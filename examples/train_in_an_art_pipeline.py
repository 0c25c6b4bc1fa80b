"""Train a class-fair robust classifier in an ART pipeline, then attack it with ART, class by class. About 20 s on two cores."""

import numpy as np
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fairart.evaluation import evaluate
from fairart.models.small_cnn import small_cnn
from fairart.statistics import ConfusionMatrix
from fairart.trainers import FairTATTrainer

# Data as ART takes it: numpy, channels first, within clip_values.
digits = load_digits()
images = (digits.images / 16).astype(np.float32)[:, None]
x_train, x_test, y_train, y_test = train_test_split(images, digits.target, test_size=0.25, stratify=digits.target, random_state=0)

# An ordinary ART classifier. Mean and standard deviation belong here: attacks run through them.
torch.manual_seed(0)
model = small_cnn(input_shape=(1, 8, 8), nb_classes=10)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
classifier = PyTorchClassifier(
    model,
    torch.nn.CrossEntropyLoss(),
    input_shape=(1, 8, 8),
    nb_classes=10,
    optimizer=optimizer,
    clip_values=(0, 1),
    preprocessing=(images.mean(), images.std()),
)

# FAIR-TAT over TRADES, with fairness-aware weight averaging; 2 % of each class is held out for it.
trainer = FairTATTrainer(classifier, objective="trades", averaging="fawa", eps=0.15, eps_step=0.0375, max_iter=10)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [10, 15], gamma=0.1)
trainer.fit(x_train, y_train, batch_size=128, nb_epochs=20, scheduler=scheduler, seed=0)
last = trainer.history[-1]
print(f"training, last epoch: robust {last.robust.accuracy:.3f}, worst class {last.robust.worst_class_accuracy():.3f}")
print("budget of each class:", np.round(last.epsilons, 3))

# The classifier goes on in the pipeline: here under ART's own attack ...
robust = trainer.get_classifier()
attack = ProjectedGradientDescent(robust, eps=0.15, eps_step=0.0375, max_iter=20, verbose=False)
predictions = robust.predict(attack.generate(x_test, y_test)).argmax(axis=1)
confusion = ConfusionMatrix.of(y_test, predictions, nb_classes=10)
print(f"ART PGD-20: {confusion.accuracy:.3f}, worst class {confusion.worst_class} at {confusion.worst_class_accuracy():.3f}")

# ... and in fairart's evaluation, per class with intervals.
print(evaluate(robust, x_test, y_test, attacks=[("pgd", {"eps": 0.15, "eps_step": 0.0375})]).table())
