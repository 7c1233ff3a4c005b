/* The whole of our test vocabulary: a case is a function named by a sentence, RUN runs it, CHECK
 * reports and ends the case. A program's main ends with `return check_result();`. */
#ifndef RONDE_TEST_CHECK_H
#define RONDE_TEST_CHECK_H

#include <stdio.h>

extern int check_failures; /* defined in check.c */
void check_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* 0 where no check failed, else 1. */
int check_result(void);

#define RUN(test) \
    do { \
        int before_ = check_failures; \
        test(); \
        if (check_failures > before_) \
            fprintf(stderr, "FAILED: %s\n", #test); \
    } while (0)

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            check_fail(__FILE__, __LINE__, "%s", #condition); \
            return; \
        } \
    } while (0)

/* With a message that shows the values. */
#define CHECK_SAYING(condition, ...) \
    do { \
        if (!(condition)) { \
            check_fail(__FILE__, __LINE__, __VA_ARGS__); \
            return; \
        } \
    } while (0)

#endif
