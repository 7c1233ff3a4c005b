/* Ranks and messages between them. Two implementations of one table: MPI (net_mpi.h and its files,
 * with the only mpi.h of the library) and ranks as threads of one process (net_threads*.c), for
 * sanitizers and unit tests. Data messages are matched by (peer, tag) in order and never block;
 * control messages are of any size, from any sender, in order per sender.
 *
 * Threads: any thread may call; the MPI implementation serialises where the thread level asks for
 * it, and refuses (RONDE_ERR_THREADS) other threads than the opener below MPI_THREAD_SERIALIZED. */
#ifndef RONDE_NET_NET_H
#define RONDE_NET_NET_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct net;

struct net_request {
    void *state; /* NULL: done, or never started */
};

struct net_operations {
    int32_t (*send)(struct net *, const void *data, size_t bytes, int peer, int tag,
                    struct net_request *);
    int32_t (*recv)(struct net *, void *data, size_t bytes, int peer, int tag,
                    struct net_request *);
    int32_t (*test)(struct net *, struct net_request *, int *done);
    int32_t (*post)(struct net *, int peer, const void *message, size_t bytes);
    int32_t (*poll)(struct net *, int *from, void **message, size_t *bytes);
    int32_t (*allgather)(struct net *, const void *mine, size_t bytes, void *all);
    int32_t (*check_thread)(struct net *); /* NULL: any thread may call */
    /* NULL: knows no communicators */
    int32_t (*ranks_of)(struct net *, int32_t fortran_communicator, int **ranks, int *n);
    void (*close)(struct net *);
};

struct net {
    const struct net_operations *operations;
    int rank, size;
    int node, nodes; /* index of this rank's node; nodes in order of their lowest rank */
    int local_rank, local_size;
    int one_process;     /* ranks are threads: share memory by address */
    int background;      /* a thread of Ronde's own may call while the caller uses MPI */
    int *node_of;        /* [size] */
    int *local_rank_of;  /* [size] */
    int *local_size_of;  /* [nodes] */
    int *ranks_of_nodes; /* [size]: node 0's ranks by local rank, then node 1's, ... */
    int *first_of_node;  /* [nodes]: where a node's ranks begin in ranks_of_nodes */
    _Atomic uint64_t messages_sent, bytes_sent; /* data and control, after opening */
};

/* Collective. Over the communicator with this Fortran handle, duplicated; with `owns_mpi`, over all
 * ranks of MPI, initialised here if nobody has. ranks_per_node > 0 pretends that each run of so
 * many ranks of a host is a node of its own (0: as the hosts are).
 *
 * Who finalises. MPI cannot be initialised twice in a process, so closing the last net does not
 * finalise: otherwise open, close, open again could not work. MPI that was initialised here is
 * finalised when the process exits or the library is unloaded, by a destructor of the library, and
 * only if every net is closed (a process that leaves by an error exits at once, and mpirun ends
 * the job), nobody else has finalised it, and the process is not a fork of the one that
 * initialised it. _exit and fatal signals skip it. MPI that the caller initialised is never
 * finalised here. */
int32_t ronde__net_open_mpi(int32_t fortran_communicator, int owns_mpi, size_t ranks_per_node,
                            struct net **net);
/* "Open MPI v4.1.4", "MPICH Version: 4.0.2". */
const char *ronde__net_library(void);
/* What the thread level came out as, for people: "MPI_THREAD_MULTIPLE"; says so where MPI is not
 * running. */
const char *ronde__net_thread_level(void);

/* Ranks as threads: makes nets[0..size) at once; each is then used by the thread that is that rank.
 * Rank r lives on node node_of[r]. Each is closed on its own. */
int32_t ronde__net_open_threads(int size, const int *node_of, struct net **nets);

/* Fills node, nodes, local_*, and the arrays from a node colour per rank (equal: same node). */
int32_t ronde__net_set_nodes(struct net *net, const int *colour);
void ronde__net_free_nodes(struct net *net);
/* Pure. Cuts each host's ranks, in rank order, into runs of ranks_per_node: colour[rank] enters as
 * the lowest rank of its host and leaves as the lowest rank of its run. */
void ronde__net_split_nodes(int size, size_t ranks_per_node, int *colour);

/* The global rank of a local rank on a node. */
static inline int ronde__net_rank_at(const struct net *net, int node, int local_rank)
{
    return net->ranks_of_nodes[net->first_of_node[node] + local_rank];
}

/* RONDE_OK where the calling thread may move data, else RONDE_ERR_THREADS with the reason. */
int32_t ronde__net_check_thread(struct net *net);

/* Start moving data. The memory is the network's until the request is done. Any size_t of bytes,
 * the same on both sides; the peer may be the rank itself. tag: 0 .. 4095. */
int32_t ronde__net_send(struct net *net, const void *data, size_t bytes, int peer, int tag,
                        struct net_request *request);
int32_t ronde__net_recv(struct net *net, void *data, size_t bytes, int peer, int tag,
                        struct net_request *request);
/* Progresses; sets *done to 1 and clears the request when it has finished, by an error too. */
int32_t ronde__net_test(struct net *net, struct net_request *request, int *done);

/* Sends a copy of a control message; never blocks. */
int32_t ronde__net_post(struct net *net, int peer, const void *message, size_t bytes);
/* Takes the next control message, malloc'd, the caller's; *message NULL where there is none. Also
 * progresses what post has started. */
int32_t ronde__net_poll(struct net *net, int *from, void **message, size_t *bytes);

/* Collective, blocking, for opening and closing: `bytes` of each rank to all, in rank order. */
int32_t ronde__net_allgather(struct net *net, const void *mine, size_t bytes, void *all);

/* Local. The ranks of this net that are in the communicator with this Fortran handle, in its order,
 * malloc'd; none for MPI_COMM_NULL. RONDE_ERR_ARGUMENT where it has others, too. */
int32_t ronde__net_ranks_of(struct net *net, int32_t fortran_communicator, int **ranks, int *n);

/* Collective. All requests are done. */
void ronde__net_close(struct net *net);

#endif
