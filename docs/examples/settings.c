/* Settings from the program; a bad one is an error that says what would be right. */
#include <ronde.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int32_t status)
{
    if (status < 0) {
        fprintf(stderr, "%s\n", ronde_last_error());
        exit(1);
    }
}

int main(void)
{
    ronde_context *ronde = NULL;
    ronde_options options;
    ronde_options_init(&options, sizeof options);

    options.settings = "fusion_threshold=many";
    int32_t status = ronde_open(&options, &ronde);
    printf("%s\n", ronde_status_name(status));
    fprintf(stderr, "%s\n", ronde_last_error());

    options.settings = "fusion_threshold=8M;stall_warn=2";
    must(ronde_open(&options, &ronde));

    char text[16384], value[32]; /* what ronde-info prints */
    must(ronde_describe(ronde, text, sizeof text, NULL));
    char *line = strstr(text, "fusion_threshold");
    if (line && sscanf(line, "fusion_threshold %31s", value) == 1)
        printf("rank %d: %s\n", ronde_rank(ronde), value);
    must(ronde_close(&ronde));
    return 0;
}

/* prints (mpirun -np 2):
 * argument
 * argument
 * rank 0: 8M
 * rank 1: 8M */
