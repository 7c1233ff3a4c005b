/* The variants of a run, and the sizes or the list that they are measured on. */
#include "session.h"

#include <stdlib.h>

#include "lists.h"
#include "measure.h"

/* ---- variants -------------------------------------------------------------------------------- */

/* A broadcast's root sends its input as it is: MPI_Bcast has one buffer, and a second one would be
 * a copy that has nothing to do with the others. */
static struct variant *add(struct session *s, const char *impl, const char *path,
                           const struct buffers *buffers, const struct pieces *pieces)
{
    struct variant *v = &s->variants[s->number++];
    *v = (struct variant){.impl = impl, .path = path, .pieces = pieces};
    v->memory = buffers->memory == MEMORY_ARENA ? "arena" : "private";
    v->in = buffers->in;
    v->out = buffers->out;
    if (s->options.collective == BROADCAST && s->work.rank == s->work.root)
        v->out = v->in;
    if (!(v->handles = calloc(pieces->number, sizeof *v->handles)))
        die("out of memory");
    return v;
}

static void add_paths(struct session *s, const struct buffers *buffers, const struct algo *algo,
                      int wire)
{
    static const char *const wire_names[WIRES] = {NULL, "float16", "bfloat16"};
    int steps = s->options.collective == STEPS;
    size_t first = s->number;
    if (s->options.paths & PATH_NAMED)
        add(s, "ronde", "named", buffers, &s->pieces)->run = named_run;
    if (s->options.paths & PATH_DIRECT)
        add(s, "ronde", steps ? "flat" : "direct", buffers, steps ? &s->flat : &s->pieces)->run =
            direct_run;
    for (size_t i = first; i < s->number; i++) {
        s->variants[i].algo = s->options.algos ? algo->name : NULL;
        s->variants[i].wire = wire_names[wire];
        s->variants[i].context = algo->context;
        s->variants[i].call = &s->calls[wire];
    }
}

static void add_ronde(struct session *s, const struct buffers *buffers)
{
    for (size_t a = 0; a < s->algo_number; a++)
        for (int wire = 0; wire < WIRES; wire++)
            if (s->options.wires & 1u << wire)
                add_paths(s, buffers, &s->algos[a], wire);
}

static void add_mpi(struct session *s, const char *path, const struct pieces *pieces)
{
    add(s, "mpi", path, &s->private, pieces)->run = mpi_run;
}

/* As MPI's, of the same memory. */
static void add_gloo(struct session *s, const char *path, const struct pieces *pieces)
{
    struct variant *v = add(s, "gloo", path, &s->private, pieces);
    v->run = gloo_run;
    gloo_prepare(&s->work, v);
}

static void add_floor(struct session *s)
{
    const struct pieces *pieces = s->options.collective == STEPS ? &s->flat : &s->pieces;
    add(s, "floor", "copy", &s->private, pieces)->run = floor_copy_run;
    add(s, "floor", "stream", &s->private, pieces)->run = floor_stream_run;
    s->variants[s->number - 2].from_first = s->variants[s->number - 1].from_first = 1;
}

static void make_variants(struct session *s)
{
    const struct options *o = &s->options;
    const char *single = o->collective == STEPS ? "each" : "direct";
    if (o->impls & IMPL_RONDE && o->memories & MEMORY_ARENA)
        add_ronde(s, &s->arena);
    if (o->impls & IMPL_RONDE && o->memories & MEMORY_PRIVATE)
        add_ronde(s, &s->private);
    if (o->impls & IMPL_MPI)
        add_mpi(s, single, &s->pieces);
    if (o->impls & IMPL_MPI && o->collective == STEPS)
        add_mpi(s, "flat", &s->flat);
    if (o->impls & IMPL_GLOO)
        add_gloo(s, single, &s->pieces);
    if (o->impls & IMPL_GLOO && o->collective == STEPS)
        add_gloo(s, "flat", &s->flat);
    if (o->impls & IMPL_FLOOR)
        add_floor(s);
}

/* In turns and out. Steps are compared with one call per tensor, which is what a program without
 * fusion does. */
static void measure_and_report(struct session *s)
{
    double mpi_us = 0, floor_us = 0;
    measure(&s->options, &s->work, s->variants, s->number);
    if (s->work.rank)
        return;
    for (size_t i = s->number; i-- > 0;) {
        const struct variant *v = &s->variants[i];
        if (v->run == mpi_run)
            mpi_us = v->p50_us;
        else if (v->from_first && (floor_us <= 0 || v->p50_us < floor_us))
            floor_us = v->p50_us;
    }
    for (size_t i = 0; i < s->number; i++)
        report_row(&s->report, &s->work, &s->variants[i], mpi_us, floor_us);
}

static void free_variants(struct session *s)
{
    while (s->number) {
        struct variant *v = &s->variants[--s->number];
        if (v->run == gloo_run)
            gloo_drop(v);
        free(v->handles);
    }
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static void make_buffers(struct session *s, size_t in_bytes, size_t out_bytes)
{
    const struct options *o = &s->options;
    if (o->impls & IMPL_RONDE && o->memories & MEMORY_ARENA)
        buffers_make(&s->arena, s->work.context, MEMORY_ARENA, in_bytes, out_bytes, o->in_place);
    if (o->impls & ~(unsigned)IMPL_RONDE || o->memories & MEMORY_PRIVATE)
        buffers_make(&s->private, s->work.context, MEMORY_PRIVATE, in_bytes, out_bytes,
                     o->in_place);
}

/* How many times a rank's contribution its result is. */
static size_t spread(const struct work *w)
{
    return w->collective == ALLGATHER ? (size_t)w->ranks : 1;
}

/* Elements that a rank gives to a result of `bytes`: one at least. */
static size_t rank_share(const struct work *w, size_t bytes)
{
    size_t count = bytes / (w->element_bytes * spread(w));
    return count ? count : 1;
}

static void measure_size(struct session *s, size_t count)
{
    struct work *w = &s->work;
    char name[64];
    size_t in_bytes = count * w->element_bytes;
    w->count = count;
    w->bytes = in_bytes * spread(w);
    snprintf(name, sizeof name, "perf.%zu", w->bytes);
    list_single(name, count, in_bytes, &s->pieces);
    if (w->collective == ALLGATHER) {
        buffers_place_input(&s->arena, in_bytes * (size_t)w->rank);
        buffers_place_input(&s->private, in_bytes * (size_t)w->rank);
    }
    make_variants(s);
    measure_and_report(s);
    free_variants(s);
    list_free(&s->pieces);
}

static size_t next_size(const struct options *o, size_t bytes)
{
    if (o->step_bytes)
        return bytes > SIZE_MAX - o->step_bytes ? SIZE_MAX : bytes + o->step_bytes;
    return bytes > SIZE_MAX / o->factor ? SIZE_MAX : bytes * o->factor;
}

static int peers_can(const struct session *s, size_t most)
{
    char text[160];
    unsigned impls = s->options.impls;
    const char *who = "MPI", *why = impls & IMPL_MPI ? mpi_refuses(&s->work, most) : NULL;
    if (!why && impls & IMPL_GLOO) {
        who = "gloo";
        why = gloo_refuses(&s->work, most);
    }
    if (!why && impls & IMPL_FLOOR) {
        who = "the floor";
        why = floor_refuses(&s->work);
    }
    snprintf(text, sizeof text, "%s %s", who, why ? why : "");
    return why ? refuse(&s->work, text) : 0;
}

static int run_sizes(struct session *s)
{
    const struct options *o = &s->options;
    struct work *w = &s->work;
    size_t most = rank_share(w, o->end_bytes), last = 0;
    if (peers_can(s, most))
        return 2;
    make_buffers(s, most * w->element_bytes, most * w->element_bytes * spread(w));
    if (w->rank == 0)
        report_head(&s->report, 0);
    for (size_t bytes = o->begin_bytes; bytes <= o->end_bytes; bytes = next_size(o, bytes)) {
        size_t count = rank_share(w, bytes);
        if (count != last)
            measure_size(s, count);
        last = count;
    }
    return 0;
}

static int run_steps(struct session *s)
{
    struct work *w = &s->work;
    char text[512];
    if (list_make(s->options.list, w->element_bytes, &s->pieces, text, sizeof text))
        return refuse(w, text);
    if (peers_can(s, s->pieces.count))
        return 2;
    list_flat(&s->pieces, &s->flat);
    w->list = s->options.list;
    w->count = s->pieces.count;
    w->bytes = s->pieces.count * w->element_bytes;
    make_buffers(s, s->pieces.span_bytes, s->pieces.span_bytes);
    if (w->rank == 0)
        report_head(&s->report, 1);
    make_variants(s);
    measure_and_report(s);
    free_variants(s);
    return 0;
}

int session_run(struct session *s)
{
    return s->options.collective == STEPS ? run_steps(s) : run_sizes(s);
}

void session_free(struct session *s)
{
    buffers_free(&s->arena, s->work.context);
    buffers_free(&s->private, s->work.context);
    list_free(&s->pieces);
    list_free(&s->flat);
}
