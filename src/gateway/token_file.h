#pragma once
/* Tokens by their digests: a file of lines "<sha256 of the token> <user> <tenant>". */

#include "gateway/request.h"

#define TOKENS_MAX 4096

typedef struct TokenFile TokenFile;

/** 0 and an owned table; -EINVAL with a sentence that names the line, -ENOMEM. */
int token_file_load(const char *path, Report *report, TokenFile **ret);
void token_file_free(TokenFile *f);
/** Whose token is it? False: nobody's. */
bool token_file_find(const TokenFile *f, Slice token, Identity *ret);
