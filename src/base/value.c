#include "base/value.h"

#include <stdio.h>
#include <string.h>

static const char units[] = "KMGT";

/* Powers of 1024 of a unit, 0 where it is none. */
static int unit_power(char unit)
{
    char upper = unit >= 'a' && unit <= 'z' ? (char)(unit - 'a' + 'A') : unit;
    const char *found = upper ? strchr(units, upper) : NULL;
    return found ? (int)(found - units) + 1 : 0;
}

/* Too many digits give a number past every range, not an overflow. */
static int read_size(const char *text, double *number)
{
    double size = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        size = size * 10 + (*p - '0');
    if (p == text)
        return 0;
    int power = unit_power(*p);
    if (power) {
        p++;
        p += *p == 'i' && p[1] == 'B';
    }
    p += *p == 'B';
    for (; power > 0; power--)
        size *= 1024;
    *number = size;
    return !*p;
}

/* Not strtod: its point depends on the locale, and it takes inf, nan and hexadecimal. */
static int read_decimal(const char *text, int with_point, double *number)
{
    double mantissa = 0, scale = 1;
    int digits = 0, points = 0;
    for (const char *p = text; *p; p++) {
        if (*p >= '0' && *p <= '9') {
            digits++;
            mantissa = mantissa * 10 + (*p - '0');
            scale *= points ? 10 : 1;
        } else if (*p == '.' && with_point && !points) {
            points = 1;
        } else {
            return 0;
        }
    }
    *number = mantissa / scale;
    return digits > 0;
}

static int read_choice(const struct value_rule *rule, const char *text, double *number)
{
    int value = rule->first;
    for (const char *word = rule->choices;; value++) {
        size_t length = strcspn(word, "|");
        if (strlen(text) == length && !memcmp(text, word, length)) {
            *number = value;
            return 1;
        }
        if (!word[length])
            return 0;
        word += length + 1;
    }
}

/* The value without its range; 0 where it is none. */
static int read_any(const struct value_rule *rule, const char *text, double *number)
{
    switch (rule->kind) {
    case VALUE_SIZE: return read_size(text, number);
    case VALUE_COUNT: return read_decimal(text, 0, number);
    case VALUE_SECONDS: return read_decimal(text, 1, number);
    case VALUE_MICROSECONDS: return read_decimal(text, 1, number);
    case VALUE_CHOICE: return read_choice(rule, text, number);
    case VALUE_TEXT: *number = 0; return 1;
    }
    return 0;
}

int ronde__value_read(const struct value_rule *rule, const char *text, double *number)
{
    double value, least, most;
    if (rule->kind == VALUE_MICROSECONDS && !strcmp(text, "auto")) {
        *number = -1;
        return 1;
    }
    if (!read_any(rule, text, &value))
        return 0;
    /* written so that the NaN of absurdly many digits, inf / inf, is out of range too */
    if (rule->least && !(read_any(rule, rule->least, &least) && value >= least))
        return 0;
    if (rule->most && !(read_any(rule, rule->most, &most) && value <= most))
        return 0;
    *number = value;
    return 1;
}

void ronde__value_range(const struct value_rule *rule, char *text, size_t bytes)
{
    const char *least = rule->least, *most = rule->most;
    switch (rule->kind) {
    case VALUE_SIZE:
        snprintf(text, bytes, "a size from %s to %s (bytes, or with K, M, G, T)", least, most);
        break;
    case VALUE_COUNT: snprintf(text, bytes, "a whole number from %s to %s", least, most); break;
    case VALUE_SECONDS: snprintf(text, bytes, "seconds from %s to %s", least, most); break;
    case VALUE_MICROSECONDS:
        snprintf(text, bytes, "microseconds from %s to %s, or auto", least, most);
        break;
    case VALUE_CHOICE: snprintf(text, bytes, "one of %s", rule->choices); break;
    case VALUE_TEXT: snprintf(text, bytes, "a text"); break;
    }
}

/* In the largest unit that divides it. */
static void print_size(double number, char *text, size_t bytes)
{
    size_t size = (size_t)number;
    int unit = 0;
    while (size && size % 1024 == 0 && units[unit]) {
        size /= 1024;
        unit++;
    }
    snprintf(text, bytes, "%zu%.1s", size, unit ? &units[unit - 1] : "");
}

/* Up to six places, without printf's %f: its point depends on the locale. */
static void print_decimal(double number, char *text, size_t bytes)
{
    long long millionths = (long long)(number * 1e6 + 0.5);
    char digits[48];
    int length = snprintf(digits, sizeof(digits), "%lld.%06lld", millionths / 1000000,
                          millionths % 1000000);
    while (digits[length - 1] == '0')
        length--;
    if (digits[length - 1] == '.')
        length--;
    snprintf(text, bytes, "%.*s", length, digits);
}

static void print_choice(const struct value_rule *rule, int number, char *text, size_t bytes)
{
    const char *word = rule->choices;
    for (int i = rule->first; i < number; i++)
        word += strcspn(word, "|") + 1;
    snprintf(text, bytes, "%.*s", (int)strcspn(word, "|"), word);
}

void ronde__value_print(const struct value_rule *rule, double number, char *text, size_t bytes)
{
    switch (rule->kind) {
    case VALUE_SIZE: print_size(number, text, bytes); break;
    case VALUE_COUNT: snprintf(text, bytes, "%zu", (size_t)number); break;
    case VALUE_SECONDS: print_decimal(number, text, bytes); break;
    case VALUE_MICROSECONDS:
        if (number < 0)
            snprintf(text, bytes, "auto");
        else
            print_decimal(number, text, bytes);
        break;
    case VALUE_CHOICE: print_choice(rule, (int)number, text, bytes); break;
    case VALUE_TEXT: snprintf(text, bytes, "%s", ""); break;
    }
}
