/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The measuring side, the same for the floor programs and for ours: touches pages
 * of a RAM that are not there and takes the time. Every page of the RAM holds
 * data that tells which page it is; a page that holds anything else ends the
 * program with a sentence.
 */
#ifndef GVM_BENCH_TOUCH_H
#define GVM_BENCH_TOUCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES 4096UL
#define PAGE_WORDS (PAGE_BYTES / sizeof(uint64_t))

struct ram {
	uint8_t *base;
	uint64_t pages;
	int cpu;	  /* of the threads that touch, -1: wherever they are */
	unsigned int run; /* chooses the order of random accesses */
};

/* Ends the program with a sentence, and with what errno says if it is not 0. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
uint64_t now_ns(void);
/* cpu -1: nothing is done. */
void pin_to(int cpu);

/* The bytes of page number page. */
void page_fill(void *bytes, uint64_t page);

/*
 * Each prints `NAME VALUE UNIT SAMPLES` lines: p50 and p99 of single faults in
 * microseconds, or pages a second. n: pages wanted; fewer when fewer are away,
 * none of them is an error. prefix: goes before the names.
 */
void measure_faults(const struct ram *ram, bool write, uint64_t n);
void measure_random(const struct ram *ram, unsigned int threads, uint64_t n);
void measure_sequential(const struct ram *ram, uint64_t n);

#endif
