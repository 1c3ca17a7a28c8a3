#!/bin/sh
# A source and a destination of Airbyte's protocol that does what its configuration asks for.
#
# spec | check --config F | discover --config F | read --config F --catalog F [--state F]
#      | write --config F --catalog F
#
# Members of the configuration: `do` is one of the names below, without it nothing is wrong; `count`
# (10) is how many records there are to read; `after` (5) is how many come before a fault; `bytes`
# (16777216) is how long a line or a log is; `host` and `port` are for `connect`. The variable MISBEHAVE
# is `do` for a command that has no configuration.
#
#   sleep         never reads and says nothing; ends when it is asked to
#   ignore-term   the same, and does not listen to SIGTERM
#   linger        does everything well and then never ends; ends when it is asked to
#   stay          the same, and does not listen to SIGTERM
#   chatter       does everything well and then never stops to say things
#   flood         says `bytes` bytes on stderr, and is then well
#   flood-always  never stops to say things on stderr, and does not listen to SIGTERM
#   long-line     prints a message of `bytes` bytes, and is then well
#   endless-line  prints a line that does not end, and does not listen to SIGTERM
#   garbage       prints what is no message, and is then well
#   exit          exits with `code` (137) after `after` records
#   end-early     exits with 0 after `after` records
#   fail          says that it failed, after `after` records, and exits with 1
#   memory        takes memory until it is killed, after `after` records
#   forks         starts processes until it cannot
#   tell          a check that says what it may do here
#   connect       a check that connects to `host` (an address) and `port`
set -u

# A shell that is the first process of a container hears nothing that it has not asked for, and what
# it has asked for only when it does not wait for a program in the foreground.
trap 'exit 143' TERM

command=${1:-}
[ $# -eq 0 ] || shift
config='' state=''
while [ $# -gt 1 ]; do
    case $1 in
        --config) config=$2 ;;
        --catalog) ;;
        --state) state=$2 ;;
        *)
            echo "unknown option: $1" >&2
            exit 2
            ;;
    esac
    shift 2
done

if [ -n "$config" ]; then
    text=$(cat "$config") || {
        echo '{"type":"TRACE","trace":{"type":"ERROR","emitted_at":0,"error":{"message":"the configuration cannot be read","failure_type":"system_error"}}}'
        exit 1
    }
    text=$(printf '%s' "$text" | tr -d '\n')
else
    text='{}'
fi

text_of() { # member, otherwise
    found=$(printf '%s' "$text" | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p")
    printf '%s' "${found:-$2}"
}

number_of() { # member, otherwise
    found=$(printf '%s' "$text" | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\([0-9]*\).*/\1/p")
    printf '%s' "${found:-$2}"
}

what=$(text_of 'do' "${MISBEHAVE:-well}")
count=$(number_of count 10)
after=$(number_of after 5)
bytes=$(number_of bytes 16777216)
code=$(number_of code 137)

forever() { # in steps that leave room for a signal: a shell hears it after what it waits for
    while :; do
        sleep 3600 &
        wait
    done
}

deaf() {
    trap '' TERM
    forever
}

xs() { head -c "$1" /dev/zero | tr '\0' x; }

begin() {
    case $what in
        sleep) forever ;;
        ignore-term) deaf ;;
        flood) yes 'something that nobody needs to know about, said again and again' | head -c "$bytes" >&2 ;;
        flood-always) yes 'something that nobody needs to know about, said again and again' >&2 ;;
        long-line)
            printf '{"type":"LOG","log":{"level":"INFO","message":"'
            xs "$bytes"
            printf '"}}\n'
            ;;
        endless-line)
            printf '{"type":"LOG","log":{"level":"INFO","message":"'
            tr '\0' x </dev/zero
            ;;
        garbage) printf 'Listening on nothing\n\n{"type":\n[1]\n{"type":"SOMETHING"}\n\377\376\n' ;;
        forks)
            while :; do
                sleep 3600 &
            done
            ;;
    esac
}

fault() { # after the records that come before it
    case $what in
        exit) exit "$code" ;;
        end-early) exit 0 ;;
        fail)
            echo '{"type":"TRACE","trace":{"type":"ERROR","emitted_at":0,"error":{"message":"it was told to fail","failure_type":"system_error"}}}'
            exit 1
            ;;
        memory)
            x=xxxxxxxxxxxxxxxx
            while :; do x=$x$x$x$x; done
            ;;
    esac
}

faulty() {
    case $what in
        exit | end-early | fail | memory) return 0 ;;
        *) return 1 ;;
    esac
}

end() {
    case $what in
        linger) forever ;;
        stay) deaf ;;
        chatter) yes '{"type":"LOG","log":{"level":"INFO","message":"something that nobody needs to know"}}' ;;
    esac
}

spec() {
    echo '{"type":"SPEC","spec":{"protocol_version":"0.18.0","supportsIncremental":true,"supported_destination_sync_modes":["append"],"connectionSpecification":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","additionalProperties":true,"properties":{"do":{"type":"string"},"count":{"type":"integer","minimum":0},"after":{"type":"integer","minimum":0},"bytes":{"type":"integer","minimum":0},"code":{"type":"integer"},"host":{"type":"string"},"port":{"type":"integer"}}}}}'
}

answer() { # SUCCEEDED or FAILED, and a message without quotes
    printf '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"%s","message":"%s"}}\n' "$1" "$2"
}

tell() {
    status() { sed -n "s/^$1:[[:space:]]*//p" /proc/self/status; }
    root=ro
    (: >/probe) 2>/dev/null && root=rw
    tmp=ro
    (: >/tmp/probe) 2>/dev/null && tmp=rw
    local=none
    [ ! -d /local ] || local=ro
    (: >/local/.probe) 2>/dev/null && rm -f /local/.probe && local=rw
    nets=
    for net in /sys/class/net/*; do nets="$nets${nets:+,}${net##*/}"; done
    mode=$(stat -c '%a:%u' "$config")
    answer SUCCEEDED "uid=$(id -u) caps=$(status CapEff) bounding=$(status CapBnd) no_new_privs=$(status NoNewPrivs) seccomp=$(status Seccomp) root=$root tmp=$tmp local=$local nets=$nets config=$mode"
}

check() {
    begin
    case $what in
        tell) tell ;;
        connect)
            if nc -w 5 "$(text_of host 127.0.0.1)" "$(number_of port 1)" </dev/null >/dev/null 2>&1; then
                answer SUCCEEDED "connected"
            else
                answer FAILED "no connection"
            fi
            ;;
        *)
            fault
            answer SUCCEEDED ""
            ;;
    esac
    end
}

discover() {
    begin
    fault
    echo '{"type":"CATALOG","catalog":{"streams":[{"name":"items","json_schema":{"type":"object","properties":{"id":{"type":"integer"},"text":{"type":"string"}}},"supported_sync_modes":["full_refresh","incremental"],"source_defined_cursor":true,"default_cursor_field":["id"],"source_defined_primary_key":[["id"]]}]}}'
    end
}

status() {
    printf '{"type":"TRACE","trace":{"type":"STREAM_STATUS","emitted_at":0,"stream_status":{"status":"%s","stream_descriptor":{"name":"items"}}}}\n' "$1"
}

records() { # from behind the first number to the second
    awk -v from="$1" -v to="$2" 'BEGIN {
        for (id = from + 1; id <= to; id++)
            printf "{\"type\":\"RECORD\",\"record\":{\"stream\":\"items\",\"data\":{\"id\":%d,\"text\":\"item %d\"},\"emitted_at\":1700000000000}}\n", id, id
    }'
}

read_() {
    begin
    from=0
    if [ -n "$state" ]; then
        from=$(tr -d '\n' <"$state" | sed -n 's/.*"at"[[:space:]]*:[[:space:]]*\([0-9]*\).*/\1/p')
    fi
    from=${from:-0}
    status STARTED
    if faulty; then
        records "$from" "$((from + after))"
        fault
    fi
    records "$from" "$count"
    emitted=$((count > from ? count - from : 0))
    at=$((count > from ? count : from))
    printf '{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"items"},"stream_state":{"at":%d}},"sourceStats":{"recordCount":%d.0}}}\n' "$at" "$emitted"
    status COMPLETE
    end
}

# Rows go to rows.jsonl as they come; a state comes back when what precedes it has left the program.
write_() {
    begin
    rows=/dev/null
    [ ! -d /local ] || rows=/local/rows.jsonl
    limit=-1
    ! faulty || limit=$after
    if [ "$limit" -ne 0 ]; then
        # What runs in the background is given no input unless it is named.
        exec 3<&0
        awk -v rows="$rows" -v limit="$limit" '
            /^\{"type":"RECORD"/ {
                row = substr($0, index($0, "\"data\":") + 7)
                sub(/,"emitted_at":[0-9.]+(,"meta":.*)?\}\}$/, "", row)
                print row >>rows
                if (++seen == limit) exit
            }
            /^\{"type":"STATE"/ {
                fflush(rows)
                print
                fflush()
            }' <&3 &
        wait $!
    fi
    fault
    end
}

case $command in
    spec)
        begin
        fault
        spec
        end
        ;;
    check) check ;;
    discover) discover ;;
    read) read_ ;;
    write) write_ ;;
    *)
        echo "unknown command: $command" >&2
        exit 2
        ;;
esac
