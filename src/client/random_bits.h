#pragma once
/* Random bits for ids, from the kernel's generator by way of libuuid. */

#include <stdint.h>

/** 128 of them. Blocks until the generator is up, and never fails. */
void random_bits(uint64_t ret[2]);
