#pragma once
/* Keys that are made once and kept in the store, so that what was made with them stays good over a restart. */

#include "json/signature.h"
#include "runtime/ports.h"
#include "storage/store.h"

#define STORED_KEY_SIZE 32

/**
 * The store's key @name, made from @ids the first time. @what names it in messages: "the key of task tokens". 0, or
 * negative with @report.
 */
int stored_key_load(Store *store, const char *name, const char *what, Ids ids, uint8_t ret[STORED_KEY_SIZE],
                    Report *report);
/**
 * The key that signs checkpoints: of @file (PEM, PKCS#8, Ed25519), or, if that is NULL, the store's. 0, or negative
 * with @report.
 */
int checkpoint_key_load(Store *store, const char *file, Ids ids, SigningKey *ret, Report *report);
