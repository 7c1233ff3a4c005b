// See peer.h. Gloo has two generations of collectives. The older, classes such as
// AllreduceHalvingDoubling, can run with the caller's own thread on the sockets (sync mode),
// polling them if told to; the newer, functions such as gloo::allreduce, always go through a thread
// of Gloo's. Both are offered, because which one is faster depends on size, ranks and CPUs.
//
// In sync mode two ranks that send to each other both write before they read, so that a message
// must fit into the sockets' buffers, or both wait for ever. Longer ones go through Gloo's thread.
#include "peer.h"

#include <gloo/allgather.h>
#include <gloo/allgather_ring.h>
#include <gloo/allreduce.h>
#include <gloo/allreduce_halving_doubling.h>
#include <gloo/allreduce_ring_chunked.h>
#include <gloo/broadcast.h>
#include <gloo/broadcast_one_to_all.h>
#include <gloo/context.h>
#include <gloo/math.h>
#include <gloo/transport/context.h>
#include <gloo/transport/tcp/device.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

namespace
{

using Reduce = void (*)(void *, const void *, const void *, size_t);

// A context whose addresses are exchanged by the caller's gather.
class Mesh : public gloo::Context
{
  public:
    Mesh(const gloo_world &world, const std::shared_ptr<gloo::transport::Device> &device)
        : gloo::Context(world.rank, world.ranks)
    {
        device_ = device;
        transportContext_ = device->createContext(rank, size);
        transportContext_->setTimeout(getTimeout());
        const size_t slot = gloo::transport::Address::kMaxByteSize + 1; // its length, and itself
        std::vector<char> mine(slot * size), all(slot * size * size);
        for (int i = 0; i < size; i++) {
            if (i == rank)
                continue;
            auto bytes = transportContext_->createPair(i)->address().bytes();
            if (bytes.size() >= slot)
                throw std::runtime_error("an address of Gloo's is too long");
            mine[slot * i] = static_cast<char>(bytes.size());
            std::copy(bytes.begin(), bytes.end(), mine.begin() + slot * i + 1);
        }
        world.gather(mine.data(), mine.size(), all.data());
        for (int i = 0; i < size; i++) {
            if (i == rank)
                continue;
            auto at = all.begin() + slot * (static_cast<size_t>(i) * size + rank);
            auto length = static_cast<unsigned char>(*at);
            getPair(i)->connect(std::vector<char>(at + 1, at + 1 + length));
        }
    }
};

// The third number of tcp_rmem or tcp_wmem: what a buffer may grow to. 1 MiB if nobody says.
size_t largest_buffer(const char *path)
{
    size_t least, usual, most;
    std::ifstream file(path);
    return file >> least >> usual >> most ? most : size_t(1) << 20;
}

struct Peer {
    explicit Peer(const gloo_world &world)
    {
        gloo::transport::tcp::attr attributes;
        attributes.iface = world.interface;
        auto device = gloo::transport::tcp::CreateDevice(attributes);
        newer = std::make_shared<Mesh>(world, device);
        own_thread = std::make_shared<Mesh>(world, device);
        callers_thread = std::make_shared<Mesh>(world, device);
        for (int i = 0; i < world.ranks; i++)
            if (i != world.rank)
                callers_thread->getPair(i)->setSync(true, world.busy != 0);
        // Half of what there is: the kernel's own structures count too.
        safe_bytes = (largest_buffer("/proc/sys/net/ipv4/tcp_rmem") +
                      largest_buffer("/proc/sys/net/ipv4/tcp_wmem")) /
                     2;
    }
    const std::shared_ptr<gloo::Context> &for_messages_of(size_t bytes) const
    {
        return bytes <= safe_bytes ? callers_thread : own_thread;
    }
    size_t safe_bytes;
    // Each generation has a context to itself: they would take each other's messages for their own.
    // The older one has one for each way of waiting.
    std::shared_ptr<gloo::Context> newer, own_thread, callers_thread;
};

struct Operation {
    std::function<void()> run;
};

template <typename T> Reduce reduction(int32_t op)
{
    switch (op) {
    case RONDE_SUM: return static_cast<Reduce>(&gloo::sum<T>);
    case RONDE_PRODUCT: return static_cast<Reduce>(&gloo::product<T>);
    case RONDE_MIN: return static_cast<Reduce>(&gloo::min<T>);
    case RONDE_MAX: return static_cast<Reduce>(&gloo::max<T>);
    default: return nullptr;
    }
}

template <typename T> const gloo::ReductionFunction<T> *older_reduction(int32_t op)
{
    switch (op) {
    case RONDE_PRODUCT: return gloo::ReductionFunction<T>::product;
    case RONDE_MIN: return gloo::ReductionFunction<T>::min;
    case RONDE_MAX: return gloo::ReductionFunction<T>::max;
    default: return gloo::ReductionFunction<T>::sum;
    }
}

// The older classes work in place, so the contribution is copied first.
template <typename T>
std::function<void()> copy_and_run(const gloo_task &task,
                                   std::shared_ptr<gloo::Algorithm> algorithm)
{
    const size_t bytes = task.in == task.out ? 0 : task.count * sizeof(T);
    return [=] {
        if (bytes)
            std::memcpy(task.out, task.in, bytes);
        algorithm->run();
    };
}

template <typename T>
std::function<void()> allreduce(const Peer &peer, const gloo_task &task, int way)
{
    T *out = static_cast<T *>(task.out);
    const std::vector<T *> pointers{out};
    const int count = static_cast<int>(task.count);
    const auto *reduce = older_reduction<T>(task.op);
    const auto &older = peer.for_messages_of(task.count * sizeof(T) / 2 + sizeof(T));
    if (way == 0)
        return copy_and_run<T>(task,
                               std::make_shared<gloo::AllreduceHalvingDoubling<T>>(older, pointers,
                                                                                   count, reduce));
    if (way == 1)
        return copy_and_run<T>(task,
                               std::make_shared<gloo::AllreduceRingChunked<T>>(older, pointers,
                                                                               count, reduce));
    if (way > 2)
        return nullptr;
    auto context = peer.newer;
    return [=] {
        gloo::AllreduceOptions options(context);
        options.setInput(static_cast<T *>(const_cast<void *>(task.in)), task.count);
        options.setOutput(out, task.count);
        options.setReduceFunction(reduction<T>(task.op));
        gloo::allreduce(options);
    };
}

template <typename T>
std::function<void()> broadcast(const Peer &peer, const gloo_task &task, int way)
{
    T *out = static_cast<T *>(task.out);
    const std::vector<T *> pointers{out};
    if (way == 0) {
        auto algorithm = std::make_shared<gloo::BroadcastOneToAll<T>>(peer.callers_thread, pointers,
                                                                      task.count,
                                                                      static_cast<int>(task.root));
        return [=] { algorithm->run(); };
    }
    if (way > 1)
        return nullptr;
    auto context = peer.newer;
    return [=] {
        gloo::BroadcastOptions options(context);
        options.setRoot(static_cast<int>(task.root));
        options.setOutput(out, task.count);
        gloo::broadcast(options);
    };
}

template <typename T>
std::function<void()> allgather(const Peer &peer, const gloo_task &task, int way)
{
    T *in = static_cast<T *>(const_cast<void *>(task.in)), *out = static_cast<T *>(task.out);
    way += peer.callers_thread->size == 1; // a ring of one has no neighbours
    if (way == 0) {
        const std::vector<const T *> pointers{in};
        auto algorithm = std::make_shared<gloo::AllgatherRing<T>>(peer.for_messages_of(task.count *
                                                                                       sizeof(T)),
                                                                  pointers, out,
                                                                  static_cast<int>(task.count));
        return [=] { algorithm->run(); };
    }
    if (way > 1)
        return nullptr;
    auto context = peer.newer;
    return [=] {
        gloo::AllgatherOptions options(context);
        options.setInput(in, task.count);
        options.setOutput(out, task.count * static_cast<size_t>(context->size));
        gloo::allgather(options);
    };
}

template <typename T>
std::function<void()> find_way(const Peer &peer, const gloo_task &task, int way)
{
    switch (task.collective) {
    case GLOO_BROADCAST: return broadcast<T>(peer, task, way);
    case GLOO_ALLGATHER: return allgather<T>(peer, task, way);
    default: return allreduce<T>(peer, task, way);
    }
}

std::function<void()> find_way_of_type(const Peer &peer, const gloo_task &task, int way)
{
    switch (task.dtype) {
    case RONDE_INT32: return find_way<int32_t>(peer, task, way);
    case RONDE_INT64: return find_way<int64_t>(peer, task, way);
    case RONDE_FLOAT64: return find_way<double>(peer, task, way);
    default: return find_way<float>(peer, task, way);
    }
}

void explain(char *error, const char *text)
{
    std::snprintf(error, GLOO_ERROR_BYTES, "%s", text);
    error[std::strcspn(error, "\n")] = 0;
}

} // namespace

extern "C" {

static const char *peer_refuses(const gloo_task *task)
{
    const int32_t type = task->dtype;
    if (type != RONDE_INT32 && type != RONDE_INT64 && type != RONDE_FLOAT32 &&
        type != RONDE_FLOAT64)
        return "is compared for int32, int64, float32 and float64 only: give another -d or --impl";
    if (task->collective == GLOO_ALLREDUCE && !reduction<float>(task->op))
        return "is compared for sum, min, max and product only: give another -o or --impl";
    const size_t bytes = type == RONDE_INT64 || type == RONDE_FLOAT64 ? 8 : 4;
    if (task->count > static_cast<size_t>(std::numeric_limits<int>::max()) / bytes)
        return "counts a contribution's bytes in 31 bits: give a smaller -e or another --impl";
    return nullptr;
}

static void *peer_open(const gloo_world *world, char *error)
{
    try {
        return new Peer(*world);
    } catch (const std::exception &problem) {
        explain(error, problem.what());
        return nullptr;
    }
}

static void peer_close(void *peer)
{
    delete static_cast<Peer *>(peer);
}

static void *peer_prepare(void *peer, const gloo_task *task, int way, char *error)
{
    error[0] = 0;
    try {
        auto run = find_way_of_type(*static_cast<Peer *>(peer), *task, way);
        return run ? new Operation{run} : nullptr;
    } catch (const std::exception &problem) {
        explain(error, problem.what());
        return nullptr;
    }
}

static int peer_run(void *operation, char *error)
{
    try {
        static_cast<Operation *>(operation)->run();
        return 0;
    } catch (const std::exception &problem) {
        explain(error, problem.what());
        return -1;
    }
}

static void peer_drop(void *operation)
{
    delete static_cast<Operation *>(operation);
}

const gloo_peer ronde_gloo_peer = {peer_refuses, peer_open, peer_close,
                                   peer_prepare, peer_run,  peer_drop};
}
