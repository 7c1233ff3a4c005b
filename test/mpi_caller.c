/* ronde-test: np=2,3 np=2/1,4/2 mpich=2 args=single */
/* ronde-test: np=2,3 np=2/1,4/2 mpich=2 args=funneled */
/* ronde-test: np=2,3 np=2/1,4/2 mpich=2 args=serialized */
/* ronde-test: np=1,2,3 np=2/1,4/2 mpich=2 args=multiple */
/* The caller owns MPI: it initialises at the level that argv names, opens contexts on the world
 * and on parts of it, uses MPI meanwhile and afterwards, and finalises it. */
#include <mpi.h>
#include <pthread.h>
#include <signal.h>

#include "ronde_mpi.h"
#include "trial.h"

static struct trial world; /* ranks are processes here */
static int level;          /* of threads, as MPI provides it */
static int nodes;          /* that the world spans */

static void start(ronde_context *context)
{
    world.context = context;
    world.rank = ronde_rank(context);
    world.size = ronde_size(context);
    if (!nodes) /* the first is on the whole world */
        nodes = ronde_cross_size(context);
}

static void use(const char *what)
{
    struct trial *trial = &world;
    int32_t in = trial->rank + 1, sum = 0, first = 0, all[64];
    uint64_t handles[20];
    float data[20][500];
    char name[32];
    for (int i = 0; i < 20; i++) {
        int number = (i + trial->rank) % 20;
        snprintf(name, sizeof name, "%s %d", what, number);
        for (int k = 0; k < 500; k++)
            data[number][k] = (float)(number + k + trial->rank);
        EXPECT_STATUS(trial, RONDE_OK,
                      ronde_allreduce_async(trial->context, name, data[number], data[number], 500,
                                            RONDE_FLOAT32, RONDE_MAX, NULL, &handles[number]));
    }
    for (int i = 19; i >= 0; i--) {
        EXPECT_STATUS(trial, RONDE_OK, ronde_wait(trial->context, handles[i]));
        for (int k = 0; k < 500; k++)
            EXPECT(trial, data[i][k] == (float)(i + k + trial->size - 1),
                   "tensor %d, element %d: %g", i, k, (double)data[i][k]);
    }
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_direct_allreduce(trial->context, &in, &sum, 1, RONDE_INT32, RONDE_SUM,
                                         NULL));
    EXPECT(trial, sum == trial->size * (trial->size + 1) / 2, "sum %d", (int)sum);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_broadcast(trial->context, what, &in, &first, 1, RONDE_INT32,
                                  trial->size - 1, NULL));
    EXPECT(trial, first == trial->size, "%d from the last", (int)first);
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allgather(trial->context, what, &in, 1, 1, RONDE_INT32, all, 64, NULL,
                                  NULL));
    EXPECT(trial, all[0] == 1 && all[trial->size - 1] == trial->size, "gathered %d", (int)all[0]);
}

static void mpi_still_works(void)
{
    int in = 1, sum = 0, size = 0, initialised = 0, finalised = 1;
    MPI_Initialized(&initialised);
    MPI_Finalized(&finalised);
    EXPECT(&world, initialised && !finalised,
           "MPI was finalised by a library that does not own it");
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Allreduce(&in, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    EXPECT(&world, sum == size, "MPI sums to %d", sum);
}

static void a_context_on_the_world_opens_again_and_again(void)
{
    for (int i = 0; i < 3; i++) {
        ronde_context *context = NULL;
        int rank = -1;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        if (EXPECT_STATUS(&world, RONDE_OK, ronde_open_mpi(MPI_COMM_WORLD, NULL, &context)) !=
            RONDE_OK)
            return;
        start(context);
        EXPECT(&world, world.rank == rank, "rank %d is %d", rank, world.rank);
        use("world");
        mpi_still_works();
        use("world");
        EXPECT_STATUS(&world, RONDE_OK, ronde_close(&context));
        mpi_still_works();
    }
}

/* The last ranks form a part whose order is reversed, the first is alone; the communicator is freed
 * as soon as the context is open, and that of the world is open meanwhile. */
static void a_context_on_a_part_is_one_of_its_own(void)
{
    ronde_context *whole = NULL, *context = NULL;
    MPI_Comm part;
    int rank = 0, part_rank = -1, part_size = 0;
    ronde_options options;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_split(MPI_COMM_WORLD, rank > 0, -rank, &part);
    MPI_Comm_rank(part, &part_rank);
    MPI_Comm_size(part, &part_size);
    ronde_options_init(&options, sizeof options);
    options.communicator = (int32_t)MPI_Comm_c2f(MPI_COMM_WORLD);
    options.has_communicator = 1;
    EXPECT_STATUS(&world, RONDE_OK, ronde_open(&options, &whole));
    if (EXPECT_STATUS(&world, RONDE_OK, ronde_open_mpi(part, &options, &context)) == RONDE_OK) {
        MPI_Comm_free(&part);
        start(context);
        EXPECT(&world, world.rank == part_rank && world.size == part_size,
               "rank %d of %d is %d of %d", part_rank, part_size, world.rank, world.size);
        use("part");
        start(whole);
        use("whole");
        start(context);
        use("part");
        EXPECT_STATUS(&world, RONDE_OK, ronde_close(&context));
    }
    start(whole);
    use("whole");
    EXPECT_STATUS(&world, RONDE_OK, ronde_close(&whole));
    mpi_still_works();
}

/* Operations are outstanding while the caller's own traffic goes on, in another order by rank. */
static void mpi_may_be_used_meanwhile(void)
{
    ronde_context *context = NULL;
    int32_t in = 1, sums[10];
    uint64_t handles[10];
    char name[16];
    if (EXPECT_STATUS(&world, RONDE_OK, ronde_open_mpi(MPI_COMM_WORLD, NULL, &context)) != RONDE_OK)
        return;
    start(context);
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "meanwhile %d", i);
        EXPECT_STATUS(&world, RONDE_OK,
                      ronde_allreduce_async(context, name, &in, &sums[i], 1, RONDE_INT32, RONDE_SUM,
                                            NULL, &handles[i]));
        int from = (world.rank + world.size - 1) % world.size, got = -1;
        MPI_Sendrecv(&world.rank, 1, MPI_INT, (world.rank + 1) % world.size, 7, &got, 1, MPI_INT,
                     from, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        EXPECT(&world, got == from, "MPI received %d, not %d", got, from);
    }
    for (int i = 0; i < 10; i++) {
        EXPECT_STATUS(&world, RONDE_OK, ronde_wait(context, handles[i]));
        EXPECT(&world, sums[i] == world.size, "sum %d", (int)sums[i]);
    }
    EXPECT_STATUS(&world, RONDE_OK, ronde_close(&context));
}

/* Between nodes a thread of the library calls MPI, which it may not at every level; on one node it
 * has no need to. */
static void what_the_level_forbids_is_refused_with_a_sentence(void)
{
    ronde_options options;
    ronde_context *context = NULL;
    ronde_options_init(&options, sizeof options);
    options.settings = "progress=thread;ranks_per_node=1"; /* on one node the thread needs no MPI */
    int32_t status = ronde_open_mpi(MPI_COMM_WORLD, &options, &context);
    int refuses = level < MPI_THREAD_MULTIPLE && world.size > 1;
    EXPECT(&world, status == (refuses ? RONDE_ERR_THREADS : RONDE_OK),
           "level %d, progress=thread: %s", level, ronde_status_name(status));
    if (status < 0)
        EXPECT(&world, !context && strstr(ronde_last_error(), "MPI_THREAD_"), "\"%s\"",
               ronde_last_error());
    if (status == RONDE_OK) {
        start(context);
        use("thread");
        EXPECT_STATUS(&world, RONDE_OK, ronde_close(&context));
    }
    mpi_still_works();
}

static void *sum_elsewhere(void *status)
{
    int32_t in = 1, sum = 0;
    *(int32_t *)status = ronde_allreduce(world.context, "elsewhere", &in, &sum, 1, RONDE_INT32,
                                         RONDE_SUM, NULL);
    return NULL;
}

/* Not the thread that initialised MPI: fine from MPI_THREAD_SERIALIZED on, below it fine or
 * refused. */
static void another_thread_works_or_is_refused(void)
{
    ronde_context *context = NULL;
    pthread_t thread;
    int32_t status = RONDE_PENDING;
    if (EXPECT_STATUS(&world, RONDE_OK, ronde_open_mpi(MPI_COMM_WORLD, NULL, &context)) != RONDE_OK)
        return;
    start(context);
    pthread_create(&thread, NULL, sum_elsewhere, &status);
    pthread_join(thread, NULL);
    EXPECT(&world,
           status == RONDE_OK || (status == RONDE_ERR_THREADS && level < MPI_THREAD_SERIALIZED),
           "level %d: %s", level, ronde_status_name(status));
    EXPECT_STATUS(&world, RONDE_OK, ronde_close(&context));
}

static void expect_of_pipes(int ignored, int depth)
{
    struct sigaction now;
    sigaction(SIGPIPE, NULL, &now);
    EXPECT(&world, (now.sa_handler == SIG_IGN) == ignored, "with %d contexts SIGPIPE is %s", depth,
           ignored ? "not ignored" : "ignored");
}

static void on_signal(int number)
{
    (void)number;
}

/* MPI may write to the socket of a rank that has ended; a handler of the caller's stays. */
static void broken_pipes_end_nobody_while_a_context_is_open(void)
{
    ronde_context *first = NULL, *second = NULL;
    struct sigaction now;
    expect_of_pipes(0, 0);
    EXPECT_STATUS(&world, RONDE_OK, ronde_open_mpi(MPI_COMM_WORLD, NULL, &first));
    expect_of_pipes(nodes > 1, 1);
    EXPECT_STATUS(&world, RONDE_OK, ronde_open_mpi(MPI_COMM_WORLD, NULL, &second));
    expect_of_pipes(nodes > 1, 2);
    EXPECT_STATUS(&world, RONDE_OK, ronde_close(&first));
    expect_of_pipes(nodes > 1, 1);
    EXPECT_STATUS(&world, RONDE_OK, ronde_close(&second));
    expect_of_pipes(0, 0);
    signal(SIGPIPE, on_signal);
    EXPECT_STATUS(&world, RONDE_OK, ronde_open_mpi(MPI_COMM_WORLD, NULL, &first));
    sigaction(SIGPIPE, NULL, &now);
    EXPECT(&world, now.sa_handler == on_signal, "the caller's handler is gone");
    EXPECT_STATUS(&world, RONDE_OK, ronde_close(&first));
    signal(SIGPIPE, SIG_DFL);
}

static void no_communicator_is_an_error(void)
{
    ronde_context *context = NULL;
    EXPECT_STATUS(&world, RONDE_ERR_ARGUMENT, ronde_open_mpi(MPI_COMM_NULL, NULL, &context));
    EXPECT_STATUS(&world, RONDE_ERR_ARGUMENT, ronde_open_mpi(MPI_COMM_WORLD, NULL, NULL));
    EXPECT(&world, !context, "a failing call wrote its result");
}

static int level_of(const char *name)
{
    if (strcmp(name, "single") == 0)
        return MPI_THREAD_SINGLE;
    if (strcmp(name, "funneled") == 0)
        return MPI_THREAD_FUNNELED;
    return strcmp(name, "serialized") == 0 ? MPI_THREAD_SERIALIZED : MPI_THREAD_MULTIPLE;
}

int main(int argc, char **argv)
{
    int wanted = level_of(argc > 1 ? argv[1] : "multiple");
    MPI_Init_thread(&argc, &argv, wanted, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &world.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world.size);
    if (level < wanted) {
        printf("this MPI provides thread level %d, not %d\n", level, wanted);
        MPI_Finalize();
        return 77;
    }
    no_communicator_is_an_error();
    a_context_on_the_world_opens_again_and_again();
    a_context_on_a_part_is_one_of_its_own();
    mpi_may_be_used_meanwhile();
    broken_pipes_end_nobody_while_a_context_is_open();
    what_the_level_forbids_is_refused_with_a_sentence();
    another_thread_works_or_is_refused();
    mpi_still_works();
    int code = MPI_Finalize();
    EXPECT(&world, code == MPI_SUCCESS, "MPI_Finalize: %d", code);
    return trial_end(&world);
}
