/* cJSON as it came, but for how it writes numbers: it is content with 15 digits where those are off by one part in 2^52, which
 * makes another number of a large id (1.7.19). Here a number that is written is the one that is read again. */
#include <float.h>

#undef DBL_EPSILON
#define DBL_EPSILON 0
#include "cJSON/cJSON.c"
