# fish completion of @PROGRAMS@. Made by `asyncmq-cli --show-completion fish`.
#
# fish unquotes the words that it hands out, and quotes what it inserts.

function __asyncmq_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    # As it stands, or with the quote closed that is still open.
    set -l current (string unescape -- $typed; or string unescape -- $typed\'; or string unescape -- $typed\")
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    type -q -f -- $program; or set program asyncmq-cli
    set -e words[1]
    set -l replies (command $program __complete fish $words "$current" 2>/dev/null </dev/null)
    set -l answer $status
    if test $answer -eq @FILES@
        __fish_complete_path (commandline -ct)
    else if test $answer -eq 0
        printf '%s\n' $replies
    end
end

@COMPLETE@
