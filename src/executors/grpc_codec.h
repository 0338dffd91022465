#pragma once
/*
 * JSON ↔ protobuf, by libprotobuf: a C face for grpc_codec.cc, the one file of the project in C++. Nothing is thrown
 * across it.
 *
 * Descriptors, requests and answers are all somebody else's: each has a limit, and a fault is a sentence.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRPC_FAULT_MAX  480   /* a fault's sentence */
#define GRPC_RANGES_MAX 1000  /* extension or reserved ranges of one type; libprotobuf compares all pairs */
#define GRPC_NAMES_MAX  10000 /* types, fields, values, methods… of one set: they take 3 us and 1 KiB each */
#define GRPC_DEPTH_MAX  60    /* messages within messages, of an answer; JSON has JSON_DEPTH_MAX levels */
#define GRPC_FIELDS_MAX 200000 /* fields of an answer, unset ones too: each is 200 bytes for a moment */

/** The types and services of one descriptor set. Not for two threads at once. */
typedef struct GrpcCodec GrpcCodec;
/** A unary method; borrowed from its codec. */
typedef struct GrpcMethod GrpcMethod;
/** Takes what a conversion gives, in one piece, on success only. */
typedef void GrpcPut(void *userdata, const char *data, size_t n);

/** From the @n bytes of a FileDescriptorSet. 0; -EINVAL with a sentence in @fault; -ENOMEM. */
int grpc_codec_new(const char *set, size_t n, char fault[GRPC_FAULT_MAX], GrpcCodec **ret);
void grpc_codec_free(GrpcCodec *codec); /* NULL-safe */

/** What is wrong with a method's name. */
typedef enum GrpcMissing { GRPC_MISSING_SERVICE, GRPC_MISSING_METHOD, GRPC_NOT_UNARY } GrpcMissing;
/** The method of that name. 0; -EINVAL with a sentence in @fault and what it is about; -ENOMEM. @method NULL: look only
 * for the service. */
int grpc_codec_find(GrpcCodec *codec, const char *service, const char *method, char fault[GRPC_FAULT_MAX],
                    GrpcMissing *ret_missing, const GrpcMethod **ret);

/** The request message that the @n bytes of JSON are. 0; -EINVAL with a sentence in @fault; -ENOMEM. */
int grpc_codec_encode(GrpcCodec *codec, const GrpcMethod *method, const char *json, size_t n, GrpcPut *put,
                      void *userdata, char fault[GRPC_FAULT_MAX]);
/**
 * The JSON of the response message of @n bytes: fields that are not set are given with their default, except messages,
 * members of a oneof and `optional` ones. 0; -EINVAL with a sentence in @fault; -EFBIG: more than @max bytes, or than
 * GRPC_FIELDS_MAX fields; -ENOMEM.
 */
int grpc_codec_decode(GrpcCodec *codec, const GrpcMethod *method, const char *message, size_t n, size_t max,
                      GrpcPut *put, void *userdata, char fault[GRPC_FAULT_MAX]);
/** The same for a message of any type in the set; -EINVAL also if it has no such type. */
int grpc_codec_decode_type(GrpcCodec *codec, const char *type, const char *message, size_t n, size_t max,
                           GrpcPut *put, void *userdata, char fault[GRPC_FAULT_MAX]);

#ifdef __cplusplus
}
#endif
