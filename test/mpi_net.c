/* ronde-test: np=1,2,3,4 mpich=2 */
/* ronde-test: np=2 mpich=2 args=--level,single */
/* ronde-test: np=2 mpich=2 args=--level,funneled */
/* ronde-test: np=2 mpich=2 args=--level,serialized */
/* ronde-test: np=2 mpich=2 args=--level,multiple */
/* ronde-test: np=2 mpich=2 args=--finalised */
/* The network over real MPI. Without arguments Ronde initialises MPI itself. Else
 *   --level single|funneled|serialized|multiple   the caller initialises MPI so
 *   --finalised                   opening after MPI_Finalize is an error
 *   --nodes N --per-node K        the hosts are expected so (every mode)
 *   --huge BYTES                  only one message of so many bytes from rank 0 to rank 1 */
#include <mpi.h>
#include <pthread.h>

#include "net_cases.h"

static struct {
    const char *level;
    int nodes, per_node, finalised;
    size_t huge;
} wanted;

static struct net *opened(int32_t communicator, int owns_mpi, size_t ranks_per_node)
{
    struct net *net = NULL;
    if (ronde__net_open_mpi(communicator, owns_mpi, ranks_per_node, &net) != RONDE_OK)
        check_fail(__FILE__, __LINE__, "open: %s", ronde_last_error());
    return net;
}

static void ranks_and_hosts_are_as_expected(void)
{
    struct net *net = opened(0, 1, 0);
    CHECK(net && net->rank >= 0 && net->rank < net->size && !net->one_process);
    CHECK(ronde__net_rank_at(net, net->node, net->local_rank) == net->rank);
    if (wanted.nodes)
        CHECK_SAYING(net->nodes == wanted.nodes && net->size == wanted.nodes * wanted.per_node &&
                         net->local_size == wanted.per_node,
                     "%d nodes, %d ranks, %d here", net->nodes, net->size, net->local_size);
    else
        CHECK(net->nodes == 1 && net->local_size == net->size && net->local_rank == net->rank);
    if (net->rank == 0)
        printf("%s, %s: %d ranks on %d nodes\n", ronde__net_library(), ronde__net_thread_level(),
               net->size, net->nodes);
    ronde__net_close(net);
}

static void hosts_may_be_cut_into_nodes(void)
{
    for (int per_node = 1; per_node <= 3; per_node++) {
        struct net *net = opened(0, 1, (size_t)per_node);
        CHECK(net);
        if (!wanted.nodes)
            CHECK(net->nodes == (net->size + per_node - 1) / per_node &&
                  net->node == net->rank / per_node && net->local_rank == net->rank % per_node);
        CHECK(net->local_size <= per_node);
        ronde__net_close(net);
    }
}

static void mpi_does_what_every_network_must(void)
{
    struct net *net = opened(0, 1, 0);
    CHECK(net);
    net_runs_every_case(net);
    ronde__net_close(net);
}

/* Also: what one network leaves behind is not taken for another's. */
static void opening_again_and_again_works(void)
{
    for (int i = 0; i < 20; i++) {
        struct net *net = opened(0, 1, 0);
        CHECK(net);
        net_polling_finds_nothing_where_nothing_was_posted(net);
        if (i == 10) /* UCX warns of it when MPI is finalised */
            CHECK(!ronde__net_post(net, (net->rank + 1) % net->size, &i, sizeof(i)));
        ronde__net_close(net);
    }
}

static void two_networks_do_not_meet(void)
{
    struct net *one = opened(0, 1, 0), *two = opened(0, 1, 0);
    CHECK(one && two);
    int right = (one->rank + 1) % one->size, from, out[2] = {1, 2};
    void *message;
    size_t bytes;
    CHECK(!ronde__net_post(one, right, &out[0], sizeof(int)));
    CHECK(!ronde__net_post(two, right, &out[1], sizeof(int)));
    CHECK(!net_next(two, &from, &message, &bytes) && *(int *)message == 2);
    free(message);
    CHECK(!net_next(one, &from, &message, &bytes) && *(int *)message == 1);
    free(message);
    ronde__net_close(two);
    mpi_does_what_every_network_must();
    ronde__net_close(one);
}

/* ---- the caller's communicators -------------------------------------------------------------- */

static void a_callers_communicator_keeps_its_order(void)
{
    int rank, size;
    MPI_Comm backwards;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &backwards);
    struct net *net = opened(MPI_Comm_c2f(backwards), 0, 0);
    CHECK(net);
    CHECK(net->size == (size + 1 - rank % 2) / 2 && net->rank == net->size - 1 - rank / 2);
    net_runs_every_case(net);
    ronde__net_close(net);
    MPI_Comm_free(&backwards); /* still the caller's */
}

static void what_is_no_communicator_is_refused(void)
{
    struct net *net = NULL;
    int rank, size;
    MPI_Comm half, inter;
    int32_t status = ronde__net_open_mpi(MPI_Comm_c2f(MPI_COMM_NULL), 0, 0, &net);
    CHECK(status == RONDE_ERR_ARGUMENT && !net && strstr(ronde_last_error(), "MPI_COMM_NULL"));
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size < 2)
        return;
    MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - rank % 2, 5, &inter);
    status = ronde__net_open_mpi(MPI_Comm_c2f(inter), 0, 0, &net);
    CHECK(status == RONDE_ERR_ARGUMENT && !net && strstr(ronde_last_error(), "intercomm"));
    MPI_Comm_free(&inter);
    MPI_Comm_free(&half);
}

static void a_peer_that_is_none_is_an_error_that_names_it(void)
{
    struct net *net = opened(0, 1, 0);
    struct net_request request;
    CHECK(net);
    CHECK(ronde__net_send(net, "x", 1, 77, 0, &request) == RONDE_ERR_MPI && !request.state);
    CHECK_SAYING(strstr(ronde_last_error(), "sending to rank 77, 1 bytes with tag 0"), "%s",
                 ronde_last_error());
    CHECK(ronde__net_post(net, 77, "x", 1) == RONDE_ERR_MPI);
    CHECK(strstr(ronde_last_error(), "control message of 1 bytes to rank 77"));
    ronde__net_close(net);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { ROUNDS = 200 };

/* Control messages to the right, and those of the left, beside the other thread's data. */
static void *chats(void *state)
{
    struct net *net = state;
    for (int i = 0; i < ROUNDS; i++) {
        int from = -1, right = (net->rank + 1) % net->size;
        void *message = NULL;
        size_t bytes = 0;
        if (ronde__net_post(net, right, &i, sizeof(i)) != RONDE_OK ||
            net_next(net, &from, &message, &bytes) != RONDE_OK || *(int *)message != i)
            check_fail(__FILE__, __LINE__, "round %d: %s", i, ronde_last_error());
        free(message);
    }
    return NULL;
}

static void a_thread_of_our_own_works_beside_another(void)
{
    struct net *net = opened(0, 1, 0);
    pthread_t thread;
    CHECK(net);
    if (!net->background) {
        ronde__net_close(net);
        return;
    }
    CHECK(pthread_create(&thread, NULL, chats, net) == 0);
    for (int i = 0; i < ROUNDS / 10; i++)
        net_every_rank_reaches_every_rank(net, (size_t)i * 1000);
    pthread_join(thread, NULL);
    ronde__net_close(net);
}

static void *tries(void *state)
{
    struct net *net = state;
    static int32_t status;
    struct net_request request;
    status = ronde__net_send(net, "x", 1, net->rank, 0, &request);
    if (status == RONDE_ERR_THREADS && !strstr(ronde_last_error(), "MPI_THREAD_"))
        status = RONDE_ERR_SYSTEM;
    if (status == RONDE_OK) {
        char in;
        struct net_request requests[2] = {request};
        status = ronde__net_recv(net, &in, 1, net->rank, 0, &requests[1]);
        status = status ? status : net_finish(net, requests, 2);
    }
    return &status;
}

/* What the level forbids is refused with a sentence; what it allows works. */
static void other_threads_may_call_as_the_level_allows(void)
{
    struct net *net = opened(0, 1, 0);
    int level;
    pthread_t thread;
    void *status = NULL;
    CHECK(net);
    MPI_Query_thread(&level);
    if (wanted.level)
        CHECK(net->background == (level == MPI_THREAD_MULTIPLE));
    else
        CHECK(net->background == (level >= MPI_THREAD_SERIALIZED));
    CHECK(pthread_create(&thread, NULL, tries, net) == 0);
    pthread_join(thread, &status);
    CHECK_SAYING(*(int32_t *)status == (level < MPI_THREAD_SERIALIZED ? RONDE_ERR_THREADS : 0),
                 "level %d: status %d", level, (int)*(int32_t *)status);
    ronde__net_close(net);
}

/* ---- modes ----------------------------------------------------------------------------------- */

static void one_message_of_any_size(void)
{
    struct net *net = opened(0, 1, 0);
    struct net_request request;
    unsigned char *data = malloc(wanted.huge);
    CHECK(net && data && net->size > 1);
    if (net->rank == 0) {
        net_fill(data, wanted.huge, 0, 0);
        CHECK(!ronde__net_send(net, data, wanted.huge, 1, 0, &request));
        CHECK_SAYING(!net_finish(net, &request, 1), "%s", ronde_last_error());
    } else if (net->rank == 1) {
        memset(data, 0xAA, wanted.huge);
        CHECK(!ronde__net_recv(net, data, wanted.huge, 0, 0, &request));
        CHECK_SAYING(!net_finish(net, &request, 1), "%s", ronde_last_error());
        CHECK(net_is_filled(data, wanted.huge, 0, 0));
        printf("%zu bytes arrived\n", wanted.huge);
    }
    free(data);
    ronde__net_close(net);
}

static void opening_after_the_end_is_an_error(void)
{
    struct net *net = NULL;
    MPI_Init(NULL, NULL);
    MPI_Finalize();
    CHECK(ronde__net_open_mpi(0, 1, 0, &net) == RONDE_ERR_MPI && !net);
    CHECK(strstr(ronde_last_error(), "already finalised"));
    CHECK(!strcmp(ronde__net_thread_level(), "MPI is not running"));
}

static void a_communicator_before_mpi_is_an_error(void)
{
    struct net *net = NULL;
    CHECK(ronde__net_open_mpi(0, 0, 0, &net) == RONDE_ERR_MPI && !net);
    CHECK(strstr(ronde_last_error(), "MPI is not initialised"));
}

static int level_of(const char *name)
{
    return !strcmp(name, "single")       ? MPI_THREAD_SINGLE
           : !strcmp(name, "funneled")   ? MPI_THREAD_FUNNELED
           : !strcmp(name, "serialized") ? MPI_THREAD_SERIALIZED
                                         : MPI_THREAD_MULTIPLE;
}

static void read_arguments(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "0";
        if (!strcmp(argv[i], "--level"))
            wanted.level = value;
        else if (!strcmp(argv[i], "--nodes"))
            wanted.nodes = atoi(value);
        else if (!strcmp(argv[i], "--per-node"))
            wanted.per_node = atoi(value);
        else if (!strcmp(argv[i], "--huge"))
            wanted.huge = strtoull(value, NULL, 0);
        else if (!strcmp(argv[i], "--finalised"))
            wanted.finalised = 1;
    }
}

int main(int argc, char **argv)
{
    int provided;
    read_arguments(argc, argv);
    if (wanted.finalised) {
        RUN(opening_after_the_end_is_an_error);
        return check_result();
    }
    RUN(a_communicator_before_mpi_is_an_error);
    if (wanted.level)
        MPI_Init_thread(NULL, NULL, level_of(wanted.level), &provided);
    if (wanted.huge) {
        RUN(one_message_of_any_size);
    } else {
        RUN(ranks_and_hosts_are_as_expected);
        RUN(hosts_may_be_cut_into_nodes);
        RUN(mpi_does_what_every_network_must);
        RUN(opening_again_and_again_works);
        RUN(two_networks_do_not_meet);
        RUN(a_callers_communicator_keeps_its_order);
        RUN(what_is_no_communicator_is_refused);
        RUN(a_peer_that_is_none_is_an_error_that_names_it);
        RUN(a_thread_of_our_own_works_beside_another);
        RUN(other_threads_may_call_as_the_level_allows);
    }
    if (wanted.level)
        MPI_Finalize(); /* the caller's */
    return check_result();
}
