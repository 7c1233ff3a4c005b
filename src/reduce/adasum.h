/* Adasum of any number of vectors, by their dot products.
 *
 * Two vectors a and b make a * (1 - a.b / (2 a.a)) + b * (1 - a.b / (2 b.b)): the sum where they
 * are orthogonal, the average where they are equal. n vectors are paired with their neighbours in a
 * binary tree: ((0, 1), (2, 3)), ... An odd one goes up as it is. Everything in that tree is a
 * linear combination of the n vectors, so their dot products tell all coefficients, and the vectors
 * are read twice: for the products and by ronde__reduce_weighted, with the coefficients as weights,
 * which rounds each element once. Every part may be on another rank; the products are summed.
 *
 * Source: Maleki et al., "Scaling distributed training with adaptive summation", arXiv:2006.02924.
 */
#ifndef RONDE_REDUCE_ADASUM_H
#define RONDE_REDUCE_ADASUM_H

#include <stddef.h>
#include <stdint.h>

/* A vector that is cut at multiples of this many elements adds up to the same bits as in one call,
 * where the parts are added in their order. */
enum { RONDE__ADASUM_PART = 4096 };

/* Adds the dot products of this part of the vectors to gram[n * n] (both halves), in an order that
 * depends on n and count only. dtype: a float. Cost: n (n + 1) / 2 products an element, the vectors
 * read once from memory. */
void ronde__adasum_gram(int32_t dtype, const void *const *sources, int n, size_t count,
                        double *gram);

/* The n coefficients. A vector that is zero keeps the other's and has 1 itself; so has one that the
 * tree has made of larger ones that cancel to less than 10^-6 of them, of which the products know
 * nothing, and one below 2^-100 of its partner. So have both where a product is no finite number:
 * infinities and NaN show in the result as they do in a sum. */
void ronde__adasum_coefficients(const double *gram, int n, double *coefficients);

#endif
