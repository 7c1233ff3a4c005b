/* ronde-sim: predicts what the schedules between nodes cost on a machine that is described by a few
 * figures, for numbers of ranks that nobody has at hand. No MPI and no second rank are needed. See
 * --help for use, docs/simulation.md for the model. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sim/command.h"
#include "sim/table.h"

static int complain(const char *text)
{
    fprintf(stderr, "ronde-sim: %s\n", text);
    return 2;
}

static const char *predict_size(const struct command *c, size_t bytes, enum algorithm algorithm,
                                struct outcome *outcome)
{
    const struct collective collective = {.algorithm = algorithm,
                                          .nodes = (int)(c->ranks / c->ranks_per_node),
                                          .lanes = (int)c->ranks_per_node,
                                          .bytes = bytes,
                                          .element_bytes = c->element_bytes,
                                          .buffer_bytes = c->buffer_bytes};
    return predict(&c->model, &collective, c->method, outcome);
}

static enum algorithm chosen_for(const struct command *c, size_t bytes)
{
    return ronde__select(&c->table, bytes, (int)(c->ranks / c->ranks_per_node));
}

static int is_raced(const struct command *c, int algorithm)
{
    const struct algorithm_entry *entry = &ronde__algorithms[algorithm];
    return entry->is_allreduce && c->ranks / c->ranks_per_node <= (size_t)entry->most_peers;
}

static const char *allreduce_size(struct table *table, const struct command *c, size_t bytes)
{
    for (int a = 0; a < RONDE__ALGORITHMS; a++) {
        int is_meant = c->algo == ALGO_AUTO ? a == (int)chosen_for(c, bytes) : a == c->algo;
        if (c->algo == ALGO_ALL ? !is_raced(c, a) : !is_meant)
            continue;
        struct outcome outcome;
        const char *wrong = predict_size(c, bytes, (enum algorithm)a, &outcome);
        if (wrong)
            return wrong;
        table_allreduce(table, c, bytes, (enum algorithm)a, &outcome);
    }
    return NULL;
}

static const char *select_size(struct table *table, const struct command *c, size_t bytes,
                               double *worst)
{
    struct outcome outcomes[RONDE__ALGORITHMS] = {0};
    enum algorithm chosen = chosen_for(c, bytes), best = chosen;
    for (int a = 0; a < RONDE__ALGORITHMS; a++) {
        if (!is_raced(c, a))
            continue;
        const char *wrong = predict_size(c, bytes, (enum algorithm)a, &outcomes[a]);
        if (wrong)
            return wrong;
    }
    for (int a = 0; a < RONDE__ALGORITHMS; a++)
        if (is_raced(c, a) && outcomes[a].time < outcomes[best].time)
            best = (enum algorithm)a;
    double least = (double)outcomes[best].time;
    double over = least > 0 ? 100 * ((double)outcomes[chosen].time / least - 1) : 0;
    *worst = over > *worst ? over : *worst;
    table_select(table, c, bytes, outcomes, chosen, best, over);
    return NULL;
}

static const char *negotiate(struct table *table, const struct command *c)
{
    const struct outcome idle = {0};
    struct outcome outcome;
    size_t bytes = c->tensors * c->record_bytes;
    const char *wrong = predict_negotiation(&c->model, (int)(c->ranks / c->ranks_per_node), bytes,
                                            bytes, c->method, &outcome);
    if (wrong)
        return wrong;
    table_negotiate(table, c, "round", &outcome);
    table_negotiate(table, c, "idle", &idle);
    return NULL;
}

static const char *run(struct table *table, const struct command *c, double *worst)
{
    const char *wrong = NULL;
    if (c->task == TASK_NEGOTIATE)
        return negotiate(table, c);
    for (size_t bytes = c->begin_bytes; bytes <= c->end_bytes && !wrong; bytes *= c->factor)
        wrong = c->task == TASK_SELECT ? select_size(table, c, bytes, worst)
                                       : allreduce_size(table, c, bytes);
    return wrong;
}

int main(int argc, char **argv)
{
    static struct command command;
    struct table table;
    char error[512];
    double worst = 0;
    if (command_parse(&command, argc, argv, error, sizeof error))
        return complain(error);
    if (command.help) {
        command_help(stdout);
        return 0;
    }
    if (table_open(&table, command.json)) {
        snprintf(error, sizeof error, "cannot write '%s' of --json: %s", command.json,
                 strerror(errno));
        return complain(error);
    }
    table_head(&command);
    const char *wrong = run(&table, &command, &worst);
    if (table_close(&table))
        wrong = "cannot write all of --json's file";
    if (wrong)
        return complain(wrong);
    return command.within >= 0 && worst > command.within;
}
