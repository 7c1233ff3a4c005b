"""Ronde: named asynchronous collectives over MPI, for arrays of any kind.

::

    import numpy, ronde

    ronde.init()
    gradient = numpy.full(1000, ronde.rank(), "float32")
    ronde.allreduce(gradient, ronde.Average, name="layer1", out=gradient)
    ronde.shutdown()

The functions here are the methods of one context, ``ronde.context``. See ``docs/python.md``.
"""

from __future__ import annotations

from . import errors
from ._abi import library
from ._context import Context, context
from ._handles import Handle
from ._run import run
from ._sets import Group, ProcessSet
from ._types import Divide, DType, Op, Wire
from .errors import (
    ArgumentError,
    ClosedError,
    CountOverflowError,
    DuplicateError,
    HandleError,
    LibraryError,
    MismatchError,
    MPIError,
    OutOfMemoryError,
    PeerLostError,
    ProcessSetError,
    RemoteError,
    RondeError,
    StalledError,
    SystemCallError,
    ThreadLevelError,
    TruncatedError,
)

__version__ = "0.1.0"

Sum = Op.SUM
Average = Op.AVERAGE
Min = Op.MIN
Max = Op.MAX
Product = Op.PRODUCT
LogicalAnd = Op.LOGICAL_AND
LogicalOr = Op.LOGICAL_OR
BitwiseAnd = Op.BITWISE_AND
BitwiseOr = Op.BITWISE_OR
Adasum = Op.ADASUM
WeightedAverage = Op.WEIGHTED_AVERAGE

bool_ = DType.BOOL
uint8 = DType.UINT8
int8 = DType.INT8
uint16 = DType.UINT16
int16 = DType.INT16
uint32 = DType.UINT32
int32 = DType.INT32
uint64 = DType.UINT64
int64 = DType.INT64
float16 = DType.FLOAT16
bfloat16 = DType.BFLOAT16
float32 = DType.FLOAT32
float64 = DType.FLOAT64

init = context.open
shutdown = context.close
is_initialized = context.is_open
rank = context.rank
size = context.size
local_rank = context.local_rank
local_size = context.local_size
cross_rank = context.cross_rank
cross_size = context.cross_size
is_homogeneous = context.is_homogeneous
world = context.world

allreduce = context.allreduce
allreduce_async = context.allreduce_async
grouped_allreduce = context.grouped_allreduce
grouped_allreduce_async = context.grouped_allreduce_async
reduce = context.reduce
reduce_async = context.reduce_async
reducescatter = context.reducescatter
reducescatter_async = context.reducescatter_async
sparse_allreduce = context.sparse_allreduce
sparse_allreduce_async = context.sparse_allreduce_async
broadcast = context.broadcast
broadcast_async = context.broadcast_async
allgather = context.allgather
allgather_async = context.allgather_async
gather = context.gather
gather_async = context.gather_async
scatter = context.scatter
scatter_async = context.scatter_async
alltoall = context.alltoall
alltoall_async = context.alltoall_async
send = context.send
send_async = context.send_async
recv = context.recv
recv_async = context.recv_async
barrier = context.barrier
barrier_async = context.barrier_async
join = context.join
join_async = context.join_async
broadcast_object = context.broadcast_object
allgather_object = context.allgather_object
direct_allreduce = context.direct_allreduce
direct_broadcast = context.direct_broadcast
direct_allgather = context.direct_allgather

group = context.group
add_process_set = context.add_process_set
split_process_set = context.split_process_set
process_set_from_communicator = context.process_set_from_communicator
remove_process_set = context.remove_process_set
process_set_rank = context.process_set_rank
process_set_size = context.process_set_size
process_set_ranks = context.process_set_ranks

empty = context.empty
zeros = context.zeros

start_timeline = context.start_timeline
stop_timeline = context.stop_timeline
counters = context.counters
describe = context.describe


def version() -> str:
    """The version of the library that was loaded, such as ``0.1.0``."""
    text: bytes = library().ronde_version()
    return text.decode()


__all__ = [
    "Adasum",
    "ArgumentError",
    "Average",
    "BitwiseAnd",
    "BitwiseOr",
    "ClosedError",
    "Context",
    "CountOverflowError",
    "DType",
    "Divide",
    "DuplicateError",
    "Group",
    "Handle",
    "HandleError",
    "LibraryError",
    "LogicalAnd",
    "LogicalOr",
    "MPIError",
    "Max",
    "Min",
    "MismatchError",
    "Op",
    "OutOfMemoryError",
    "PeerLostError",
    "ProcessSet",
    "ProcessSetError",
    "Product",
    "RemoteError",
    "RondeError",
    "StalledError",
    "Sum",
    "SystemCallError",
    "ThreadLevelError",
    "TruncatedError",
    "WeightedAverage",
    "Wire",
    "add_process_set",
    "allgather",
    "allgather_async",
    "allgather_object",
    "allreduce",
    "allreduce_async",
    "alltoall",
    "alltoall_async",
    "barrier",
    "barrier_async",
    "bfloat16",
    "bool_",
    "broadcast",
    "broadcast_async",
    "broadcast_object",
    "context",
    "counters",
    "cross_rank",
    "cross_size",
    "describe",
    "direct_allgather",
    "direct_allreduce",
    "direct_broadcast",
    "empty",
    "errors",
    "float16",
    "float32",
    "float64",
    "gather",
    "gather_async",
    "group",
    "grouped_allreduce",
    "grouped_allreduce_async",
    "init",
    "int16",
    "int32",
    "int64",
    "int8",
    "is_homogeneous",
    "is_initialized",
    "join",
    "join_async",
    "local_rank",
    "local_size",
    "process_set_from_communicator",
    "process_set_rank",
    "process_set_ranks",
    "process_set_size",
    "rank",
    "recv",
    "recv_async",
    "reduce",
    "reduce_async",
    "reducescatter",
    "reducescatter_async",
    "remove_process_set",
    "run",
    "scatter",
    "scatter_async",
    "send",
    "send_async",
    "shutdown",
    "size",
    "sparse_allreduce",
    "sparse_allreduce_async",
    "split_process_set",
    "start_timeline",
    "stop_timeline",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "version",
    "world",
    "zeros",
]
