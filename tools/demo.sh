# shellcheck shell=bash
# The demonstration: a compiler run, recorded. Source this file after say.sh and build.sh.

# demo : builds the program, records gcc compiling a small C file in ringfence's own sandbox and prints the report.
demo() {
    local program work report
    program=$(build_program release)
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the directory of now
    trap "as_root rm -rf '$work'" EXIT
    printf '#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n' >"$work/hello.c"
    say "recording: gcc -o hello hello.c (compiler, assembler and linker, as they really run)"
    as_root "$program" record --out "$work/reports" -- gcc -o "$work/hello" "$work/hello.c"
    for report in "$work"/reports/*.json; do
        [ -e "$report" ] || die "no report was written to $work/reports"
        as_root "$program" report "$report"
    done
    say "record your own: sudo $program record -- COMMAND ARG..."
}
