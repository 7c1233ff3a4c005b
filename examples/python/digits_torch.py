"""Learns handwritten digits with PyTorch, on as many ranks as mpirun starts.

A Horovod script: the import below is the only line that is Ronde's.

    mpirun -np 2 python examples/python/digits_torch.py
"""

import argparse
import gzip
import os
import struct
import sys

import ronde.torch as hvd
import torch
import torch.nn.functional as F
import torch.utils.data.distributed

HERE = os.path.dirname(os.path.abspath(globals().get("__file__", "examples/python/x")))
OWN_DATA = os.path.join(HERE, "..", "data", "digits")

parser = argparse.ArgumentParser(description="PyTorch digits")
parser.add_argument("--data-dir", default=OWN_DATA, help="folder with MNIST's four IDX files")
parser.add_argument("--batch-size", type=int, default=32, help="of a rank")
parser.add_argument("--test-batch-size", type=int, default=100)
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--lr", type=float, default=0.05)
parser.add_argument("--momentum", type=float, default=0.5)
parser.add_argument("--seed", type=int, default=42)
parser.add_argument("--batches-per-allreduce", type=int, default=1)
parser.add_argument("--fp16-allreduce", action="store_true", help="send gradients as float16")
parser.add_argument("--use-adasum", action="store_true", help="combine gradients by Adasum")
parser.add_argument("--gradient-predivide-factor", type=float, default=1.0)


def read_idx(folder, name):
    """An IDX file as a tensor of bytes; packed by gzip or not."""
    path = os.path.join(folder, name)
    opened = open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz", "rb")
    with opened as file:
        dimensions = file.read(4)[3]
        shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
        return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).reshape(shape)


def dataset_of(folder, part):
    """Pixels from 0 to 1, shaped (samples, 1, height, width), and labels."""
    images = read_idx(folder, f"{part}-images-idx3-ubyte").float()
    labels = read_idx(folder, f"{part}-labels-idx1-ubyte").long()
    return torch.utils.data.TensorDataset(images.unsqueeze(1) / images.max(), labels)


class Net(torch.nn.Module):
    """Two convolutions and two layers, for images of any size."""

    def __init__(self, height, width):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 10, kernel_size=3, padding=1)
        self.conv2 = torch.nn.Conv2d(10, 20, kernel_size=3, padding=1)
        self.fc1 = torch.nn.Linear(20 * (height // 2) * (width // 2), 50)
        self.fc2 = torch.nn.Linear(50, 10)

    def forward(self, x):
        """Logarithms of the digits' probabilities."""
        x = F.relu(self.conv1(x))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        x = F.relu(self.fc1(x.flatten(1)))
        return F.log_softmax(self.fc2(x), dim=1)


def metric_average(value, name):
    """The mean of all ranks' values."""
    return hvd.allreduce(torch.tensor(value), name=name).item()


def train(epoch, model, optimizer, loader, args):
    """One pass over this rank's share of the samples; returns the mean loss of all ranks."""
    model.train()
    loader.sampler.set_epoch(epoch)  # another order each epoch
    total = 0.0
    for i, (data, target) in enumerate(loader):
        optimizer.zero_grad()
        # Gradients of several small batches make one step.
        for j in range(0, len(data), args.batch_size):
            part, labels = data[j : j + args.batch_size], target[j : j + args.batch_size]
            loss = F.nll_loss(model(part), labels)
            total += loss.item() * len(part)
            (loss * len(part) / len(data)).backward()
        optimizer.step()
        if hvd.rank() == 0 and sys.stderr.isatty():
            done = (i + 1) / len(loader)
            bar = "#" * int(30 * done)
            print(f"\repoch {epoch} [{bar:<30}] {done:4.0%}", end="", file=sys.stderr, flush=True)
    if hvd.rank() == 0 and sys.stderr.isatty():
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)
    return metric_average(total / len(loader.sampler), "avg_train_loss")


def test(model, loader):
    """Loss and accuracy over all ranks' shares of the test samples."""
    model.eval()
    loss, correct = 0.0, 0.0
    with torch.no_grad():
        for data, target in loader:
            output = model(data)
            loss += F.nll_loss(output, target, reduction="sum").item()
            correct += output.argmax(1).eq(target).sum().item()
    loss = metric_average(loss / len(loader.sampler), "avg_loss")
    accuracy = metric_average(correct / len(loader.sampler), "avg_accuracy")
    return loss, accuracy


def loader_of(dataset, batch_size):
    """Batches of this rank's share."""
    sampler = torch.utils.data.distributed.DistributedSampler(
        dataset, num_replicas=hvd.size(), rank=hvd.rank()
    )
    return torch.utils.data.DataLoader(dataset, batch_size=batch_size, sampler=sampler)


def main(arguments=None):
    """Trains, and returns the accuracy."""
    args = parser.parse_args(arguments)
    hvd.init()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)

    train_set, test_set = dataset_of(args.data_dir, "train"), dataset_of(args.data_dir, "t10k")
    batch_size = args.batch_size * args.batches_per_allreduce
    train_loader = loader_of(train_set, batch_size)
    test_loader = loader_of(test_set, args.test_batch_size)
    model = Net(*train_set.tensors[0].shape[2:])

    # More ranks make a larger batch, and a larger batch takes a larger step; Adasum sees to that.
    lr_scaler = args.batches_per_allreduce * hvd.size() if not args.use_adasum else 1
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr * lr_scaler, momentum=args.momentum)

    # All ranks begin with rank 0's model.
    hvd.broadcast_parameters(model.state_dict(), root_rank=0)
    hvd.broadcast_optimizer_state(optimizer, root_rank=0)

    optimizer = hvd.DistributedOptimizer(
        optimizer,
        named_parameters=model.named_parameters(),
        compression=hvd.Compression.fp16 if args.fp16_allreduce else hvd.Compression.none,
        backward_passes_per_step=args.batches_per_allreduce,
        op=hvd.Adasum if args.use_adasum else hvd.Average,
        gradient_predivide_factor=args.gradient_predivide_factor,
    )

    accuracy = 0.0
    for epoch in range(1, args.epochs + 1):
        train_loss = train(epoch, model, optimizer, train_loader, args)
        loss, accuracy = test(model, test_loader)
        if hvd.rank() == 0:
            print(
                f"epoch {epoch}: train loss {train_loss:.4f}, test loss {loss:.4f}, "
                f"accuracy {accuracy:.1%}",
                flush=True,
            )
    hvd.join()
    return accuracy


if __name__ == "__main__":
    main()
