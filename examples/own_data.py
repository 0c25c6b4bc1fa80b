"""Train and evaluate on your own arrays: uint8 images with any number of classes. About 15 s on two cores.

For files instead of arrays: ``--dataset npz:data.npz`` or ``--dataset folder:images`` with ``fairart train``.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier

from fairart import create
from fairart.evaluation import evaluate
from fairart.trainers import FairTATTrainer

# Stand-in for your data: colour images of three shapes, (n, C, H, W) uint8, unbalanced on purpose.
random = np.random.default_rng(0)


def draw(count, kind):
    x = random.integers(0, 60, (count, 3, 16, 16), dtype=np.uint8)
    for image in x:
        row, column = random.integers(2, 8, 2)
        if kind == 0:
            image[:, row : row + 6, column : column + 6] += 150
        elif kind == 1:
            image[:, row : row + 6, column : column + 2] += 150
        else:
            image[:, row : row + 2, column : column + 6] += 150
    return x


counts = (300, 200, 60)
x = np.concatenate([draw(count, kind) for kind, count in enumerate(counts)])
y = np.repeat(np.arange(3), counts)
order = random.permutation(len(x))
x, y = x[order], y[order]
x_train, y_train, x_test, y_test = x[:400], y[:400], x[400:], y[400:]

# The same arrays as a file, for the command line.
path = Path(tempfile.mkdtemp()) / "shapes.npz"
np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, classes=["square", "bar", "dash"])
data = create("dataset", f"npz:{path}")

# uint8 images go in as they are: with clip_values (0, 1) they are divided by 255 when a batch is drawn.
model = create("model", "small-cnn", input_shape=data.input_shape, nb_classes=data.nb_classes)
classifier = PyTorchClassifier(
    model,
    torch.nn.CrossEntropyLoss(),
    input_shape=data.input_shape,
    nb_classes=data.nb_classes,
    optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
    clip_values=(0, 1),
    preprocessing=data.mean_std(),
)
trainer = FairTATTrainer(classifier, eps=16 / 255, eps_step=4 / 255, augmentation="crop-flip")
trainer.fit(data.x_train, data.y_train, batch_size=64, nb_epochs=8, seed=0)

result = evaluate(classifier, data.x_test, data.y_test, attacks=[("pgd", {"eps": 16 / 255})], class_names=data.classes)
print(result.table())
