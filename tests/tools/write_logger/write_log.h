#pragma once
/* The log that write_logger.so writes: everything that a program did to the files below one directory, in order. */

#include <stdint.h>

#define WRITE_LOG_FILE_ENV "RUNBOOK_WRITE_LOG"     /* where the log goes; made or emptied */
#define WRITE_LOG_DIR_ENV  "RUNBOOK_WRITE_LOG_DIR" /* the directory that is watched, absolute */

typedef enum WriteLogKind {
        WRITE_LOG_OPEN =
                        1, /* handle; flags: O_CREAT… as given; data: the path below the directory, "" for itself */
        WRITE_LOG_WRITE,    /* handle, offset, data */
        WRITE_LOG_TRUNCATE, /* handle, offset: the new size */
        WRITE_LOG_SYNC,     /* handle: fsync, fdatasync or msync has returned 0 */
        WRITE_LOG_RENAME,   /* data: from, NUL, to */
        WRITE_LOG_UNLINK,   /* data: path */
} WriteLogKind;

/** One record; @n bytes of data follow. Written before the call, but for syncs, which count once they returned. */
typedef struct WriteLogRecord {
        uint32_t kind, handle, flags, n;
        uint64_t offset;
} WriteLogRecord;
