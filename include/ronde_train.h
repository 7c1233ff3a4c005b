/* What a training loop needs on top of ronde.h: random numbers that all ranks agree on, a sampler,
 * files of samples, and a loop that averages gradients and steps an optimiser.
 *
 * The conventions are ronde.h's: statuses, ronde_last_error, out-parameters that are written on
 * success only, counts of elements. "Collective" means every rank of the process set, in the same
 * order. A sampler, data or a loop is used by one thread at a time. All of it works on one process
 * alone too: pass a context of NULL. docs/systems.md tells what each is good for.
 */
#ifndef RONDE_TRAIN_H
#define RONDE_TRAIN_H

#include "ronde.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- random numbers -------------------------------------------------------------------------- */

/* Numbers that are a function of (seed, purpose, which, position), so that every rank computes the
 * same without asking, in C and in Python: test/train_golden.txt holds samples.
 *
 * Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
 * (SC'11). Word i of a stream is word i mod 4 of the block whose key is the seed (low word, high
 * word) and whose counter is i/4 (low word, high word), which, purpose. */

/* What a stream is for keeps those of one seed apart. Numbers from 256 on are the caller's. */
enum ronde_train_purpose {
    RONDE_TRAIN_PARAMETERS = 1, /* first values; `which`: the caller's, such as a layer */
    RONDE_TRAIN_ORDER = 2       /* ronde_train_shuffle; `which`: the epoch */
};

/* A place in a stream. May be copied, and written to at will: `position` is the next word. */
typedef struct ronde_train_random {
    uint64_t seed;
    uint64_t position;
    uint32_t purpose;
    uint32_t which;
} ronde_train_random;

/* Pure. One block of Philox4x32-10: block[4] from counter[4] and key[2]. */
void ronde_train_philox(const uint32_t *counter, const uint32_t *key, uint32_t *block);
/* The beginning of a stream. */
void ronde_train_random_init(ronde_train_random *stream, uint64_t seed, uint32_t purpose,
                             uint32_t which);
/* The next word: uniform in 0 .. 2^32-1. */
uint32_t ronde_train_random_word(ronde_train_random *stream);
/* Uniform in [0, 1), a multiple of 2^-53, of two words a, b: ((a >> 5) * 2^26 + (b >> 6)) /
 * 2^53. */
double ronde_train_random_uniform(ronde_train_random *stream);
/* Uniform in 0 .. bound-1, without bias; bound 0 gives 0. Up to 2^32-1 of one word w: the high word
 * of w x bound, unless the low word is below 2^32 mod bound; then of the next (Lemire, ACM TOMACS
 * 29, 2019). Above, of two words (low, high), cut to as many bits as bound-1 has, while not below
 * bound. */
uint64_t ronde_train_random_below(ronde_train_random *stream, uint64_t bound);
/* Pure. Writes a permutation of 0 .. count-1, of the stream (seed, RONDE_TRAIN_ORDER, epoch):
 * Fisher and Yates' shuffle of the identity, which swaps place i with place below(i+1), i = count-1
 * .. 1. */
void ronde_train_shuffle(uint64_t seed, uint32_t epoch, size_t *order, size_t count);

/* ---- the sampler ----------------------------------------------------------------------------- */

/* Which samples a rank works on. The order of an epoch is a shuffle that every rank computes for
 * itself; place p of it belongs to rank p mod ranks, as in PyTorch's DistributedSampler. Whatever
 * the ranks and the batch, the next batch is the same samples. Local: samplers never
 * communicate. */
typedef struct ronde_sampler ronde_sampler;

/* What happens where the samples do not divide by the ranks. */
enum ronde_sampler_padding {
    RONDE_SAMPLER_WRAP = 0,  /* the order is continued from its beginning, as PyTorch does */
    RONDE_SAMPLER_DROP = 1,  /* the rest is left out, as with PyTorch's drop_last */
    RONDE_SAMPLER_ZERO = 2,  /* as WRAP, and what was added weighs 0: evaluation is exact */
    RONDE_SAMPLER_UNEVEN = 3 /* some ranks have one sample less */
};

/* Fill with ronde_sampler_options_init. */
typedef struct ronde_sampler_options {
    uint32_t size;    /* sizeof(struct ronde_sampler_options) as the caller was compiled */
    int32_t rank;     /* 0 */
    int32_t ranks;    /* 1 */
    int32_t padding;  /* enum ronde_sampler_padding; RONDE_SAMPLER_WRAP */
    int32_t in_order; /* 1: not shuffled; 0 */
    uint32_t epoch;   /* the first; 0 */
    uint64_t seed;    /* 0 */
} ronde_sampler_options;

void ronde_sampler_options_init(ronde_sampler_options *options, size_t size);

/* Samples are numbered 0 .. samples-1. options NULL: the defaults. */
int32_t ronde_sampler_open(size_t samples, const ronde_sampler_options *options,
                           ronde_sampler **sampler);
/* Releases it and sets *sampler to NULL, which is fine as it is. */
int32_t ronde_sampler_close(ronde_sampler **sampler);
/* From the beginning of this epoch. */
int32_t ronde_sampler_set_epoch(ronde_sampler *sampler, uint32_t epoch);
/* How many samples this rank has in an epoch (since the last load or reshard), padding included:
 * PyTorch's len. 0 where sampler is NULL. */
size_t ronde_sampler_length(const ronde_sampler *sampler);

/* Moves on by a batch of `batch` samples of all ranks together (fewer at the end of the epoch), and
 * tells this rank's: *count of them, at most batch / ranks rounded up; `indices` and `weights` (or
 * NULL) have room for `room`. A batch of b x ranks is b for each rank. *of_all (or NULL) is the
 * number on all ranks, padding included: 0 when the epoch is over. */
int32_t ronde_sampler_next(ronde_sampler *sampler, size_t batch, size_t *indices, double *weights,
                           size_t room, size_t *count, size_t *of_all);

enum ronde_sampler_constants {
    RONDE_SAMPLER_STATE_BYTES = 24 /* seed, epoch, processed: 64 bits each, low byte first */
};
/* Writes the state, equal on all ranks that have moved on equally: `processed` places of the
 * epoch's order are done. Loading it into a sampler of the same samples goes on there, with
 * whatever ranks, order or padding that has: of what is left each sample is met exactly once. */
int32_t ronde_sampler_save(const ronde_sampler *sampler, void *state);
int32_t ronde_sampler_load(ronde_sampler *sampler, const void *state);
/* Shares out what is left of the epoch among other ranks. */
int32_t ronde_sampler_reshard(ronde_sampler *sampler, int32_t rank, int32_t ranks);

/* ---- data ------------------------------------------------------------------------------------ */

/* Rows of numbers, all of one shape, read from a file or one per rank. */
typedef struct ronde_train_data ronde_train_data;

/* Who reads, and who holds what. */
enum ronde_train_reading {
    RONDE_TRAIN_REPLICATED = 0, /* every rank reads the file, and has all rows */
    RONDE_TRAIN_ROOT = 1,       /* the root alone reads, and streams rows to who asks for them */
    RONDE_TRAIN_SHARDS = 2,     /* every rank reads its own; rows are numbered through all */
    /* each rank keeps its share of the file (ronde_share_rows), and the others fetch from it */
    RONDE_TRAIN_OWNER = 3
};

enum ronde_train_format {
    RONDE_TRAIN_ANY = 0, /* IDX where the file starts with two bytes of 0, else CSV */
    /* MNIST's: 0, 0, a type, the number of dimensions, each as 32 bits, the elements; high bytes
     * first. Types 8, 9, 11, 12, 13, 14: uint8, int8, int16, int32, float32, float64. */
    RONDE_TRAIN_IDX = 1,
    /* Lines of as many numbers each; they become float64. Empty lines are skipped. */
    RONDE_TRAIN_CSV = 2
};

/* Fill with ronde_train_data_options_init. */
typedef struct ronde_train_data_options {
    uint32_t size;        /* sizeof(struct ronde_train_data_options) as the caller was compiled */
    int32_t reading;      /* enum ronde_train_reading; RONDE_TRAIN_REPLICATED */
    int32_t format;       /* enum ronde_train_format; RONDE_TRAIN_ANY */
    int32_t root;         /* the global rank that reads where the root alone does; 0 */
    int32_t process_set;  /* 0 */
    int32_t header_lines; /* of a CSV, to be skipped; 0 */
    int32_t separator;    /* of a CSV: a character, or 0: runs of blanks; ',' */
    int32_t reserved;     /* 0 */
    const char *name;     /* of the operations: differs for data that are fetched at once; "data" */
} ronde_train_data_options;

void ronde_train_data_options_init(ronde_train_data_options *options, size_t size);

/* Collective, blocking. Reads the file, or this rank's file. Where any rank cannot, or files do not
 * go together (shape and type of rows; of the replicated also their number and bytes), it is the
 * same error on all ranks, with the rank, the file and the place. Not read by this rank: path may
 * be NULL. */
int32_t ronde_train_data_open(ronde_context *context, const char *path,
                              const ronde_train_data_options *options, ronde_train_data **data);
/* Local. Releases it and sets *data to NULL, which is fine as it is. */
int32_t ronde_train_data_close(ronde_train_data **data);

/* Local. Rows of all ranks together; elements of a row; their type; the shape (the rows first), as
 * far as `room` allows. 0 where data is NULL. */
size_t ronde_train_data_rows(const ronde_train_data *data);
size_t ronde_train_data_row_count(const ronde_train_data *data);
int32_t ronde_train_data_dtype(const ronde_train_data *data);
int32_t ronde_train_data_shape(const ronde_train_data *data, size_t *shape, int32_t room,
                               int32_t *dimensions);
/* Local. The rows that this rank holds: where they lie until data is closed (NULL where it has
 * none), the number of the first, how many. first, rows: may be NULL. */
const void *ronde_train_data_values(const ronde_train_data *data, size_t *first, size_t *rows);

/* Copies the `count` rows with these numbers to `out`, in this order; repeated ones too. Local
 * where the data are replicated; else collective and blocking (a count of 0 is fine). A number that
 * is too large is RONDE_ERR_ARGUMENT on all ranks that take part. */
int32_t ronde_train_data_fetch(ronde_train_data *data, const size_t *indices, size_t count,
                               void *out);

/* ---- sums that do not depend on who adds what ------------------------------------------------ */

/* Collective, blocking; alone where context is NULL. The sum of weights[i] x values[i] (weights
 * NULL: all 1) of all ranks, each product rounded to double, added exactly, and rounded once: the
 * same bits however the values are spread over ranks. What weighs 0 is not looked at. So the loss
 * of three ranks, with weights of RONDE_SAMPLER_ZERO, is that of one rank. name: of the operation,
 * as in ronde_allreduce; call: its process set and deadline. */
int32_t ronde_train_exact_sum(ronde_context *context, const char *name, const double *values,
                              const double *weights, size_t count, double *sum,
                              const ronde_call *call);

/* ---- the loop -------------------------------------------------------------------------------- */

/* Parameters that all ranks have alike, their gradients, and an optimiser.
 *
 *   ronde_train_open(context, &options, &train);
 *   ronde_train_add(train, "layer1", weights, gradient, count, RONDE_FLOAT32, &layer1); ...
 *   ronde_train_broadcast(train, 0);
 *   while (there is data) {
 *       ronde_train_begin(train, samples);         how many samples this rank has now
 *       ... compute, and as soon as a gradient is complete: ronde_train_ready(train, layer1);
 *       ronde_train_step(train, &outcome);
 *   }
 *
 * A gradient is the mean over this rank's samples, and what is applied is the mean over all ranks'
 * samples, sum of n x g by sum of n, however unevenly they fall. From ready to the end of the step
 * a gradient belongs to the loop. Parameters and optimiser state keep the same bits on all
 * ranks. */
typedef struct ronde_train ronde_train;

/* As in PyTorch: g is the gradient after clipping, p the parameter, t counts steps from 1. */
enum ronde_train_optimiser {
    /* g += weight_decay p; v = momentum v + g; p -= rate v (nesterov: rate (g + momentum v)) */
    RONDE_TRAIN_SGD = 0,
    /* g += weight_decay p; m = beta1 m + (1-beta1) g; v = beta2 v + (1-beta2) g^2; p -= rate /
     * (1-beta1^t) m / (sqrt(v / (1-beta2^t)) + epsilon) (Kingma, Ba, arXiv:1412.6980) */
    RONDE_TRAIN_ADAM = 1,
    /* as Adam, but instead of the first: p -= rate weight_decay p   (arXiv:1711.05101) */
    RONDE_TRAIN_ADAMW = 2
};

/* Fill with ronde_train_options_init. The same on all ranks. */
typedef struct ronde_train_options {
    uint32_t size;       /* sizeof(struct ronde_train_options) as the caller was compiled */
    int32_t process_set; /* 0 */
    int32_t optimiser;   /* enum ronde_train_optimiser; RONDE_TRAIN_SGD */
    int32_t nesterov;    /* 1: Nesterov's momentum; 0 */
    double rate;         /* 0.01 */
    double momentum;     /* 0 */
    double weight_decay; /* 0 */
    double beta1;        /* 0.9 */
    double beta2;        /* 0.999 */
    double epsilon;      /* 1e-8 */
    double clip_norm;    /* gradients longer than this, all together, are shortened to it by
                            clip_norm / (norm + 1e-6); 0: never */
    int32_t accumulate;  /* so many steps of the caller make one of the optimiser; 1 */
    int32_t reserved;    /* 0 */
    const char *name;    /* of the operations: differs for loops that run at once; "train" */
} ronde_train_options;

void ronde_train_options_init(ronde_train_options *options, size_t size);

/* Local. The context stays open until the loop is closed. */
int32_t ronde_train_open(ronde_context *context, const ronde_train_options *options,
                         ronde_train **train);
/* Waits for what is outstanding, releases the loop and sets *train to NULL, which is fine as it is.
 * Parameters and gradients are the caller's. */
int32_t ronde_train_close(ronde_train **train);

/* Local. Adds a tensor; the same on all ranks, in the same order. dtype: RONDE_FLOAT32 or
 * RONDE_FLOAT64. name: 1 to 200 bytes. values NULL: what is no parameter, such as a mean loss, is
 * averaged in place along with the gradients. Gradients from ronde_malloc travel without a
 * copy inside the node (while accumulate is 1). Not within a step. */
int32_t ronde_train_add(ronde_train *train, const char *name, void *values, void *gradient,
                        size_t count, int32_t dtype, int32_t *tensor);

/* Collective, blocking. Compares the tables of tensors and the options (differences are
 * RONDE_ERR_MISMATCH on all ranks); then all ranks have the root's parameters, optimiser state,
 * rate and count of steps. root: a global rank. Not within a step. */
int32_t ronde_train_broadcast(ronde_train *train, int32_t root);

/* Local. A step begins, with so many samples on this rank (0 or more, or any other weight). */
int32_t ronde_train_begin(ronde_train *train, double samples);
/* Local. The gradient of this tensor is complete: its average starts to be computed at once, beside
 * what the caller does next. So call it for the last layer first. */
int32_t ronde_train_ready(ronde_train *train, int32_t tensor);
/* The same for all that are not marked yet, from the last to the first. */
int32_t ronde_train_ready_rest(ronde_train *train);

enum ronde_train_outcome {
    RONDE_TRAIN_STEPPED = 0,     /* the parameters have moved */
    RONDE_TRAIN_ACCUMULATED = 1, /* more steps will come first: see options.accumulate */
    RONDE_TRAIN_SKIPPED = 2,     /* the mean gradient is not finite: nobody has applied it */
    RONDE_TRAIN_IDLE = 3         /* of a flush: nothing was accumulated */
};
/* Collective, blocking (local where it accumulates). Ends the step: what was not marked ready
 * counts as a gradient of 0; waits; clips; moves the parameters. Where the mean has an infinity or
 * a NaN, every rank skips the step, with the same *outcome (or NULL) on all:
 * ronde_train_counters_read tells whose it was. On an error (no rank had a sample, ranks that
 * disagree, a lost rank) nothing is applied. */
int32_t ronde_train_step(ronde_train *train, int32_t *outcome);
/* Collective. Applies what has been accumulated so far, as at the end of an epoch. */
int32_t ronde_train_flush(ronde_train *train, int32_t *outcome);
/* Collective, blocking. "I have no more data": gives what this rank has accumulated, then counts as
 * without samples in the others' steps until all ranks have joined. Then all have the parameters
 * and the state of the last, which has made all steps; and may go on. The rest of this section may
 * be called by the others meanwhile. */
int32_t ronde_train_join(ronde_train *train);

/* Local. From the next step on. The same on all ranks. */
int32_t ronde_train_set_rate(ronde_train *train, double rate);

/* Collective, blocking. RONDE_OK where parameters and optimiser state have the same bits on all
 * ranks; else RONDE_ERR_MISMATCH on all, naming the first tensor that differs, and ranks. *checksum
 * (or NULL) is that of the parameters. */
int32_t ronde_train_check(ronde_train *train, uint64_t *checksum);

enum ronde_train_rule {
    RONDE_TRAIN_ANY_RANK = 0, /* yes if any rank wishes it */
    RONDE_TRAIN_ALL_RANKS = 1,
    RONDE_TRAIN_MAJORITY = 2 /* more than half of those that have not joined */
};
/* Collective, blocking. A vote, such as on stopping: *decision is 0 or 1, the same on all ranks,
 * which so leave at the same step. */
int32_t ronde_train_vote(ronde_train *train, int32_t wish, int32_t rule, int32_t *decision);

/* What a loop has done. */
typedef struct ronde_train_counters {
    uint32_t size;      /* sizeof(struct ronde_train_counters) as the caller was compiled */
    int32_t bad_rank;   /* of the last skipped step: the first global rank whose gradient was not
                            finite; -1: each was, but not their sum; or none was skipped */
    int32_t bad_tensor; /* and that tensor; of a sum: the first tensor; -1 */
    int32_t reserved;   /* 0 */
    uint64_t steps;     /* of the optimiser */
    uint64_t skipped;   /* steps that were not applied since a gradient was not finite */
    double norm;        /* of the last step's mean gradient, before clipping */
    double rate;
    double samples;      /* of this rank */
    double wait_seconds; /* of this rank, in submitting and in waiting for gradients */
} ronde_train_counters;

/* Local. Fills the first `size` bytes of *counters (pass sizeof(ronde_train_counters)). */
int32_t ronde_train_counters_read(const ronde_train *train, ronde_train_counters *counters,
                                  size_t size);

#ifdef __cplusplus
}
#endif

#endif
