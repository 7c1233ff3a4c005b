/* The MPI network from inside: what its files share. Only these files and mpi_entry.c know mpi.h.
 *
 * mpi_process.c   MPI as the process has it: who initialised it, the thread level, error texts
 * net_mpi_open.c  communicators and nodes: open and close
 * net_mpi_data.c  data messages
 * net_mpi_post.c  control messages */
#ifndef RONDE_NET_NET_MPI_H
#define RONDE_NET_NET_MPI_H

#include <mpi.h>
#include <pthread.h>

#include "net/net.h"

/* One data message under way: what net_request.state points to. */
struct mpi_transfer {
    struct mpi_transfer *next; /* among the spare ones */
    MPI_Request request;
    size_t bytes;
    int peer, tag;
    int is_receive;
};

/* One control message under way. */
struct mpi_letter {
    struct mpi_letter *next; /* in its queue, or among the spare ones */
    MPI_Request request;
    size_t bytes, capacity;
    int peer;
    int done;
    void *message; /* incoming: malloc'd, goes to the caller; outgoing: the memory behind this */
};

struct mpi_letters {
    struct mpi_letter *first, **end;
};

struct mpi_net {
    struct net base; /* first, so that a struct net * is one of these */
    MPI_Comm data, control;
    int level;            /* MPI's thread level */
    pthread_t opener;     /* the only thread that may call below MPI_THREAD_SERIALIZED */
    int bears_losses;     /* ronde__mpi_bear_losses */
    int era;              /* tag of control messages: no stray of a closed net is taken for ours */
    pthread_mutex_t lock; /* guards what follows */
    struct mpi_transfer *spare_transfers;
    struct mpi_letter *spare_letters;
    struct mpi_letters outgoing, incoming;
};

static inline struct mpi_net *ronde__mpi_net_of(struct net *net)
{
    return (struct mpi_net *)net;
}

/* Counts one more net of this process, initialising MPI where nobody has and the caller may. */
int32_t ronde__mpi_join(int may_initialise);
void ronde__mpi_leave(void);
/* Over several nodes: MPI may write to a rank whose process has ended. From here to the call that takes
 * it back, SIGPIPE is ignored where it would end this process. */
void ronde__mpi_bear_losses(struct mpi_net *net);
void ronde__mpi_bear_no_losses(struct mpi_net *net);
/* Whether MPI is initialised and not finalised. */
int ronde__mpi_is_running(void);
/* Whether MPI was initialised by ronde__mpi_join. */
int ronde__mpi_is_ours(void);
/* Whether this is an intracommunicator of a running MPI; an error that says what else it is. */
int32_t ronde__mpi_check_communicator(MPI_Comm communicator);

/* Around every MPI call: refuses threads that the level forbids, and below MPI_THREAD_MULTIPLE lets
 * one of ours in at a time. */
int32_t ronde__mpi_enter(struct mpi_net *net);
int32_t ronde__mpi_check_thread(struct net *base);
void ronde__mpi_exit(const struct mpi_net *net);

/* RONDE_OK where code is MPI_SUCCESS; else RONDE_ERR_MPI with MPI's own text, after what was being
 * done: "sending 8 bytes to rank 3". */
int32_t ronde__mpi_status(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* How MPI, whose counts are int, is told any number of bytes: `count` of `type`. Give the type to
 * ronde__mpi_forget_type when the operation has been started. */
int ronde__mpi_type_of(size_t bytes, MPI_Datatype *type, int *count);
void ronde__mpi_forget_type(MPI_Datatype *type);

int32_t ronde__mpi_send(struct net *net, const void *data, size_t bytes, int peer, int tag,
                        struct net_request *request);
int32_t ronde__mpi_recv(struct net *net, void *data, size_t bytes, int peer, int tag,
                        struct net_request *request);
int32_t ronde__mpi_test(struct net *net, struct net_request *request, int *done);
int32_t ronde__mpi_post(struct net *net, int peer, const void *message, size_t bytes);
int32_t ronde__mpi_poll(struct net *net, int *from, void **message, size_t *bytes);
int32_t ronde__mpi_allgather(struct net *net, const void *mine, size_t bytes, void *all);

/* MPI_Wait between enter and exit; it exits and enters again while there is nothing to do. */
int ronde__mpi_wait(struct mpi_net *net, MPI_Request *request);

/* Waits, for some seconds at most, until MPI has let go of all control messages, and frees them,
 * with those that nobody has polled. What MPI still holds then is left to it. */
void ronde__mpi_finish_letters(struct mpi_net *net);

#endif
