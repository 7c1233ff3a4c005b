/* Gathers of the coordinator's own in set 0, by which all ranks meet who open the context, make a process
 * set or remove one. So a rank that is lost, late or elsewhere is told as ever.
 *
 * All calls meet under one name, hence ranks that make different calls meet too, and are told. With
 * what a rank says goes the number of its call, counted alike everywhere: where a call stalled
 * (stall_abort), it has failed on the ranks that were there, but the late one has it still before it.
 *
 *   call 7 stalled      rank 0: call 8   rank 1 (late): call 7     they meet
 *   rank 1 is behind    goes on waiting  fails with STALLED too
 *   rank 1's next call  call 8           call 8                    all meet in call 8
 *
 * Once all are in a call its later parts come for sure: these do not stall for good. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "coordinator/coordinator.h"

/* Before every rank's message. */
struct heading {
    int32_t what; /* enum gathering */
    uint32_t call;
};

static int32_t gather_bytes(struct coordinator *c, enum gathering what, const void *mine,
                            size_t bytes, void **all, size_t *bytes_of)
{
    struct request *request = ronde__handles_take(&c->handles);
    if (!request)
        return RONDE_ERR_MEMORY;
    /* Rows are told apart from the shape: its first entry, in which ranks may differ, says to who
     * reports a stall what call this is. */
    request->signature = (struct signature){.kind = KIND_ALLGATHER,
                                            .dtype = RONDE_UINT8,
                                            .dimensions = 2,
                                            .shape = {(uint64_t)what, 1},
                                            .prescale = 1,
                                            .postscale = 1};
    request->in = mine;
    request->rows = request->count = bytes;
    request->rows_by_rank = bytes_of;
    request->allocate = 1;
    int32_t status = ronde__set_submit_ours(c->set[0], COORDINATOR_GATHERING, request);
    if (!status) {
        ronde__coordinator_wait(c, request, 0);
        status = ronde__request_status(request);
    }
    if (!status) {
        *all = request->made;
        request->made = NULL;
    }
    ronde__handles_give(&c->handles, request);
    return status;
}

/* A part, and the end of opening, have nothing to do but wait for those who are on their way. */
static int32_t gather_patiently(struct coordinator *c, enum gathering what, const void *mine,
                                size_t bytes, void **all, size_t *bytes_of)
{
    int is_patient = what == GATHERING_PART || what == GATHERING_OPEN;
    int32_t status;
    do
        status = gather_bytes(c, c->gathering, mine, bytes, all, bytes_of);
    while (status == RONDE_ERR_STALLED && is_patient);
    return status;
}

/* What the others' headings say: RONDE_PENDING where a rank is a call behind, which is told now. */
static int32_t compare(struct coordinator *c, const struct heading *mine, const char *all,
                       const size_t *lengths)
{
    const char *call = ronde__gathering_name((int32_t)c->gathering);
    int32_t status = RONDE_OK;
    for (size_t rank = 0; rank < (size_t)c->net->size; all += lengths[rank++]) {
        struct heading theirs;
        if (lengths[rank] < sizeof(theirs)) {
            c->gatherings--; /* for that rank makes no such call */
            return ronde__fail(RONDE_ERR_MISMATCH,
                               "%s: rank %zu has joined process set 0, and takes no part; call it "
                               "when all have joined",
                               call, rank);
        }
        memcpy(&theirs, all, sizeof(theirs));
        int32_t ahead = (int32_t)(theirs.call - mine->call);
        if (ahead > 0)
            return ronde__fail(RONDE_ERR_STALLED,
                               "%s: rank %zu has waited for this rank in vain, and makes its next "
                               "call",
                               call, rank);
        if (ahead < 0)
            status = RONDE_PENDING;
        else if (theirs.what != mine->what && !status)
            status = ronde__fail(RONDE_ERR_MISMATCH,
                                 "rank %d calls %s, rank %zu calls %s; make the same calls on "
                                 "every rank",
                                 c->net->rank, call, rank, ronde__gathering_name(theirs.what));
    }
    return status;
}

/* Takes the headings out. */
static void strip(char *all, size_t *lengths, int ranks)
{
    const char *from = all;
    for (int rank = 0; rank < ranks; rank++) {
        size_t length = lengths[rank];
        lengths[rank] = length - sizeof(struct heading);
        memmove(all, from + sizeof(struct heading), lengths[rank]);
        all += lengths[rank];
        from += length;
    }
}

int32_t ronde__coordinator_gather(struct coordinator *c, enum gathering what, const void *mine,
                                  size_t bytes, void **all, size_t *bytes_of)
{
    if (what != GATHERING_PART) { /* counted whatever becomes of it */
        c->gathering = what;
        c->gatherings++;
    }
    const struct heading heading = {(int32_t)what, c->gatherings};
    size_t size = (size_t)c->net->size, *lengths = calloc(size, sizeof(*lengths));
    char *message = malloc(sizeof(heading) + bytes), *from = NULL;
    int32_t status = lengths && message
                         ? RONDE_PENDING
                         : ronde__fail(RONDE_ERR_MEMORY, "no memory to meet %zu ranks", size);
    if (status == RONDE_PENDING)
        memcpy(message, &heading, sizeof(heading));
    if (status == RONDE_PENDING && bytes)
        memcpy(message + sizeof(heading), mine, bytes);
    while (status == RONDE_PENDING) {
        status = gather_patiently(c, what, message, sizeof(heading) + bytes, (void **)&from,
                                  lengths);
        if (status)
            break;
        status = compare(c, &heading, from, lengths);
        if (status)
            free(from);
    }
    if (!status) {
        strip(from, lengths, c->net->size);
        *all = from;
    }
    if (!status && bytes_of)
        memcpy(bytes_of, lengths, size * sizeof(*lengths));
    free(message);
    free(lengths);
    return status;
}
