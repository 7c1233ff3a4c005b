/* Adasum (reduce/adasum.h) of the vectors of the ranks that contribute: m vectors of n elements, on
 * p ranks:
 *
 *   exchange  rank r gets part r of everybody's vector
 *   gram      the products of its parts, each with each: m x m doubles, added up over all ranks
 *   combine   its parts, each times a coefficient that follows from the products
 *   gather    everybody gets every part
 *
 * All ranks know the same products, so they have the same coefficients, and every element is
 * computed once: the result has the same bits everywhere. How vectors are cut, and in which order
 * products are added, depends on n and the ranks only.
 *
 * Cost per rank: 2 (p - 1) / p n elements each way and an allreduce of m^2 doubles; m n / p
 * elements of memory; m (m + 1) / 2 n / p products. */
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "base/status.h"
#include "communicator/communicator_stages.h"
#include "reduce/adasum.h"

enum { LINE = 64 };

struct adasum {
    char *out; /* of all elements; the caller's, or `unwanted` */
    size_t count, element_bytes;
    int contributors;
    struct reduction combine;
    size_t from, length;  /* my part, in elements */
    size_t at;            /* how many of them are through a stage */
    char *parts;          /* [contributors], each of part_bytes */
    size_t part_bytes;    /* a whole number of lines */
    const void **sources; /* [contributors]: those, from `at` on */
    double *gram;         /* [contributors x contributors] */
    double *coefficients; /* [contributors] */
    struct piece sum;     /* of the matrix */
    struct run *sends;    /* [size] */
    struct run *receives; /* [size] */
    size_t *local_bytes;  /* [local size x local size] */
    size_t *bytes_of;     /* [size]: of every rank's part */
    char *unwanted;       /* where the result goes that the caller does not want */
};

/* ---- memory ---------------------------------------------------------------------------------- */

static void let_go(struct adasum *a)
{
    free(a->parts);
    free(a->sources);
    free(a->gram);
    free(a->coefficients);
    free(a->sends);
    free(a->receives);
    free(a->local_bytes);
    free(a->bytes_of);
    free(a->unwanted);
    free(a);
}

void ronde__adasum_forget(struct communicator *c)
{
    if (!c->adasum)
        return;
    if (c->on_wire) /* lost: better than written to by the network once it is somebody else's */
        c->adasum->parts = c->adasum->unwanted = NULL;
    let_go(c->adasum);
    c->adasum = NULL;
}

static void *room(size_t count, size_t bytes)
{
    return calloc(count ? count : 1, bytes);
}

/* All that it takes, before the others hear of it. */
static int32_t allocate(const struct net *net, struct adasum *a, int is_wanted)
{
    size_t size = (size_t)net->size, here = (size_t)net->local_size, n = (size_t)a->contributors;
    size_t bytes = a->count * a->element_bytes;
    a->part_bytes = (a->length * a->element_bytes + LINE - 1) / LINE * LINE;
    a->parts = aligned_alloc(LINE, n * a->part_bytes + LINE);
    a->sources = room(n, sizeof(*a->sources));
    a->gram = room(n * n, sizeof(*a->gram));
    a->coefficients = room(n, sizeof(*a->coefficients));
    a->sends = room(size, sizeof(*a->sends));
    a->receives = room(size, sizeof(*a->receives));
    a->local_bytes = room(here * here, sizeof(*a->local_bytes));
    a->bytes_of = room(size, sizeof(*a->bytes_of));
    a->unwanted = is_wanted ? NULL : malloc(bytes);
    if (!a->parts || !a->sources || !a->gram || !a->coefficients || !a->sends || !a->receives ||
        !a->local_bytes || !a->bytes_of || (!is_wanted && !a->unwanted))
        return ronde__fail(RONDE_ERR_MEMORY,
                           "no memory for the adasum of %zu elements from %d ranks", a->count,
                           a->contributors);
    if (!is_wanted)
        a->out = a->unwanted;
    return RONDE_OK;
}

/* ---- the stages, last first ------------------------------------------------------------------ */

static int32_t end(struct communicator *c)
{
    let_go(c->adasum);
    c->adasum = NULL;
    return RONDE__DONE;
}

static int32_t gather(struct communicator *c)
{
    struct adasum *a = c->adasum;
    c->next = end;
    int32_t status = ronde__communicator_start_gather(c, a->out + a->from * a->element_bytes,
                                                      a->out, a->bytes_of);
    return status ? status : RONDE__MOVED;
}

/* About 2^18 products or sums at once, so that a step stays short against a millisecond, in
 * multiples of what the products are added up in. Points the sources at them. */
static size_t next_elements(struct adasum *a, size_t work_per_element)
{
    size_t some = ((size_t)1 << 18) / work_per_element / RONDE__ADASUM_PART * RONDE__ADASUM_PART;
    size_t most = some ? some : RONDE__ADASUM_PART, left = a->length - a->at;
    for (int i = 0; i < a->contributors; i++)
        a->sources[i] = a->parts + (size_t)i * a->part_bytes + a->at * a->element_bytes;
    return left < most ? left : most;
}

static int32_t pass(struct adasum *a, size_t elements)
{
    a->at += elements;
    if (a->at < a->length)
        return RONDE__MOVED;
    a->at = 0;
    return RONDE__DONE;
}

/* My part of the result, straight to its place; zeros where nobody contributes. */
static int32_t run_combine(struct communicator *c)
{
    struct adasum *a = c->adasum;
    size_t n = (size_t)a->contributors, now = next_elements(a, n ? n : 1);
    char *out = a->out + (a->from + a->at) * a->element_bytes;
    if (n)
        ronde__reduce_weighted(&a->combine, out, a->sources, a->coefficients, a->contributors, now);
    else
        memset(out, 0, now * a->element_bytes);
    return pass(a, now);
}

static int32_t begin_combine(struct communicator *c)
{
    struct adasum *a = c->adasum;
    ronde__communicator_phase(c, TIMELINE_REDUCE, "adasum", a->length * a->element_bytes);
    ronde__adasum_coefficients(a->gram, a->contributors, a->coefficients);
    c->next = gather;
    c->stage = run_combine;
    return RONDE__MOVED;
}

/* Doubling: the least rounds, and the matrix is small against the vectors. */
static int32_t add_up(struct communicator *c)
{
    struct adasum *a = c->adasum;
    size_t n = (size_t)a->contributors;
    struct reduction sum = ronde__reduction(RONDE_FLOAT64, RONDE_SUM, 1, 1, 1);
    a->sum = (struct piece){(const char *)a->gram, (char *)a->gram, n * n};
    c->next = begin_combine;
    const struct crossing crossing = {ALGORITHM_DOUBLING, RONDE_FLOAT64};
    int32_t status = ronde__communicator_start_allreduce(c, &a->sum, 1, &sum, &crossing, NULL);
    return status ? status : RONDE__MOVED;
}

static int32_t run_gram(struct communicator *c)
{
    struct adasum *a = c->adasum;
    size_t n = (size_t)a->contributors, now = next_elements(a, n ? n * (n + 1) / 2 : 1);
    ronde__adasum_gram(a->combine.dtype, a->sources, a->contributors, now, a->gram);
    return pass(a, now);
}

static int32_t begin_gram(struct communicator *c)
{
    const struct adasum *a = c->adasum;
    ronde__communicator_phase(c, TIMELINE_REDUCE, "adasum", a->length * a->element_bytes);
    c->next = add_up;
    c->stage = run_gram;
    return RONDE__MOVED;
}

/* Who sends what to whom: each that contributes, to each its part. */
static void lay_out(const struct net *net, struct adasum *a, char *in, const unsigned char *present)
{
    size_t mine = a->length * a->element_bytes, here = (size_t)net->local_size;
    int source = 0;
    for (int rank = 0; rank < net->size; rank++) {
        size_t from, length;
        ronde__layout_part(a->count, net->size, rank, &from, &length);
        a->bytes_of[rank] = length * a->element_bytes;
        if (!present || present[net->rank])
            a->sends[rank] = (struct run){in + from * a->element_bytes, a->bytes_of[rank]};
        if (!present || present[rank])
            a->receives[rank] = (struct run){a->parts + a->part_bytes * (size_t)source++, mine};
    }
    for (size_t i = 0; i < here * here; i++) {
        int giver = ronde__net_rank_at(net, net->node, (int)(i / here));
        int taker = ronde__net_rank_at(net, net->node, (int)(i % here));
        a->local_bytes[i] = !present || present[giver] ? a->bytes_of[taker] : 0;
    }
}

static int count_present(const struct net *net, const unsigned char *present)
{
    int n = 0;
    for (int rank = 0; rank < net->size; rank++)
        n += !present || present[rank];
    return n;
}

int32_t ronde__communicator_start_adasum(struct communicator *c, const void *in, void *out,
                                         size_t count, int32_t dtype, double scale,
                                         const unsigned char *present)
{
    struct net *net = c->net;
    if (!count)
        return ronde__communicator_start_nothing(c);
    struct adasum *a = calloc(1, sizeof(*a));
    if (!a)
        return ronde__fail(RONDE_ERR_MEMORY, "no memory for the state of an adasum");
    *a = (struct adasum){.out = out,
                         .count = count,
                         .element_bytes = ronde_dtype_bytes(dtype),
                         .contributors = count_present(net, present),
                         .combine = ronde__reduction(dtype, RONDE_SUM, 1, scale, 1)};
    ronde__layout_part(count, net->size, net->rank, &a->from, &a->length);
    int32_t status = allocate(net, a, out != NULL);
    if (!status)
        status = ronde__communicator_room(c, 1 + (size_t)net->size);
    if (status) {
        let_go(a);
        return status;
    }
    /* What is sent is only read. */
    lay_out(net, a, (char *)(uintptr_t)in, present);
    c->adasum = a;
    c->next = begin_gram;
    return ronde__communicator_start_exchange(c, a->sends, a->receives, a->local_bytes);
}
