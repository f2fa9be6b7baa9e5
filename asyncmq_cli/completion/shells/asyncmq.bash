# bash completion of @PROGRAMS@. Made by `asyncmq-cli --show-completion bash`.
#
# The program reads the line and quotes what is inserted. It is not given COMP_WORDS, which bash
# cuts at every ':' and '='; nothing that it prints is evaluated.

_asyncmq() {
    local program=$1 reply replies status
    [[ $program == "~/"* ]] && program=$HOME/${program#"~/"}
    type -P -- "$program" >/dev/null || program=asyncmq-cli
    COMPREPLY=()
    replies=$("$program" __complete bash "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null </dev/null)
    status=$?
    if ((status == @FILES@)); then
        compopt -o default 2>/dev/null
    elif ((status == 0)); then
        while IFS= read -r reply; do
            [[ -n $reply ]] && COMPREPLY+=("$reply")
        done <<<"$replies"
    fi
}

complete -F _asyncmq @PROGRAMS@
