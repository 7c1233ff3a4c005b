/* How a report and an error name an operation: users' by kind and name, the library's own by the call;
 * and what they say of groups that differ, of whose members only a hash is exchanged. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "coordinator/request.h"

static struct signature grouped(uint64_t group, uint32_t size)
{
    return (struct signature){.kind = KIND_ALLREDUCE,
                              .dimensions = 1,
                              .prescale = 1,
                              .postscale = 1,
                              .group = group,
                              .group_size = size,
                              .shape = {1}};
}

static void says(const struct signature *a, const struct signature *b, const char *wanted)
{
    char *text = ronde__signature_conflict("t", a, 0, b, 1);
    CHECK(text);
    CHECK_SAYING(strstr(text, wanted), "\"%s\" does not say \"%s\"", text, wanted);
    free(text);
}

static void groups_that_differ_are_told_apart_by_their_members(void)
{
    struct signature alone = grouped(0, 0), two = grouped(4711, 2), others = grouped(815, 2),
                     three = grouped(815, 3);
    says(&two, &others,
         "group differs: rank 0 has it in a group of 2, rank 1 has it in a group of 2 whose other "
         "members differ;");
    says(&two, &three,
         "group differs: rank 0 has it in a group of 2, rank 1 has it in a group of 3;");
    says(&two, &alone, "group differs: rank 0 has it in a group of 2, rank 1 has it alone;");
    says(&alone, &three, "group differs: rank 0 has it alone, rank 1 has it in a group of 3;");
}

static void operations_of_the_librarys_own_go_by_their_call(void)
{
    struct signature removal = {.kind = KIND_ALLGATHER, .shape = {GATHERING_REMOVE, 1}};
    struct signature strange = {.kind = KIND_ALLGATHER, .shape = {UINT64_MAX, 1}};
    CHECK(strcmp(ronde__shown_name(KIND_ALLGATHER, COORDINATOR_CLOSING), "ronde_close") == 0);
    CHECK(strcmp(ronde__call_name(KIND_ALLGATHER, COORDINATOR_GATHERING, &removal),
                 "ronde_process_set_remove") == 0);
    CHECK(strstr(ronde__call_name(KIND_ALLGATHER, COORDINATOR_GATHERING, NULL), "process set"));
    CHECK(strstr(ronde__call_name(KIND_ALLGATHER, COORDINATOR_GATHERING, &strange), "process set"));
    CHECK(!strchr(ronde__shown_name(KIND_ALLGATHER, COORDINATOR_GATHERING), '#'));
    for (int32_t what = GATHERING_OPEN; what < GATHERING_PART; what++)
        CHECK(strncmp(ronde__gathering_name(what), "ronde_", 6) == 0);
}

static void operations_of_users_go_by_their_names(void)
{
    CHECK(!ronde__call_name(KIND_ALLGATHER, "sets", NULL));
    CHECK(!ronde__call_name(KIND_ALLREDUCE, COORDINATOR_CLOSING, NULL)); /* no user's either */
    CHECK(strcmp(ronde__shown_name(KIND_ALLREDUCE, "3>5:grad"), "3>5:grad") == 0);
    CHECK(strcmp(ronde__shown_name(KIND_RECV, "3>5:grad"), "grad") == 0);
}

int main(void)
{
    RUN(groups_that_differ_are_told_apart_by_their_members);
    RUN(operations_of_the_librarys_own_go_by_their_call);
    RUN(operations_of_users_go_by_their_names);
    return check_result();
}
