#!/bin/sh
# How Airbyte's images are started: a command, and then its files.
set -eu

usage() {
    echo "usage: base.sh spec | check --config FILE | write --config FILE --catalog FILE [--state FILE]" >&2
    exit 2
}

[ $# -gt 0 ] || usage
command=$1
shift
place=0
for word; do
    case $((place % 2)):$word in
        0:--config | 0:--catalog | 0:--state | 1:*) ;;
        *) usage ;;
    esac
    place=$((place + 1))
done
[ $((place % 2)) -eq 0 ] || usage

# What JAVA_OPTS says comes later and wins; JAVA_TOOL_OPTIONS is read by the runtime itself.
# shellcheck disable=SC2086
exec /airbyte/java/bin/java -XX:MaxRAMPercentage=70 -XX:+ExitOnOutOfMemoryError -XX:-UsePerfData \
    ${JAVA_OPTS:-} -cp '/airbyte/lib/*' lockgate.destination.Main "$command" "$@"
