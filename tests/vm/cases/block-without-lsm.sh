#!/bin/sh
# The same as block-exec.sh, on a kernel with BPF LSM whose list of LSMs lacks bpf: it takes the programs and never calls them. The
# canary must find that out, and the next step be taken.
# Command line: lsm=lockdown,yama,apparmor
export NEEDED=fmod_ret NOT_HAD=lsm
exec sh "$(dirname "$(readlink -f "$0")")/block-exec.sh"
