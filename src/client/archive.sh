#!/bin/sh
# archive.sh OUTPUT SCRATCH CLIENT OTHERS...: one static library out of the client and what it uses of others.
#
# Only the public names stay visible: the project's inner names are plain words (buf_put…) that must not meet those of
# the program that links it.
set -e
output=$1 scratch=$2 client=$3
shift 3
mkdir -p "$scratch"
ld -r -o "$scratch/all.o" -u runbook_code_name -u runbook_execution_status_name \
        --whole-archive "$client" --no-whole-archive "$@"
objcopy --localize-hidden "$scratch/all.o"
rm -f "$output"
ar rcs "$output" "$scratch/all.o"
