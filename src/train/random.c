/* Philox4x32-10 and what is drawn from it. */
#include "ronde_train.h"

/* Two multiplications, whose high and low words go to other places; the constants are the
 * paper's. */
static void round_once(uint32_t word[4], const uint32_t key[2])
{
    uint64_t a = (uint64_t)0xD2511F53u * word[0], b = (uint64_t)0xCD9E8D57u * word[2];
    uint32_t odd[2] = {word[1], word[3]};
    word[0] = (uint32_t)(b >> 32) ^ odd[0] ^ key[0];
    word[1] = (uint32_t)b;
    word[2] = (uint32_t)(a >> 32) ^ odd[1] ^ key[1];
    word[3] = (uint32_t)a;
}

void ronde_train_philox(const uint32_t *counter, const uint32_t *key, uint32_t *block)
{
    uint32_t word[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t round_key[2] = {key[0], key[1]};
    for (int round = 0; round < 10; round++) {
        round_once(word, round_key);
        round_key[0] += 0x9E3779B9u; /* golden ratio */
        round_key[1] += 0xBB67AE85u; /* square root of 3, less 1 */
    }
    for (int i = 0; i < 4; i++)
        block[i] = word[i];
}

/* The block that holds the stream's position. */
static void block_at(const ronde_train_random *stream, uint32_t block[4])
{
    uint64_t number = stream->position / 4;
    uint32_t key[2] = {(uint32_t)stream->seed, (uint32_t)(stream->seed >> 32)};
    uint32_t counter[4] = {(uint32_t)number, (uint32_t)(number >> 32), stream->which,
                           stream->purpose};
    ronde_train_philox(counter, key, block);
}

void ronde_train_random_init(ronde_train_random *stream, uint64_t seed, uint32_t purpose,
                             uint32_t which)
{
    *stream = (ronde_train_random){.seed = seed, .purpose = purpose, .which = which};
}

uint32_t ronde_train_random_word(ronde_train_random *stream)
{
    uint32_t block[4];
    block_at(stream, block);
    return block[stream->position++ % 4];
}

double ronde_train_random_uniform(ronde_train_random *stream)
{
    uint64_t high = ronde_train_random_word(stream) >> 5;
    uint64_t low = ronde_train_random_word(stream) >> 6;
    return (double)(high << 26 | low) * 0x1p-53;
}

/* The range has more than 32 bits: those of two words that fit are taken. At least half of them
 * do. */
static uint64_t below_large(ronde_train_random *stream, uint64_t bound)
{
    uint64_t mask = bound - 1;
    for (int shift = 1; shift < 64; shift *= 2)
        mask |= mask >> shift;
    for (;;) {
        uint64_t low = ronde_train_random_word(stream);
        uint64_t value = ((uint64_t)ronde_train_random_word(stream) << 32 | low) & mask;
        if (value < bound)
            return value;
    }
}

uint64_t ronde_train_random_below(ronde_train_random *stream, uint64_t bound)
{
    if (bound == 0)
        return 0;
    if (bound > UINT32_MAX)
        return below_large(stream, bound);
    uint32_t rejected = (uint32_t)((UINT64_C(1) << 32) % bound);
    for (;;) {
        uint64_t product = ronde_train_random_word(stream) * bound;
        if ((uint32_t)product >= rejected)
            return product >> 32;
    }
}

/* The same draws as by ronde_train_random_below, a block at a time: a million places in 20 ms. */
struct draws {
    ronde_train_random stream;
    uint32_t block[4];
};

static uint64_t draw_below(struct draws *draws, uint32_t bound)
{
    /* The rejected are fewer than the bound: only below it is their number worth a division. */
    for (;;) {
        if (draws->stream.position % 4 == 0)
            block_at(&draws->stream, draws->block);
        uint64_t product = (uint64_t)draws->block[draws->stream.position++ % 4] * bound;
        if ((uint32_t)product >= bound ||
            (uint32_t)product >= (uint32_t)((UINT64_C(1) << 32) % bound))
            return product >> 32;
    }
}

void ronde_train_shuffle(uint64_t seed, uint32_t epoch, size_t *order, size_t count)
{
    struct draws draws;
    ronde_train_random_init(&draws.stream, seed, RONDE_TRAIN_ORDER, epoch);
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count; i-- > 1;) {
        uint64_t bound = (uint64_t)i + 1;
        size_t j;
        if (bound > UINT32_MAX) {
            j = (size_t)ronde_train_random_below(&draws.stream, bound);
            block_at(&draws.stream, draws.block);
        } else {
            j = (size_t)draw_below(&draws, (uint32_t)bound);
        }
        size_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
