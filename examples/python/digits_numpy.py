"""Trains a small network on handwritten digits, data-parallel, in numpy.

    mpirun -np 2 python examples/python/digits_numpy.py

The model, the data, the order of the samples and the losses are those of examples/digits.c: in
float64 they agree to 1e-9. What it shows is the same too: rank 0's parameters are broadcast; a
rank's gradient is the sum over its samples, divided by the samples of the whole batch, so that the
sum over the ranks is the batch's mean gradient however unevenly the samples fall; each gradient is
submitted as soon as it is known, in backward order; and gradients lie in the node's shared segment,
where nothing is copied.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import ronde

DATA = Path(__file__).resolve().parents[1] / "data" / "digits"
MOMENTUM = 0.9
PARAMETERS, ORDER = 1, 2  # purposes of random numbers


# ---- random numbers: Philox4x32-10 of Salmon, Moraes, Dror and Shaw (SC'11) ----------------------


def philox_words(seed, purpose, which, count):
    """The first `count` words of the stream number `which` for a purpose; every rank makes the
    same."""
    blocks = (count + 3) // 4
    mask = np.uint64(0xFFFFFFFF)
    c = [
        np.arange(blocks, dtype="uint64"),
        *(np.full(blocks, n, "uint64") for n in (0, which, purpose)),
    ]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        low, high = np.uint64(k0), np.uint64(k1)
        c = [b >> np.uint64(32) ^ c[1] ^ low, b & mask, a >> np.uint64(32) ^ c[3] ^ high, a & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=1).reshape(-1)[:count]


def uniform(seed, which, count):
    """Numbers in [0, 1), multiples of 2^-53."""
    words = philox_words(seed, PARAMETERS, which, 2 * count)
    high, low = words[::2] >> np.uint64(5), words[1::2] >> np.uint64(6)
    return (high << np.uint64(26) | low).astype("float64") * 2.0**-53


def permutation(seed, epoch, count):
    """The order of the samples in an epoch: Fisher and Yates' shuffle, from the last place down."""
    words = iter(philox_words(seed, ORDER, epoch, 2 * count + 64).tolist())
    order = list(range(count))
    for i in range(count, 1, -1):
        rejected = (1 << 32) % i
        product = next(words) * i
        while product & 0xFFFFFFFF < rejected:  # Lemire, ACM TOMACS 29 (2019)
            product = next(words) * i
        j = product >> 32
        order[i - 1], order[j] = order[j], order[i - 1]
    return np.array(order)


# ---- data and model ------------------------------------------------------------------------------


def read_idx(path):
    """An IDX file of bytes: a magic number, the dimensions, the elements."""
    raw = path.read_bytes()
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">u4", dimensions, 4).astype(int)
    return np.frombuffer(raw, "uint8", offset=4 + 4 * dimensions).reshape(shape)


def read_part(name, dtype):
    """Images, a row each, and labels."""
    images = read_idx(DATA / f"{name}-images-idx3-ubyte")
    rows = images.reshape(len(images), -1) * (
        1 / 16
    )  # the digits that come with Ronde have 17 greys
    return rows.astype(dtype), read_idx(DATA / f"{name}-labels-idx1-ubyte")


class Model:
    """Layers of weights and biases, with ReLU between and softmax at the end."""

    def __init__(self, widths, seed, dtype):
        self.values, self.names, self.gradients = [], [], []
        for layer, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
            bound = np.sqrt(6.0 / inputs)  # He et al., "Delving deep into rectifiers" (ICCV 2015)
            drawn = uniform(seed, layer, inputs * outputs).reshape(inputs, outputs)
            self.values += [(bound * (2 * drawn - 1)).astype(dtype), np.zeros(outputs, dtype)]
            self.names += [f"layer{layer + 1}.weight", f"layer{layer + 1}.bias"]
        self.velocities = [np.zeros_like(value) for value in self.values]
        self.gradients = [ronde.empty(value.shape, value.dtype) for value in self.values]
        self.layers = len(widths) - 1

    def forward(self, inputs):
        """What each layer makes; the last are the logits."""
        made = [inputs]
        for layer in range(self.layers):
            out = made[-1] @ self.values[2 * layer] + self.values[2 * layer + 1]
            made.append(np.maximum(out, 0) if layer + 1 < self.layers else out)
        return made

    def update(self, rate):
        """SGD with momentum."""
        for value, velocity, gradient in zip(self.values, self.velocities, self.gradients):
            velocity *= MOMENTUM
            velocity += gradient
            value -= velocity.dtype.type(rate) * velocity


def softmax_loss(logits, labels, factor):
    """The rows' summed loss, and its derivative by the logits times `factor`."""
    z = logits.astype("float64")
    shifted = z - z.max(axis=1, keepdims=True, initial=-np.inf)
    exp = np.exp(shifted)
    total = exp.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    delta = exp / total
    delta[rows, labels] -= 1
    loss = float((np.log(total[:, 0]) - shifted[rows, labels]).sum())
    return loss, (delta * factor).astype(logits.dtype)


# ---- training ------------------------------------------------------------------------------------


def share(count):
    """This rank's part of `count` samples, as a slice."""
    rank, size = ronde.rank(), ronde.size()
    return slice(count * rank // size, count * (rank + 1) // size)


def train_step(model, images, labels, batch, rate):
    """One step on the samples of `batch`, of which this rank computes its share; the batch's
    loss."""
    mine = batch[share(len(batch))]
    made = model.forward(images[mine])
    loss, delta = softmax_loss(made[-1], labels[mine], 1 / len(batch))
    handles = [ronde.allreduce_async(np.array([loss / len(batch)]), ronde.Sum, name="loss")]
    for layer in range(model.layers - 1, -1, -1):
        np.matmul(made[layer].T, delta, out=model.gradients[2 * layer])
        np.sum(delta, axis=0, out=model.gradients[2 * layer + 1])
        for i in (2 * layer, 2 * layer + 1):
            gradient = model.gradients[i]
            handles.append(
                ronde.allreduce_async(gradient, ronde.Sum, name=model.names[i], out=gradient)
            )
        if layer:
            delta = (delta @ model.values[2 * layer].T) * (made[layer] > 0)
    for handle in handles:
        handle.wait()
    model.update(rate)
    return float(handles[0].result[0])


def evaluate(model, images, labels):
    """How many of all images are recognised; each rank looks at its share."""
    part = share(len(labels))
    guesses = model.forward(images[part])[-1].argmax(axis=1)
    return ronde.allreduce(int((guesses == labels[part]).sum()), ronde.Sum, name="test.correct")


def identical_everywhere(model):
    """Whether all ranks have the same parameters, to the last bit."""
    bits = np.concatenate([value.reshape(-1).view("uint8") for value in model.values])
    least = ronde.allreduce(bits, ronde.Min, name="bits.least")
    return bool((least == ronde.allreduce(bits, ronde.Max, name="bits.most")).all())


def train(options):
    """All epochs, with a line for each."""
    dtype = "float64" if options.fp64 else "float32"
    images, labels = read_part("train", dtype)
    test_images, test_labels = read_part("t10k", dtype)
    widths = [images.shape[1], *map(int, options.hidden.split(",")), 10]
    model = Model(widths, options.seed, dtype)
    for value, name in zip(model.values, model.names):
        ronde.broadcast(value, 0, name=name, out=value)
    losses, speaks = [], ronde.rank() == 0
    if speaks:
        print(
            f"digits in numpy, trained by Ronde {ronde.version()} on {ronde.size()} ranks, {dtype}"
        )
        print("  epoch        loss   test accuracy   samples/s", flush=True)
    for epoch in range(1, options.epochs + 1):
        start, total = time.monotonic(), 0.0
        order = permutation(options.seed, epoch, len(labels))
        for first in range(0, len(labels), options.batch):
            batch = order[first : first + options.batch]
            losses.append(train_step(model, images, labels, batch, options.lr))
            total += losses[-1] * len(batch)
        seconds = time.monotonic() - start
        correct = evaluate(model, test_images, test_labels)
        if speaks:
            accuracy = 100 * correct / len(test_labels)
            speed = len(labels) / seconds
            print(
                f"  {epoch:5}  {total / len(labels):10.6f}   {accuracy:11.2f} %  {speed:10.0f}",
                flush=True,
            )
    identical = identical_everywhere(model)
    if speaks:
        accuracy = 100 * correct / len(test_labels)
        print(f"\nfinal test accuracy:               {accuracy:.2f} % ({correct})")
        print(f"parameters identical on all ranks: {'yes' if identical else 'NO'}")
        if options.losses:
            Path(options.losses).write_text("".join(f"{loss:.17g}\n" for loss in losses))
    return identical


def main():
    """The options are those of the C program, as far as there are any."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=30, help="passes over the training data")
    parser.add_argument(
        "--batch", type=int, default=64, help="samples a step, of all ranks together"
    )
    parser.add_argument("--lr", type=float, default=0.1, help="learning rate")
    parser.add_argument("--hidden", default="64,32", help="widths of the hidden layers")
    parser.add_argument("--seed", type=int, default=1, help="of the parameters and the order")
    parser.add_argument("--fp64", action="store_true", help="compute in float64")
    parser.add_argument("--losses", help="write the loss of every step into this file")
    options = parser.parse_args()
    ronde.init()
    good = train(options)
    ronde.shutdown()
    raise SystemExit(not good)


if __name__ == "__main__":
    main()
