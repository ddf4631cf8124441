/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers for what containers choose: texts, addresses, places. */
#pragma once

#include "ringfence.h"

/*
 * SipHash-1-3 (Aumasson and Bernstein, 2012) with a key that user space draws anew each time: whoever chooses what is
 * hashed can make two things fall together only by chance.
 */
struct sip_hash {
	u64 v0, v1, v2, v3;
};

#define ROTATE(word, bits) ((word) << (bits) | (word) >> (64 - (bits)))

static __always_inline void hash_round(struct sip_hash *hash)
{
	hash->v0 += hash->v1;
	hash->v1 = ROTATE(hash->v1, 13) ^ hash->v0;
	hash->v0 = ROTATE(hash->v0, 32);
	hash->v2 += hash->v3;
	hash->v3 = ROTATE(hash->v3, 16) ^ hash->v2;
	hash->v0 += hash->v3;
	hash->v3 = ROTATE(hash->v3, 21) ^ hash->v0;
	hash->v2 += hash->v1;
	hash->v1 = ROTATE(hash->v1, 17) ^ hash->v2;
	hash->v2 = ROTATE(hash->v2, 32);
}

static __always_inline void begin_hash(struct sip_hash *hash)
{
	hash->v0 = settings.hash_key[0] ^ 0x736f6d6570736575;
	hash->v1 = settings.hash_key[1] ^ 0x646f72616e646f6d;
	hash->v2 = settings.hash_key[0] ^ 0x6c7967656e657261;
	hash->v3 = settings.hash_key[1] ^ 0x7465646279746573;
}

static __always_inline void add_to_hash(struct sip_hash *hash, u64 word)
{
	hash->v3 ^= word;
	hash_round(hash);
	hash->v0 ^= word;
}

/* Never 0, which stands for everything that has no number of its own. */
static __always_inline u64 end_hash(struct sip_hash *hash)
{
	hash->v2 ^= 0xff;
	hash_round(hash);
	hash_round(hash);
	hash_round(hash);
	return (hash->v0 ^ hash->v1 ^ hash->v2 ^ hash->v3) ?: 1;
}

/* Goes over the words that so many bytes take, of at most `room`; whoever calls this has cleared what follows them. */
#define ADD_BYTES_TO_HASH(hash, words, length, room)         \
	({                                                   \
		u32 __words = ((length) + 7) / 8;            \
		add_to_hash(hash, length);                   \
		for (u32 __i = 0; __i < (room) / 8; __i++) { \
			if (__i >= __words)                  \
				break;                       \
			add_to_hash(hash, (words)[__i]);     \
		}                                            \
	})
