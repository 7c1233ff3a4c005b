/* Values of settings between text and number. Pure, and independent of the caller's locale. */
#ifndef RONDE_BASE_VALUE_H
#define RONDE_BASE_VALUE_H

#include <stddef.h>

enum value_kind {
    VALUE_SIZE,         /* bytes: 12, 64k, 64K, 64KB, 64KiB; units are powers of 1024 */
    VALUE_COUNT,        /* digits */
    VALUE_SECONDS,      /* digits with at most one point */
    VALUE_MICROSECONDS, /* the same, or "auto", which is -1 */
    VALUE_CHOICE,       /* a word */
    VALUE_TEXT          /* anything; its number is 0 */
};

/* Ranges are texts, read by the reader of values: what is printed is what holds. Every number is at
 * most 2^53, so that a double holds it exactly. */
struct value_rule {
    enum value_kind kind;
    const char *least, *most; /* numbers */
    const char *choices;      /* VALUE_CHOICE: words separated by '|', whose numbers count up ... */
    int first;                /* ... from this */
};

/* Returns 1 and sets *number where the text is a value in range, else 0. */
int ronde__value_read(const struct value_rule *rule, const char *text, double *number);
/* A text that ronde__value_read reads back as `number`; sizes with a unit where that is exact. */
void ronde__value_print(const struct value_rule *rule, double number, char *text, size_t bytes);
/* What a value may be, for a message: "a whole number from 2 to 64". */
void ronde__value_range(const struct value_rule *rule, char *text, size_t bytes);

#endif
