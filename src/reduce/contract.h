/* Keeps compilers from fusing a product and a sum into one rounding, which would make an instruction
 * set's bits differ from another's. First include of each kernels_*.c. */
#ifndef RONDE_REDUCE_CONTRACT_H
#define RONDE_REDUCE_CONTRACT_H

#if defined __clang__
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#endif
