/* What one rank alone cannot do when a context opens is an error of opening on every rank, which names
 * that rank and its reason; nobody waits for ever; and then another context opens. Ranks are threads,
 * on one node and on several, with the coordinator's thread and without. (ranks_opening.c does it over
 * MPI.) */
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "context.h"
#include "net/net.h"

enum { MOST = 4 };

struct opener {
    struct net *net;
    const char *settings;
    pthread_t thread;
    int32_t opened, used, closed;
    char text[400];
};

static void *open_one(void *state)
{
    struct opener *o = state;
    ronde_context *context = NULL;
    o->opened = ronde__open_net(o->net, o->settings, &context);
    snprintf(o->text, sizeof o->text, "%s", o->opened ? ronde_last_error() : "");
    if (o->opened || !context)
        return NULL;
    o->used = ronde_barrier(context, "all are open", NULL);
    o->closed = ronde_close(&context);
    return NULL;
}

/* Opens `ranks` ranks, `per_node` on each node, with these settings; the last with its own. */
static void open_all(struct opener *openers, int ranks, int per_node, const char *settings,
                     const char *of_last)
{
    struct net *nets[MOST];
    int node_of[MOST] = {0};
    for (int rank = 0; rank < ranks; rank++)
        node_of[rank] = rank / per_node;
    CHECK(ronde__net_open_threads(ranks, node_of, nets) == RONDE_OK);
    for (int rank = 0; rank < ranks; rank++) {
        openers[rank] = (struct opener){.net = nets[rank], .settings = settings};
        if (rank == ranks - 1)
            openers[rank].settings = of_last;
        CHECK(pthread_create(&openers[rank].thread, NULL, open_one, &openers[rank]) == 0);
    }
    for (int rank = 0; rank < ranks; rank++)
        pthread_join(openers[rank].thread, NULL);
}

static void all_refuse(const char *settings, const char *of_last, int32_t status,
                       const char *reason)
{
    static const int shapes[][2] = {{2, 2}, {3, 3}, {3, 1}, {4, 2}}; /* ranks, ranks on a node */
    for (size_t shape = 0; shape < sizeof shapes / sizeof shapes[0]; shape++) {
        struct opener openers[MOST];
        char name[32];
        int ranks = shapes[shape][0];
        snprintf(name, sizeof name, "rank %d", ranks - 1);
        open_all(openers, ranks, shapes[shape][1], settings, of_last);
        for (int rank = 0; rank < ranks; rank++) {
            const struct opener *o = &openers[rank];
            CHECK_SAYING(o->opened == status, "rank %d of %d: %s (%s)", rank, ranks,
                         ronde_status_name(o->opened), o->text);
            CHECK_SAYING(strstr(o->text, reason), "rank %d of %d: \"%s\"", rank, ranks, o->text);
            CHECK_SAYING(rank == ranks - 1 || strstr(o->text, name), "rank %d of %d: \"%s\"", rank,
                         ranks, o->text);
        }
        open_all(openers, ranks, shapes[shape][1], "", "");
        for (int rank = 0; rank < ranks; rank++)
            CHECK(!openers[rank].opened && !openers[rank].used && !openers[rank].closed);
    }
}

static void a_timeline_that_one_rank_cannot_write_is_an_error_on_all(void)
{
    static const char path[] = "/no/such/folder/t";
    all_refuse("", "timeline=/no/such/folder/t", RONDE_ERR_SYSTEM, path);
    all_refuse("progress=caller", "progress=caller;timeline=/no/such/folder/t", RONDE_ERR_SYSTEM,
               path);
    all_refuse("process_sets=0,1/1", "process_sets=0,1/1;timeline=/no/such/folder/t",
               RONDE_ERR_SYSTEM, path);
}

static void a_bad_value_on_one_rank_is_an_error_on_all(void)
{
    all_refuse("", "slots=none", RONDE_ERR_ARGUMENT, "none");
    all_refuse("slots=2", "slots=3", RONDE_ERR_MISMATCH, "slots");
}

static void process_sets_that_one_rank_lacks_are_an_error_on_all(void)
{
    struct opener openers[MOST];
    open_all(openers, 2, 2, "process_sets=0,1", "");
    for (int rank = 0; rank < 2; rank++)
        CHECK_SAYING(openers[rank].opened == RONDE_ERR_MISMATCH &&
                         strstr(openers[rank].text, "process_sets"),
                     "rank %d: \"%s\"", rank, openers[rank].text);
}

int main(void)
{
    RUN(a_timeline_that_one_rank_cannot_write_is_an_error_on_all);
    RUN(a_bad_value_on_one_rank_is_an_error_on_all);
    RUN(process_sets_that_one_rank_lacks_are_an_error_on_all);
    return check_result();
}
