/* How far sums of float16 and bfloat16 over 64 ranks are from the exact ones, against rounding
 * those once: by one pass over 64 sources, as inside a node, and over threads on pretended nodes.
 * With an argument it prints the figures. */
/* ronde-test: timeout=60 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bell.h"
#include "base/dtype.h"
#include "base/status.h"
#include "check.h"
#include "communicator/communicator.h"
#include "reference.h"

enum { RANKS = 64, COUNT = 4096, TAG = 5 };

static int prints;
static uint16_t inputs[RANKS][COUNT], results[RANKS][COUNT];
static double exact[COUNT];

/* ---- values and errors ----------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* As gradients have them: of both signs, near a normal distribution. Or all positive, where sums
 * grow and small terms drown. */
static void fill(int32_t dtype, int is_positive)
{
    for (int i = 0; i < COUNT; i++) {
        exact[i] = 0;
        for (int r = 0; r < RANKS; r++) {
            uint64_t bits = mix((uint64_t)(r * COUNT + i));
            double value = 0;
            for (int part = 0; part < 4; part++)
                value += (double)(bits >> 16 * part & 0xffff) / 32768 - 1;
            store_float(dtype, (char *)&inputs[r][i], (float)(is_positive ? fabs(value) : value));
            exact[i] += (double)load_float(dtype, (char *)&inputs[r][i]);
        }
    }
}

/* Root mean square of the errors, over that of the errors of a single rounding. */
static double error_of(int32_t dtype, const uint16_t *sums)
{
    double ours = 0, once = 0;
    for (int i = 0; i < COUNT; i++) {
        uint16_t rounded;
        store_float(dtype, (char *)&rounded, (float)exact[i]);
        double error = (double)load_float(dtype, (const char *)&sums[i]) - exact[i];
        double least = (double)load_float(dtype, (char *)&rounded) - exact[i];
        ours += error * error;
        once += least * least;
    }
    return sqrt(ours / once);
}

/* ---- over ranks ------------------------------------------------------------------------------ */

struct rank {
    struct net *net;
    struct bell *bell;
    struct patience patience;
    struct communicator communicator;
    pthread_t thread;
};

static struct {
    int32_t dtype;
    enum algorithm algorithm;
    struct settings settings;
    struct bell bells[RANKS];
    struct bell *bells_of[RANKS][RANKS]; /* by node, by local rank */
    char *memory[RANKS];                 /* by node */
    struct rank ranks[RANKS];
} trial;

static int32_t step(void *state)
{
    struct rank *rank = state;
    int32_t said = ronde__communicator_step(&rank->communicator);
    rank->patience.nap_ns = rank->communicator.on_wire ? 50000 : 0;
    return said;
}

static void *run_rank(void *context)
{
    struct rank *rank = context;
    int me = rank->net->rank;
    struct communicator_place place = {.memory = trial.memory[rank->net->node],
                                       .bells = trial.bells_of[rank->net->node]};
    struct piece piece = {(const char *)inputs[me], (char *)results[me], COUNT};
    struct reduction whole = ronde__reduction(trial.dtype, RONDE_SUM, 1, 1, RANKS);
    int32_t status = ronde__communicator_open(&rank->communicator, rank->net, &place,
                                              &trial.settings, TAG);
    if (!status)
        status = ronde__communicator_start_allreduce(&rank->communicator, &piece, 1, &whole,
                                                     &(struct crossing){trial.algorithm,
                                                                        trial.dtype},
                                                     NULL);
    if (!status)
        status = ronde__wait_for(rank->bell, &rank->patience, step, rank);
    if (status != RONDE__DONE)
        check_fail(__FILE__, __LINE__, "%s", ronde_last_error());
    ronde__communicator_close(&rank->communicator);
    return NULL;
}

static int open_rank(struct net *net)
{
    struct rank *rank = &trial.ranks[net->rank];
    size_t bytes = ronde__communicator_bytes(net, &trial.settings);
    rank->net = net;
    rank->bell = &trial.bells[net->rank];
    rank->patience = ronde__patience(RANKS, -1);
    trial.bells_of[net->node][net->local_rank] = rank->bell;
    if (net->local_rank > 0)
        return 1;
    bytes = (bytes + 127) / 128 * 128;
    trial.memory[net->node] = aligned_alloc(128, bytes);
    if (trial.memory[net->node])
        memset(trial.memory[net->node], 0, bytes);
    return trial.memory[net->node] != NULL;
}

static void run_ranks(int32_t dtype, enum algorithm algorithm, int ranks_per_node)
{
    int node_of[RANKS];
    struct net *nets[RANKS];
    memset(&trial, 0, sizeof(trial));
    trial.dtype = dtype;
    trial.algorithm = algorithm;
    trial.settings = (struct settings){.slice_bytes = 4096, .slots = 2, .wire_buffer_bytes = 8192};
    for (int r = 0; r < RANKS; r++)
        node_of[r] = r / ranks_per_node;
    CHECK(ronde__net_open_threads(RANKS, node_of, nets) == RONDE_OK);
    for (int r = 0; r < RANKS; r++)
        CHECK(open_rank(nets[r]));
    for (int r = 0; r < RANKS; r++)
        CHECK(!pthread_create(&trial.ranks[r].thread, NULL, run_rank, &trial.ranks[r]));
    for (int r = 0; r < RANKS; r++)
        pthread_join(trial.ranks[r].thread, NULL);
    for (int r = 0; r < RANKS; r++) {
        ronde__net_close(nets[r]);
        free(trial.memory[r]);
    }
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void check_error(const char *how, int32_t dtype, int is_positive, const uint16_t *sums,
                        double most)
{
    double error = error_of(dtype, sums);
    if (prints)
        printf("%-22s %-9s %-9s %6.3f\n", how, ronde_dtype_name(dtype),
               is_positive ? "positive" : "normal", error);
    CHECK_SAYING(error <= most, "%s, %s, %s values: the error is %.3f times a rounding's, not %g",
                 how, ronde_dtype_name(dtype), is_positive ? "positive" : "normal", error, most);
}

static const double most_error = 1.2;

static void one_pass_over_64_sources_is_as_good_as_a_rounding(void)
{
    const void *sources[RANKS];
    for (int r = 0; r < RANKS; r++)
        sources[r] = inputs[r];
    for (int i = 0; i < 4; i++) {
        int32_t dtype = i / 2 ? RONDE_BFLOAT16 : RONDE_FLOAT16;
        struct reduction sum = ronde__reduction(dtype, RONDE_SUM, 1, 1, RANKS);
        fill(dtype, i % 2);
        ronde__reduce(&sum, results[0], sources, RANKS, COUNT);
        check_error("one pass", dtype, i % 2, results[0], most_error);
    }
}

static void over_ranks(const char *how, enum algorithm algorithm, int ranks_per_node, double most)
{
    for (int i = 0; i < 4; i++) {
        int32_t dtype = i / 2 ? RONDE_BFLOAT16 : RONDE_FLOAT16;
        fill(dtype, i % 2);
        run_ranks(dtype, algorithm, ranks_per_node);
        check_error(how, dtype, i % 2, results[RANKS - 1], most);
    }
}

static void a_node_of_64_is_as_good_as_a_rounding(void)
{
    over_ranks("1 node of 64", ALGORITHM_RING, 64, most_error);
}

/* Between nodes a half is rounded at every hop: of a ring as often as there are nodes. These are
 * what that comes to, and a little. */
static void between_nodes_every_hop_rounds(void)
{
    over_ranks("8 nodes of 8, ring", ALGORITHM_RING, 8, 2.7);
    over_ranks("8 nodes of 8, doubling", ALGORITHM_DOUBLING, 8, 2.4);
    over_ranks("64 nodes, ring", ALGORITHM_RING, 1, 6.5);
    over_ranks("64 nodes, doubling", ALGORITHM_DOUBLING, 1, 2.9);
}

/* One pass over what each node sent: its sum, rounded, or its only rank's halves. */
static void sent_straight_to_where_it_is_added_a_half_is_rounded_once_more(void)
{
    over_ranks("64 nodes, spread", ALGORITHM_SPREAD, 1, most_error);
    over_ranks("64 nodes, flood", ALGORITHM_FLOOD, 1, most_error);
    over_ranks("8 nodes of 8, spread", ALGORITHM_SPREAD, 8, 1.5);
}

int main(int argc, char **argv)
{
    (void)argv;
    prints = argc > 1;
    RUN(one_pass_over_64_sources_is_as_good_as_a_rounding);
    RUN(a_node_of_64_is_as_good_as_a_rounding);
    RUN(between_nodes_every_hop_rounds);
    RUN(sent_straight_to_where_it_is_added_a_half_is_rounded_once_more);
    return check_result();
}
