/* Run by test/sh_preload.sh, without and with libronde-mpi.so: every covered MPI call, and some
 * that are not, writes one line with a checksum of its results to the file PATH.RANK, so that the
 * files of two runs can be compared. Results are exact, whatever the order of addition. Alone (no
 * PATH) it says nothing and checks only that all ends. */
/* ronde-test: np=2 mpich=2 */
#include <dlfcn.h>
#include <math.h>
#include <mpi.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BYTES = 3 << 20, ROOM = 4 * MOST_BYTES, KEEP = 64 };

static FILE *out, *loose;
static int world_rank, world_size;
static char *in_buffer, *out_buffer;

enum shape { SIGNED, UNSIGNED, FLOATS, BYTES, BOOLS, MOVED /* no op is for these */ };

static const struct kind_of_type {
    const char *name;
    MPI_Datatype type;
    int bytes;
    enum shape shape;
    int is_fortran;
} types[] = {
    {"float", MPI_FLOAT, 4, FLOATS, 0},
    {"int", MPI_INT, 4, SIGNED, 0},
    {"double", MPI_DOUBLE, 8, FLOATS, 0},
    {"byte", MPI_BYTE, 1, BYTES, 0},
    {"int8", MPI_INT8_T, 1, SIGNED, 0},
    {"uint8", MPI_UINT8_T, 1, UNSIGNED, 0},
    {"short", MPI_SHORT, 2, SIGNED, 0},
    {"uint16", MPI_UINT16_T, 2, UNSIGNED, 0},
    {"unsigned", MPI_UNSIGNED, 4, UNSIGNED, 0},
    {"long", MPI_LONG, 8, SIGNED, 0},
    {"uint64", MPI_UINT64_T, 8, UNSIGNED, 0},
    {"long long", MPI_LONG_LONG, 8, SIGNED, 0},
    {"aint", MPI_AINT, 8, SIGNED, 1},
    {"integer", MPI_INTEGER, 4, SIGNED, 1},
    {"real", MPI_REAL, 4, FLOATS, 1},
    {"double precision", MPI_DOUBLE_PRECISION, 8, FLOATS, 1},
    {"signed char", MPI_SIGNED_CHAR, 1, SIGNED, 0},
    {"unsigned char", MPI_UNSIGNED_CHAR, 1, UNSIGNED, 0},
    {"unsigned short", MPI_UNSIGNED_SHORT, 2, UNSIGNED, 0},
    {"int16", MPI_INT16_T, 2, SIGNED, 0},
    {"int32", MPI_INT32_T, 4, SIGNED, 0},
    {"uint32", MPI_UINT32_T, 4, UNSIGNED, 0},
    {"int64", MPI_INT64_T, 8, SIGNED, 0},
    {"unsigned long", MPI_UNSIGNED_LONG, 8, UNSIGNED, 0},
    {"unsigned long long", MPI_UNSIGNED_LONG_LONG, 8, UNSIGNED, 0},
    {"bool", MPI_C_BOOL, 1, BOOLS, 0},
    {"integer1", MPI_INTEGER1, 1, SIGNED, 1},
    {"integer2", MPI_INTEGER2, 2, SIGNED, 1},
    {"integer4", MPI_INTEGER4, 4, SIGNED, 1},
    {"integer8", MPI_INTEGER8, 8, SIGNED, 1},
    {"real4", MPI_REAL4, 4, FLOATS, 1},
    {"real8", MPI_REAL8, 8, FLOATS, 1},
    {"offset", MPI_OFFSET, 8, SIGNED, 1},
    {"count", MPI_COUNT, 8, SIGNED, 1},
    {"char", MPI_CHAR, 1, MOVED, 0},
    {"character", MPI_CHARACTER, 1, MOVED, 1},
    {"logical", MPI_LOGICAL, 4, MOVED, 1},
};

enum { SUM, PROD, MIN, MAX, LAND, LOR, BAND, BOR, OPS };
static const char *const op_names[OPS] = {"sum",  "prod", "min",  "max",
                                          "land", "lor",  "band", "bor"};

static MPI_Op op_of(int op)
{
    const MPI_Op ops[OPS] = {MPI_SUM,  MPI_PROD, MPI_MIN,  MPI_MAX,
                             MPI_LAND, MPI_LOR,  MPI_BAND, MPI_BOR};
    return ops[op];
}

static int fits(const struct kind_of_type *type, int op)
{
    if (type->shape == MOVED)
        return 0;
    if (type->shape == BYTES)
        return op >= BAND;
    if (type->shape == BOOLS)
        return op == LAND || op == LOR;
    if (type->shape == FLOATS)
        return op < LAND;
    return !type->is_fortran || (op != LAND && op != LOR);
}

/* ---- data ------------------------------------------------------------------------------------ */

static uint64_t mixed(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 32;
}

/* Integers of any bits, so that sums of narrow ones overflow: an MPI that saturates them there must
 * go on doing so. Floats are small integers. */
static void fill(char *to, size_t elements, const struct kind_of_type *type, int op, int seed)
{
    for (size_t i = 0; i < elements; i++, to += type->bytes) {
        uint64_t x = mixed(i * 64 + (uint64_t)seed);
        int small = op == PROD ? (int)(x % 2) + 1 : (int)(x % 13) - 6;
        if (type->shape == FLOATS && type->bytes == 4)
            memcpy(to, &(float){(float)small}, 4);
        else if (type->shape == FLOATS)
            memcpy(to, &(double){small}, 8);
        else if ((op == LAND || op == LOR) && x % 3 == 0)
            memset(to, 0, (size_t)type->bytes);
        else if (type->shape == BOOLS)
            *to = (char)(x % 3 != 0);
        else
            memcpy(to, &x, (size_t)type->bytes);
    }
}

static uint64_t sum_of(const void *memory, size_t bytes)
{
    const unsigned char *p = memory;
    uint64_t sum = bytes;
    for (; bytes >= 8; bytes -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        sum = mixed(sum + word);
    }
    while (bytes--)
        sum = mixed(sum * 257 + *p++);
    return sum;
}

static void note(const char *call, const char *what, size_t count, const void *memory, size_t bytes)
{
    if (out)
        fprintf(out, "%s %s %zu %016llx\n", call, what, count,
                (unsigned long long)sum_of(memory, bytes));
}

/* Of what MPI leaves open, and MPIs do in ways of their own. */
static void note_loosely(const char *what, const void *memory, size_t bytes)
{
    if (loose)
        fprintf(loose, "%s %016llx\n", what, (unsigned long long)sum_of(memory, bytes));
}

/* ---- reductions ------------------------------------------------------------------------------ */

static void reduce_once(MPI_Comm comm, const struct kind_of_type *type, int op, size_t count,
                        int in_place)
{
    int rank, size, n = (int)count, root;
    char what[64];
    size_t bytes = count * (size_t)type->bytes;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    root = size - 1;
#if defined MPICH
    root = in_place ? 0 : root; /* MPICH 4.0.2 itself reads from MPI_IN_PLACE elsewhere */
#endif
    snprintf(what, sizeof(what), "%s %s%s", type->name, op_names[op], in_place ? " in place" : "");
    fill(in_buffer, count, type, op, world_rank);
    memset(out_buffer, 7, bytes + KEEP); /* what is behind must stay */
    if (in_place)
        memcpy(out_buffer, in_buffer, bytes);
    MPI_Allreduce(in_place ? MPI_IN_PLACE : in_buffer, out_buffer, n, type->type, op_of(op), comm);
    note("allreduce", what, count, out_buffer, bytes + KEEP);

    memset(out_buffer, 7, bytes + KEEP);
    if (in_place)
        memcpy(out_buffer, in_buffer, bytes);
    if (rank == root)
        MPI_Reduce(in_place ? MPI_IN_PLACE : in_buffer, out_buffer, n, type->type, op_of(op), root,
                   comm);
    else
        MPI_Reduce(in_buffer, NULL, n, type->type, op_of(op), root, comm);
    note("reduce", what, count, out_buffer, bytes + KEEP);
}

static void reduce_scatter_once(MPI_Comm comm, const struct kind_of_type *type, int op,
                                size_t count, int in_place)
{
    int rank, size, counts[64], total = 0;
    char what[64];
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    snprintf(what, sizeof(what), "%s %s%s", type->name, op_names[op], in_place ? " in place" : "");
    for (int i = 0; i < size; i++) {
        counts[i] = i % 3 == 1 ? 0 : (int)count / size + i; /* some have nothing */
        total += counts[i];
    }
    for (int block = 0; block < 2; block++) {
        int mine = block ? (int)count / size : counts[rank], all = block ? mine * size : total;
        fill(in_buffer, (size_t)all, type, op, world_rank);
        memset(out_buffer, 7, (size_t)all * (size_t)type->bytes + KEEP);
        if (in_place)
            memcpy(out_buffer, in_buffer, (size_t)all * (size_t)type->bytes);
        const void *in = in_place ? MPI_IN_PLACE : in_buffer;
        if (block)
            MPI_Reduce_scatter_block(in, out_buffer, mine, type->type, op_of(op), comm);
        else
            MPI_Reduce_scatter(in, out_buffer, counts, type->type, op_of(op), comm);
        note(block ? "reduce_scatter_block" : "reduce_scatter", what, count, out_buffer,
             (size_t)mine * (size_t)type->bytes);
    }
}

/* ---- moves ----------------------------------------------------------------------------------- */

static const struct kind_of_type *const one_byte = &types[3];

static void move_once(MPI_Comm comm, const struct kind_of_type *type, size_t count, int in_place)
{
    int rank, size, counts[64], at[64], here = 0;
    size_t one = (size_t)type->bytes;
    char what[64];
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    snprintf(what, sizeof(what), "%s%s", type->name, in_place ? " in place" : "");
    for (int root = 0; root < size;
         root++) { /* the root says it in bytes, the others in elements */
        fill(out_buffer, count * one, one_byte, BOR, world_rank);
        if (rank == root)
            MPI_Bcast(out_buffer, (int)(count * one), MPI_BYTE, root, comm);
        else
            MPI_Bcast(out_buffer, (int)count, type->type, root, comm);
        note("bcast", what, count, out_buffer, count * one + KEEP);
    }

    int each = (int)count / size;
    fill(in_buffer, count * one, one_byte, BOR, world_rank);
    memset(out_buffer, 7, count * one * 2 + KEEP);
    memcpy(out_buffer + (size_t)(each * rank) * one, in_buffer, (size_t)each * one);
    MPI_Allgather(in_place ? MPI_IN_PLACE : in_buffer, each, type->type, out_buffer, each,
                  type->type, comm);
    note("allgather", what, count, out_buffer, count * one + KEEP);

    for (int i = 0; i < size; i++) { /* with gaps, backwards, some nothing */
        counts[i] = i % 3 == 1 ? 0 : each / 2 + i;
        at[i] = (size - 1 - i) * (each + 8);
    }
    memset(out_buffer, 7, (count + 64) * one + KEEP);
    memcpy(out_buffer + (size_t)at[rank] * one, in_buffer, (size_t)counts[rank] * one);
    MPI_Allgatherv(in_place ? MPI_IN_PLACE : in_buffer, counts[rank], type->type, out_buffer,
                   counts, at, type->type, comm);
    note("allgatherv", what, count, out_buffer, (count + 64) * one + KEEP);

    memcpy(out_buffer, in_buffer, count * one);
    MPI_Alltoall(in_place ? MPI_IN_PLACE : in_buffer, each, type->type, out_buffer, each,
                 type->type, comm);
    note("alltoall", what, count, out_buffer, count * one);

    int give[64], take[64], from[64], to[64]; /* i sends j (i + j) % 3 parts */
    for (int i = 0; i < size; i++) {
        give[i] = take[i] = (rank + i) % 3 * (each / 3);
        from[i] = here;
        to[i] = (size - 1 - i) * each;
        here += give[i];
    }
    fill(out_buffer, count * one, one_byte, BOR, world_rank + 32);
    MPI_Alltoallv(in_place ? MPI_IN_PLACE : in_buffer, give, from, type->type, out_buffer, take, to,
                  type->type, comm);
    note("alltoallv", what, count, out_buffer, count * one);
}

/* ---- everything over one communicator -------------------------------------------------------- */

static void run_all(MPI_Comm comm, int thoroughly)
{
    static const size_t sizes[] = {0, 1, 7, 4096, 100 << 10, MOST_BYTES};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]), TYPES = sizeof(types) / sizeof(types[0]) };
    for (int t = 0; t < (thoroughly ? TYPES : 3); t++)
        for (int s = 0; s < SIZES; s++) {
            size_t count = s < 3 ? sizes[s] : sizes[s] / (size_t)types[t].bytes;
            int is_long = sizes[s] > 4096;
            if (sizes[s] == MOST_BYTES && (t > 0 || !thoroughly))
                continue;
            for (int in_place = 0; in_place < 2; in_place++) {
                for (int op = 0; op < OPS; op++)
                    if (fits(&types[t], op) && (op == SUM || (thoroughly && !is_long))) {
                        reduce_once(comm, &types[t], op, count, in_place);
                        reduce_scatter_once(comm, &types[t], op, count, in_place);
                    }
                if (is_long ? t < 1 : thoroughly || t < 3)
                    move_once(comm, &types[t], count, in_place);
            }
            MPI_Barrier(comm);
        }
}

static void run_communicators(void)
{
    MPI_Comm part, copy, reversed;
    run_all(MPI_COMM_WORLD, 1);
    MPI_Comm_split(MPI_COMM_WORLD, world_rank / 2, 0, &part);
    MPI_Comm_dup(MPI_COMM_WORLD, &copy);
    MPI_Comm_split(MPI_COMM_WORLD, 0, -world_rank, &reversed);
    run_all(part, 0);
    run_all(copy, 0);
    run_all(reversed, 0);
    MPI_Comm_free(&copy);
    MPI_Comm_free(&part);
    MPI_Comm_free(&reversed);
}

/* ---- floats that are rounded, or are no numbers ---------------------------------------------- */

/* Any sign and many exponents. */
static double rounded_value(uint64_t x)
{
    double fraction = 1 + (double)(x >> 12) * 0x1p-52, scale = 1;
    for (uint64_t i = 0; i < x % 32; i++)
        scale /= 2;
    return x & 32 ? -fraction * scale : fraction * scale;
}

/* MIN and MAX of a NaN, or of zeros of both signs, MPI leaves to the machine. */
static double odd_value(uint64_t x, int has_nan)
{
    static const double values[] = {0.0,     -0.0,      1,        -3,       1e-310,
                                    -1e-310, 0x1p-149f, 0x1p127f, -0x1p127f};
    if (has_nan && x % 5 == 0)
        return (double)NAN;
    if (x % 7 == 0)
        return x & 64 ? (double)INFINITY : -(double)INFINITY;
    return values[x / 128 % (sizeof(values) / sizeof(values[0]))];
}

enum values { ROUNDED, ODD, NOT_NUMBERS };

static void run_float(const char *name, int is_double, enum values values, int op)
{
    enum { N = 3000 };
    double *wide = (double *)(void *)in_buffer, *wide_sum = (double *)(void *)out_buffer;
    float *narrow = (float *)(void *)in_buffer, *narrow_sum = (float *)(void *)out_buffer;
    size_t bytes = N * (is_double ? sizeof(double) : sizeof(float));
    for (int i = 0; i < N; i++) {
        uint64_t x = mixed((uint64_t)i * 64 + (uint64_t)world_rank);
        double value = values == ROUNDED ? rounded_value(x) : odd_value(x, values == NOT_NUMBERS);
        if (is_double)
            wide[i] = value;
        else
            narrow[i] = (float)value;
    }
    MPI_Allreduce(in_buffer, out_buffer, N, is_double ? MPI_DOUBLE : MPI_FLOAT, op_of(op),
                  MPI_COMM_WORLD);
    for (int i = 0; i < N; i++) /* which NaN is the machine's business */
        if (is_double && isnan(wide_sum[i]))
            wide_sum[i] = (double)NAN;
        else if (!is_double && isnan(narrow_sum[i]))
            narrow_sum[i] = NAN;
    /* Of two numbers there is one sum; of more it depends on the order. */
    if (world_size <= 2 && (op <= PROD || values == ROUNDED))
        note("allreduce", name, N, out_buffer, bytes);
    else
        note_loosely(name, out_buffer, bytes);
}

static void run_floats(void)
{
    static const char *const values[] = {"rounded", "signed zeros and infinities", "NaN"};
    for (int is_double = 0; is_double < 2; is_double++)
        for (int v = ROUNDED; v <= NOT_NUMBERS; v++)
            for (int op = SUM; op <= MAX; op++) {
                char name[80];
                snprintf(name, sizeof(name), "%s %s: %s", op_names[op],
                         is_double ? "of doubles" : "of floats", values[v]);
                run_float(name, is_double, (enum values)v, op);
            }
}

/* ---- what is passed on ----------------------------------------------------------------------- */

static void add_twice(void *in, void *inout, int *n, MPI_Datatype *type)
{
    (void)type;
    for (int i = 0; i < *n; i++)
        ((unsigned *)inout)[i] += ((unsigned *)in)[i] + 1;
}

static void run_others(void)
{
    enum { N = 20000 };
    struct {
        double value;
        int rank;
    } pair[2] = {{world_rank % 2, world_rank}, {-world_rank, world_rank}}, least[2];
    int *data = (int *)(void *)in_buffer, *result = (int *)(void *)out_buffer;
    MPI_Op op;
    MPI_Datatype every_other;
    memset(least, 0, sizeof(least));
    MPI_Allreduce(pair, least, 2, MPI_DOUBLE_INT, MPI_MINLOC, MPI_COMM_WORLD);
    note("allreduce", "minloc", 2, &least[1].rank, sizeof(int));
    fill(in_buffer, N, &types[1], SUM, world_rank);
    MPI_Op_create(add_twice, 1, &op);
    MPI_Allreduce(data, result, N, MPI_INT, op, MPI_COMM_WORLD);
    note("allreduce", "user op", N, result, N * sizeof(int));
    MPI_Op_free(&op);
    MPI_Scan(data, result, N, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    note("scan", "int", N, result, N * sizeof(int));

    /* One rank sees every other element of its memory, the others see it whole. */
    memset(out_buffer, 7, 4 * N);
    MPI_Type_vector(N / 2, 1, 2, MPI_INT, &every_other);
    MPI_Type_commit(&every_other);
    if (world_rank == 0)
        MPI_Bcast(data, 1, every_other, 0, MPI_COMM_WORLD);
    else
        MPI_Bcast(result, N / 2, MPI_INT, 0, MPI_COMM_WORLD);
    note("bcast", "vector", N, result, N * sizeof(int));
    if (world_rank == 0)
        MPI_Allgather(data, 1, every_other, result, N / 2, MPI_INT, MPI_COMM_WORLD);
    else
        MPI_Allgather(data, N / 2, MPI_INT, result, N / 2, MPI_INT, MPI_COMM_WORLD);
    note("allgather", "vector", N, result, (size_t)world_size * N / 2 * sizeof(int));
    MPI_Type_free(&every_other);
}

static void run_between(void)
{
    MPI_Comm half, between;
    int mine = world_rank + 1, sum = 0;
    if (world_size < 2)
        return;
    MPI_Comm_split(MPI_COMM_WORLD, world_rank % 2, world_rank, &half);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - world_rank % 2, 5, &between);
    MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, between);
    MPI_Barrier(between);
    note("allreduce", "intercommunicator", 1, &sum, sizeof(sum));
    MPI_Comm_free(&between);
    MPI_Comm_free(&half);
}

#if defined OPEN_MPI
static void run_errors(void)
{
    MPI_Comm copy;
    int x = 1, y = 0, classes[4];
    MPI_Comm_dup(MPI_COMM_WORLD, &copy);
    MPI_Comm_set_errhandler(copy, MPI_ERRORS_RETURN);
    MPI_Error_class(MPI_Allreduce(&x, &y, -1, MPI_INT, MPI_SUM, copy), &classes[0]);
    MPI_Error_class(MPI_Bcast(&x, 1, MPI_INT, world_size, copy), &classes[1]);
    MPI_Error_class(MPI_Allreduce(&x, &y, 1, MPI_DATATYPE_NULL, MPI_SUM, copy), &classes[2]);
    MPI_Error_class(MPI_Reduce(&x, &y, 1, MPI_INT, MPI_SUM, -5, copy), &classes[3]);
    note("errors", "classes", 4, classes, sizeof(classes));
    MPI_Comm_free(&copy);
}
#endif

/* ---- what a caller may rely on --------------------------------------------------------------- */

/* Whoever waits in a collective still sends what is under way. */
static void run_progress(void)
{
    MPI_Request request = MPI_REQUEST_NULL;
    int partner = world_rank ^ 1, one = 1, sum;
    for (int way = 0; way < 2; way++) {
        if (partner < world_size && world_rank < partner)
            MPI_Isend(in_buffer, MOST_BYTES, MPI_BYTE, partner, 3, MPI_COMM_WORLD, &request);
        else if (partner < world_size)
            MPI_Recv(out_buffer, MOST_BYTES, MPI_BYTE, partner, 3, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
        if (way)
            MPI_Barrier(MPI_COMM_WORLD);
        else
            MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
        MPI_Wait(&request, MPI_STATUS_IGNORE);
    }
}

static int open_files(void)
{
    int open = 0;
    for (int file = 0; file < 1024; file++)
        open += lseek(file, 0, SEEK_CUR) >= 0;
    return open;
}

/* Communicators that come and go leave nothing behind. */
static void run_many(void)
{
    int before = 0, sum = 0, x = world_rank;
    for (int i = 0; i < 20; i++) {
        MPI_Comm copy;
        MPI_Comm_dup(MPI_COMM_WORLD, &copy);
        for (int j = 0; j < 3; j++)
            MPI_Allreduce(&x, &sum, 1, MPI_INT, MPI_SUM, copy);
        MPI_Comm_free(&copy);
        if (i == 2)
            before = open_files();
    }
    int more = open_files() > before + 2;
    note("many", "communicators", 20, &more, sizeof(more));
}

static void *run_thread(void *argument)
{
    MPI_Comm comm = *(MPI_Comm *)argument;
    int64_t sum = 0, all = 0;
    for (int i = 0; i < 30; i++) {
        int64_t x = world_rank * i;
        MPI_Allreduce(&x, &all, 1, MPI_INT64_T, MPI_SUM, comm);
        MPI_Barrier(comm);
        sum += all;
    }
    *(int64_t *)((char *)argument + sizeof(comm)) = sum;
    return NULL;
}

static void run_threads(void)
{
    struct {
        MPI_Comm comm;
        char sum[8]; /* where run_thread puts it */
    } of[2];
    pthread_t thread;
    for (int i = 0; i < 2; i++)
        MPI_Comm_dup(MPI_COMM_WORLD, &of[i].comm);
    pthread_create(&thread, NULL, run_thread, &of[0]);
    run_thread(&of[1]);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2; i++) {
        note("allreduce", "threads", 30, of[i].sum, 8);
        MPI_Comm_free(&of[i].comm);
    }
}

/* Fortran's symbols, as a Fortran program calls them, where this MPI has its Fortran library. */
static void run_fortran(void)
{
    typedef void allreduce(void *, void *, MPI_Fint *, MPI_Fint *, MPI_Fint *, MPI_Fint *,
                           MPI_Fint *);
#if defined OPEN_MPI
    if (!dlopen("libmpi_mpifh.so.40", RTLD_NOW | RTLD_GLOBAL))
        return;
#else
    if (!dlopen("libmpichfort.so.12", RTLD_NOW | RTLD_GLOBAL))
        return;
#endif
    allreduce *call = (allreduce *)dlsym(RTLD_DEFAULT, "mpi_allreduce_");
#if defined OPEN_MPI
    void *in_place = dlsym(RTLD_DEFAULT, "mpi_fortran_in_place_");
#else
    void *in_place = NULL; /* MPICH has it from the compiler, in a common block of the program */
#endif
    MPI_Fint n = 500, error = -1, comm = MPI_Comm_c2f(MPI_COMM_WORLD);
    MPI_Fint type = MPI_Type_c2f(MPI_INTEGER), sum = MPI_Op_c2f(MPI_SUM);
    fill(in_buffer, 500, &types[1], SUM, world_rank);
    call(in_buffer, out_buffer, &n, &type, &sum, &comm, &error);
    note("mpi_allreduce_", "integer", 500, out_buffer, 2000);
    if (in_place)
        call(in_place, in_buffer, &n, &type, &sum, &comm, &error);
    note("mpi_allreduce_", "in place", (size_t)error, in_buffer, 2000);
}

int main(int argc, char **argv)
{
    int level;
    char path[4096];
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world_size);
    if (argc > 1) {
        snprintf(path, sizeof(path), "%s.%d", argv[1], world_rank);
        out = fopen(path, "w");
        snprintf(path, sizeof(path), "%s.loose.%d", argv[1], world_rank);
        loose = fopen(path, "w");
    }
    in_buffer = calloc(1, ROOM);
    out_buffer = calloc(1, ROOM);
    if (!in_buffer || !out_buffer || (argc > 1 && (!out || !loose)))
        MPI_Abort(MPI_COMM_WORLD, 1);
    run_communicators();
    run_floats();
    run_others();
    run_between();
#if defined OPEN_MPI /* distributions build MPICH without looking at arguments: it would crash */
    run_errors();
#endif
    run_progress();
    run_many();
    if (level == MPI_THREAD_MULTIPLE)
        run_threads();
    run_fortran();
    free(in_buffer);
    free(out_buffer);
    if (out)
        fclose(out);
    if (loose)
        fclose(loose);
    MPI_Finalize();
    return 0;
}
