#include "table.h"

int table_open(struct table *table, const char *json)
{
    *table = (struct table){0};
    return json && !(table->json = fopen(json, "w")) ? -1 : 0;
}

static double us(int64_t ps)
{
    return (double)ps * 1e-6;
}

static const char *method_of(const struct outcome *outcome)
{
    static const char *const names[] = {"formula", "node", "events"};
    return names[outcome->answer];
}

static int nodes_of(const struct command *c)
{
    return (int)(c->ranks / c->ranks_per_node);
}

/* Begins an object of the array. Returns where to, NULL: nowhere. */
static FILE *begin_object(struct table *table, const struct command *c, const char *op)
{
    if (table->json)
        fprintf(table->json, "%s{\"impl\": \"ronde-sim\", \"op\": \"%s\", \"ranks\": %zu, ",
                table->rows ? ",\n " : "[", op, c->ranks);
    if (table->json)
        fprintf(table->json, "\"hosts\": %d, ", nodes_of(c));
    table->rows++;
    return table->json;
}

int table_close(struct table *table)
{
    if (!table->json)
        return 0;
    fputs(table->rows ? "]\n" : "[]\n", table->json);
    int bad = ferror(table->json);
    return fclose(table->json) || bad ? -1 : 0;
}

void table_head(const struct command *c)
{
    const struct model *m = &c->model;
    printf("# %zu ranks on %d nodes; alpha %g us (overhead %g, gap %g), beta %g ns/B, gamma %g, "
           "node %g\n",
           c->ranks, nodes_of(c), c->alpha_us, us(m->overhead), us(m->gap), m->byte_ps * 1e-3,
           m->reduce_ps * 1e-3, m->node_ps * 1e-3);
    if (m->switch_nodes)
        printf("# %d nodes a switch, whose link has %g ns/B\n", m->switch_nodes,
               m->uplink_ps * 1e-3);
    switch ((enum task)c->task) {
    case TASK_ALLREDUCE:
        printf("#\n# %11s %9s %8s %14s %11s %13s %14s %9s %9s %14s %6s\n", "size", "algo", "model",
               "time", "messages", "bytes", "bytes", "algbw", "busbw", "bound", "share");
        printf("# %11s %9s %8s %14s %11s %13s %14s %9s %9s %14s %6s\n", "(B)", "", "", "(us)",
               "per rank", "per rank", "per link", "(GB/s)", "(GB/s)", "(us)", "(%)");
        break;
    case TASK_NEGOTIATE:
        printf("#\n# %11s %8s %14s %11s %13s %13s\n", "job", "model", "time", "messages",
               "messages", "bytes");
        printf("# %11s %8s %14s %11s %13s %13s\n", "", "", "(us)", "in all", "per leader",
               "per leader");
        break;
    case TASK_SELECT:
        printf("#\n# %11s", "size");
        for (int a = 0; a < RONDE__ALGORITHMS; a++)
            if (ronde__algorithms[a].is_allreduce)
                printf(" %14s %8s", ronde__algorithms[a].name, "model");
        printf(" %9s %9s %9s\n", "best", "chosen", "slower");
        printf("# %11s", "(B)");
        for (int a = 0; a < RONDE__ALGORITHMS; a++)
            if (ronde__algorithms[a].is_allreduce)
                printf(" %14s %8s", "(us)", "");
        printf(" %9s %9s %9s\n", "", "", "(%)");
        break;
    }
}

void table_allreduce(struct table *table, const struct command *c, size_t bytes,
                     enum algorithm algorithm, const struct outcome *o)
{
    double p = (double)c->ranks, nodes = nodes_of(c), time = us(o->time), n = (double)bytes;
    double bound = 2 * (nodes - 1) / nodes * n * c->model.byte_ps * 1e-6;
    double speed = time > 0 ? n / time * 1e-3 : 0, bus = speed * 2 * (p - 1) / p;
    double share = time > 0 ? 100 * bound / time : 0;
    const char *name = ronde__algorithms[algorithm].name;
    printf("  %11zu %9s %8s %14.2f %11lld %13lld %14lld %9.4f %9.4f %14.2f %6.1f\n", bytes, name,
           method_of(o), time, (long long)o->rank_messages, (long long)o->rank_bytes,
           (long long)o->node_bytes, speed, bus, bound, share);
    FILE *to = begin_object(table, c, "allreduce");
    if (!to)
        return;
    fprintf(to, "\"bytes\": %zu, \"algo\": \"%s\", \"model\": \"%s\", \"time_us\": %.6f, ", bytes,
            name, method_of(o), time);
    fprintf(to, "\"messages_per_rank\": %lld, \"bytes_per_rank\": %lld, \"bytes_per_link\": %lld, ",
            (long long)o->rank_messages, (long long)o->rank_bytes, (long long)o->node_bytes);
    fprintf(to, "\"messages\": %lld, \"algbw_gbs\": %.6g, \"busbw_gbs\": %.6g, ",
            (long long)o->messages, speed, bus);
    fprintf(to, "\"bound_us\": %.6f, \"share\": %.6f}", bound, share / 100);
}

void table_negotiate(struct table *table, const struct command *c, const char *what,
                     const struct outcome *o)
{
    printf("  %11s %8s %14.2f %11lld %13lld %13lld\n", what, method_of(o), us(o->time),
           (long long)o->messages, (long long)o->rank_messages, (long long)o->rank_bytes);
    FILE *to = begin_object(table, c, "negotiate");
    if (to)
        fprintf(to,
                "\"job\": \"%s\", \"model\": \"%s\", \"time_us\": %.6f, \"messages\": %lld, "
                "\"messages_per_leader\": %lld, \"bytes_per_leader\": %lld}",
                what, method_of(o), us(o->time), (long long)o->messages,
                (long long)o->rank_messages, (long long)o->rank_bytes);
}

void table_select(struct table *table, const struct command *c, size_t bytes,
                  const struct outcome *outcomes, enum algorithm chosen, enum algorithm best,
                  double over)
{
    printf("  %11zu", bytes);
    FILE *to = begin_object(table, c, "select");
    if (to)
        fprintf(to, "\"bytes\": %zu, ", bytes);
    for (int a = 0; a < RONDE__ALGORITHMS; a++) {
        const char *name = ronde__algorithms[a].name;
        if (!ronde__algorithms[a].is_allreduce)
            continue;
        printf(" %14.2f %8s", us(outcomes[a].time), method_of(&outcomes[a]));
        if (to)
            fprintf(to, "\"%s_us\": %.6f, \"%s_model\": \"%s\", ", name, us(outcomes[a].time), name,
                    method_of(&outcomes[a]));
    }
    printf(" %9s %9s %9.1f\n", ronde__algorithms[best].name, ronde__algorithms[chosen].name, over);
    if (to)
        fprintf(to, "\"best\": \"%s\", \"chosen\": \"%s\", \"slower_percent\": %.6g}",
                ronde__algorithms[best].name, ronde__algorithms[chosen].name, over);
}
