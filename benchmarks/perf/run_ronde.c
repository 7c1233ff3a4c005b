/* Ronde's variants. */
#include "options.h"
#include "work.h"

static void must(int32_t status, const struct piece *piece)
{
    if (status)
        die("%s: %s: %s", piece->name, ronde_status_name(status), ronde_last_error());
}

static int32_t submit(const struct work *w, const struct variant *v, size_t i)
{
    const struct piece *piece = &v->pieces->at[i];
    const char *in = v->in + piece->offset_bytes;
    char *out = v->out + piece->offset_bytes;
    uint64_t *handle = &v->handles[i];
    switch (w->collective) {
    case BROADCAST:
        return ronde_broadcast_async(v->context, piece->name, in, out, piece->count, w->dtype,
                                     w->root, NULL, handle);
    case ALLGATHER:
        return ronde_allgather_async(v->context, piece->name, in, piece->count, 1, w->dtype, out,
                                     piece->count * (size_t)w->ranks, NULL, NULL, handle);
    default:
        return ronde_allreduce_async(v->context, piece->name, in, out, piece->count, w->dtype,
                                     w->op, v->call, handle);
    }
}

/* All submitted, then all waited for; of one piece this is the blocking call. */
void named_run(const struct work *w, const struct variant *v)
{
    for (size_t i = 0; i < v->pieces->number; i++)
        must(submit(w, v, i), &v->pieces->at[i]);
    for (size_t i = 0; i < v->pieces->number; i++)
        must(ronde_wait(v->context, v->handles[i]), &v->pieces->at[i]);
}

static int32_t direct(const struct work *w, const struct variant *v, const struct piece *piece)
{
    const char *in = v->in + piece->offset_bytes;
    char *out = v->out + piece->offset_bytes;
    switch (w->collective) {
    case BROADCAST:
        return ronde_direct_broadcast(v->context, in, out, piece->count, w->dtype, w->root, NULL);
    case ALLGATHER:
        return ronde_direct_allgather(v->context, in, piece->count, 1, w->dtype, out, NULL, NULL);
    default:
        return ronde_direct_allreduce(v->context, in, out, piece->count, w->dtype, w->op, v->call);
    }
}

void direct_run(const struct work *w, const struct variant *v)
{
    for (size_t i = 0; i < v->pieces->number; i++)
        must(direct(w, v, &v->pieces->at[i]), &v->pieces->at[i]);
}
