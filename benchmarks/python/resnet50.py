"""One training step's gradients of ResNet-50: ronde.torch beside torch.distributed, in turns.

    tools/mpirun.sh -np 2 python benchmarks/python/resnet50.py

161 parameters of ResNet-50's shapes (25.6 M float32). A backward pass that computes nothing makes
their gradients ready in reverse order, through autograd and each layer's own hooks; what is timed
is that pass and the wait for the last gradient. Rounds are interleaved, so what the machine does
meanwhile meets all alike; figures are medians, and ratios of medians.

    ronde        DistributedOptimizer
    ronde-arena  the same with gradients_in_arena=True; the gradients are made there
    buckets      torch.distributed (Gloo): gradients copied into buckets of 25 MB, each combined
                 when it is full, and copied back
    ddp          torch.nn.parallel.DistributedDataParallel (Gloo), as it comes: buckets of 25 MB
    ddp-views    the same with gradient_as_bucket_view=True
    horovod      horovod.torch's DistributedOptimizer, with --horovod, where it is installed
"""

import argparse
import importlib
import json
import os
import platform
import socket
import statistics
import time

import ronde.torch as hvd
import torch
import torch.distributed as dist

BUCKET_BYTES = 25 * 1024 * 1024


def shapes():
    """ResNet-50's parameters, in order."""
    found = [(64, 3, 7, 7), (64,), (64,)]
    inputs = 64
    for planes, blocks, _ in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            found += [(planes, inputs, 1, 1), (planes,), (planes,)]
            found += [(planes, planes, 3, 3), (planes,), (planes,)]
            found += [(4 * planes, planes, 1, 1), (4 * planes,), (4 * planes,)]
            if block == 0:
                found += [(4 * planes, inputs, 1, 1), (4 * planes,), (4 * planes,)]
            inputs = 4 * planes
    return [*found, (1000, 2048), (1000,)]


class Touch(torch.autograd.Function):
    """Links a parameter into a chain; its gradient is there already, and costs nothing."""

    @staticmethod
    def forward(ctx, link, parameter, source, i):
        """The next link of the chain."""
        ctx.source, ctx.i = source, i
        return link.clone()

    @staticmethod
    def backward(ctx, slope):
        """The chain's slope, and the parameter's gradient."""
        return slope, ctx.source[ctx.i].detach(), None, None


class Model(torch.nn.Module):
    """Parameters, and gradients-to-be in ``source``."""

    def __init__(self, sizes):
        super().__init__()
        self.weights = torch.nn.ParameterList(torch.nn.Parameter(torch.zeros(one)) for one in sizes)
        self.source = [torch.zeros(one) for one in sizes]

    def forward(self, link):
        """The end of the chain."""
        for i, parameter in enumerate(self.weights):
            link = Touch.apply(link, parameter, self.source, i)
        return link


class Contender:
    """One way to combine gradients."""

    def __init__(self, sizes):
        self.model = Model(sizes)
        self.module = self.model

    def prepare(self, value):
        """Not timed: no gradients, what the next ones will be, and the graph."""
        for parameter in self.model.weights:
            parameter.grad = None
        for one in self.model.source:
            one.fill_(value)
        return self.module(torch.zeros((), requires_grad=True))

    def step(self, loss):
        """Timed."""
        loss.backward()
        self.wait()

    def wait(self):
        """Until all gradients are combined."""


class Optimizer(Contender):
    """Ronde's, or Horovod's."""

    def __init__(self, sizes, layer, **options):
        super().__init__(sizes)
        plain = torch.optim.SGD(self.model.parameters(), lr=0.1)
        names = self.model.named_parameters()
        self.optimizer = layer.DistributedOptimizer(plain, names, **options)
        if options:  # who keeps gradients in the arena computes them there
            self.model.source = [parameter.grad for parameter in self.model.weights]

    def wait(self):
        """By the optimizer, as its step does."""
        self.optimizer.synchronize()


class Buckets(Contender):
    """torch.distributed by hand, as DistributedDataParallel does it."""

    def __init__(self, sizes):
        super().__init__(sizes)
        self.buckets, members, nbytes = [], [], 0
        for parameter in reversed(list(self.model.weights)):
            members.append(parameter)
            nbytes += parameter.numel() * 4
            if nbytes >= BUCKET_BYTES or parameter is self.model.weights[0]:
                self.buckets.append([members, torch.zeros(nbytes // 4), 0, None])
                members, nbytes = [], 0
        for bucket in self.buckets:
            views = torch.split(bucket[1], [one.numel() for one in bucket[0]])
            for parameter, view in zip(bucket[0], views):
                hook = self.hook_of(bucket, view.view(parameter.shape))
                parameter.register_post_accumulate_grad_hook(hook)

    @staticmethod
    def hook_of(bucket, view):
        """Copies a gradient into its bucket, and sends the bucket when it is full."""

        def hook(parameter):
            view.copy_(parameter.grad)
            bucket[2] += 1
            if bucket[2] == len(bucket[0]):
                bucket[1].div_(dist.get_world_size())
                bucket[3] = dist.all_reduce(bucket[1], async_op=True)

        return hook

    def wait(self):
        """For every bucket, and copies back."""
        for bucket in self.buckets:
            members, flat, bucket[2], work = bucket[0], bucket[1], 0, bucket[3]
            work.wait()
            for parameter, view in zip(members, torch.split(flat, [p.numel() for p in members])):
                parameter.grad.copy_(view.view(parameter.shape))


class Parallel(Contender):
    """torch.nn.parallel.DistributedDataParallel, which waits at the end of the backward pass."""

    def __init__(self, sizes, **options):
        super().__init__(sizes)
        self.module = torch.nn.parallel.DistributedDataParallel(self.model, **options)


def join_gloo():
    """torch.distributed beside Ronde, over the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ.update(MASTER_ADDR="127.0.0.1", GLOO_SOCKET_IFNAME="lo")
    os.environ["MASTER_PORT"] = str(hvd.broadcast_object(port, 0))
    dist.init_process_group("gloo", rank=hvd.rank(), world_size=hvd.size())


def contenders_of(sizes, args):
    """name: contender."""
    made = {
        "ronde": Optimizer(sizes, hvd),
        "ronde-arena": Optimizer(sizes, hvd, gradients_in_arena=True),
        "buckets": Buckets(sizes),
        "ddp": Parallel(sizes),
        "ddp-views": Parallel(sizes, gradient_as_bucket_view=True),
    }
    if args.horovod:
        other = importlib.import_module("horovod.torch")
        other.init()
        made["horovod"] = Optimizer(sizes, other)
    return {
        name: one for name, one in made.items() if not args.only or name in args.only.split(",")
    }


def race(contenders, args):
    """name: seconds of each round. Also checks every result."""
    seconds = {name: [] for name in contenders}
    for turn in range(args.warmup + args.rounds):
        for name, one in contenders.items():
            loss = one.prepare(float(hvd.rank() + turn))
            hvd.barrier()
            start = time.perf_counter()
            one.step(loss)
            spent = time.perf_counter() - start
            # A step is over when the slowest rank's is.
            spent = hvd.allreduce(torch.tensor(spent).double(), name="spent", op=hvd.Max)
            if turn >= args.warmup:
                seconds[name].append(spent.item())
            wanted = turn + (hvd.size() - 1) / 2
            for parameter in one.model.weights:
                assert bool((parameter.grad == wanted).all()), f"{name}: a wrong gradient"
    return seconds


def report(seconds, args):
    """A table, and a file for machines."""
    base = statistics.median(seconds["ronde"]) if "ronde" in seconds else None
    machine = platform.processor() or platform.machine()
    print(f"# {machine}, {os.cpu_count()} CPUs, torch {torch.__version__}")
    print(f"# {hvd.size()} ranks, {args.rounds} rounds, 161 tensors, 25.6 M float32")
    print(f"{'':12} {'median ms':>10} {'min ms':>8} {'x ronde':>8}")
    for name, values in seconds.items():
        median = statistics.median(values)
        ratio = f"{median / base:8.2f}" if base else ""
        print(f"{name:12} {median * 1e3:10.2f} {min(values) * 1e3:8.2f} {ratio}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"ranks": hvd.size(), "seconds": seconds}, file)


def main():
    """Makes the contenders, races them, and reports."""
    parser = argparse.ArgumentParser(description="ResNet-50's gradients, in turns")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--only", help="names, separated by commas")
    parser.add_argument("--horovod", action="store_true", help="also Horovod")
    parser.add_argument("--json", help="a file to write all times to")
    args = parser.parse_args()
    hvd.init()
    torch.set_num_threads(1)
    join_gloo()
    sizes = shapes()
    assert len(sizes) == 161
    seconds = race(contenders_of(sizes, args), args)
    if hvd.rank() == 0:
        report(seconds, args)
    dist.destroy_process_group()
    hvd.shutdown()


if __name__ == "__main__":
    main()
