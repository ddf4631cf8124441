# shellcheck shell=bash
# Words to the person at the terminal. Source this file.

# say TEXT... : a note; results go to standard output, notes to standard error.
say() {
    echo "x: $*" >&2
}

# die TEXT... : says why nothing more can be done and stops with exit status 2.
die() {
    say "$@"
    exit 2
}

# as_root COMMAND... : runs it as root, by sudo if need be.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -E env "PATH=$PATH" "$@"
    else
        die "'$1' needs root and there is no sudo here: run this as root"
    fi
}
