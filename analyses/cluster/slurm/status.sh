#!/bin/sh
# What became of a SLURM job, in Snakemake's words: running, success or failed. A job that sacct does not know yet runs.
#   status.sh JOB
state=$(sacct -X -n -P -o State -j "$1" 2>/dev/null | head -n 1)
case $state in
COMPLETED) echo success ;;
'' | PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | REQUEUED | RESIZING) echo running ;;
*) echo failed ;;
esac
