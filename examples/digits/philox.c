#include "philox.h"

static void round_once(uint32_t counter[4], const uint32_t key[2])
{
    uint64_t a = (uint64_t)0xD2511F53u * counter[0];
    uint64_t b = (uint64_t)0xCD9E8D57u * counter[2];
    uint32_t c1 = counter[1], c3 = counter[3];
    counter[0] = (uint32_t)(b >> 32) ^ c1 ^ key[0];
    counter[1] = (uint32_t)b;
    counter[2] = (uint32_t)(a >> 32) ^ c3 ^ key[1];
    counter[3] = (uint32_t)a;
}

void philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t round_key[2] = {key[0], key[1]};
    for (int i = 0; i < 4; i++)
        out[i] = counter[i];
    for (int round = 0; round < 10; round++) {
        round_once(out, round_key);
        round_key[0] += 0x9E3779B9u; /* golden ratio */
        round_key[1] += 0xBB67AE85u; /* square root of 3, less 1 */
    }
}

void philox_start(struct philox *stream, uint64_t seed, uint32_t purpose, uint32_t which)
{
    stream->key[0] = (uint32_t)seed;
    stream->key[1] = (uint32_t)(seed >> 32);
    stream->counter[0] = 0;
    stream->counter[1] = 0;
    stream->counter[2] = which;
    stream->counter[3] = purpose;
    stream->left = 0;
}

uint32_t philox_next(struct philox *stream)
{
    if (stream->left == 0) {
        philox_block(stream->counter, stream->key, stream->word);
        stream->left = 4;
        if (++stream->counter[0] == 0)
            stream->counter[1]++;
    }
    return stream->word[4 - stream->left--];
}

double philox_uniform(struct philox *stream)
{
    uint64_t high = philox_next(stream) >> 5;
    uint64_t low = philox_next(stream) >> 6;
    return (double)(high << 26 | low) * 0x1p-53;
}

/* A multiplication maps 2^32 values to `bound`; the first 2^32 mod bound of the low halves are
 * rejected, so that each result has equally many (Lemire, ACM TOMACS 29, 2019). */
uint32_t philox_below(struct philox *stream, uint32_t bound)
{
    uint32_t rejected = (0u - bound) % bound;
    for (;;) {
        uint64_t product = (uint64_t)philox_next(stream) * bound;
        if ((uint32_t)product >= rejected)
            return (uint32_t)(product >> 32);
    }
}

/* Fisher and Yates' shuffle, from the last place down. */
void philox_permutation(uint64_t seed, uint32_t epoch, uint32_t *order, size_t count)
{
    struct philox stream;
    philox_start(&stream, seed, PHILOX_ORDER, epoch);
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t i = count; i > 1; i--) {
        size_t j = philox_below(&stream, (uint32_t)i);
        uint32_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}
