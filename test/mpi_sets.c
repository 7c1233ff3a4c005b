/* ronde-test: np=1,2,3,4 np=3/2,4/2 mpich=2 timeout=60 */
/* Process sets of the caller's communicators: of all, of parts in another order, of none; and
 * communicators that do not fit are an error everywhere. */
#include <mpi.h>

#include "ronde_mpi.h"
#include "trial.h"

static int32_t set_of(struct trial *trial, MPI_Comm communicator, int32_t *set)
{
    return ronde_process_set_from_communicator(trial->context, (int32_t)MPI_Comm_c2f(communicator),
                                               set);
}

/* A sum in the set, which has exactly these ranks. */
static void set_is(struct trial *trial, int32_t set, const struct members *members)
{
    int32_t ranks[64], n = -1, sum = trial->rank + 1, wanted = 0;
    ronde_call call = call_in(set);
    EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_ranks(trial->context, set, ranks, 64, &n));
    EXPECT(trial, n == members->n, "%d ranks, not %d", (int)n, members->n);
    for (int i = 0; i < members->n && i < n; i++) {
        wanted += members->ranks[i] + 1;
        EXPECT(trial, ranks[i] == members->ranks[i], "rank %d is %d", i, (int)ranks[i]);
    }
    EXPECT_STATUS(trial, RONDE_OK,
                  ronde_allreduce(trial->context, "sum", &sum, &sum, 1, RONDE_INT32, RONDE_SUM,
                                  &call));
    EXPECT(trial, sum == wanted, "the sum is %d, not %d", (int)sum, (int)wanted);
}

static void communicators_make_sets(struct trial *trial)
{
    struct members all = members_first(trial->size), half = {0, {0}};
    int32_t whole = -7, part = -7, none = -7, largest = 0;
    MPI_Comm halves;
    for (int rank = trial->rank % 2; rank < trial->size; rank += 2)
        half.ranks[half.n++] = rank;
    EXPECT_STATUS(trial, RONDE_OK, set_of(trial, MPI_COMM_WORLD, &whole));
    set_is(trial, whole, &all);
    same_everywhere(trial, &whole, sizeof whole, "the set of all");
    MPI_Comm_split(MPI_COMM_WORLD, trial->rank % 2, -trial->rank, &halves); /* backwards */
    EXPECT_STATUS(trial, RONDE_OK, set_of(trial, halves, &part));
    MPI_Comm_free(&halves); /* the set does without it */
    set_is(trial, part, &half);
    EXPECT_STATUS(trial, RONDE_OK,
                  set_of(trial, trial->rank ? MPI_COMM_NULL : MPI_COMM_SELF, &none));
    EXPECT(trial, trial->rank ? none == -1 : none > 0, "the set of the first, or none, is %d",
           (int)none);
    EXPECT_STATUS(trial, RONDE_OK, /* even and odd, in one order */
                  ronde_direct_allreduce(trial->context, &part, &largest, 1, RONDE_INT32, RONDE_MAX,
                                         NULL));
    if (trial->size > 1)
        EXPECT_STATUS(trial, RONDE_OK, ronde_process_set_remove(trial->context, largest));
    set_is(trial, whole, &all);
}

/* Rank 0 knows a communicator of all, and the others none. */
static void communicators_that_not_all_know_are_a_mismatch(struct trial *trial)
{
    int32_t set = -7;
    if (trial->size == 1)
        return;
    EXPECT_STATUS(trial, RONDE_ERR_MISMATCH,
                  set_of(trial, trial->rank ? MPI_COMM_NULL : MPI_COMM_WORLD, &set));
    EXPECT(trial, set == -7, "a failing call wrote its result");
    meet(trial, "after a mismatch");
}

/* In a context without rank 0 of the world, the world has a rank too many. */
static void ranks_outside_the_context_are_refused(struct trial *trial)
{
    struct trial part = {NULL, 0, 0, 0};
    MPI_Comm others;
    int32_t set = -7;
    MPI_Comm_split(MPI_COMM_WORLD, trial->rank > 0, 0, &others);
    EXPECT_STATUS(trial, RONDE_OK, ronde_open_mpi(others, NULL, &part.context));
    part.rank = ronde_rank(part.context);
    part.size = ronde_size(part.context);
    if (trial->size > 1)
        EXPECT(&part, set_of(&part, MPI_COMM_WORLD, &set) < 0 && set == -7,
               "a set of ranks that are not in the context: %d", (int)set);
    meet(&part, "after ranks outside");
    EXPECT_STATUS(&part, RONDE_OK, set_of(&part, others, &set));
    MPI_Comm_free(&others);
    EXPECT_STATUS(&part, RONDE_OK, ronde_close(&part.context));
    trial->failures += part.failures;
}

int main(int argc, char **argv)
{
    ronde_context *context = NULL;
    int level = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    if (level < MPI_THREAD_MULTIPLE) {
        printf("this MPI provides thread level %d only\n", level);
        MPI_Finalize();
        return 77;
    }
    if (ronde_open_mpi(MPI_COMM_WORLD, NULL, &context) != RONDE_OK) {
        fprintf(stderr, "%s\n", ronde_last_error());
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    struct trial trial = trial_begin(context);
    communicators_make_sets(&trial);
    communicators_that_not_all_know_are_a_mismatch(&trial);
    ranks_outside_the_context_are_refused(&trial);
    EXPECT_STATUS(&trial, RONDE_OK, ronde_close(&context));
    MPI_Finalize();
    return trial_end(&trial);
}
