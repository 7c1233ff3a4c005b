/* Lines on standard error: "ronde[rank] level: text". */
#ifndef RONDE_BASE_LOG_H
#define RONDE_BASE_LOG_H

enum ronde__log_level { RONDE__LOG_ERROR, RONDE__LOG_WARN, RONDE__LOG_INFO, RONDE__LOG_DEBUG };

struct log {
    int level; /* lines above it are dropped */
    int rank;
};

void ronde__log(const struct log *log, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
