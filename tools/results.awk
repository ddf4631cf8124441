# Reads what cargo nextest (with --success-output immediate) or cargo test (with --show-output) prints, and
#   prints a short form of it: one line per test, all that a failed test said, and why a test was skipped;
#   writes "PASSED FAILED SKIPPED" into the file COUNTS;
#   appends "TEST: why" to the file SKIPS for each test that passed by saying "skipped: why".
# Both files are variables set on the command line.

function skip(test, line) {
    if (test == "" || test in skipped) return
    sub(/^ *skipped: */, "", line)
    skipped[test] = 1
    skips++
    print test ": " line >> SKIPS
    print "        skipped: " line
}

# nextest: the state of one test, then what it said, indented.
/^ +(PASS|LEAK|FLAKY|FAIL|LEAK-FAIL|TIMEOUT|ABORT|SIG[A-Z0-9]+|TRY [0-9]+ [A-Z-]+) +\[/ {
    quiet = ($1 == "PASS" || $1 == "LEAK" || $1 == "FLAKY")
    test = quiet ? $NF : ""
    print
    next
}
/^─+$/ { quiet = 0; test = "" }
/^ +Summary \[/ {
    if (match($0, /[0-9]+(\/[0-9]+)? tests? run:/)) run += substr($0, RSTART) + 0
    if (match($0, /[0-9]+ passed/)) passed += substr($0, RSTART) + 0
    summaries++
    print
    next
}
quiet && /^ *skipped: / { skip(test, $0); next }
quiet && (/^    / || /^ +(stdout|stderr) ───/ || /^$/) { next }

# cargo test: the verdicts first, then what each test said.
/^test .* \.\.\. ok$/ { verdict = $0; sub(/^test /, "", verdict); sub(/ \.\.\. ok$/, "", verdict); ok[verdict] = 1 }
/^successes:$/ { said = 1; next }
/^failures:$/ { said = 0; test = "" }
said && /^---- .* stdout ----$/ { test = $0; sub(/^---- /, "", test); sub(/ stdout ----$/, "", test); next }
said && /^ *skipped: / { if (test in ok) skip(test, $0); next }
/^test result: / {
    said = 0; test = ""; delete ok
    if (match($0, /[0-9]+ passed/)) { n = substr($0, RSTART) + 0; passed += n; run += n }
    if (match($0, /[0-9]+ failed/)) run += substr($0, RSTART) + 0
}
said { next }

{ print }

END {
    printf "%d %d %d\n", passed - skips, run - passed, skips > COUNTS
}
