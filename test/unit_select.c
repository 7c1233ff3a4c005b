#include "collectives/select.h"

#include <limits.h>
#include <string.h>

#include "base/status.h"
#include "check.h"

static void defaults_take_doubling_for_small_and_what_sends_least_for_large(void)
{
    struct select_table table;
    CHECK(ronde__select_read(&table, "") == RONDE_OK);
    CHECK(table.rows <= RONDE__SELECT_ROWS);
    for (int nodes = 2; nodes <= 1024; nodes++) {
        CHECK(ronde__select(&table, 0, nodes) == ALGORITHM_DOUBLING);
        CHECK(ronde__select(&table, 4095, nodes) == ALGORITHM_DOUBLING);
        CHECK(ronde__select(&table, 64 << 20, nodes) ==
              (nodes <= 64 ? ALGORITHM_RING : ALGORITHM_CIRCULANT));
    }
    CHECK(ronde__select(&table, (14 << 10) - 1, 8) == ALGORITHM_DOUBLING);
    CHECK(ronde__select(&table, 14 << 10, 8) == ALGORITHM_CIRCULANT);
    CHECK(ronde__select(&table, (256 << 10) - 1, 8) == ALGORITHM_CIRCULANT);
    CHECK(ronde__select(&table, 256 << 10, 8) == ALGORITHM_RING);
    for (int nodes = 3; nodes <= 4; nodes++) {
        CHECK(ronde__select(&table, 24 << 10, nodes) == ALGORITHM_CIRCULANT);
        CHECK(ronde__select(&table, 48 << 10, nodes) == ALGORITHM_SPREAD);
        CHECK(ronde__select(&table, (1 << 20) - 1, nodes) == ALGORITHM_SPREAD);
        CHECK(ronde__select(&table, 1 << 20, nodes) == ALGORITHM_RING);
    }
}

static void defaults_cover_every_size_and_number_of_nodes(void)
{
    struct select_table table;
    CHECK(ronde__select_read(&table, NULL) == RONDE_OK);
    const int nodes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 1 << 20, INT_MAX};
    for (size_t n = 0; n < sizeof(nodes) / sizeof(nodes[0]); n++)
        for (int bit = 0; bit < 64; bit++) {
            enum algorithm chosen = ronde__select(&table, ((size_t)2 << bit) - 1, nodes[n]);
            CHECK(ronde__algorithms[chosen].is_allreduce);
        }
}

static void first_matching_row_of_the_user_wins(void)
{
    struct select_table table;
    CHECK(ronde__select_read(&table, "0-16k:ring,8k-2M:doubling,2m-:doubling") == RONDE_OK);
    CHECK(ronde__select(&table, 0, 4) == ALGORITHM_RING);
    CHECK(ronde__select(&table, 16383, 4) == ALGORITHM_RING);
    CHECK(ronde__select(&table, 16384, 4) == ALGORITHM_DOUBLING);
    CHECK(ronde__select(&table, (size_t)1 << 40, 4) == ALGORITHM_DOUBLING);
    CHECK(ronde__select(&table, SIZE_MAX, INT_MAX) == ALGORITHM_DOUBLING);
}

static void what_the_user_leaves_open_falls_to_the_defaults(void)
{
    struct select_table table;
    CHECK(ronde__select_read(&table, "1k-2k:ring") == RONDE_OK);
    CHECK(ronde__select(&table, 1023, 8) == ALGORITHM_DOUBLING);
    CHECK(ronde__select(&table, 1024, 8) == ALGORITHM_RING);
    CHECK(ronde__select(&table, 2048, 8) == ALGORITHM_DOUBLING);
}

static void nodes_are_a_range_with_both_ends(void)
{
    struct select_table table;
    CHECK(ronde__select_read(&table, "0-1g@2-4:ring,0-@6:ring,1g-@8-:doubling") == RONDE_OK);
    CHECK(ronde__select(&table, 100, 1) == ALGORITHM_DOUBLING);
    CHECK(ronde__select(&table, 100, 2) == ALGORITHM_RING);
    CHECK(ronde__select(&table, 100, 4) == ALGORITHM_RING);
    CHECK(ronde__select(&table, 100, 5) == ALGORITHM_DOUBLING);
    CHECK(ronde__select(&table, 100, 6) == ALGORITHM_RING);
    CHECK(ronde__select(&table, 100, 7) == ALGORITHM_DOUBLING);
    CHECK(ronde__select(&table, (size_t)1 << 30, 7) == ALGORITHM_RING);
    CHECK(ronde__select(&table, (size_t)1 << 30, 8) == ALGORITHM_DOUBLING);
    CHECK(ronde__select(&table, (size_t)1 << 30, INT_MAX) == ALGORITHM_DOUBLING);
}

static void halves_are_added_in_one_pass_on_a_few_nodes(void)
{
    struct select_table table;
    CHECK(ronde__select_read(&table, NULL) == RONDE_OK);
    CHECK(ronde__select_halves(&table, 100, 2) == ALGORITHM_DOUBLING);
    CHECK(ronde__select_halves(&table, 4095, 3) == ALGORITHM_FLOOD);
    CHECK(ronde__select_halves(&table, 4096, 8) == ALGORITHM_SPREAD);
    CHECK(ronde__select_halves(&table, 100, 16) == ALGORITHM_SPREAD);
    CHECK(ronde__select_halves(&table, SIZE_MAX, 16) == ALGORITHM_SPREAD);
    CHECK(ronde__select_halves(&table, SIZE_MAX, 17) == ALGORITHM_RING);
    CHECK(ronde__select(&table, SIZE_MAX, 3) == ALGORITHM_RING);
    CHECK(ronde__select_read(&table, "0-@3-8:ring/halves,circulant") == RONDE_OK);
    CHECK(ronde__select_halves(&table, 100, 8) == ALGORITHM_RING); /* the user knows better */
    CHECK(ronde__select_halves(&table, 100, 9) == ALGORITHM_SPREAD);
    CHECK(ronde__select_halves(&table, 100, 17) == ALGORITHM_CIRCULANT);
    CHECK(ronde__select(&table, 100, 8) == ALGORITHM_CIRCULANT);
    CHECK(ronde__select_read(&table, "ring/thirds") == RONDE_ERR_ARGUMENT);
    CHECK(ronde__select_read(&table, "/halves") == RONDE_ERR_ARGUMENT);
}

static void a_name_alone_is_for_everything(void)
{
    struct select_table table;
    CHECK(ronde__select_read(&table, "doubling") == RONDE_OK);
    CHECK(ronde__select(&table, (size_t)1 << 40, 1000) == ALGORITHM_DOUBLING);
    CHECK(ronde__select_read(&table, "0-1k@3:doubling,ring") == RONDE_OK);
    CHECK(ronde__select(&table, 0, 3) == ALGORITHM_DOUBLING);
    CHECK(ronde__select(&table, 0, 8) == ALGORITHM_RING);
}

static void bad_rows_are_named_and_leave_the_table_alone(void)
{
    const char *const bad[] = {
        "x",
        ",",
        "ring,",
        ",ring",
        "ring,,ring",
        ":ring",
        "-:ring",
        "-16k:ring",
        "16k:ring",
        "0-16x:ring",
        "0-16kb:ring",
        "16k-16k:ring",
        "2m-1m:ring",
        "0 -1m:ring",
        "0-1m@:ring",
        "0-1m@x:ring",
        "0-1m@4-2:ring",
        "0-1m@2-4-:ring",
        "0-1m@2,4:ring",
        "0-1m:",
        "0-1m:rin",
        "0-1m:rings",
        "0-1m:Ring",
        "0-1m:ring:ring",
        "0-1m ring",
        "18446744073709551616-:ring",
        "18446744073709551615-:ring",
        "17179869184g-:ring",
        "0-@2147483647:ring",
        "0-@4g:ring",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct select_table table = {.rows = 77};
        ronde__fail_text(RONDE_OK, "");
        int32_t status = ronde__select_read(&table, bad[i]);
        CHECK_SAYING(status == RONDE_ERR_ARGUMENT, "took \"%s\"", bad[i]);
        CHECK(table.rows == 77);
        CHECK_SAYING(strstr(ronde_last_error(), "the setting allreduce is \""), "%s",
                     ronde_last_error());
    }
}

static void an_unknown_name_lists_the_legal_ones(void)
{
    struct select_table table;
    const char *const bad[] = {"0-16k:doubling,16k-:rong", "binomial", "0-:ring_gather", "0-1:"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(ronde__select_read(&table, bad[i]) == RONDE_ERR_ARGUMENT);
        CHECK_SAYING(strstr(ronde_last_error(), "ring, doubling"), "%s", ronde_last_error());
        CHECK(!strstr(ronde_last_error(), "are binomial"));
    }
    CHECK(ronde__select_read(&table, bad[0]) == RONDE_ERR_ARGUMENT);
    CHECK(strstr(ronde_last_error(), "\"16k-:rong\""));
}

static void too_many_rows_are_an_error_and_never_an_overrun(void)
{
    char text[32 * 8] = "";
    int most = 0;
    for (int rows = 1; rows <= 32; rows++) {
        struct select_table table;
        strcat(text, rows > 1 ? ",0-:ring" : "0-:ring");
        if (ronde__select_read(&table, text) != RONDE_OK)
            break;
        CHECK(table.rows <= RONDE__SELECT_ROWS);
        CHECK(ronde__select(&table, 1 << 30, 4) == ALGORITHM_RING);
        most = rows;
    }
    CHECK_SAYING(most >= 8 && most < RONDE__SELECT_ROWS, "%d rows", most);
    CHECK(strstr(ronde_last_error(), "rows"));
}

int main(void)
{
    RUN(defaults_take_doubling_for_small_and_what_sends_least_for_large);
    RUN(defaults_cover_every_size_and_number_of_nodes);
    RUN(first_matching_row_of_the_user_wins);
    RUN(what_the_user_leaves_open_falls_to_the_defaults);
    RUN(nodes_are_a_range_with_both_ends);
    RUN(halves_are_added_in_one_pass_on_a_few_nodes);
    RUN(a_name_alone_is_for_everything);
    RUN(bad_rows_are_named_and_leave_the_table_alone);
    RUN(an_unknown_name_lists_the_legal_ones);
    RUN(too_many_rows_are_an_error_and_never_an_overrun);
    return check_result();
}
